/*
 * load_phrase -- what a written-down client sends at one step: octets, with numbers in them (pure).
 *
 *   MAIL FROM:<a{n}@b>       with CR LF behind it; {n} is the session's number, {i} the
 * repetition's \r \n \\ \{ \xHH         octets; \c at the end leaves the CR LF out
 *
 * Owns:       the pieces and octets of all phrases of a file.
 * Bounds:     load_phrase_size_max() octets each.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

enum load_piece_kind { LOAD_PIECE_OCTETS, LOAD_PIECE_SESSION, LOAD_PIECE_REPETITION };

struct load_piece {
    enum load_piece_kind kind;
    struct bytes octets;
};

struct load_phrase {
    uint32_t first_piece;
    uint32_t piece_count;
};

struct load_phrases {
    struct load_piece *pieces;
    uint32_t piece_count;
    uint8_t *octets;
    uint64_t octet_count;
};

/* Room for phrases written in so many octets and lines. 0 or -ENOMEM. */
MUST_USE int load_phrases_open(struct load_phrases *phrases, uint64_t size, uint64_t lines);
void load_phrases_close(struct load_phrases *phrases);

/* Keeps a copy of octets that are no phrase. */
struct bytes load_phrases_keep(struct load_phrases *phrases, struct bytes octets);

/* Reads a phrase; NULL, or what is wrong with it. */
MUST_USE const char *load_phrase_read(struct load_phrases *phrases, struct bytes text,
                                      struct load_phrase *phrase);

bool load_phrase_has(const struct load_phrases *phrases, const struct load_phrase *phrase,
                     enum load_piece_kind kind);

/* What it begins with, up to its first number. */
struct bytes load_phrase_beginning(const struct load_phrases *phrases,
                                   const struct load_phrase *phrase);

/* Whether LF is its last octet. */
bool load_phrase_ends_line(const struct load_phrases *phrases, const struct load_phrase *phrase);

uint32_t load_phrase_size_max(const struct load_phrases *phrases, const struct load_phrase *phrase);

/* Writes at most load_phrase_size_max() octets, if there is an `out`, and returns how many. */
uint32_t load_phrase_put(const struct load_phrases *phrases, const struct load_phrase *phrase,
                         uint64_t session, uint64_t repetition, uint8_t *out);
