/*
 * session_trace -- runs one session over an input that is cut in some way, and writes down all that
 * happened in a form that must not depend on the cuts.
 *
 * Owns:       the trace's text, until session_trace_close().
 * Errors:     whatever breaks the session's contract aborts by CHECK.
 */
#pragma once

#include "base/bytes.h"
#include "smtp/smtp_session.h"
#include "unit/smtp/trace_text.h"

#include <stdbool.h>
#include <stdint.h>

#define TRACE_VERDICTS_MAX 16

/* What the server and its store do in this run. */
struct trace_setup {
    struct bytes hostname;
    uint64_t size_limit;
    uint32_t recipients_max;
    uint32_t bad_commands_max;
    uint32_t offers_not; /* SMTP_OFFER() of what is switched off */
    const struct smtp_credential *credentials;
    uint32_t credential_count;
    enum smtp_bare_newline bare_newline;
    bool is_strict;
    bool has_strict_lines;
    bool is_lmtp;
    bool is_auth_required;
    bool is_out_of_service;
    bool offers_tls; /* STARTTLS, which is off otherwise; behind it the input is "decrypted" */
    bool is_secure;  /* from the start */
    bool is_tls_required;
    bool is_auth_tls_required;
    uint64_t refusals; /* bit n: the n-th SENDER, RECIPIENT, DATA_BEGINS or STARTTLS is refused */
    enum smtp_verdict verdicts[TRACE_VERDICTS_MAX]; /* of the n-th message; then of all after it */
    uint32_t verdict_count;                         /* 0: all are stored                         */
};

/*
 * Where the input is cut: behind `at` octets and behind `handshake_at`, behind each `every`, and at
 * random places. 0: not.
 */
struct trace_cuts {
    uint64_t at;
    uint64_t handshake_at; /* behind STARTTLS, where what follows was sent inside TLS */
    uint64_t every;
    uint64_t seed;
    uint32_t replies_capacity; /* at least SMTP_REPLY_MAX; 0: that */
};

struct session_trace {
    struct trace_text events;  /* events and replies in their order; BODY joined    */
    struct trace_text replies; /* replies alone, with the greeting                  */
    struct trace_text content; /* of all stored messages                            */
    uint64_t taken_size;       /* octets of input that were taken before the hang-up */
    uint64_t handshake_at;     /* of those, what was said in plain; 0: no TLS began */
    uint32_t stored_count;
    enum smtp_state state; /* at the end */
    bool is_injected;      /* input behind STARTTLS ended it */
};

void session_trace_run(struct session_trace *trace, const struct trace_setup *setup,
                       struct bytes input, const struct trace_cuts *cuts);
void session_trace_close(struct session_trace *trace);
