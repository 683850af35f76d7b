/*
 * spool_mappings -- mappings of segments that are written no more, kept for their file's next life.
 *
 * A new mapping of a file costs a fault a page, even where the page is in the cache and dirty. As
 * long as a page was not written back, an old one costs nothing.
 *
 * Owns:       the mappings. A mapping keeps the room of a file that was removed: who knows that it
 *             was has to drop it.
 * Invariants: one mapping a file; none has pages that are not the file's.
 * Thread:     its owner's.
 */
#pragma once

#include "base/check.h"
#include "spool/spool_segment.h"

#include <stdint.h>
#include <sys/types.h>

#define SPOOL_MAPPINGS_MAX 256u

struct spool_mapping {
    uint8_t *base;
    uint64_t size;
    dev_t device;
    ino_t inode;
    uint64_t number; /* the file's, when it was kept */
    uint32_t worker;
};

struct spool_mappings {
    uint32_t count;
    struct spool_mapping items[SPOOL_MAPPINGS_MAX];
};

/* Takes over the segment's mapping; where it can't be kept it is unmapped. segment->base is NULL
 * then. */
void spool_mappings_put(struct spool_mappings *mappings, struct spool_segment *segment);

/* The mapping of `size` bytes of the open `file`, the caller's from now on; NULL: there is none. */
uint8_t *spool_mappings_take(struct spool_mappings *mappings, int file, uint64_t size);

/* Unmaps the one at `index`; another takes its place. */
void spool_mappings_drop(struct spool_mappings *mappings, uint32_t index);
