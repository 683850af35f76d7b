/*
 * load_pause -- how long a connection thinks between two messages (pure).
 *
 * Bounds:     a pause <= LOAD_PAUSE_MAX_NS; an exponential one that is drawn longer is cut to that.
 */
#pragma once

#include "base/check.h"
#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_PAUSE_MAX_NS (3600ull * 1000000000ull)

enum load_pause_kind {
    LOAD_PAUSE_FIXED,
    LOAD_PAUSE_RANGE,       /* each length between both is as likely    */
    LOAD_PAUSE_EXPONENTIAL, /* as of somebody who may go on at any time */
};

struct load_pause {
    enum load_pause_kind kind;
    uint64_t low_ns; /* the only one; the mean of an exponential one */
    uint64_t high_ns;
};

/* "50ms", "10ms-2s", "exp:50ms". False: none of them, or above LOAD_PAUSE_MAX_NS. */
MUST_USE bool load_pause_parse(struct load_pause *pause, const char *text);

uint64_t load_pause_draw(const struct load_pause *pause, struct random *random);
