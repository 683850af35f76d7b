/*
 * load_confidence -- between which values a percentile lies with 95 % of certainty (pure).
 *
 * By order statistics: if the samples are independent, the number of them below the true
 * percentile is binomial, which gives two ranks. Replies of one second are seldom independent;
 * where percentiles of single seconds are known, their spread is taken into account too, and the
 * wider interval holds.
 */
#pragma once

#include "base/check.h"
#include "base/histogram.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_CONFIDENCE_BATCHES 10u /* fewer seconds tell no spread */

struct load_interval95 {
    uint64_t low;
    uint64_t high;
};

/* Ranks, 1 .. count; `percentile` in 0 .. 100, both excluded. */
void load_confidence_ranks(uint64_t count, double percentile, uint64_t *low, uint64_t *high);

/* False where the percentile itself would not be shown. */
MUST_USE bool load_confidence_order(const struct histogram *histogram, double percentile,
                                    struct load_interval95 *interval);

/* Widens the interval of `value` to what the same percentile of single seconds (above 0) says. */
void load_confidence_widen(struct load_interval95 *interval, uint64_t value, const double *seconds,
                           uint32_t count);
