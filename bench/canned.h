/*
 * canned -- the dialogue of a floor: it looks at the first letter of each command line and nothing
 * else, learns the length of a message's octets from the first one it sees, and from then on skips
 * that many octets after each 354.
 *
 * Owns:       the replies that were not sent yet, in one block a dialogue, held only while there
 *             are some.
 * Errors:     a message of another length than the first ends the program: a floor that guesses is
 *             none.
 * Bounds:     CANNED_DIALOGUES_MAX blocks of CANNED_REPLIES_MAX octets.
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define CANNED_DIALOGUES_MAX 65536
#define CANNED_REPLIES_MAX   (64 * 1024)

/* What all dialogues of a floor share. */
struct canned {
    struct blocks blocks;
    uint64_t learned_size; /* of a message on the wire, final dot included; 0: none was seen */
    uint64_t message_count;
};

struct canned_dialogue {
    uint8_t *replies;
    uint32_t size;
    uint32_t sent;
    uint64_t body_left; /* octets of content still to skip; 0: in commands */
    uint8_t verb;       /* first letter of the line in progress, 0 at its start */
    uint8_t tail[4];    /* the last octets of content while the length is learned */
    bool is_learning;
    bool is_leaving; /* QUIT was said: what comes after its reply is the end */
};

/* 0 or -errno. */
MUST_USE int canned_open(struct canned *canned);

void canned_greet(struct canned *canned, struct canned_dialogue *dialogue);
void canned_receive(struct canned *canned, struct canned_dialogue *dialogue, struct bytes data);

/* What is to be sent; empty if nothing is. */
struct bytes canned_unsent(const struct canned_dialogue *dialogue);
void canned_sent(struct canned *canned, struct canned_dialogue *dialogue, uint32_t size);

/* Forgets what was not sent. */
void canned_drop(struct canned *canned, struct canned_dialogue *dialogue);
