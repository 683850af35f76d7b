#include "loadgen/load_result.h"

#include "base/clock.h"
#include "loadgen/load_barrier.h"
#include "loadgen/load_ceiling.h"
#include "version.h"

#include <stdlib.h>

static void merge_workers(struct load_result *result, const struct load_conductor *conductor)
{
    double area_ns = 0;
    double spent_ns = 0;
    for (uint32_t index = 0; index < conductor->count; index++) {
        const struct load_worker *worker = &conductor->workers[index];
        const struct load_clients *clients = &worker->clients;
        load_tally_merge(&result->tally, &clients->tally);
        load_tally_merge(&result->warmup, &clients->warmup);
        if (clients->backlog.longest > result->backlog_longest)
            result->backlog_longest = clients->backlog.longest;
        area_ns += (double)clients->in_flight_area_ns;
        spent_ns += (double)clients->spent_ns;
        result->ring_overflows += worker->ring_counts.overflows;
        result->ring_no_buffers += worker->ring_counts.no_buffers;
        if (worker->busy_ratio > result->busy_max_ratio)
            result->busy_max_ratio = worker->busy_ratio;
        if (clients->gave_up != 0) result->gave_up = clients->gave_up;
    }
    result->littles_ratio = spent_ns > 0 ? area_ns / spent_ns : 1;
    /* A message that the run's end cut took its age at least: no percentile may do without it. */
    histogram_merge(&result->tally.response, &result->tally.unfinished);
    histogram_merge(&result->warmup.response, &result->warmup.unfinished);
}

/* All of -d, even if nothing came any more; where the run ended before, to the last outcome. */
static uint64_t measure(const struct load_result *result, const struct load_conductor *conductor)
{
    uint64_t last_ns = result->tally.last_end_ns;
    uint64_t limit_ns = result->plan->duration_ns;

    uint64_t begin_ns = conductor->begin_ns + result->plan->warmup_ns;

    if (conductor->end_ns <= begin_ns) return 0;
    if (conductor->end_ns - begin_ns >= limit_ns) return limit_ns;
    return last_ns > begin_ns ? last_ns - begin_ns : 0;
}

static enum load_pipelining choose_mode(const struct load_tally *tally)
{
    enum load_pipelining mode = LOAD_PIPELINING_AUTO;
    for (uint32_t other = 0; other < LOAD_PIPELINING_COUNT; other++)
        if (tally->sessions[other] > tally->sessions[mode]) mode = (enum load_pipelining)other;
    return mode;
}

/* LMTP: each recipient's reply counts, and so do accepted recipients. --session: what was scored.
 */
static uint64_t sum_acknowledged(const struct load_tally *tally, bool is_lmtp)
{
    uint64_t sum = 0;
    if (tally->score.count > 0) return load_score_sum(&tally->score);
    for (uint32_t code = 0; code < 100; code++)
        sum += tally->replies[LOAD_PHASE_DOT][code];
    if (is_lmtp && sum >= tally->recipients_accepted) return tally->outcomes[LOAD_OUTCOME_ACCEPTED];
    return sum;
}

static uint64_t count_late(const struct histogram *lateness, uint64_t limit_ns)
{
    return histogram_count_between(lateness, limit_ns + 1, UINT64_MAX);
}

bool load_result_is_measured(const struct load_result *result, const struct load_interval *interval)
{
    uint64_t begin_ns = result->plan->warmup_ns;
    uint64_t middle_ns = interval->start_ns + interval->length_ns / 2;
    return interval->length_ns > CLOCK_NS_PER_S / 2 && middle_ns > begin_ns &&
           middle_ns < begin_ns + result->measured_ns;
}

enum column { COLUMN_RATE, COLUMN_P50, COLUMN_P99 };

