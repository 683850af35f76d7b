/*
 * load_worker -- one thread, one ring, its share of the clients.
 *
 * Owns:       ring, clients, ledger buffer; all memory is taken before load_worker_start() returns
 *             the thread to its loop, none after.
 * Borrows:    config, plan, mail, script, ledger: the run's.
 * Errors:     what keeps a worker from starting is in `ring_error`, `memory_error` (-errno) or
 *             `tls_error` (a sentence).
 * Thread:     its own. The others read `gauge`, call load_worker_tell(), and read `clients` and
 *             `reap` when the thread has been joined.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_clients.h"
#include "loadgen/load_config.h"
#include "loadgen/load_mail.h"
#include "tls/tls_context.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a worker is told; later ones are stronger. */
enum load_command {
    LOAD_COMMAND_CONNECT, /* open the connections, start no message       */
    LOAD_COMMAND_BEGIN,   /* messages may start                           */
    LOAD_COMMAND_STOP,    /* none may start any more; those in flight end */
};

/* What other threads may see while it runs. */
struct load_gauge {
    _Atomic uint64_t accepted;
    _Atomic uint64_t failed;
    _Atomic uint64_t due;
    _Atomic uint64_t service_sum_ns;
    _Atomic uint32_t up;
    _Atomic uint32_t down;
    _Atomic uint32_t settled; /* clients that were ready, or failed, once */
    _Atomic bool has_started; /* its ring and memory are there            */
    _Atomic bool is_finished;
};

/* What a run's workers share. */
struct load_run {
    const struct load_config *config;
    const struct load_plan *plan;
    const struct load_mail *mail;
    const struct load_script *script;
    struct load_ledger *ledger;   /* or NULL */
    struct load_samples *samples; /* or NULL */
    int wake_main;                /* eventfd: something about a worker changed */
};

struct load_worker {
    const struct load_run *run;
    uint32_t index;
    int cpu; /* or -1 */
    pthread_t thread;
    pid_t thread_id;
    int wake;            /* eventfd: there is a command */
    uint64_t wake_count; /* what its read brings        */
    _Atomic int command; /* enum load_command           */
    struct load_gauge gauge;
    struct load_clients clients;
    struct ring_counts ring_counts;
    int ring_error;   /* -errno of ring_open()  */
    int memory_error; /* -errno                 */
    char tls_error[TLS_ERROR_MAX];
    bool was_settled;
    bool is_measuring; /* the warm-up is over */
    bool is_cut;
    uint64_t drain_ns; /* when what is in flight is given up, or UINT64_MAX */
    uint64_t cut_ns;   /* when it was */
    uint64_t begin_ns; /* the measured time, or its warm-up's: busy_ratio is of this */
    uint64_t begin_busy_ns;
    uint64_t looked_ns; /* when completions were last looked at */
    double busy_ratio;  /* share of the measured time that it was not blocked */
};

/* Starts the thread: 0 or -errno. Then wait for gauge.has_started or is_finished. */
MUST_USE int load_worker_start(struct load_worker *worker, const struct load_run *run,
                               uint32_t index, int cpu);
void load_worker_tell(struct load_worker *worker, enum load_command command);
void load_worker_join(struct load_worker *worker);
void load_worker_close(struct load_worker *worker);

/* Provided receive buffers, ring and clients of one worker with so many connections, in bytes. */
uint64_t load_worker_memory(const struct load_run *run, uint64_t connections);
