#include "server/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "ring/ring_probe.h"
#include "server/fault.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SUBMISSIONS 4096
#define COMPLETIONS 65536
/* Since Linux 6.13 one enter runs at most some 40 completions: few large buffers are enough. */
#define KERNEL_WITH_SHORT_BATCHES 6013
#define BUFFERS_FEW               64
#define BUFFERS_FEW_SIZE          (64 * 1024)
#define BUFFERS_MANY              1024
#define BUFFERS_MANY_SIZE         (16 * 1024)
/* Held input: this many times the buffer ring for all, one time for one connection. */
#define HOLD_RINGS 4
/* Envelope blocks: two a connection, and these for the long lists of recipients. */
#define ENVELOPE_BLOCKS_EXTRA 4096
#define WHEEL_BUCKETS         512
#define TICK_MIN_NS           (10 * CLOCK_NS_PER_MS)
#define TICK_MAX_NS           CLOCK_NS_PER_S
#define SLEEP_MAX_NS          CLOCK_NS_PER_S
#define AWAY_NS               (100 * CLOCK_NS_PER_MS)
#define DRAIN_NS              (5 * CLOCK_NS_PER_S)

static struct ring_options ring_options(void)
{
    bool is_few = ring_probe_kernel() >= KERNEL_WITH_SHORT_BATCHES;
    return (struct ring_options){
        .submissions = SUBMISSIONS,
        .completions = COMPLETIONS,
        .buffer_count = is_few ? BUFFERS_FEW : BUFFERS_MANY,
        .buffer_size = is_few ? BUFFERS_FEW_SIZE : BUFFERS_MANY_SIZE,
    };
}

static uint64_t receive_bytes(const struct ring_options *options)
{
    return (uint64_t)options->buffer_count * options->buffer_size;
}

static uint32_t hold_block_count(const struct ring_options *options)
{
    return (uint32_t)(HOLD_RINGS * receive_bytes(options) / HOLD_BLOCK_SIZE);
}

static uint32_t envelope_block_count(const struct config *config)
{
    return (uint32_t)config->max_connections * 2 + ENVELOPE_BLOCKS_EXTRA;
}

/* This worker's share, rounded up. */
static uint32_t handshakes_max(const struct config *config)
{
    return (uint32_t)((config->tls_handshakes + config->threads - 1) / config->threads);
}

uint64_t worker_memory(const struct config *config)
{
    struct ring_options options = ring_options();
    uint64_t connections = config->max_connections;
    uint64_t channels = config->tls == CONFIG_TLS_OFF ? 0 : channels_memory((uint32_t)connections);
    return channels + ring_memory(&options) + HOLD_RINGS * receive_bytes(&options) +
           connections * (sizeof(struct connection) + OUTBOX_BLOCK_SIZE + SMTP_STASH_SIZE +
                          sizeof(struct ring_completion)) +
           (uint64_t)envelope_block_count(config) * SPOOL_ENVELOPE_BLOCK_SIZE;
}

int worker_prepare(struct worker *worker, uint32_t index, struct worker_environment *environment)
{
    memset(worker, 0, sizeof *worker);
    worker->index = index;
    worker->environment = environment;
    worker->listener.reserve = -1;
    worker->wake = eventfd(0, EFD_CLOEXEC);
    if (worker->wake < 0) return -errno;
    return listener_open(&worker->listener, environment->config, environment->unix_listeners);
}

/* ---- set-up ---- */

static void pin(const struct worker *worker)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((unsigned)worker->environment->config->cpus[worker->index], &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
        log_warning("worker %u could not be pinned: %s", worker->index, strerror(errno));
}

