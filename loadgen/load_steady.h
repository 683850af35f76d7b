/*
 * load_steady -- whether a value that was taken each second went up or down (pure).
 *
 * A least-squares line through the seconds: what it rises over all of them, to their mean. It
 * counts as a drift where it is above LOAD_DRIFT_LIMIT and the scatter around the line does not
 * explain it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOAD_DRIFT_LIMIT      0.05
#define LOAD_STEADY_SECONDS   8u  /* fewer say nothing */
#define LOAD_DRIFT_DEVIATIONS 3.7 /* of the slope: 99 % two-sided, six degrees of freedom */

struct load_trend {
    bool is_known;
    bool is_drift;
    double drift_ratio;  /* what the line rises from the first second to the last, to the mean */
    double halves_ratio; /* mean of the second half to that of the first; 0: not known */
};

/* Values below 0 are unknown and left out. */
struct load_trend load_steady_measure(const double *values, uint32_t count);
