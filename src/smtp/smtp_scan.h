/*
 * smtp_scan -- the search for lines of content that start with a dot.
 *
 * Borrows:    the octets; none outside of them is read.
 * Invariants: every variant gives the same answer; the fastest this processor can run is chosen
 *             before main() and never changes.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct smtp_scan_variant {
    const char *name;
    bool (*is_supported)(void);
    /* Index of the CR of the first CR LF "." in the octets, or `size` if there is none. */
    uint64_t (*find_dot_line)(const uint8_t *data, uint64_t size);
};

/* Fastest first; the last one runs everywhere. */
extern const struct smtp_scan_variant smtp_scan_variants[];
extern const uint32_t smtp_scan_variant_count;

/* The chosen one. */
const struct smtp_scan_variant *smtp_scan_chosen(void);
uint64_t smtp_scan_find_dot_line(struct bytes text);
