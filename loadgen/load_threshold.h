/*
 * load_threshold -- what a run is asked to reach: "p99<50ms", "fail<0.1%", "rate>=19.9k" (pure).
 *
 *   [response.|service.|dot.]p50 p99.9 min max mean   a time
 *   fail                                              failed messages of all, "0.1%" or "0.001"
 *   rate                                              messages accepted a second
 *   within(50ms)                                      accepted within that of all due, a share
 *
 * Without a name in front, times are response times in an open loop and service times in a closed
 * one. within() counts every message that was due, so that no fast failure can improve it.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_tally.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_THRESHOLDS_MAX 16u

enum load_threshold_what {
    LOAD_THRESHOLD_PERCENTILE,
    LOAD_THRESHOLD_MINIMUM,
    LOAD_THRESHOLD_MAXIMUM,
    LOAD_THRESHOLD_MEAN,
    LOAD_THRESHOLD_FAIL,
    LOAD_THRESHOLD_RATE,
    LOAD_THRESHOLD_WITHIN,
};

enum load_threshold_span {
    LOAD_THRESHOLD_HEADLINE, /* response, or in a closed loop service */
    LOAD_THRESHOLD_RESPONSE,
    LOAD_THRESHOLD_SERVICE,
    LOAD_THRESHOLD_DOT,
};

struct load_threshold {
    const char *text; /* as given */
    enum load_threshold_what what;
    enum load_threshold_span span;
    double percentile;
    uint64_t within_ns;
    double limit; /* ns, messages a second, or a share */
    bool is_upper;
    bool is_strict; /* < or >, without = */
};

struct load_threshold_outcome {
    double value; /* in the limit's unit */
    bool is_known;
    bool has_passed; /* what is unknown has not */
};

/* `text` stays borrowed. False if it is none. */
MUST_USE bool load_threshold_parse(struct load_threshold *threshold, const char *text);

/* Whether it speaks of response times, which a closed loop has none of. */
bool load_threshold_wants_open_loop(const struct load_threshold *threshold);

struct load_threshold_outcome load_threshold_judge(const struct load_threshold *threshold,
                                                   const struct load_tally *tally, bool is_open,
                                                   double accepted_per_s);
