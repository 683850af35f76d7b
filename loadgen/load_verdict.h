/*
 * load_verdict -- whether a result may be believed, and why not (pure).
 *
 * Bounds:     LOAD_VERDICT_REASONS_MAX reasons; further ones are dropped.
 * Invariants: INVALID outweighs SUSPECT outweighs VALID; anything but VALID has a reason.
 */
#pragma once

#include "loadgen/load_kernel.h"
#include "loadgen/load_steady.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_VERDICT_REASONS_MAX 6u
#define LOAD_VERDICT_TEXT_MAX    240u
/* Open loop: a generator that is busier in a second is no judge of lateness. */
#define LOAD_BUSY_SUSPECT   0.85
#define LOAD_BUSY_INVALID   0.95
#define LOAD_BUSY_INVALID_S 5u

enum load_verdict_status { LOAD_VERDICT_VALID, LOAD_VERDICT_SUSPECT, LOAD_VERDICT_INVALID };

/* What is judged. */
struct load_verdict_facts {
    uint64_t started;      /* messages                                             */
    uint64_t with_outcome; /* of them: the sum of all outcomes                     */
    uint64_t accepted;
    uint64_t expected;     /* refused as --expect said                             */
    uint64_t acknowledged; /* 2xx replies to a final dot, counted where they arrive */
    uint64_t measured_ns;
    uint64_t asked;      /* connections                                          */
    uint64_t reached;    /* of them: ready at least once                         */
    uint64_t down_worst; /* most connections down in two looks, a second apart, running */
    uint64_t clock_cost_ns;
    const char *clock_source; /* of the kernel; for the reason                        */
    uint64_t reap_p99_ns;
    double busy_max_ratio; /* of the busiest worker                                */
    int gave_up;           /* errno, or 0                                          */
    const char *barrier;   /* what kept sessions from being ready, or NULL         */
    const char *remedy;    /* of that: or empty                                    */
    bool is_open;
    uint64_t due;      /* open loop: of the schedule, in the measured time         */
    uint64_t dropped;  /* of them: the backlog was full                            */
    uint64_t late;     /* of them: started later than late_limit_ns                */
    uint64_t late_own; /* of these: although a session was idle                    */
    uint64_t late_limit_ns;
    double littles_ratio;         /* in flight by time, to the messages' own times        */
    double busy_worst;            /* of the busiest worker in its busiest second          */
    uint32_t busy_seconds;        /* seconds above LOAD_BUSY_INVALID, running             */
    double rate_per_s;            /* open loop: asked                                     */
    double ceiling_per_s;         /* that the generator can drive at all; 0: not known    */
    struct load_trend rate_trend; /* of the messages accepted each second          */
    struct load_trend p99_trend;
    struct load_kernel kernel; /* not known where it says nothing about this run   */
    const char *somaxconn;     /* of the kernel; for the reason                    */
};

struct load_verdict {
    enum load_verdict_status status;
    uint32_t reason_count;
    char reasons[LOAD_VERDICT_REASONS_MAX][LOAD_VERDICT_TEXT_MAX];
};

struct load_verdict load_verdict_make(const struct load_verdict_facts *facts);

/* "VALID"; in results in lower case. */
const char *load_verdict_name(enum load_verdict_status status);
