/*
 * load_corpus -- real messages to send: a file, a directory of .eml, a Maildir, or an mbox.
 *
 * Each is kept as a server is to store it: lines end in CR LF, the last one too, and what has no
 * header section gets an empty one. What of it differs per message, load_mail puts in front.
 *
 * Owns:       the messages, read once before anything is sent.
 * Errors:     a sentence that names the file.
 * Bounds:     LOAD_CORPUS_MESSAGES_MAX messages, LOAD_CORPUS_SIZE_MAX octets in all.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "loadgen/load_length.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_CORPUS_MESSAGES_MAX 100000u
#define LOAD_CORPUS_SIZE_MAX     (1ull << 30)
#define LOAD_CORPUS_ERROR_MAX    512u
#define LOAD_CORPUS_LENGTH_MAX   400u

struct load_corpus {
    struct bytes *messages;
    uint32_t count;
    uint64_t size; /* of all */
    bool is_8bit;
    char length_text[LOAD_CORPUS_LENGTH_MAX]; /* of the bodies, as load_length reads it */
};

/* -F: one message. False with a sentence in `error` (LOAD_CORPUS_ERROR_MAX). */
MUST_USE bool load_corpus_open_file(struct load_corpus *corpus, const char *path, char *error);

/* A directory of *.eml, one with cur/ and new/, or an mbox; directories in the names' order. */
MUST_USE bool load_corpus_open(struct load_corpus *corpus, const char *path, char *error);

void load_corpus_close(struct load_corpus *corpus);

/* The most that load_corpus_normalize() writes. */
static inline uint64_t load_corpus_normal_max(uint64_t size)
{
    return 2 * size + 4;
}

/* Writes `raw` with CR LF where any line ends, and an empty line in front if it has no header. */
uint64_t load_corpus_normalize(struct bytes raw, uint8_t *out);

/* Writes it dot-stuffed (RFC 5321 4.5.2), without a final dot: at most 2 * size octets. */
uint64_t load_corpus_stuff(struct bytes stored, uint8_t *out);

/* Takes the next message of an mbox, its From_ line left out; false behind the last. */
MUST_USE bool load_corpus_take_mbox(struct bytes *mbox, struct bytes *message);
