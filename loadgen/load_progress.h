/*
 * load_progress -- what happened in each second: for the progress line and the result's intervals.
 *
 * Owns:       the intervals; memory for all of a run's is taken as they come, by the main thread.
 * Bounds:     LOAD_INTERVALS_MAX; later ones are shown but not kept.
 * Thread:     main; workers are seen through their gauges only.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_config.h"
#include "loadgen/load_watch.h"
#include "loadgen/load_worker.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_INTERVALS_MAX 100000u
#define LOAD_PROGRESS_MAX  400u

/* What the messages that ended in one interval took; 0: too few to tell. */
struct load_interval_latency {
    uint64_t count;
    uint64_t p50_ns;
    uint64_t p90_ns;
    uint64_t p99_ns;
    uint64_t p999_ns;
    uint64_t maximum_ns;
};

struct load_interval {
    uint64_t start_ns; /* since the run began */
    uint64_t length_ns;
    uint64_t accepted;
    uint64_t due; /* open loop */
    uint64_t failed;
    uint64_t service_sum_ns; /* of those accepted */
    uint32_t up;             /* at its end        */
    uint32_t down;
    double busy_ratio;                     /* of the busiest worker */
    struct load_interval_latency response; /* open loop */
    struct load_interval_latency service;
    struct load_interval_latency dot;
    struct load_watch_row watch[LOAD_WATCHES_MAX];
};

struct load_progress {
    struct load_interval *intervals;
    uint32_t count;
    uint32_t capacity;
    uint64_t begin_ns;
    uint64_t last_ns;
    uint64_t accepted;
    uint64_t due;
    uint64_t failed;
    uint64_t service_sum_ns;
    uint64_t busy_ns[LOAD_PLAN_WORKERS_MAX];
    struct load_watches *watches; /* or NULL */
    uint64_t taken;               /* intervals, kept or not */
    struct load_slice slice;      /* the workers' slices of the last interval, merged */
    bool is_terminal;
    bool has_block; /* one stands on the terminal, above the cursor */
};

/* 0 or -ENOMEM. */
MUST_USE int load_progress_open(struct load_progress *progress);
void load_progress_close(struct load_progress *progress);

/* The run begins: what comes is counted from here. */
void load_progress_begin(struct load_progress *progress, const struct load_worker *workers,
                         uint32_t count, uint64_t now_ns);

/* Every worker has gone on from slice `number`, or has ended: load_progress_take() may be called.
 */
bool load_progress_is_due(const struct load_progress *progress, const struct load_worker *workers,
                          uint32_t count);

/* Ends an interval at `now_ns` and returns it. */
struct load_interval load_progress_take(struct load_progress *progress,
                                        const struct load_worker *workers, uint32_t count,
                                        uint64_t now_ns);

/* " 12s/60s  conn 10000  ok 49.9k/s ..." into `out` (LOAD_PROGRESS_MAX bytes). */
void load_progress_format(char *out, const struct load_interval *interval, uint64_t duration_ns);

/* The same as one JSON object, with the names of the result's intervals. */
void load_progress_format_json(char *out, const struct load_interval *interval,
                               const struct load_config *config);

/* The busiest worker's share in its busiest second. */
double load_progress_busy_worst(const struct load_progress *progress);

/* The most seconds running in which a worker was busier than `ratio`. */
uint32_t load_progress_busy_seconds(const struct load_progress *progress, double ratio);

/* The most connections that were down at the ends of two intervals running. */
uint64_t load_progress_down_worst(const struct load_progress *progress);
