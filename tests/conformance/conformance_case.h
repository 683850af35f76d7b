/*
 * conformance_case -- one case of tests/conformance/cases, read (docs/CONFORMANCE.md says what the
 * lines mean).
 *
 * Owns:       its texts, until conformance_case_close().
 * Borrows:    the text of the file.
 * Errors:     a line that is no case's ends the program.
 * Bounds:     CONFORMANCE_STEPS_MAX steps, CONFORMANCE_REPLIES_MAX replies.
 */
#pragma once

#include "base/bytes.h"
#include "conformance/conformance_reply.h"
#include "smtp/smtp_config.h"
#include "unit/smtp/session_trace.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFORMANCE_STEPS_MAX   64
#define CONFORMANCE_REPLIES_MAX 2200

enum conformance_end {
    CONFORMANCE_END_ALIVE, /* NOOP and QUIT are still answered  */
    CONFORMANCE_END_CLOSE, /* the server has closed             */
    CONFORMANCE_END_DROP,  /* the client closes, nothing follows */
    CONFORMANCE_END_TCP,   /* TLS itself is what it is about: not to be told in process */
};

struct conformance_case {
    struct bytes id;
    bool is_known; /* ringsink is known to break it */
    bool is_uncut; /* only as whole steps */
    enum conformance_end end;
    struct bytes prelude;
    struct smtp_config config; /* not prepared */
    struct smtp_credential credential;

    struct trace_text input;                   /* all that the client sends           */
    uint64_t step_ends[CONFORMANCE_STEPS_MAX]; /* in `input`: here the client waits    */
    uint32_t step_count;
    uint64_t handshake_at; /* in `input`: what follows is said inside TLS; 0: nothing is */
    struct conformance_reply replies[CONFORMANCE_REPLIES_MAX];
    uint32_t reply_count;
    struct trace_text stored; /* what must be stored, as conformance_case_put_*() write it */
};

/*
 * Takes the next case off the front of `text`, false if there is none. `test_case` is overwritten.
 */
bool conformance_case_open(struct conformance_case *test_case, struct bytes *text);
void conformance_case_close(struct conformance_case *test_case);

/* How a stored message is written down, by the case and by the run alike. */
void conformance_case_put_path(struct trace_text *out, char kind, struct bytes path);
void conformance_case_put_content(struct trace_text *out, struct bytes content);
