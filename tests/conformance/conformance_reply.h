/*
 * conformance_reply -- one reply as a case wants it, and whether a server gave it.
 *
 * Borrows:    the texts of the case.
 * Errors:     none; what is malformed matches nothing.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFORMANCE_LINES_MAX 8

enum conformance_line_kind {
    CONFORMANCE_LINE_SOME, /* a line of the reply begins so                            */
    CONFORMANCE_LINE_NONE, /* no line of it does                                       */
    CONFORMANCE_LINE_EACH, /* each line but the first does, or the first if it is alone */
};

struct conformance_line {
    enum conformance_line_kind kind;
    struct bytes text;
};

struct conformance_reply {
    struct bytes codes; /* "250", "{501,5xx}": the first is what ringsink states */
    struct bytes text;  /* the first line begins so                              */
    struct conformance_line lines[CONFORMANCE_LINES_MAX];
    uint32_t line_count;
};

/* The code that ringsink states. */
struct bytes conformance_reply_code(const struct conformance_reply *wanted);

/* Takes one whole reply, all its lines, off the front of `replies`. */
struct bytes conformance_reply_take(struct bytes *replies);

/* Is `reply` (whole lines) the stated one? */
bool conformance_reply_matches(const struct conformance_reply *wanted, struct bytes reply);
