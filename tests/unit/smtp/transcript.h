/*
 * transcript -- one file of tests/transcripts, read (its README.md says what the lines mean).
 *
 * Owns:       its texts, until transcript_close().
 * Errors:     a line that is no transcript's ends the program.
 */
#pragma once

#include "base/bytes.h"
#include "unit/smtp/session_trace.h"

struct transcript {
    struct trace_setup setup;
    struct trace_text input;   /* C and c                    */
    struct trace_text replies; /* S, one a line, without CR  */
    struct trace_text content; /* B and b                    */
    uint64_t handshake_at;     /* H: in `input`; 0: none     */
};

void transcript_open(struct transcript *transcript, const char *path);
void transcript_close(struct transcript *transcript);

/* Do the replies a server gave match, one by one, those that are wanted? */
bool transcript_matches(const struct transcript *transcript, struct bytes replies);
