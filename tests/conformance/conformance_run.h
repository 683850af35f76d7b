/*
 * conformance_run -- one case on a session in process: its replies, and what reached the store.
 *
 * Owns:       the texts of the run, until conformance_run_close().
 * Errors:     whatever breaks the session's contract aborts by CHECK.
 */
#pragma once

#include "conformance/conformance_case.h"
#include "unit/smtp/session_trace.h"

#include <stdbool.h>
#include <stdint.h>

/* Where the input is cut. */
struct conformance_cuts {
    uint64_t at;      /* behind so many octets of it; 0: not there     */
    uint64_t every;   /* behind each so many octets; 0: not            */
    bool is_at_steps; /* where the client waits for replies            */
};

struct conformance_run {
    struct trace_text replies;
    struct trace_text stored; /* as conformance_case_put_*() write it */
    bool has_hung_up;
};

void conformance_run_open(struct conformance_run *run, const struct conformance_case *test_case,
                          const struct conformance_cuts *cuts);
void conformance_run_close(struct conformance_run *run);
