/*
 * load_length -- how long the messages' bodies are: one size, or a distribution (pure).
 *
 *   10k                    all the same
 *   1k-100k                every size between with the same chance
 *   lognormal:8k,1.4       half below 8k; the logarithm's standard deviation is 1.4
 *   1k:50,10k:40,1m:10     sizes with their weights
 *
 * A distribution is LOAD_LENGTH_SLOTS sizes of the same chance each, its quantiles, so that what is
 * costly for a size is done once, and a size's place is drawn by one number.
 *
 * Bounds:     2 <= size <= maximum, or 0; LOAD_LENGTH_SLOTS sizes.
 * Invariants: slots are in ascending order.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_LENGTH_SLOTS 1024u

enum load_length_kind {
    LOAD_LENGTH_FIXED,
    LOAD_LENGTH_RANGE,
    LOAD_LENGTH_LOGNORMAL,
    LOAD_LENGTH_LIST,
};

struct load_length {
    enum load_length_kind kind;
    uint32_t count; /* of slots in use: 1 if fixed */
    uint64_t slots[LOAD_LENGTH_SLOTS];
};

/* False: no such distribution, or a size in it is 1 or above `maximum`. */
MUST_USE bool load_length_parse(struct load_length *length, const char *text, uint64_t maximum);

double load_length_mean(const struct load_length *length);

/* The size that a share of `percentile` (0..100) does not exceed. */
uint64_t load_length_percentile(const struct load_length *length, double percentile);

const char *load_length_kind_name(enum load_length_kind kind);