static void share(struct worker *worker)
{
    struct worker_environment *environment = worker->environment;
    const struct config *config = environment->config;
    struct connection_shared *shared = &worker->shared;
    shared->store.writer = &worker->writer;
    shared->wheel = &worker->wheel;
    shared->counters = &worker->counters;
    shared->store.counters = &worker->counters;
    shared->smtp = environment->smtp;
    shared->open_count = &environment->open_count;
    shared->store.messages_left = config->stop_after > 0 ? &environment->messages_left : NULL;
    shared->store.is_spool_full =
        environment->steward != NULL ? &environment->steward->is_full : &environment->never_full;
    shared->store.spool_room = environment->steward != NULL && config->when_full == CONFIG_REFUSE
                                   ? &environment->steward->room
                                   : NULL;
    shared->store.is_synced = config->durability == CONFIG_DISK;
    shared->is_watched = shared->store.is_synced || shared->smtp->is_traced;
    shared->rules = (struct deadline_rules){.idle_timeout_ns = config->idle_timeout_ns,
                                            .command_timeout_ns = config->command_timeout_ns,
                                            .handshake_timeout_ns = config->tls_timeout_ns,
                                            .min_data_rate = config->min_data_rate};
    shared->now_ns = clock_now_ns();
    shared->store.realtime_ns = clock_realtime_ns();
}

static int open_pools(struct worker *worker, const struct ring_options *options)
{
    const struct config *config = worker->environment->config;
    struct connection_shared *shared = &worker->shared;
    uint32_t connections = (uint32_t)config->max_connections;
    shared->held_bytes_max = receive_bytes(options);
    worker->deferred_capacity = connections + options->buffer_count;
    worker->deferred = calloc(worker->deferred_capacity, sizeof *worker->deferred);
    int result = worker->deferred == NULL ? -ENOMEM : 0;
    if (result == 0)
        result = slots_open(&shared->connections, connections, sizeof(struct connection));
    if (result == 0) result = blocks_open(&shared->reply_blocks, connections, OUTBOX_BLOCK_SIZE);
    if (result == 0) result = blocks_open(&shared->stashes, connections, SMTP_STASH_SIZE);
    if (result == 0)
        result = blocks_open(&shared->store.envelopes, envelope_block_count(config),
                             SPOOL_ENVELOPE_BLOCK_SIZE);
    if (result == 0)
        result = blocks_open(&shared->holds, hold_block_count(options), HOLD_BLOCK_SIZE);
    return result;
}

static int open_wheel(struct worker *worker)
{
    const struct connection_shared *shared = &worker->shared;
    const struct deadline_rules *rules = &shared->rules;
    uint64_t shortest_ns = rules->idle_timeout_ns < rules->command_timeout_ns
                               ? rules->idle_timeout_ns
                               : rules->command_timeout_ns;
    bool has_tls = worker->environment->config->tls != CONFIG_TLS_OFF;
    if (has_tls && shortest_ns > rules->handshake_timeout_ns)
        shortest_ns = rules->handshake_timeout_ns;
    uint64_t tick_ns = shortest_ns / 32;
    if (tick_ns < TICK_MIN_NS) tick_ns = TICK_MIN_NS;
    if (tick_ns > TICK_MAX_NS) tick_ns = TICK_MAX_NS;
    return wheel_open(&worker->wheel, WHEEL_BUCKETS, tick_ns, shared->now_ns);
}

static struct ring_token plain_token(enum ring_op op, uint32_t slot)
{
    return (struct ring_token){.op = op, .slot = slot};
}

static void arm_accept(struct worker *worker, uint32_t index)
{
    int socket = worker->listener.sockets[index];
    struct ring_token token = plain_token(RING_OP_ACCEPT, index);
    worker->accepting_count++;
    if (worker->listener.is_shared[index])
        ring_accept_once(worker->shared.ring, socket, token);
    else
        ring_accept(worker->shared.ring, socket, token);
}

static void arm_wake(struct worker *worker)
{
    ring_read(worker->shared.ring, worker->wake, &worker->wake_value, sizeof worker->wake_value,
              plain_token(RING_OP_READ, 0));
}

