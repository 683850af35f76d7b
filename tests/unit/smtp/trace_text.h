/*
 * trace_text -- a text that grows, and what test files write into one.
 *
 * Owns:       its octets, until trace_text_free().
 * Errors:     an escape that is none ends the program by CHECK.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct trace_text {
    uint8_t *data;
    uint64_t size;
    uint64_t capacity;
};

/* A letter that, behind a backslash, stands for a text. */
struct trace_word {
    char letter;
    const char *text;
};

void trace_text_put(struct trace_text *text, struct bytes octets);
void trace_text_put_octet(struct trace_text *text, uint8_t octet);
struct bytes trace_text_view(const struct trace_text *text);
void trace_text_free(struct trace_text *text);

/*
 * Puts a line of a test file, and CR LF behind it if it has an end. \r \n \t \0 \\ \xHH and
 * \{N}c, which is N times c, stand for octets; `words`, up to one without a letter, for the
 * caller's texts (NULL: none).
 */
void trace_text_put_escaped(struct trace_text *text, struct bytes line, bool has_end,
                            const struct trace_word *words);

/* The first line of `text` without its LF; `text` becomes what is behind it. */
struct bytes trace_text_take_line(struct bytes *text);
