/*
 * load_conductor -- a run from the first connect to the last QUIT, seen from the main thread.
 *
 * Connect, wait until every connection was ready or failed once, begin, watch, stop, join.
 *
 * Owns:       the workers, the signals while it runs, the intervals.
 * Errors:     a worker that can't start ends the program (die); the rest is in the tallies.
 * Thread:     main.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_files.h"
#include "loadgen/load_kernel.h"
#include "loadgen/load_progress.h"
#include "loadgen/load_worker.h"

#include <stdbool.h>
#include <stdint.h>

struct load_conductor {
    struct load_run run;
    struct load_worker *workers;
    uint32_t count;
    struct load_progress progress;
    struct load_files files;
    struct load_watches watches;
    int signals;        /* signalfd          */
    int signal_number;  /* that ended the run, or 0 */
    uint64_t signal_ns; /* when it came */
    uint64_t opened_ns; /* first connect     */
    uint64_t begin_ns;  /* first message     */
    uint64_t end_ns;    /* the last worker ended */
    uint64_t started_realtime_ns;
    struct load_kernel kernel; /* what it counted while messages were sent */
    uint64_t tls_memory_max;   /* bytes of OpenSSL's, looked at each second */
    bool is_begun;
};

/* SIGINT and SIGTERM wait to be asked for; call before any thread is started. */
void load_conductor_block_signals(void);

/* The whole run. `run->wake_main` is filled in here. */
void load_conductor_run(struct load_conductor *conductor, const struct load_run *run);
void load_conductor_close(struct load_conductor *conductor);
