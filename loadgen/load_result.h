/*
 * load_result -- what a run came to: the workers' tallies merged and judged.
 *
 * Owns:       the merged tally.
 * Borrows:    config, plan, mail, the conductor's intervals.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_conductor.h"
#include "loadgen/load_confidence.h"
#include "loadgen/load_environment.h"
#include "loadgen/load_tally.h"
#include "loadgen/load_verdict.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_MERGED_HOSTS_MAX 400u

struct load_result {
    const struct load_config *config;
    const struct load_plan *plan;
    const struct load_mail *mail;
    const struct load_progress *progress;
    const struct load_watches *watches; /* names; what they came to is in the intervals */
    const struct load_clients *first;   /* of worker 0: banner and EHLO as seen */
    struct load_environment environment;
    struct load_tally tally;  /* of the measured time */
    struct load_tally warmup; /* of messages due before it */
    struct load_verdict verdict;
    struct load_trend rate_trend; /* of the messages accepted each second */
    struct load_trend p99_trend;
    struct load_kernel kernel; /* not known where it says nothing about this run */
    const char *version;       /* of the loadgen that made it */
    uint64_t run;
    uint64_t started_realtime_ns;
    uint64_t ramp_ns;
    uint64_t measured_ns;
    uint64_t ring_overflows;
    uint64_t ring_no_buffers;
    double busy_max_ratio;
    double accepted_per_s;
    double body_bytes_per_s;
    uint64_t tls_memory_max;   /* bytes that OpenSSL held, as far as it was looked at */
    double due_per_s;          /* open loop */
    double ceiling_per_s;      /* what the workers can drive at all, by --calibrate; 0: unknown */
    double littles_ratio;      /* messages in flight by time, to their own times added up */
    uint32_t backlog_longest;  /* of one worker */
    uint64_t late_limit_ns;    /* a start later than this is no start on time */
    int gave_up;               /* errno, or 0 */
    enum load_pipelining mode; /* that most sessions agreed on */
    bool is_aborted;
    uint32_t merged_count; /* results of several runs that were added up; 0: one run's own */
    const char *merged_hosts;
    int argc;
    char **argv;
};

/* A second that was measured whole: no warm-up, no drain. */
bool load_result_is_measured(const struct load_result *result,
                             const struct load_interval *interval);

/* The headline's latency: response times, or in a closed loop service times. */
const struct histogram *load_result_headline(const struct load_result *result);

/* The headline's percentile (50 or 99) and, by order statistics and by the spread of the seconds,
 * where it lies with 95 % of certainty. False if it is not shown. */
MUST_USE bool load_result_confidence(const struct load_result *result, double percentile,
                                     struct load_interval95 *interval);

/* How the run fared with config->thresholds[index]. */
struct load_threshold_outcome load_result_threshold(const struct load_result *result,
                                                    uint32_t index);
bool load_result_reaches_thresholds(const struct load_result *result);

/* What there was so often in the measured time, to a second of it. */
double load_result_per_s(const struct load_result *result, uint64_t count);

/* Merges what the joined workers counted. 0 or -ENOMEM. */
MUST_USE int load_result_open(struct load_result *result, const struct load_conductor *conductor);
void load_result_close(struct load_result *result);
