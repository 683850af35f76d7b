/*
 * histogram -- counts of values with a stated relative precision, HdrHistogram-compatible buckets.
 *
 * Owns:       its counters, allocated once by histogram_open().
 * Bounds:     values 0 .. highest; higher ones are counted in `overflow_count` and as `highest`.
 * Invariants: relative error <= 10^-digits; recording is a few instructions and never allocates.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct histogram {
    uint64_t *counts;
    uint64_t total_count;
    uint64_t overflow_count;
    uint64_t minimum; /* UINT64_MAX while empty */
    uint64_t maximum;
    uint64_t highest;
    double sum;
    uint32_t counts_size; /* how many counters */
    uint32_t sub_bucket_bits;
    uint32_t digits; /* 1..4 */
};

/* 0 or -ENOMEM. `digits` significant decimal digits up to `highest`. */
MUST_USE int histogram_open(struct histogram *histogram, uint64_t highest, uint32_t digits);
void histogram_close(struct histogram *histogram);
void histogram_reset(struct histogram *histogram);

void histogram_record(struct histogram *histogram, uint64_t value);

/* The same value so many times. */
void histogram_record_many(struct histogram *histogram, uint64_t value, uint64_t count);

/* Adds every count of `from`, which must have the same shape. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* Largest value equivalent to the one at `percentile` (0..100); 0 if empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percentile);

/* The percentile, if at least ten samples lie beyond it; else false. */
MUST_USE bool histogram_percentile_shown(const struct histogram *histogram, double percentile,
                                         uint64_t *value);
double histogram_mean(const struct histogram *histogram);
double histogram_deviation(const struct histogram *histogram);

/* How many values were recorded in from <= value < to (to bucket precision). */
uint64_t histogram_count_between(const struct histogram *histogram, uint64_t from, uint64_t to);

/* Memory in bytes that a histogram of this shape holds. */
uint64_t histogram_memory(const struct histogram *histogram);

/*
 * The HdrHistogram V2 compressed form in Base64 ("HISTFAAAA..."), NUL-terminated, to be freed by
 * the caller; NULL if memory runs out.
 */
char *histogram_encode(const struct histogram *histogram);

/*
 * Opens `histogram` with what histogram_encode(), or any HdrHistogram library, made of values from
 * 1 on. Minimum and maximum are the ends of their counters, the sum is that of the counters'
 * middles: what was counted is the same, and so is every percentile. 0, -ENOMEM, or -EBADMSG with
 * nothing to close: this is no such text, or not all of it.
 */
MUST_USE int histogram_decode(struct histogram *histogram, const char *text);

/* The value of the sample at `rank` (1 .. total_count), to its counter's top. */
uint64_t histogram_at_rank(const struct histogram *histogram, uint64_t rank);
