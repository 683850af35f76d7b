/*
 * export_letter -- a message as it is delivered: Return-Path, one Received, the content
 * (RFC 5321 4.4).
 *
 * Borrows:    everything it points to.
 * Bounds:     a rendered letter is at most twice the content and what the envelope takes.
 * Invariants: control octets of the envelope become "?", so that it can add no line.
 */
#pragma once

#include "base/bytes.h"
#include "spool/spool_writer.h"

struct export_letter {
    struct spool_id id;
    uint64_t received_ns;
    struct bytes peer; /* as the spool has it: "127.0.0.1:41234" */
    struct bytes helo;
    struct bytes protocol;
    struct bytes sender;
    struct bytes recipient; /* empty: none is named, there are several */
    struct bytes content;
    struct bytes host; /* where it was received */
};

enum export_letter_style {
    EXPORT_LETTER_EXACT, /* the content octet for octet; lines before it end with CRLF */
    EXPORT_LETTER_LF,    /* every CRLF is LF                                           */
    EXPORT_LETTER_MBOX,  /* the same, and ">" before every line of ">"s and "From "    */
};

/* The letter in memory of its own, which the caller frees by its data; data is NULL: no memory. */
MUST_USE struct bytes export_letter_render(const struct export_letter *letter,
                                           enum export_letter_style style);

/* "0.1.4096" and a NUL at `out` (SPOOL_ID_TEXT_MAX + 1); `out`. */
const char *export_letter_put_id(char *out, const struct export_letter *letter);