/* -1: not known in that second. */
static double read_column(const struct load_result *result, const struct load_interval *interval,
                          enum column column)
{
    const struct load_interval_latency *latency =
        result->plan->rate_per_s > 0 ? &interval->response : &interval->service;
    uint64_t value_ns = column == COLUMN_P50 ? latency->p50_ns : latency->p99_ns;
    if (column == COLUMN_RATE)
        return (double)interval->accepted * (double)CLOCK_NS_PER_S / (double)interval->length_ns;
    return value_ns > 0 ? (double)value_ns : -1;
}

/* A column of the measured seconds, to be freed; NULL with *count 0 if there is none. */
static double *make_column(const struct load_result *result, enum column column, uint32_t *count)
{
    const struct load_progress *progress = result->progress;
    *count = 0;
    if (progress->count == 0) return NULL;
    double *values = calloc(progress->count, sizeof *values);
    if (values == NULL) return NULL;
    for (uint32_t index = 0; index < progress->count; index++)
        if (load_result_is_measured(result, &progress->intervals[index]))
            values[(*count)++] = read_column(result, &progress->intervals[index], column);
    return values;
}

static struct load_trend measure_trend(const struct load_result *result, enum column column)
{
    uint32_t count;
    double *values = make_column(result, column, &count);
    struct load_trend trend = load_steady_measure(values, count);
    free(values);
    return trend;
}

/* Retransmissions are no matter of a unix socket, and the queue of a listener elsewhere is not
 * seen from here: nothing is known then. */
static struct load_kernel choose_kernel(const struct load_result *result,
                                        const struct load_conductor *conductor)
{
    struct load_kernel kernel = conductor->kernel;
    if (result->environment.is_unix) kernel.is_known = false;
    if (!result->environment.is_same_host) kernel.listen_overflows = 0;
    return kernel;
}

const struct histogram *load_result_headline(const struct load_result *result)
{
    return result->plan->rate_per_s > 0 ? &result->tally.response : &result->tally.service;
}

bool load_result_confidence(const struct load_result *result, double percentile,
                            struct load_interval95 *interval)
{
    const struct histogram *histogram = load_result_headline(result);
    uint64_t value;
    uint32_t count;

    CHECK(percentile == 50 || percentile == 99); /* those are kept of each second */
    if (!load_confidence_order(histogram, percentile, interval)) return false;
    if (!load_tally_percentile(histogram, percentile, &value)) return false;
    double *seconds = make_column(result, percentile == 50 ? COLUMN_P50 : COLUMN_P99, &count);
    load_confidence_widen(interval, value, seconds, count);
    free(seconds);
    return true;
}

double load_result_per_s(const struct load_result *result, uint64_t count)
{
    double measured_s = (double)result->measured_ns / (double)CLOCK_NS_PER_S;
    return measured_s > 0 ? (double)count / measured_s : 0;
}

static void judge(struct load_result *result)
{
    const struct load_tally *tally = &result->tally;
    struct load_barrier barrier;
    bool has_barrier = load_barrier_find(&barrier, result->config, tally, result->gave_up,
                                         result->environment.target);
    struct load_verdict_facts facts = {
        .started = tally->started,
        .with_outcome = tally->outcomes[LOAD_OUTCOME_ACCEPTED] +
                        tally->outcomes[LOAD_OUTCOME_EXPECTED] + load_tally_failed(tally),
        .accepted = tally->outcomes[LOAD_OUTCOME_ACCEPTED],
        .expected = tally->outcomes[LOAD_OUTCOME_EXPECTED],
        .acknowledged = sum_acknowledged(tally, result->config->is_lmtp),
        .measured_ns = result->measured_ns,
        .asked = result->plan->connections,
        .reached = tally->reached,
        .down_worst = load_progress_down_worst(result->progress),
        .clock_cost_ns = result->environment.clock_cost_ns,
        .clock_source = result->environment.clock_source,
        .reap_p99_ns = histogram_percentile(&tally->reap, 99),
        .is_open = result->plan->rate_per_s > 0,
        .due = tally->due,
        .dropped = tally->dropped,
        .late_own = count_late(&tally->late_own, result->late_limit_ns),
        .late = count_late(&tally->lateness, result->late_limit_ns),
        .late_limit_ns = result->late_limit_ns,
        .littles_ratio = result->littles_ratio,
        .busy_seconds = load_progress_busy_seconds(result->progress, LOAD_BUSY_INVALID),
        .busy_worst = load_progress_busy_worst(result->progress),
        .busy_max_ratio = result->busy_max_ratio,
        .gave_up = result->gave_up,
        .barrier = has_barrier ? barrier.text : NULL,
        .remedy = barrier.remedy,
        .rate_trend = result->rate_trend,
        .p99_trend = result->p99_trend,
        .kernel = result->kernel,
        .somaxconn = result->environment.somaxconn,
        .rate_per_s = (double)result->plan->rate_per_s,
        .ceiling_per_s = result->ceiling_per_s,
    };
    result->verdict = load_verdict_make(&facts);
}

