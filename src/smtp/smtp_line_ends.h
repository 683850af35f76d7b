/*
 * smtp_line_ends -- looks at the line ends of content, where a server was asked to: lone CR, lone
 * LF, lines that are too long (RFC 5321 2.3.8, 4.5.3.1.6).
 *
 * Borrows:    the slices.
 * Invariants: cutting the content differently changes nothing.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct smtp_line_ends {
    uint32_t line_size; /* octets of the line so far, without its CR */
    bool is_after_cr;
    bool has_bare_newline;
    bool has_long_line;
};

void smtp_line_ends_init(struct smtp_line_ends *ends);

/* One slice of content, in order. */
void smtp_line_ends_inspect(struct smtp_line_ends *ends, struct bytes slice);

/* Does the slice, inspected before, with `before` what was known then, end in an LF without CR? */
bool smtp_line_ends_is_bare(const struct smtp_line_ends *before, struct bytes slice);