/* One context a worker: what they share is never written. */
static int open_channels(struct worker *worker)
{
    const struct worker_environment *environment = worker->environment;
    const struct config *config = environment->config;
    struct tls_context *context = NULL;
    uint32_t connections = (uint32_t)config->max_connections;
    if (config->tls != CONFIG_TLS_OFF) {
        char error[TLS_ERROR_MAX];
        struct tls_server_options options = {.credentials = environment->identity->credentials,
                                             .ticket_keys = environment->identity->ticket_keys,
                                             .streams = connections};
        context = tls_context_open_server(&options, error);
        if (context == NULL) {
            log_error("worker %u: %s", worker->index, error);
            return -EINVAL;
        }
    }
    return channels_open(&worker->shared.channels, context, &worker->counters, connections,
                         handshakes_max(config));
}

int worker_set_up(struct worker *worker)
{
    const struct config *config = worker->environment->config;
    struct ring_options options = ring_options();
    int result = 0;
    share(worker);
    worker->failed = "memory for its connections";
    result = open_pools(worker, &options);
    if (result == 0) result = open_wheel(worker);
    if (result == 0)
        result =
            spool_writer_open(&worker->writer, worker->index, config->durability == CONFIG_DISCARD);
    if (result < 0) return result;
    worker->failed = "TLS";
    result = open_channels(worker);
    if (result < 0) return result;
    committer_init(&worker->committer, &worker->shared, &worker->writer);
    fault_watch(&worker->writer);
    worker->failed = "its ring";
    worker->buffer_count = options.buffer_count;
    worker->shared.ring = ring_open(&options, &result);
    if (worker->shared.ring == NULL) return result;
    worker->failed = "its listening sockets";
    result = listener_start(&worker->listener, (int)config->backlog);
    if (result < 0) return result;
    for (uint32_t i = 0; i < worker->listener.count; i++)
        arm_accept(worker, i);
    arm_wake(worker);
    return 0;
}

void worker_tear_down(struct worker *worker)
{
    fault_watch(NULL);
    listener_close(&worker->listener);
    if (worker->shared.ring != NULL) ring_close(worker->shared.ring);
    spool_writer_close(&worker->writer);
    wheel_close(&worker->wheel);
    channels_close(&worker->shared.channels);
    blocks_close(&worker->shared.holds);
    blocks_close(&worker->shared.store.envelopes);
    blocks_close(&worker->shared.stashes);
    blocks_close(&worker->shared.reply_blocks);
    slots_close(&worker->shared.connections);
    free(worker->deferred);
}

/* ---- accepting ---- */

/* What a client is told that gets no session; `text` has SMTP_REPLY_LINE_MAX octets. */
static struct bytes refusal(const struct worker *worker, bool is_tls, uint8_t *text)
{
    if (is_tls) return bytes_make(text, 0); /* it could not be read */
    struct smtp_replies replies = {.data = text, .capacity = SMTP_REPLY_LINE_MAX};
    smtp_replies_put(&replies,
                     worker->shared.is_draining ? SMTP_REPLY_SHUTTING_DOWN
                                                : SMTP_REPLY_TOO_MANY_CONNECTIONS,
                     worker->shared.smtp->is_enhanced);
    return bytes_make(text, replies.size);
}

static void admit(struct worker *worker, int socket, bool is_tls)
{
    struct connection_shared *shared = &worker->shared;
    struct worker_environment *environment = worker->environment;
    uint32_t open = atomic_fetch_add_explicit(&environment->open_count, 1, memory_order_relaxed);
    struct connection *connection = NULL;
    uint8_t text[SMTP_REPLY_LINE_MAX];
    if (open < environment->config->max_connections && !shared->is_draining)
        connection = slots_take(&shared->connections);
    if (connection != NULL) {
        connection_open(shared, connection, socket, is_tls);
        return;
    }
    atomic_fetch_sub_explicit(&environment->open_count, 1, memory_order_relaxed);
    if (!shared->is_draining) counter_add(&worker->counters.refused_full, 1);
    listener_refuse(socket, refusal(worker, is_tls, text));
}

