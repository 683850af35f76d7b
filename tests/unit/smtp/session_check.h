/*
 * session_check -- what a dialogue must say, whichever way its input is cut.
 *
 * Errors:     a difference fails the cmocka test that runs.
 */
#pragma once

#include "unit/smtp/session_trace.h"

#include <stddef.h>

#define GREETING                "220 sink.example ESMTP ringsink\r\n"
#define HELLO                   "HELO a\r\n"
#define HELLO_OK                "250 sink.example\r\n"
#define EHLO_WITHOUT_PIPELINING "250-sink.example\r\n" EHLO_REST
#define EHLO_OK                 "250-sink.example\r\n250-PIPELINING\r\n" EHLO_REST
#define EHLO_REST                                                                                  \
    EHLO_MIDDLE "250-AUTH PLAIN LOGIN\r\n"                                                         \
                "250 HELP\r\n"
#define EHLO_MIDDLE                                                                                \
    "250-SIZE 1000\r\n250-VRFY\r\n250-ETRN\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"         \
    "250-DSN\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"
#define OPEN     HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define OPEN_OK  HELLO_OK "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
#define READY    OPEN "DATA\r\n"
#define READY_OK OPEN_OK "354 End data with <CR><LF>.<CR><LF>\r\n"
#define QUEUED   "250 2.0.0 Ok: queued as 0.1.64\r\n"

struct reply_row {
    const char *input;
    const char *replies;
};

void session_check_text(const struct trace_text *found, struct bytes wanted);

/* Invariant 1 of smtp_session for one way to cut. */
void session_check_same(const struct session_trace *whole, const struct trace_setup *setup,
                        struct bytes input, const struct trace_cuts *cuts);

/* Runs the input every way; the replies behind the greeting must be these. */
void session_check_replies(const struct trace_setup *setup, const char *input, const char *wanted);

/*
 * The same for `plain`, which STARTTLS ends, and `inside`, which follows inside TLS: the input is
 * always cut between the two. Without that cut `inside` is injected, and nothing of it may be run.
 */
void session_check_tls(const struct trace_setup *setup, const char *plain, const char *inside,
                       const char *wanted);

/* The same, for events and replies in their order, with the greeting. */
void session_check_events(const struct trace_setup *setup, const char *input, const char *wanted);

void session_check_rows(const struct trace_setup *setup, const struct reply_row *rows,
                        size_t count);

/* One way alone: strict servers tell input that comes too early by what arrives together. */
void session_check_way(const struct trace_setup *setup, const struct trace_cuts *cuts,
                       const char *input, const char *wanted);

#define CHECK_ROWS(setup, rows)                                                                    \
    session_check_rows((setup), (rows), sizeof(rows) / sizeof((rows)[0]))
