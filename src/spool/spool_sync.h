/*
 * spool_sync -- group commit as a plan: which octets of which segments have to reach the disk, in
 * which order, so that what was committed up to a moment survives a power cut.
 *
 * A round covers what was committed when it began: first the sealed segments, oldest first, then
 * the tail, one range at a time. What is committed meanwhile waits for the next round. Nothing is
 * waited for to make a round larger.
 *
 * Borrows:    the writer; sealed segments until spool_sync_completed() yields them.
 * Errors:     the first failed sync is final: no range is planned after it.
 * Invariants: (1) at most one range is out. (2) durable_count never passes what completed ranges
 *             cover. (3) Everything below a segment's synced_end is on the disk, its header page
 *             with it.
 * Thread:     one worker's.
 */
#pragma once

#include "base/check.h"
#include "base/queue.h"
#include "spool/spool_writer.h"

#include <stdbool.h>
#include <stdint.h>

struct spool_sync {
    struct spool_writer *writer;
    struct queue sealed;        /* segments that were sealed and are not on the disk */
    struct spool_segment *out;  /* whose range is being synced, or NULL              */
    struct spool_segment *tail; /* of the round                                      */
    uint64_t round_count;       /* messages that the round covers: the writer's committed_count */
    uint64_t sealed_count;      /* messages that end in segments synced whole       */
    uint64_t durable_count;     /* the first so many committed messages are on the disk */
    uint32_t out_end;           /* of the range that is out                          */
    uint32_t tail_end;          /* of the round                                      */
    bool is_out_whole;
    bool is_round;
    bool has_failed;
};

struct spool_sync_range {
    int file;
    uint32_t offset;
    uint32_t size;
};

void spool_sync_init(struct spool_sync *sync, struct spool_writer *writer);

/* Takes over what the writer has sealed, which is to be synced whole, so that it can go on. */
void spool_sync_take_sealed(struct spool_sync *sync);

/*
 * The next range to sync (size 0: to the end of the file); false if one is out, nothing is to be
 * synced, or a sync has failed. `now_ns` is CLOCK_REALTIME.
 */
MUST_USE bool spool_sync_next(struct spool_sync *sync, uint64_t now_ns,
                              struct spool_sync_range *range);

/* The range that was out is on the disk: a segment that is done with and may leave, or NULL. */
struct spool_segment *spool_sync_completed(struct spool_sync *sync);

/*
 * It could not be synced: every message that is not durable is revoked in the mapping, so that
 * neither this run nor one after a kill -9 finds it. What the writer has sealed is taken over.
 */
void spool_sync_failed(struct spool_sync *sync);

/* A segment that waits though nothing can be synced any more, or NULL. */
struct spool_segment *spool_sync_take_failed(struct spool_sync *sync);

/* At the end, when nobody waits for a sync any more: a segment that was sealed, or NULL. */
struct spool_segment *spool_sync_take_last(struct spool_sync *sync);
