#include "loadgen/load_merge.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OVERLAP_LEAST 0.9 /* of the shorter run's time, to speak of one rate */

static const char *loop_name(const struct load_saved *saved)
{
    return saved->plan.rate_per_s > 0 ? "an open" : "a closed";
}

bool load_merge_check(const struct load_saved *into, const struct load_saved *from, char *error)
{
    bool is_same_loop = (into->plan.rate_per_s > 0) == (from->plan.rate_per_s > 0);
    bool is_same_mode = into->result.mode == from->result.mode;

    if (!is_same_loop)
        (void)snprintf(
            error, LOAD_SAVED_ERROR_MAX,
            "one result is of %s loop, another of %s one: their latencies mean different things",
            loop_name(into), loop_name(from));
    else if (!is_same_mode)
        (void)snprintf(error, LOAD_SAVED_ERROR_MAX,
                       "pipelining is %s in one result and %s in another: their phases do not "
                       "compare",
                       load_pipelining_name(into->result.mode),
                       load_pipelining_name(from->result.mode));
    else if (strcmp(into->config.length_text, from->config.length_text) != 0)
        (void)snprintf(error, LOAD_SAVED_ERROR_MAX,
                       "bodies are of %.80s in one result and of %.80s in another",
                       into->config.length_text, from->config.length_text);
    else if (strcmp(into->config.session_text, from->config.session_text) != 0)
        (void)snprintf(error, LOAD_SAVED_ERROR_MAX, "sessions are of '%.80s' and of '%.80s'",
                       into->config.session_text, from->config.session_text);
    else if (into->config.tls != from->config.tls)
        (void)snprintf(error, LOAD_SAVED_ERROR_MAX, "tls is %s in one result and %s in another",
                       load_tls_name((enum load_tls_mode)into->config.tls),
                       load_tls_name((enum load_tls_mode)from->config.tls));
    else if (into->config.is_lmtp != from->config.is_lmtp)
        (void)snprintf(error, LOAD_SAVED_ERROR_MAX, "one result is of SMTP, another of LMTP");
    else if (into->result.run == from->result.run)
        (void)snprintf(error, LOAD_SAVED_ERROR_MAX, "run %016llx is there twice",
                       (unsigned long long)from->result.run);
    else
        return true;
    return false;
}

static void add_reason(struct load_verdict *verdict, const char *host, const char *reason)
{
    char text[LOAD_VERDICT_TEXT_MAX];
    int size = host == NULL ? 0 : snprintf(text, sizeof text, "%.60s: ", host);
    (void)snprintf(text + size, sizeof text - (size_t)size, "%s", reason);
    for (uint32_t index = 0; index < verdict->reason_count; index++)
        if (strcmp(verdict->reasons[index], text) == 0) return;
    if (verdict->reason_count == LOAD_VERDICT_REASONS_MAX) return;
    memcpy(verdict->reasons[verdict->reason_count++], text, sizeof text);
}

/* The seconds that both were measured in, to those of the shorter one. */
static double overlap(const struct load_saved *a, const struct load_saved *b)
{
    uint64_t a_end_ns = a->begin_ns + a->result.measured_ns;
    uint64_t b_end_ns = b->begin_ns + b->result.measured_ns;
    uint64_t begin_ns = a->begin_ns > b->begin_ns ? a->begin_ns : b->begin_ns;
    uint64_t end_ns = a_end_ns < b_end_ns ? a_end_ns : b_end_ns;
    uint64_t shorter_ns = a->result.measured_ns < b->result.measured_ns ? a->result.measured_ns
                                                                        : b->result.measured_ns;
    if (end_ns <= begin_ns || shorter_ns == 0) return 0;
    return (double)(end_ns - begin_ns) / (double)shorter_ns;
}

/* The first result's reasons get their host's name too, once there is another host. */
static void name_reasons(struct load_saved *into)
{
    struct load_verdict before = into->result.verdict;
    into->result.verdict.reason_count = 0;
    for (uint32_t index = 0; index < before.reason_count; index++)
        add_reason(&into->result.verdict, into->result.environment.host, before.reasons[index]);
}

static void merge_verdict(struct load_saved *into, const struct load_saved *from)
{
    struct load_verdict *verdict = &into->result.verdict;
    const struct load_verdict *other = &from->result.verdict;

    if (other->status > verdict->status) verdict->status = other->status;
    for (uint32_t index = 0; index < other->reason_count; index++)
        add_reason(verdict, from->result.environment.host, other->reasons[index]);
    if (overlap(into, from) >= OVERLAP_LEAST) return;
    if (verdict->status < LOAD_VERDICT_SUSPECT) verdict->status = LOAD_VERDICT_SUSPECT;
    add_reason(verdict, NULL,
               "the runs were not measured at the same time (or the hosts' clocks differ): the sum "
               "of their rates is the rate of no moment");
}