static void accept_completed(struct worker *worker, const struct ring_completion *completion)
{
    uint32_t index = completion->token.slot;
    uint8_t text[SMTP_REPLY_LINE_MAX];
    bool is_tls = worker->listener.is_tls[index];
    if (completion->is_last) worker->accepting_count--;
    if (completion->result >= 0) {
        admit(worker, completion->result, is_tls);
    } else if (completion->result == -EMFILE || completion->result == -ENFILE) {
        if (listener_refuse_on_reserve(&worker->listener, index, refusal(worker, is_tls, text)))
            counter_add(&worker->counters.refused_descriptors, 1);
    } else if (completion->result != -ECONNABORTED && completion->result != -ECANCELED) {
        log_warning("accept: %s", strerror(-completion->result));
    }
    if (completion->is_last && !worker->shared.is_draining) arm_accept(worker, index);
}

/* ---- receiving, and waiting for a segment ---- */

static struct connection *find(struct worker *worker, struct ring_token token)
{
    return slots_find(&worker->shared.connections, token.slot, token.generation);
}

/* False: the spool lacks a segment, and what is left of the data stays in `completion`. */
static bool receive(struct worker *worker, struct ring_completion *completion)
{
    struct connection_shared *shared = &worker->shared;
    struct connection *connection = find(worker, completion->token);
    CHECK(connection != NULL); /* its receive was in flight, so its slot is not free */
    /* The last octet may be taken, and the commit that it asked for still wait. */
    bool has_work = completion->data.size > 0 || connection_waits(connection);
    if (has_work && connection_receive(shared, connection, &completion->data) == CONNECTION_STALLED)
        return false;
    if (completion->has_buffer) ring_give_back(shared->ring, completion->buffer);
    if (completion->is_last) connection_receive_ended(shared, connection, completion->result);
    return true;
}

static void stall(struct worker *worker)
{
    struct connection_shared *shared = &worker->shared;
    if (shared->is_stalled) return;
    counter_add(&worker->counters.segment_waits, 1);
    shared->is_stalled = true;
    deadline_stall(&shared->rules, shared->now_ns);
}

static void end_stall(struct worker *worker)
{
    struct connection_shared *shared = &worker->shared;
    if (!shared->is_stalled) return;
    shared->is_stalled = false;
    deadline_end_stall(&shared->rules, shared->now_ns);
}

static void defer(struct worker *worker, const struct ring_completion *completion)
{
    CHECK(worker->deferred_count < worker->deferred_capacity);
    uint32_t place = (worker->deferred_head + worker->deferred_count) % worker->deferred_capacity;
    worker->deferred[place] = *completion;
    worker->deferred_count++;
}

/* The stall may be over while what came in it still waits: nothing overtakes that. */
static void receive_completed(struct worker *worker, struct ring_completion *completion)
{
    if (worker->shared.is_stalled || worker->deferred_count > 0) {
        defer(worker, completion);
    } else if (!receive(worker, completion)) {
        stall(worker);
        defer(worker, completion);
    }
}

static void receive_deferred(struct worker *worker)
{
    while (!worker->shared.is_stalled && worker->deferred_count > 0) {
        if (!receive(worker, &worker->deferred[worker->deferred_head])) {
            stall(worker);
            return;
        }
        worker->deferred_head = (worker->deferred_head + 1) % worker->deferred_capacity;
        worker->deferred_count--;
    }
}

static void resume_held(struct worker *worker)
{
    struct queue_link *link = NULL;
    struct queue *to_resume = &worker->shared.to_resume;
    while (!worker->shared.is_stalled && (link = queue_pop(to_resume)) != NULL) {
        struct connection *connection = QUEUE_OWNER(link, struct connection, resume_link);
        if (connection_resume(&worker->shared, connection) == CONNECTION_STALLED) stall(worker);
    }
}

/* ---- the spool's needs ---- */

static void end_open_messages(struct worker *worker)
{
    struct slots *connections = &worker->shared.connections;
    uint64_t clear_to = steward_clear_to(worker->environment->steward, worker->index);
    if (clear_to == 0) return;
    for (uint32_t i = 0; i < connections->touched_end; i++) {
        struct connection *connection = slots_at(connections, i);
        if (connection->slot.is_taken)
            transaction_fail_if_begun(&worker->shared.store, &connection->transaction, clear_to);
    }
    steward_cleared(worker->environment->steward, worker->index);
}

