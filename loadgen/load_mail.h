/*
 * load_mail -- message k of seed s: an immutable image and the few octets that differ (pure).
 *
 * A message on the wire is three pieces: head (the header section, patched per message), body
 * (the same for all, dot-stuffed) and tail (the body's last line, which carries 16 hexadecimal
 * digits mixed from seed and sequence, and the final dot). Because only the last line differs, the
 * XXH3 of each body is a copy of the state after the common part plus one short update: every
 * message is unique and its hash right, at a cost that does not depend on its length.
 *
 * Bodies of several sizes are beginnings of the same common body, each cut at a line's end and
 * filled up with one line of its own; their hash states are taken on the way.
 *
 * Or messages of a corpus, as they are: then the head is the X-Loadgen line alone, the message
 * follows, and the tail is the final dot; all of one have the same hash.
 *
 * Owns:       head template, common body, hash state; read-only once opened, so threads share it.
 * Bounds:     a body is 0 or >= 2 octets (it ends in CR LF), <= LOAD_MAIL_LENGTH_MAX; one shorter
 *             than LOAD_MAIL_TOKEN_SIZE has no token: only its header section is unique.
 * Invariants: every line <= 78 octets + CR LF; the same seed, run, date give the same octets.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "loadgen/load_length.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_MAIL_LENGTH_MAX   (1ull << 30)
#define LOAD_MAIL_LINE_MAX     78u
#define LOAD_MAIL_TOKEN_SIZE   18u             /* 16 digits CR LF                  */
#define LOAD_MAIL_SEQUENCE_MAX 999999999999ull /* twelve digits                   */

struct load_corpus;

struct load_mail_recipe {
    const char *sender;    /* without brackets; "" for the null sender */
    const char *recipient; /* for the To: field                        */
    const char *subject;
    const char *host;                 /* right side of the Message-ID             */
    const struct load_length *length; /* of the bodies, as stored */
    uint64_t seed;
    uint64_t run;
    uint64_t date_ns;                 /* since 1970; one Date for the whole run   */
    bool is_chunked;                  /* BDAT: content is kept as it is stored, too */
    const struct load_corpus *corpus; /* messages as they are, or NULL; lives as long as the mail */
    bool is_random;                   /* the corpus's order: drawn, else one after the other      */
};

#define LOAD_MAIL_DOT_SIZE 3u /* at the tail's end */

#define LOAD_MAIL_FILLER_MAX 80u /* a line */

/* One size of body. */
struct load_mail_body {
    const uint8_t *common; /* what it begins with, dot-stuffed, */
    const uint8_t *plain;  /* or not: NULL without BDAT */
    bool has_token;
    uint64_t length;      /* as stored                                          */
    uint64_t common_size; /* the part of `common` that it begins with           */
    uint64_t plain_size;  /* the same of `plain`                                */
    uint64_t stored_size; /* header section and body, as stored                 */
    uint64_t wire_size;   /* head, common, tail                                 */
    uint32_t tail_size;   /* filler, token, final dot, which BDAT leaves out    */
    uint32_t filler_size; /* what is left between a line of `common` and the token */
    uint8_t filler[LOAD_MAIL_FILLER_MAX];
    struct load_mail_hash *hash; /* of all but the token */
};

struct load_mail {
    uint8_t *head;
    uint32_t head_size;
    uint32_t id_offset;            /* of the Message-ID's twelve digits */
    uint32_t stamp_offset;         /* of the X-Loadgen line             */
    uint8_t *common;               /* the longest body without its last line, dot-stuffed */
    uint8_t *plain;                /* the same, not stuffed, for BDAT; or NULL             */
    struct load_mail_body *bodies; /* ascending; as many as the length has slots */
    uint32_t body_count;
    uint32_t tail_max; /* of all bodies */
    uint64_t common_max;
    uint64_t seed;
    uint64_t run;
    bool is_corpus;
    bool is_random;
    struct load_mail_hash *hashes;
};

/* 0 or -ENOMEM. */
MUST_USE int load_mail_open(struct load_mail *mail, const struct load_mail_recipe *recipe);
void load_mail_close(struct load_mail *mail);

/* The body of message `sequence`: the seed and the sequence alone decide. */
const struct load_mail_body *load_mail_choose(const struct load_mail *mail, uint64_t sequence);

/* Writes head_size octets for message `sequence` and returns the XXH3 of its body, unstuffed. */
uint64_t load_mail_put_head(const struct load_mail *mail, const struct load_mail_body *body,
                            uint64_t sequence, uint8_t *out);

/* Writes body->tail_size octets: what fills it up, its last line, and the final dot. */
void load_mail_put_tail(const struct load_mail *mail, const struct load_mail_body *body,
                        uint64_t sequence, uint8_t *out);
