/*
 * export_progress -- how far each segment of a spool has been exported, kept in a file from one run
 * to the next.
 *
 * The file has a first line, then one for each segment: "WORKER NUMBER SALT OFFSET INDEX". The salt
 * is that of the segment's life: a spool that was made anew is never taken for the old one.
 *
 * Owns:       the places.
 * Errors:     -errno; -EBADMSG: the file is none of these.
 * Invariants: (1) Nothing behind a delivery that failed is saved as done.
 *             (2) A file that was saved is whole, and on the disk before it takes the old one's
 *             name.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define EXPORT_PROGRESS_NAME_MAX 64

struct export_place {
    uint64_t number;
    uint64_t salt;
    uint32_t worker;
    uint32_t offset; /* of the next record to be read; 0: nothing was read yet */
    uint32_t index;  /* and its index                                          */
    uint32_t saved_offset;
    uint32_t saved_index;
    bool has_failed; /* what is saved stays as it is                           */
    bool is_in_use;  /* asked for since export_progress_forget()               */
};

struct export_progress {
    struct export_place *places; /* sorted by worker and number */
    uint64_t count;
    uint64_t capacity;
};

/* ".ringspool-FORMAT-HASH" at `out` (EXPORT_PROGRESS_NAME_MAX); the hash is of the spool's path. */
void export_progress_name(char *out, const char *format, const char *spool);

/* A file that is not there is an empty one. 0 or -errno, with nothing to be closed. */
MUST_USE int export_progress_load(struct export_progress *progress, int root, const char *name);
void export_progress_close(struct export_progress *progress);

/* A segment's place, valid until the next call; of another life: at its start. NULL: no memory. */
MUST_USE struct export_place *export_progress_place(struct export_progress *progress,
                                                    uint32_t worker, uint64_t number,
                                                    uint64_t salt);

/* Everything in front of this record has been delivered, or can't be. */
void export_place_advance(struct export_place *place, uint32_t offset, uint32_t index);

/* A delivery of what comes next failed: another run is to try it again, and what is behind it. */
void export_place_fail(struct export_place *place);

/* Drops the places of segments that have not been asked for since the last call. */
void export_progress_forget(struct export_progress *progress);

/* What was delivered has to be on the disk before. 0 or -errno: then the old file is still there.
 */
MUST_USE int export_progress_save(const struct export_progress *progress, int root,
                                  const char *name);