/* Under `disk` a sealed segment is synced first. */
static void return_sealed(struct worker *worker)
{
    struct spool_segment *segment = NULL;
    if (worker->shared.store.is_synced) {
        spool_sync_take_sealed(&worker->committer.sync);
        while ((segment = spool_sync_take_failed(&worker->committer.sync)) != NULL)
            steward_return(worker->environment->steward, segment);
        return;
    }
    while ((segment = spool_writer_take_sealed(&worker->writer)) != NULL)
        steward_return(worker->environment->steward, segment);
}

/* Stores into the tail fault: what is open fails, and another segment takes over. */
static void give_up_tail(struct worker *worker)
{
    struct slots *connections = &worker->shared.connections;
    log_error("the spool can't be written (SIGBUS): the disk fails, is full, or a segment was cut "
              "short; what was being received is answered 451, another segment is tried");
    for (uint32_t i = 0; i < connections->touched_end; i++) {
        struct connection *connection = slots_at(connections, i);
        if (connection->slot.is_taken)
            transaction_fail_if_begun(&worker->shared.store, &connection->transaction, UINT64_MAX);
    }
    return_sealed(worker);
    spool_writer_give_up(&worker->writer);
    worker->shared.store.faults_seen = fault_count();
}

static void exchange_segments(struct worker *worker)
{
    struct steward *steward = worker->environment->steward;
    if (steward == NULL) return;
    struct spool_segment *segment = NULL;
    if (transaction_has_faulted(&worker->shared.store)) give_up_tail(worker);
    return_sealed(worker);
    while (spool_writer_wants_segment(&worker->writer) &&
           (segment = steward_take(steward, worker->index)) != NULL)
        spool_writer_give(&worker->writer, segment);
}

/* A new segment, or the news that none will come: what waited is tried again. */
static void try_again(struct worker *worker)
{
    if (!worker->shared.is_stalled) return;
    bool may_go_on = !spool_writer_wants_segment(&worker->writer) ||
                     atomic_load_explicit(worker->shared.store.is_spool_full, memory_order_acquire);
    if (may_go_on) end_stall(worker);
}

/* The end: every reply has left, so nothing waits for the disk any more. */
static void return_segments(struct worker *worker)
{
    struct steward *steward = worker->environment->steward;
    struct spool_segment *segment = NULL;
    if (steward == NULL) return;
    return_sealed(worker);
    spool_writer_seal(&worker->writer, worker->shared.store.realtime_ns);
    return_sealed(worker);
    while ((segment = spool_sync_take_last(&worker->committer.sync)) != NULL)
        steward_return(steward, segment);
    segment = spool_writer_take_next(&worker->writer);
    if (segment != NULL) steward_return_unused(steward, segment);
}

/* ---- group commit ---- */

/* The main thread drains the server, as on SIGTERM; a second signal would mean "stop at once". */
static void tell_main(struct worker *worker)
{
    struct worker_environment *environment = worker->environment;
    if (!atomic_load(&environment->is_draining) &&
        !atomic_exchange(&environment->has_told_main, true))
        pthread_kill(environment->main_thread, SIGTERM);
}

static void sync_completed(struct worker *worker, int32_t result)
{
    struct spool_segment *done = NULL;
    if (!committer_completed(&worker->committer, result, &done)) {
        atomic_store(&worker->environment->has_sync_failed, true);
        tell_main(worker);
    }
    if (done != NULL) steward_return(worker->environment->steward, done);
}

/* ---- the loop ---- */

