/*
 * bytes -- a view of octets that somebody else owns.
 *
 * Borrows:    the memory; a view is valid as long as its source says.
 * Invariants: data may be NULL only if size is 0. No NUL terminates it.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    uint64_t size;
};

/* The view of a string literal, without its NUL. */
#define BYTES(literal) ((struct bytes){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline struct bytes bytes_make(const void *data, uint64_t size)
{
    return (struct bytes){data, size};
}

static inline struct bytes bytes_from_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* The first `size` bytes of the view; the view becomes the rest. */
static inline struct bytes bytes_take(struct bytes *view, uint64_t size)
{
    CHECK(size <= view->size);
    struct bytes head = {view->data, size};
    view->data += size;
    view->size -= size;
    return head;
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Equal if upper and lower case ASCII letters are taken as the same. */
bool bytes_equal_ignoring_case(struct bytes a, struct bytes b);

bool bytes_start_with(struct bytes view, struct bytes prefix);

/* Index of the first `octet`, or view.size if there is none. */
static inline uint64_t bytes_find(struct bytes view, uint8_t octet)
{
    const uint8_t *found = view.size == 0 ? NULL : memchr(view.data, octet, view.size);
    return found == NULL ? view.size : (uint64_t)(found - view.data);
}

/* Reads 1 to 20 decimal digits that fill the view. False if empty, not digits, or past 2^64-1. */
MUST_USE bool bytes_to_number(struct bytes view, uint64_t *number);

/* Reads 1 to 16 hexadecimal digits that fill the view. False if empty or anything else. */
MUST_USE bool bytes_to_number_hex(struct bytes view, uint64_t *number);

/* Writes the decimal digits of `number` at `out` (room for 20) and returns how many. No NUL. */
uint32_t bytes_put_number(uint8_t *out, uint64_t number);

/* Writes exactly 16 lower-case hexadecimal digits at `out`. No NUL. */
void bytes_put_hex(uint8_t *out, uint64_t number);

/*
 * Copies `view` as printable ASCII into `out` (NUL-terminated, at most `capacity` bytes): what is
 * not printable becomes \xNN, a backslash \\, a cut ends in "...". For peer bytes in logs.
 */
void bytes_escape(struct bytes view, char *out, uint64_t capacity);
