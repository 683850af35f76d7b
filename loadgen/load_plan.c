#include "loadgen/load_plan.h"

#define CONNECTIONS_PER_WORKER 64u

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint32_t load_plan_choose_workers(uint64_t connections, uint32_t cores)
{
    CHECK(cores > 0);
    uint64_t workers = smaller(connections / CONNECTIONS_PER_WORKER, cores);
    workers = smaller(workers, LOAD_PLAN_WORKERS_MAX);
    return workers == 0 ? 1 : (uint32_t)workers;
}

struct load_plan load_plan_make(uint64_t connections, uint64_t messages, uint64_t per_connection,
                                uint64_t duration_ns, uint32_t workers)
{
    CHECK(connections > 0);
    CHECK(messages > 0);
    CHECK(per_connection > 0);
    CHECK(workers > 0);
    uint64_t useful = smaller(connections, messages);
    return (struct load_plan){
        .connections = useful,
        .messages = messages,
        .per_connection = per_connection,
        .per_connection_max = per_connection,
        .duration_ns = duration_ns,
        .workers = (uint32_t)smaller(smaller(workers, LOAD_PLAN_WORKERS_MAX), useful),
    };
}

/* Part `index` of `whole` cut into `parts`: they differ by one at most, larger ones first. */
static uint64_t cut(uint64_t whole, uint32_t parts, uint32_t index)
{
    return whole / parts + (index < whole % parts ? 1 : 0);
}

struct load_share load_plan_share(const struct load_plan *plan, uint32_t worker)
{
    CHECK(worker < plan->workers);
    bool is_limited = plan->messages != LOAD_PLAN_UNLIMITED;
    return (struct load_share){
        .connections = cut(plan->connections, plan->workers, worker),
        .messages = is_limited ? cut(plan->messages, plan->workers, worker) : LOAD_PLAN_UNLIMITED,
        .per_connection = plan->per_connection,
        .per_connection_max = plan->per_connection_max,
        .next_sequence = worker + 1,
        .sequence_step = plan->workers,
        .backlog = plan->backlog / plan->workers,
    };
}

uint64_t load_plan_draw_per_connection(const struct load_share *share, struct random *random)
{
    uint64_t span = share->per_connection_max - share->per_connection;
    return span == 0 ? share->per_connection
                     : share->per_connection + random_below(random, span + 1);
}

void load_share_begin(struct load_share *share, const struct load_plan *plan, uint64_t now_ns)
{
    bool is_timed = plan->duration_ns < LOAD_PLAN_UNLIMITED - now_ns;
    share->stop_ns = is_timed ? now_ns + plan->duration_ns : LOAD_PLAN_UNLIMITED;
}

void load_share_stop(struct load_share *share)
{
    share->stop_ns = 0;
}

uint64_t load_share_start(struct load_share *share)
{
    CHECK(share->started < share->messages);
    uint64_t sequence = share->next_sequence;
    share->next_sequence += share->sequence_step;
    share->started++;
    return sequence;
}

void load_share_take_back(struct load_share *share)
{
    CHECK(share->started > 0);
    share->started--;
}

void load_share_start_again(struct load_share *share)
{
    CHECK(share->started < share->messages);
    share->started++;
}
