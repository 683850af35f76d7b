#include "loadgen/load_confidence.h"

#include "loadgen/load_tally.h"

#include <math.h>

#define Z       1.96
#define TAIL    0.025
#define FEW     20.0 /* samples beyond a percentile below which the normal curve is no match */
#define FEW_MAX 200u /* more of them than that beyond it have no probability at all */
#define STUDENT 2.26 /* 95 %, nine degrees of freedom: not too narrow for more of them */

/* Few samples lie beyond: their number is binomial, and its tails are added up. */
static void find_ranks_exactly(uint64_t count, double beyond, uint64_t *low, uint64_t *high)
{
    double trials = (double)count;
    double probability = exp(trials * log1p(-beyond)); /* of none */
    double below = 0;
    uint64_t fewest = 0; /* samples above the upper rank */
    uint64_t most = 0;

    for (uint64_t number = 0; number < FEW_MAX && number < count; number++) {
        below += probability;
        if (below <= TAIL) fewest = number;
        most = number;
        if (below >= 1 - TAIL) break;
        probability *= (trials - (double)number) / ((double)number + 1) * beyond / (1 - beyond);
    }
    *high = count - fewest;
    *low = count - most;
}

void load_confidence_ranks(uint64_t count, double percentile, uint64_t *low, uint64_t *high)
{
    double share = percentile / 100;
    double middle = (double)count * share;
    double half = Z * sqrt(middle * (1 - share));

    CHECK(count > 0);
    CHECK(share > 0);
    CHECK(share < 1);
    if ((double)count * (1 - share) < FEW) {
        find_ranks_exactly(count, 1 - share, low, high);
    } else {
        *low = (uint64_t)fmax(1, floor(middle - half));
        *high = (uint64_t)fmin((double)count, ceil(middle + half) + 1);
    }
    if (*low < 1) *low = 1;
    if (*high > count) *high = count;
}

bool load_confidence_order(const struct histogram *histogram, double percentile,
                           struct load_interval95 *interval)
{
    uint64_t value;
    uint64_t low;
    uint64_t high;

    if (!load_tally_percentile(histogram, percentile, &value)) return false;
    load_confidence_ranks(histogram->total_count, percentile, &low, &high);
    interval->low = histogram_at_rank(histogram, low);
    interval->high = histogram_at_rank(histogram, high);
    if (interval->low > histogram->maximum) interval->low = histogram->maximum;
    if (interval->high > histogram->maximum) interval->high = histogram->maximum;
    return true;
}

void load_confidence_widen(struct load_interval95 *interval, uint64_t value, const double *seconds,
                           uint32_t count)
{
    double number = 0;
    double sum = 0;
    double squares = 0;

    for (uint32_t index = 0; index < count; index++) {
        if (seconds[index] <= 0) continue;
        number += 1;
        sum += seconds[index];
        squares += seconds[index] * seconds[index];
    }
    if (number < LOAD_CONFIDENCE_BATCHES) return;
    double variance = (squares - sum * sum / number) / (number - 1);
    uint64_t half = variance > 0 ? (uint64_t)(STUDENT * sqrt(variance / number)) : 0;
    if (value > half && value - half < interval->low) interval->low = value - half;
    if (value <= half) interval->low = 0;
    if (value + half > interval->high) interval->high = value + half;
}
