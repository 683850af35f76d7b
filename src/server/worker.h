/*
 * worker -- one thread, one core, one ring, and all that hangs on it.
 *
 * Owns:       ring, listeners, connections, blocks, spool writer, counters; nothing is shared but
 * the environment's few atomics. Errors:     what can't be set up is reported by worker_start(); a
 * ring that fails later ends the worker. Bounds:     worker_memory() is their sum; after
 * worker_start() nothing allocates. Invariants: (1) a batch of completions is taken whole before
 * replies leave. (2) While the spool has no segment, received data waits in order, its buffers held
 * back; sends and accepts go on.
 */
#pragma once

#include "server/committer.h"
#include "server/config.h"
#include "server/connection.h"
#include "server/identity.h"
#include "server/listener.h"
#include "server/steward.h"

#include <pthread.h>
#include <stdatomic.h>

/* What all workers see. */
struct worker_environment {
    const struct config *config;
    const struct smtp_config *smtp;
    struct steward *steward; /* NULL under discard */
    const struct unix_listeners *unix_listeners;
    const struct identity *identity;
    pthread_t main_thread; /* told by SIGTERM when -M or -n is reached */
    _Atomic uint32_t open_count;
    _Atomic uint64_t messages_left;
    _Atomic uint64_t sessions_left;
    _Atomic bool is_draining;
    _Atomic bool must_stop_now;
    _Atomic bool has_told_main;
    _Atomic bool has_sync_failed; /* the server drains and ends with EXIT_CODE_SYNC_FAILED */
    _Atomic bool never_full;      /* what `discard` looks at: always false */
};

struct worker {
    struct worker_environment *environment;
    struct connection_shared shared;
    struct spool_writer writer;
    struct committer committer; /* under `disk` */
    struct wheel wheel;
    struct counters counters;
    struct listener listener;
    struct ring_completion *deferred; /* a circle: received, but the spool lacks a segment */
    uint32_t deferred_head;
    uint32_t deferred_count;
    uint32_t deferred_capacity;
    uint32_t accepting_count; /* accepts in flight */
    uint32_t buffer_count;
    uint32_t index;
    int wake; /* eventfd: steward and main thread rouse this worker */
    uint64_t wake_value;
    uint64_t drain_deadline_ns;
    uint64_t timers_ns; /* when timers were looked at last */
    pthread_t thread;
    _Atomic int status; /* 0 not ready, 1 ready, -errno; then `failed` names what */
    const char *failed;
    _Atomic bool has_ended;
};

/* Bytes a worker may come to use at most. */
uint64_t worker_memory(const struct config *config);

/* Opens the eventfd, which the steward needs, and binds the addresses. 0 or -errno. */
MUST_USE int worker_prepare(struct worker *worker, uint32_t index,
                            struct worker_environment *environment);

/* What the thread does: set up, run until the server has drained, tear down in any case. */
MUST_USE int worker_set_up(struct worker *worker);
void worker_run(struct worker *worker);
void worker_tear_down(struct worker *worker);

/* Starts the thread and waits till it is ready. 0, or -errno with worker->failed set. */
MUST_USE int worker_start(struct worker *worker);

/* Wakes it to look at the environment's flags. */
void worker_rouse(struct worker *worker);

/* Waits for the thread to end. */
void worker_join(struct worker *worker);

/* Closes the eventfd, once nobody rouses it any more. */
void worker_close(struct worker *worker);
