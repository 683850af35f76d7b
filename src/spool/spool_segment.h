/*
 * spool_segment -- one mapped segment and how far it is used.
 *
 *   0 ...... synced_end ...... appended_end ...... capacity
 *   | on disk  | records, closed or open | mapped, populated: written without a fault |
 *
 * The first record stands at SPOOL_SEGMENT_HEADER_SIZE; synced_end is 0 until something syncs.
 *
 * Owns:       nothing: spool_directory maps and unmaps it.
 * Invariants: (1) appended_end never shrinks below the end of the last closed record.
 *             (2) open_begun counts the open messages whose FIRST record is here; while any
 *             segment of a worker has some, neither it nor a later one of that worker is recycled.
 *             (3) synced_end never passes appended_end and never shrinks.
 * Thread:     the worker appends and alone changes the counts; the steward reads them.
 */
#pragma once

#include "base/check.h"
#include "base/queue.h"
#include "spool/spool_format.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct spool_segment {
    struct queue_link link; /* for whoever holds it: steward or writer          */
    uint8_t *base;          /* the mapping, or NULL                             */
    uint32_t capacity;      /* bytes of the file and the mapping, whole pages   */
    uint32_t appended_end;
    uint32_t synced_end;
    uint32_t record_count;
    uint32_t worker; /* whose folder: w00, w01, ...                      */
    uint64_t number; /* never reused; the epoch in every record          */
    uint64_t salt;   /* this life's, in every record's checksum          */
    int file;        /* descriptor, or -1                                */
    _Atomic uint32_t open_begun;
    _Atomic uint32_t committed;  /* messages whose LAST record is here               */
    _Atomic bool has_lost_pages; /* SIGBUS: from some page on `base` is not the file's     */
    _Atomic bool must_clear;     /* the steward wants it: end the open messages in it */
};

/* An empty segment over `base`, where `header` (header->capacity octets are mapped) is written. */
void spool_segment_init(struct spool_segment *segment, uint8_t *base, int file,
                        const struct spool_format_segment *header);

void spool_segment_check(const struct spool_segment *segment);

/*
 * Takes the LAST flag off every record behind synced_end, so that no reader finds their messages
 * committed. The records stay valid, or the walk would stop at them.
 */
void spool_segment_revoke(struct spool_segment *segment);
