/*
 * units -- "10k", "64Mi", "50ms" and back.
 *
 * Counts and sizes take k M G T (10^3) and Ki Mi Gi Ti (2^10), either case of the first letter;
 * sizes may end in B ("64MiB"). Durations take ns us ms s m h d; a bare one means seconds. A
 * fraction is allowed before a unit ("1.5k") and rounded down. No sign, no white space.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define UNITS_TEXT_MAX 32

MUST_USE bool units_parse_count(const char *text, uint64_t *count);
MUST_USE bool units_parse_size(const char *text, uint64_t *size);
MUST_USE bool units_parse_duration(const char *text, uint64_t *duration_ns);

/*
 * Each writes into `out` (UNITS_TEXT_MAX bytes) and returns it. Sizes and durations have three
 * significant figures; a duration that is exact loses trailing zeros ("10s", but "10.0ms").
 */
const char *units_format_size(char *out, uint64_t size); /* "16 GiB", "1.5 MiB", "512 B" */
const char *units_format_duration(char *out, uint64_t duration_ns); /* "1.84ms", "212ms", "1.02s" */
const char *units_format_count(char *out, uint64_t count); /* "2 999 871"                  */