int load_result_open(struct load_result *result, const struct load_conductor *conductor)
{
    *result = (struct load_result){
        .config = conductor->run.config,
        .plan = conductor->run.plan,
        .mail = conductor->run.mail,
        .progress = &conductor->progress,
        .watches = &conductor->watches,
        .first = &conductor->workers[0].clients,
        .version = RINGSINK_VERSION,
        .run = conductor->run.mail->run,
        .started_realtime_ns = conductor->started_realtime_ns,
        .ramp_ns = conductor->begin_ns - conductor->opened_ns,
        .tls_memory_max = conductor->tls_memory_max,
        .is_aborted = conductor->signal_number != 0,
    };
    int error = load_tally_open(&result->tally);
    if (error == 0) error = load_tally_open(&result->warmup);
    if (error < 0) {
        load_tally_close(&result->tally);
        return error;
    }
    merge_workers(result, conductor);
    load_environment_read(&result->environment,
                          &result->config->addresses[result->first->address_index]);
    result->measured_ns = measure(result, conductor);
    result->mode = choose_mode(&result->tally);
    if (result->measured_ns > 0)
        result->accepted_per_s = (double)result->tally.accepted_in_time * (double)CLOCK_NS_PER_S /
                                 (double)result->measured_ns;
    if (result->measured_ns > 0)
        result->body_bytes_per_s = (double)result->tally.bytes_in_time * (double)CLOCK_NS_PER_S /
                                   (double)result->measured_ns;
    if (result->measured_ns > 0)
        result->due_per_s =
            (double)result->tally.due * (double)CLOCK_NS_PER_S / (double)result->measured_ns;
    uint64_t one_percent_ns = histogram_percentile(&result->tally.service, 50) / 100;
    result->late_limit_ns = one_percent_ns > CLOCK_NS_PER_MS ? one_percent_ns : CLOCK_NS_PER_MS;
    result->rate_trend = measure_trend(result, COLUMN_RATE);
    result->p99_trend = measure_trend(result, COLUMN_P99);
    result->kernel = choose_kernel(result, conductor);
    result->ceiling_per_s = load_ceiling_find(result->config) * result->plan->workers;
    judge(result);
    return 0;
}

void load_result_close(struct load_result *result)
{
    load_tally_close(&result->warmup);
    load_tally_close(&result->tally);
}

struct load_threshold_outcome load_result_threshold(const struct load_result *result,
                                                    uint32_t index)
{
    CHECK(index < result->config->threshold_count);
    return load_threshold_judge(&result->config->thresholds[index], &result->tally,
                                result->plan->rate_per_s > 0, result->accepted_per_s);
}

bool load_result_reaches_thresholds(const struct load_result *result)
{
    for (uint32_t index = 0; index < result->config->threshold_count; index++)
        if (!load_result_threshold(result, index).has_passed) return false;
    return true;
}
