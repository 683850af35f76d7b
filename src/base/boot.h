/*
 * boot -- which life of the kernel this is: times of CLOCK_MONOTONIC compare only within one.
 *
 * Errors:     where it can't be read it is all zero, which equals no boot's.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define BOOT_ID_DIGITS 32u

struct boot_id {
    uint64_t high;
    uint64_t low;
};

/* That of the machine this runs on. */
struct boot_id boot_id_read(void);

/* Reads 32 hexadecimal digits, or the kernel's form of them with four dashes. */
MUST_USE bool boot_id_parse(struct bytes text, struct boot_id *id);

/* Writes BOOT_ID_DIGITS hexadecimal digits at `out`. No NUL. */
void boot_id_put(uint8_t *out, struct boot_id id);

/* Both are known, and the same. */
bool boot_id_equal(struct boot_id a, struct boot_id b);
