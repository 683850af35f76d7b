/*
 * fault -- a store into a mapped segment that the file system can't back (SIGBUS: a full
 * copy-on-write file system, a dying disk, a file cut short) becomes a message that fails.
 *
 * Loads while a spool is recovered likewise (fault_watch_reading).
 *
 * The handler puts anonymous memory where the pages were, so that the store goes on, and counts.
 * Whoever is about to say "stored" asks for the count.
 *
 * Bounds:     one writer and one range a thread. A fault anywhere else ends the process, as ever.
 * Thread:     fault_install() once; the others for the calling thread.
 */
#pragma once

#include "spool/spool_writer.h"

#include <stdint.h>

/* Handles SIGBUS from now on. */
void fault_install(void);

/*
 * Loads of this thread from `base` that the disk does not give yield zeros instead; NULL: no more.
 * How many pages the range watched before had of that kind.
 */
uint32_t fault_watch_reading(const uint8_t *base, uint64_t size);

/* Faults of this thread in the segments of `writer` are survived; NULL: none are. */
void fault_watch(struct spool_writer *writer);

/* How many of this thread were. */
uint32_t fault_count(void);
