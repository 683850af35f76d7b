/*
 * base64 -- octets as text and back (RFC 4648 4).
 *
 * Borrows:    what it is given; the caller owns what is written.
 * Errors:     text that is not BASE64 to the letter is refused: no white space, no missing "=".
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

/* Characters that encode `size` octets. */
static inline uint64_t base64_encoded_size(uint64_t size)
{
    return (size + 2) / 3 * 4;
}

/* Writes base64_encoded_size() characters at `out`. No NUL. */
void base64_encode(struct bytes octets, char *out);

/*
 * Writes what `text` stands for at `out` (room for 3/4 of its size) and how much that is. False if
 * it is not BASE64.
 */
MUST_USE bool base64_decode(struct bytes text, uint8_t *out, uint64_t *size);
