/*
 * hash -- XXH3-64 by libxxhash, with the widest vectors the processor has.
 *
 * Owns:       of a hash in progress, the library's state.
 * Invariants: the results are XXH3_64bits()'s, on every processor.
 */
#pragma once

#include "base/check.h"

#include <stdint.h>

struct XXH3_state_s; /* NOLINT(readability-identifier-naming): the library's */

/* Of octets that come in parts. */
struct hash {
    struct XXH3_state_s *state;
};

uint64_t hash_octets(const void *data, uint64_t size);

/* 0, or -ENOMEM. */
MUST_USE int hash_open(struct hash *hash);
void hash_close(struct hash *hash);

void hash_begin(struct hash *hash);
void hash_take(struct hash *hash, const void *data, uint64_t size);
/* Of all octets taken since hash_begin(). */
uint64_t hash_end(const struct hash *hash);
