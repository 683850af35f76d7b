/*
 * micro -- the pure modules alone, one case after the other: what a round of each takes in
 * nanoseconds, in ticks of the processor's clock and in octets a second, beside memcpy of as many
 * octets.
 *
 * Owns:       nothing; each module's file owns what its cases work on.
 * Invariants: a case takes exactly size octets a round, or the program ends: what is not done can't
 *             be fast.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define MICRO_CONTENT_MAX (1u << 20)

struct micro_case {
    const char *module; /* of src/, or what it is measured against */
    const char *name;
    uint64_t size;    /* octets that a round takes */
    uint32_t variant; /* for the case's own use    */
    /* So many rounds; returns how many octets they took. */
    uint64_t (*run)(const struct micro_case *micro_case, uint64_t rounds);
};

struct micro_cases {
    const struct micro_case *cases;
    uint32_t count;
};

/* Each makes what its cases need; call once. */
struct micro_cases micro_memory_cases(void);
struct micro_cases micro_base_cases(void);
struct micro_cases micro_smtp_cases(void);
struct micro_cases micro_spool_cases(void);

/* What a case of `size` octets is measured against: memcpy of as many. */
struct micro_case micro_copy_case(uint64_t size);

/* Lines of 40 to 78 octets and CR LF, one in sixteen stuffed with a dot: as loadgen's messages. */
const uint8_t *micro_content(void);

/* The compiler has to believe that somebody reads what `pointer` points at. */
static inline void micro_keep(const void *pointer)
{
    __asm__ volatile("" : : "r"(pointer) : "memory");
}