static void merge_plan(struct load_saved *into, const struct load_saved *from)
{
    struct load_plan *plan = &into->plan;
    plan->connections += from->plan.connections;
    plan->workers += from->plan.workers;
    plan->rate_per_s += from->plan.rate_per_s;
    into->config.rate_per_s = plan->rate_per_s;
    into->config.backlog += from->config.backlog;
    if (from->config.recipients < into->config.recipients)
        into->config.recipients = from->config.recipients;
    if (from->config.recipients_max > into->config.recipients_max)
        into->config.recipients_max = from->config.recipients_max;
    load_saved_describe(into);
    if (plan->messages != LOAD_UNLIMITED)
        plan->messages = from->plan.messages == LOAD_UNLIMITED
                             ? LOAD_UNLIMITED
                             : plan->messages + from->plan.messages;
}

static void merge_interval(struct load_interval *into, const struct load_interval *from)
{
    struct load_interval_latency *latencies[] = {&into->response, &into->service};
    const struct load_interval_latency *others[] = {&from->response, &from->service};

    into->accepted += from->accepted;
    into->failed += from->failed;
    into->due += from->due;
    into->service_sum_ns += from->service_sum_ns;
    into->up += from->up;
    into->down += from->down;
    if (from->busy_ratio > into->busy_ratio) into->busy_ratio = from->busy_ratio;
    for (uint32_t index = 0; index < 2; index++) {
        uint64_t maximum_ns = others[index]->maximum_ns;
        if (latencies[index]->maximum_ns > maximum_ns) maximum_ns = latencies[index]->maximum_ns;
        /* Of the sum nobody knows a percentile: the seconds' histograms were not kept. */
        *latencies[index] = (struct load_interval_latency){.maximum_ns = maximum_ns};
    }
}

/* Second k of the measured time is second k of all. */
static int merge_intervals(struct load_saved *into, const struct load_saved *from)
{
    struct load_progress *progress = &into->progress;
    const struct load_progress *other = &from->progress;

    if (other->count > progress->count) {
        void *grown = realloc(progress->intervals, other->count * sizeof *progress->intervals);
        if (grown == NULL) return -ENOMEM;
        progress->intervals = grown;
        progress->capacity = other->count;
    }
    for (uint32_t index = 0; index < other->count; index++) {
        if (index < progress->count) {
            merge_interval(&progress->intervals[index], &other->intervals[index]);
            continue;
        }
        progress->intervals[progress->count++] = other->intervals[index];
    }
    return 0;
}

static void merge_measures(struct load_result *into, const struct load_result *from)
{
    into->accepted_per_s += from->accepted_per_s;
    into->body_bytes_per_s += from->body_bytes_per_s;
    into->due_per_s += from->due_per_s;
    bool is_known = into->ceiling_per_s > 0 && from->ceiling_per_s > 0;
    into->ceiling_per_s = is_known ? into->ceiling_per_s + from->ceiling_per_s : 0;
    into->tls_memory_max += from->tls_memory_max;
    into->ring_overflows += from->ring_overflows;
    into->ring_no_buffers += from->ring_no_buffers;
    into->is_aborted |= from->is_aborted;
    if (from->measured_ns > into->measured_ns) into->measured_ns = from->measured_ns;
    if (from->ramp_ns > into->ramp_ns) into->ramp_ns = from->ramp_ns;
    if (from->busy_max_ratio > into->busy_max_ratio) into->busy_max_ratio = from->busy_max_ratio;
    if (from->backlog_longest > into->backlog_longest)
        into->backlog_longest = from->backlog_longest;
    if (from->late_limit_ns > into->late_limit_ns) into->late_limit_ns = from->late_limit_ns;
    if (fabs(from->littles_ratio - 1) > fabs(into->littles_ratio - 1))
        into->littles_ratio = from->littles_ratio;
    into->rate_trend.is_known &= from->rate_trend.is_known;
    into->rate_trend.is_drift |= from->rate_trend.is_drift;
    into->p99_trend.is_known = false; /* of the sum nobody looked at single seconds */
    into->kernel.is_known &= from->kernel.is_known;
    into->kernel.segments += from->kernel.segments;
    into->kernel.retransmits += from->kernel.retransmits;
    into->kernel.listen_overflows += from->kernel.listen_overflows;
    into->environment.is_same_host |= from->environment.is_same_host;
}

int load_merge_add(struct load_saved *into, const struct load_saved *from)
{
    if (into->result.merged_count == 0) name_reasons(into);
    into->result.merged_count += into->result.merged_count == 0 ? 2 : 1;
    merge_verdict(into, from);
    merge_plan(into, from);
    merge_measures(&into->result, &from->result);
    load_tally_merge(&into->result.tally, &from->result.tally);
    load_tally_merge(&into->result.warmup, &from->result.warmup);
    return merge_intervals(into, from);
}
