#include "loadgen/load_result.h"

#include "base/clock.h"

static void merge_workers(struct load_result *result, const struct load_conductor *conductor)
{
    for (uint32_t index = 0; index < conductor->count; index++) {
        const struct load_worker *worker = &conductor->workers[index];
        load_tally_merge(&result->tally, &worker->clients.tally);
        result->ring_overflows += worker->ring_counts.overflows;
        result->ring_no_buffers += worker->ring_counts.no_buffers;
        if (worker->busy_ratio > result->busy_max_ratio)
            result->busy_max_ratio = worker->busy_ratio;
        if (worker->clients.gave_up != 0) result->gave_up = worker->clients.gave_up;
    }
}

/* All of -d, even if nothing came any more; where the run ended before, to the last outcome. */
static uint64_t measure(const struct load_result *result, const struct load_conductor *conductor)
{
    uint64_t last_ns = result->tally.last_end_ns;
    uint64_t limit_ns = result->plan->duration_ns;

    if (conductor->end_ns - conductor->begin_ns >= limit_ns) return limit_ns;
    return last_ns > conductor->begin_ns ? last_ns - conductor->begin_ns : 0;
}

static enum load_pipelining choose_mode(const struct load_tally *tally)
{
    enum load_pipelining mode = LOAD_PIPELINING_AUTO;
    for (uint32_t other = 0; other <= LOAD_PIPELINING_STREAM; other++)
        if (tally->sessions[other] > tally->sessions[mode]) mode = (enum load_pipelining)other;
    return mode;
}

static uint64_t sum_acknowledged(const struct load_tally *tally)
{
    uint64_t sum = 0;
    for (uint32_t code = 0; code < 100; code++)
        sum += tally->replies[LOAD_PHASE_DOT][code];
    return sum;
}

static void judge(struct load_result *result)
{
    const struct load_tally *tally = &result->tally;
    struct load_verdict_facts facts = {
        .started = tally->started,
        .with_outcome = tally->outcomes[LOAD_OUTCOME_ACCEPTED] + load_tally_failed(tally),
        .accepted = tally->outcomes[LOAD_OUTCOME_ACCEPTED],
        .acknowledged = sum_acknowledged(tally),
        .measured_ns = result->measured_ns,
        .asked = result->plan->connections,
        .reached = tally->reached,
        .down_worst = load_progress_down_worst(result->progress),
        .clock_cost_ns = result->environment.clock_cost_ns,
        .clock_source = result->environment.clock_source,
        .reap_p99_ns = histogram_percentile(&tally->reap, 99),
        .busy_max_ratio = result->busy_max_ratio,
        .gave_up = result->gave_up,
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
        .first = &conductor->workers[0].clients,
        .run = conductor->run.mail->run,
        .started_realtime_ns = conductor->started_realtime_ns,
        .ramp_ns = conductor->begin_ns - conductor->opened_ns,
        .is_aborted = conductor->signal_number != 0,
    };
    int error = load_tally_open(&result->tally);
    if (error < 0) return error;
    merge_workers(result, conductor);
    load_environment_read(&result->environment,
                          &result->config->addresses[result->first->address_index]);
    result->measured_ns = measure(result, conductor);
    result->mode = choose_mode(&result->tally);
    if (result->measured_ns > 0)
        result->accepted_per_s = (double)result->tally.accepted_in_time * (double)CLOCK_NS_PER_S /
                                 (double)result->measured_ns;
    judge(result);
    return 0;
}

void load_result_close(struct load_result *result)
{
    load_tally_close(&result->tally);
}
