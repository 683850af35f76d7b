/*
 * load_plan -- how much is to be done, by whom, and until when (pure).
 *
 * Closed loop: a connection starts its next message when it has none in progress, until the time
 * is up or the messages are used up. Open loop: load_schedule says when messages are due; a share
 * says how many of them may be.
 *
 * Bounds:     at most LOAD_PLAN_WORKERS_MAX workers.
 * Invariants: the shares of a plan add up to it; no two messages of a run have the same sequence.
 */
#pragma once

#include "base/check.h"
#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_PLAN_WORKERS_MAX 256u
#define LOAD_PLAN_UNLIMITED   UINT64_MAX

struct load_plan {
    uint64_t connections;
    uint64_t messages;           /* in all, or LOAD_PLAN_UNLIMITED              */
    uint64_t per_connection;     /* messages a connection, or LOAD_PLAN_UNLIMITED */
    uint64_t per_connection_max; /* a connection has between both */
    uint64_t duration_ns;        /* of starting messages, or LOAD_PLAN_UNLIMITED */
    uint64_t warmup_ns;          /* before that, of messages that are kept apart */
    uint64_t rate_per_s;         /* open loop: messages due a second; 0: closed loop */
    uint64_t backlog;            /* open loop: messages that may be due and wait for a session */
    uint32_t workers;
};

/* One worker's part; only its worker touches it. */
struct load_share {
    uint64_t connections;
    uint64_t messages; /* its part of the limit, or LOAD_PLAN_UNLIMITED */
    uint64_t per_connection;
    uint64_t per_connection_max;
    uint64_t started;
    uint64_t next_sequence;
    uint64_t sequence_step;
    uint64_t backlog;
    uint64_t stop_ns; /* no message starts at or after; 0 while the run has not begun */
};

/* Workers for so many connections: one for 64 of them, at most one a core, at least one. */
uint32_t load_plan_choose_workers(uint64_t connections, uint32_t cores);

/* More connections than messages would have nothing to do; more workers than connections, too. */
struct load_plan load_plan_make(uint64_t connections, uint64_t messages, uint64_t per_connection,
                                uint64_t duration_ns, uint32_t workers);

struct load_share load_plan_share(const struct load_plan *plan, uint32_t worker);

/* How many messages a connection that is opened now may send. */
uint64_t load_plan_draw_per_connection(const struct load_share *share, struct random *random);

/* The run begins: messages may start until the plan's duration is over. */
void load_share_begin(struct load_share *share, const struct load_plan *plan, uint64_t now_ns);

/* Nothing starts any more. */
void load_share_stop(struct load_share *share);

static inline bool load_share_may_start(const struct load_share *share, uint64_t now_ns)
{
    return now_ns < share->stop_ns && share->started < share->messages;
}

/* The sequence of a message that starts now. */
uint64_t load_share_start(struct load_share *share);

/* A message that started was not taken up by the server at all: it starts again, or never. */
void load_share_take_back(struct load_share *share);
void load_share_start_again(struct load_share *share);