static void begin_draining(struct worker *worker)
{
    struct connection_shared *shared = &worker->shared;
    shared->is_draining = true;
    worker->drain_deadline_ns = shared->now_ns + DRAIN_NS;
    for (uint32_t i = 0; i < worker->listener.count; i++)
        ring_cancel(shared->ring, plain_token(RING_OP_ACCEPT, i), plain_token(RING_OP_CANCEL, i));
    for (uint32_t i = 0; i < shared->connections.touched_end; i++) {
        struct connection *connection = slots_at(&shared->connections, i);
        if (connection->slot.is_taken) connection_drain(shared, connection);
    }
}

static void abort_all(struct worker *worker)
{
    struct connection_shared *shared = &worker->shared;
    for (uint32_t i = 0; i < shared->connections.touched_end; i++) {
        struct connection *connection = slots_at(&shared->connections, i);
        if (connection->slot.is_taken) connection_abort(shared, connection, CLOSE_SHUTDOWN);
    }
    /* Nothing waits for a segment any more: what was deferred is dropped, connection by connection.
     */
    end_stall(worker);
}

static void watch_flags(struct worker *worker)
{
    struct worker_environment *environment = worker->environment;
    struct connection_shared *shared = &worker->shared;
    if (!shared->is_draining &&
        atomic_load_explicit(&environment->is_draining, memory_order_acquire))
        begin_draining(worker);
    if (shared->is_draining &&
        (shared->now_ns >= worker->drain_deadline_ns ||
         atomic_load_explicit(&environment->must_stop_now, memory_order_acquire)))
        abort_all(worker);
}

static bool is_reached(const _Atomic uint64_t *left)
{
    return (int64_t)atomic_load_explicit(left, memory_order_relaxed) <= 0;
}

/* -M and -n: the last message or session is over, the server is to drain. */
static void watch_limits(struct worker *worker)
{
    struct worker_environment *environment = worker->environment;
    const struct config *config = environment->config;
    if (config->stop_after == 0 && config->stop_sessions == 0) return;
    if ((config->stop_after > 0 && is_reached(&environment->messages_left)) ||
        (config->stop_sessions > 0 && is_reached(&environment->sessions_left))) {
        tell_main(worker);
    }
}

static void other_completed(struct worker *worker, const struct ring_completion *completion)
{
    struct connection *connection = find(worker, completion->token);
    CHECK(connection != NULL); /* it owned the operation, so its slot is not free */
    if (completion->token.op == RING_OP_CLOSE && worker->environment->config->stop_sessions > 0)
        atomic_fetch_sub_explicit(&worker->environment->sessions_left, 1, memory_order_relaxed);
    connection_completed(&worker->shared, connection, completion->token.op, completion->result);
}

static void dispatch(struct worker *worker, struct ring_completion *completion)
{
    switch (completion->token.op) {
    case RING_OP_ACCEPT:
        accept_completed(worker, completion);
        break;
    case RING_OP_RECEIVE:
        receive_completed(worker, completion);
        break;
    case RING_OP_CANCEL:
        if (completion->token.generation == 0) break; /* an accept's */
        other_completed(worker, completion);
        break;
    case RING_OP_SEND:
    case RING_OP_CLOSE:
        other_completed(worker, completion);
        break;
    case RING_OP_READ:
        arm_wake(worker);
        if (worker->environment->steward != NULL) end_open_messages(worker);
        break;
    case RING_OP_SYNC:
        sync_completed(worker, completion->result);
        break;
    case RING_OP_NONE:
    case RING_OP_CONNECT:
    case RING_OP_COUNT:
        CHECK(false); /* an operation that no worker submits */
    }
}

static void feed_starved(struct worker *worker)
{
    uint32_t free_buffers = worker->buffer_count - ring_buffers_out(worker->shared.ring);
    struct queue_link *link = NULL;
    while (free_buffers > 0 && (link = queue_pop(&worker->shared.starved)) != NULL) {
        connection_feed(&worker->shared, QUEUE_OWNER(link, struct connection, starved_link));
        free_buffers--;
    }
}

/* Handshakes ended: those that wait for their turn may begin. */
static void take_turns(struct worker *worker)
{
    struct channel *channel = NULL;
    while ((channel = channels_next(&worker->shared.channels)) != NULL)
        connection_secure(&worker->shared, channel->connection);
}

