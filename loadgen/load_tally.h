/*
 * load_tally -- what one worker counted: messages by outcome, replies, errors, latencies.
 *
 * Owns:       its histograms, allocated at open; recording never allocates.
 * Bounds:     LOAD_TALLY_ROWS_MAX (phase, code) pairs keep texts, LOAD_TALLY_ERRORS_MAX kinds of
 *             error are told apart; what is beyond is counted in `*_beyond`.
 * Invariants: started = the sum of outcomes, once every message has one.
 * Thread:     one; merged by load_tally_merge() when that thread has ended.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "base/histogram.h"
#include "loadgen/load_handshakes.h"
#include "loadgen/load_phase.h"
#include "loadgen/load_reply.h"
#include "loadgen/load_score.h"
#include "loadgen/load_session.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_TALLY_CODES      400u /* 200 to 599 */
#define LOAD_TALLY_ROWS_MAX   64u
#define LOAD_TALLY_TEXTS_MAX  3u
#define LOAD_TALLY_ERRORS_MAX 64u
#define LOAD_TALLY_WHY_MAX    64u
#define LOAD_TALLY_TLS        4096 /* beyond every errno: TLS failed, and a text says why */

/* name in the result */
#define LOAD_OUTCOMES(X)                                                                           \
    X(ACCEPTED, "accepted")     /* 2xx after the final dot                                  */     \
    X(TEMPFAIL, "tempfail")     /* 4xx                                                      */     \
    X(REJECT, "reject")         /* 5xx                                                      */     \
    X(PROTOCOL, "protocol")     /* a reply that is malformed or out of place                */     \
    X(TIMEOUT, "timeout")       /* no reply in time                                         */     \
    X(CONNECTION, "connection") /* the connection was refused, reset or closed              */     \
    X(UNFINISHED, "unfinished") /* the run ended first                                      */     \
    X(EXPECTED, "expected")     /* refused as --expect said: no failure                     */

enum load_outcome {
#define X(name, text) LOAD_OUTCOME_##name,
    LOAD_OUTCOMES(X)
#undef X
        LOAD_OUTCOME_COUNT,
};

struct load_tally_text {
    uint64_t count;
    uint32_t size;
    uint8_t octets[LOAD_REPLY_TEXT_MAX]; /* the server's: escape before printing */
};

/* The refusals of one phase with one code. */
struct load_tally_row {
    enum load_phase phase;
    uint32_t code;
    uint32_t text_count;
    uint64_t first_ns; /* since the run began */
    struct load_tally_text texts[LOAD_TALLY_TEXTS_MAX];
};

struct load_tally_error {
    enum load_phase phase;
    enum load_outcome kind;
    int number; /* errno, or LOAD_TALLY_TLS; 0: the server closed, or not a system error */
    char why[LOAD_TALLY_WHY_MAX]; /* of TLS; else empty */
    uint64_t count;
};

struct load_tally {
    uint64_t due;     /* open loop: messages that the schedule wanted begun         */
    uint64_t dropped; /* of them: the backlog was full                          */
    uint64_t started;
    uint64_t outcomes[LOAD_OUTCOME_COUNT];
    uint64_t body_bytes;       /* of accepted messages                              */
    uint64_t accepted_in_time; /* before the end of -d                             */
    uint64_t bytes_in_time;    /* of their bodies                                   */
    uint64_t recipients_accepted;
    uint64_t recipients_rejected;
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t connects;
    uint64_t reconnects;
    uint64_t reached;                         /* connections that were ready at least once        */
    uint64_t sessions_in_time;                /* that were ready before the end of -d */
    uint64_t lost;                            /* sessions that ended otherwise than by our QUIT   */
    uint64_t sessions[LOAD_PIPELINING_COUNT]; /* ready, by mode agreed        */
    struct load_score score;                  /* --session */
    struct load_handshakes handshakes;        /* --tls     */
    uint64_t stale;       /* completions of an earlier life                     */
    uint64_t last_end_ns; /* when the last message had its outcome              */
    uint64_t replies[LOAD_PHASE_COUNT][LOAD_TALLY_CODES];
    struct load_tally_row rows[LOAD_TALLY_ROWS_MAX];
    uint32_t row_count;
    struct load_tally_error errors[LOAD_TALLY_ERRORS_MAX];
    uint32_t error_count;
    uint64_t errors_beyond;
    struct histogram phases[LOAD_PHASE_COUNT];
    struct histogram response;   /* open loop: due to last reply, of accepted messages; in */
                                 /* a result those that the run's end cut, by their age   */
    struct histogram service;    /* start to last reply, of accepted messages             */
    struct histogram failure;    /* due, or closed loop: start, to outcome of the others  */
    struct histogram unfinished; /* open loop: the age of those that the run's end cut    */
    struct histogram lateness;   /* open loop: due to start                               */
    struct histogram late_own;   /* of those that became due while a session was idle     */
    struct histogram reap;       /* how late a completion may have been looked at    */
};

/* 0 or -ENOMEM. */
MUST_USE int load_tally_open(struct load_tally *tally);
void load_tally_close(struct load_tally *tally);

/* Counts a reply; a refusal's text is kept. */
void load_tally_reply(struct load_tally *tally, enum load_phase phase,
                      const struct load_reply_line *line, uint64_t since_begin_ns);
void load_tally_error(struct load_tally *tally, enum load_phase phase, enum load_outcome kind,
                      int number);
/* The same of TLS, which failed because of `why`. */
void load_tally_tls_error(struct load_tally *tally, enum load_phase phase, const char *why);
void load_tally_merge(struct load_tally *into, const struct load_tally *from);

/* The percentile, if ten samples lie beyond it; a bucket's top is not taken for more than the
 * maximum.
 */
MUST_USE bool load_tally_percentile(const struct histogram *histogram, double percentile,
                                    uint64_t *value);

/* Whether a response time is a lower bound only: a message that was cut off had waited less. */
bool load_tally_is_bound(const struct load_tally *tally, uint64_t value_ns);

uint64_t load_tally_failed(const struct load_tally *tally);
const char *load_outcome_name(enum load_outcome outcome);

/* "refused", "reset", "closed", "no-port", "tls", ... for an error of kind CONNECTION. */
const char *load_tally_error_detail(int number);
