/*
 * load_schedule -- when messages are due in an open loop, fixed by seed, worker and index (pure).
 *
 * Due times depend on nothing that happens in the run: a stall moves none of them. Each worker has
 * a Poisson process of its share of the rate, and their sum is one of the whole rate; uniform and
 * burst number the messages of all workers and give each worker every so manieth.
 *
 * Invariants: due times never decrease.
 */
#pragma once

#include "base/check.h"
#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_BURST_MAX 1000000u

enum load_arrival {
    LOAD_ARRIVAL_POISSON, /* exponential gaps                                  */
    LOAD_ARRIVAL_UNIFORM, /* equal gaps                                        */
    LOAD_ARRIVAL_BURST,   /* `burst` at once, then nothing until the next ones */
};

struct load_schedule_recipe {
    uint64_t rate_per_s; /* messages due in a second, of all workers; > 0 */
    enum load_arrival arrival;
    uint32_t burst; /* of LOAD_ARRIVAL_BURST */
    uint64_t seed;
    uint32_t worker;
    uint32_t workers;
};

struct load_schedule {
    struct load_schedule_recipe recipe;
    struct random random;
    double poisson_ns; /* the last due time with its fraction */
    uint64_t index;    /* of this worker's next message       */
    uint64_t due_ns;   /* when that is due, since the run began */
};

void load_schedule_open(struct load_schedule *schedule, const struct load_schedule_recipe *recipe);

/* The next message was taken: due_ns becomes that of the one behind it. */
void load_schedule_advance(struct load_schedule *schedule);

/* "poisson", "uniform", "burst:100" into `recipe`; false if it is none of them. */
MUST_USE bool load_schedule_parse(const char *text, struct load_schedule_recipe *recipe);
