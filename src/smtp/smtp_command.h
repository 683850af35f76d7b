/*
 * smtp_command -- one line of the dialogue -> verb and argument, as views.
 *
 * Borrows:    the line.
 * Errors:     none: a line without a verb has an empty one.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

/* What a verb that starts with these four octets (lower case, blanks behind a shorter one) has as
 * its key. */
#define SMTP_COMMAND_KEY(a, b, c, d)                                                               \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

struct smtp_command {
    struct bytes verb;     /* up to the first blank              */
    struct bytes argument; /* without the blanks around it       */
    uint32_t key;          /* of the verb, without regard to case */
};

/* A complete line with its LF, and without its CR LF or LF. False if the LF is bare. */
bool smtp_command_strip_line(struct bytes *line);

/* A line without its end. */
struct smtp_command smtp_command_parse(struct bytes line);

/* Is the part of the verb behind its first four octets `rest` (lower or upper case)? */
bool smtp_command_has_rest(const struct smtp_command *command, struct bytes rest);

/* If `text` starts with `keyword` in any case, takes it off. Most clients write it as we do. */
static inline bool smtp_command_take_keyword(struct bytes *text, struct bytes keyword)
{
    if (text->size < keyword.size) return false;
    if (memcmp(text->data, keyword.data, keyword.size) != 0 &&
        !bytes_equal_ignoring_case(bytes_make(text->data, keyword.size), keyword))
        return false;
    bytes_take(text, keyword.size);
    return true;
}

/* The text without the blanks around it. */
struct bytes smtp_command_trim(struct bytes text);

/* Blank as RFC 5321 4.1.1 lets clients append: SP and HT. */
static inline bool smtp_command_is_blank(uint8_t octet)
{
    return octet <= ' ' && (octet == ' ' || octet == '\t'); /* most octets: one comparison */
}

/* What stands before the first blank, taken off; all of it where there is none. */
static inline struct bytes smtp_command_take_word(struct bytes *text)
{
    uint64_t size = 0;
    while (size < text->size && !smtp_command_is_blank(text->data[size]))
        size++;
    return bytes_take(text, size);
}