/* Behind a long sleep, or a stop, what waits in the sockets is taken first: a client was in time.
 */
static void fire_timers(struct worker *worker)
{
    bool was_away = worker->shared.now_ns - worker->timers_ns > AWAY_NS;
    worker->timers_ns = worker->shared.now_ns;
    if (was_away) return;
    struct wheel_timer *timer = NULL;
    while ((timer = wheel_expire(&worker->wheel, worker->shared.now_ns)) != NULL)
        connection_timer(&worker->shared, QUEUE_OWNER(timer, struct connection, deadline.timer));
}

static void flush_all(struct worker *worker)
{
    struct queue_link *link = NULL;
    while ((link = queue_pop(&worker->shared.to_flush)) != NULL)
        connection_flush(&worker->shared, QUEUE_OWNER(link, struct connection, flush_link));
}

static void take_batch(struct worker *worker)
{
    struct ring_completion completion;
    worker->shared.now_ns = clock_now_ns();
    worker->shared.store.realtime_ns = clock_realtime_ns();
    while (ring_next(worker->shared.ring, &completion))
        dispatch(worker, &completion);
    counter_set(&worker->counters.overflows, ring_counts(worker->shared.ring).overflows);
}

static bool is_done(const struct worker *worker)
{
    return worker->shared.is_draining && worker->shared.connections.taken_count == 0 &&
           worker->accepting_count == 0 && worker->committer.sync.out == NULL;
}

/* How long the ring may wait: not at all where a segment came for what still waits here. */
static uint64_t sleep_time(struct worker *worker)
{
    if (worker->shared.is_stalled) {
        exchange_segments(worker);
        try_again(worker);
    }
    bool has_work = !worker->shared.is_stalled &&
                    (worker->deferred_count > 0 || !queue_is_empty(&worker->shared.to_resume));
    if (has_work || channels_have_turn(&worker->shared.channels)) return 1;
    uint64_t sleep_ns = wheel_sleep_ns(&worker->wheel, clock_now_ns(), SLEEP_MAX_NS);
    return sleep_ns > 0 ? sleep_ns : 1;
}

void worker_run(struct worker *worker)
{
    struct connection_shared *shared = &worker->shared;
    exchange_segments(worker);
    while (!is_done(worker)) {
        int result = ring_enter(shared->ring, sleep_time(worker));
        if (result < 0) {
            log_error("worker %u: its ring failed: %s", worker->index, strerror(-result));
            break;
        }
        take_batch(worker);
        exchange_segments(worker);
        try_again(worker);
        resume_held(worker);
        receive_deferred(worker);
        feed_starved(worker);
        fire_timers(worker);
        take_turns(worker);
        watch_flags(worker);
        if (shared->store.is_synced) committer_commit(&worker->committer);
        flush_all(worker);
        watch_limits(worker);
    }
    return_segments(worker);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    char name[16];
    (void)snprintf(name, sizeof name, "worker %u", worker->index);
    (void)pthread_setname_np(pthread_self(), name);
    pin(worker);
    int result = worker_set_up(worker);
    atomic_store_explicit(&worker->status, result < 0 ? result : 1, memory_order_release);
    if (result == 0) worker_run(worker);
    worker_tear_down(worker);
    atomic_store_explicit(&worker->has_ended, true, memory_order_release);
    return NULL;
}

int worker_start(struct worker *worker)
{
    int result = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (result != 0) {
        worker->failed = "its thread";
        return -result;
    }
    int status = 0;
    while ((status = atomic_load_explicit(&worker->status, memory_order_acquire)) == 0)
        usleep(100);
    return status < 0 ? status : 0;
}

void worker_rouse(struct worker *worker)
{
    uint64_t one = 1;
    ssize_t written = write(worker->wake, &one, sizeof one);
    CHECK(written == (ssize_t)sizeof one);
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
}

void worker_close(struct worker *worker)
{
    close(worker->wake);
}
