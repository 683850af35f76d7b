/*
 * spool_directory -- the spool's files: the only file-system calls of the spool. A seam.
 *
 *   SPOOL/lock  SPOOL/w00/0000000001.seg  SPOOL/w00/freed ...   (spool_folder)
 *
 * Owns:       the directory and lock descriptors, and mappings that were kept.
 * Errors:     -errno, each left to the caller to name; nothing is retried.
 * Invariants: (1) A file's name, its header's number and every record's epoch agree, or it is not
 *             read.
 *             (2) A number is never used twice in a folder, not even after everything was trimmed:
 *             the folder remembers the newest that left.
 *             (3) Trimming unlinks and never cuts: who has a file mapped for reading keeps seeing
 *             its bytes. Recycling changes the header before any other byte.
 * Thread:     the steward's; look-ups any.
 */
#pragma once

#include "base/check.h"
#include "spool/spool_listing.h"
#include "spool/spool_mappings.h"
#include "spool/spool_place.h"
#include "spool/spool_segment.h"

#include <stdbool.h>
#include <stdint.h>

struct spool_directory {
    char path[SPOOL_PATH_MAX];  /* as used, which may be a subdirectory of what was asked for */
    int folder;                 /* descriptor */
    int lock;                   /* descriptor, or -1 if opened for reading */
    struct spool_mappings kept; /* of files that spool_directory_recycle() may get */
    bool is_synced; /* a segment is on the disk before it is handed out, `freed` before one goes */
};

/*
 * Opens `path` for a server: makes it 0700 if missing (its parent must exist), and in one that
 * others can write makes and uses its own 0700 subdirectory "ringsink-<uid>"; takes the lock. 0,
 * -EWOULDBLOCK (another server has it), -EPERM (not ours), or -errno.
 */
MUST_USE int spool_directory_open(struct spool_directory *directory, const char *path);

/* Sets is_synced; the spool's own name is on the disk then. 0 or -errno. */
MUST_USE int spool_directory_begin_syncing(struct spool_directory *directory);

/* Opens for reading (ringspool): no lock. 0 or -errno; -ENOENT also where there is no spool in it.
 */
MUST_USE int spool_directory_open_to_read(struct spool_directory *directory, const char *path);
void spool_directory_close(struct spool_directory *directory);

/* A server has it locked at this moment. */
bool spool_directory_is_locked(const struct spool_directory *directory);

/* Every segment file, sorted by worker and number, in an array to be freed; count or -errno. */
MUST_USE int64_t spool_directory_list(const struct spool_directory *directory,
                                      struct spool_file **files);

/* tmpfs and ramfs keep nothing over a power loss. */
bool spool_directory_is_volatile(const struct spool_directory *directory);

/* Free bytes of the file system for us. */
uint64_t spool_directory_free_bytes(const struct spool_directory *directory);

/*
 * Makes `segment` ready for worker/number with `size` bytes: created, preallocated, mapped, every
 * page populated for writing, header written. 0 or -errno (-ENOSPC, -EDQUOT: nothing is left
 * behind).
 */
MUST_USE int spool_directory_create(struct spool_directory *directory,
                                    struct spool_segment *segment, uint32_t worker, uint64_t number,
                                    uint64_t size, uint64_t now_ns);

/*
 * The same out of an old segment file, which is renamed: its messages are gone. -ENOENT if it is
 * gone (or is_empty). After any other error spool_directory_has() says whether it has left.
 */
MUST_USE int spool_directory_recycle(struct spool_directory *directory,
                                     const struct spool_file *old, struct spool_segment *segment,
                                     uint32_t worker, uint64_t number, uint64_t size,
                                     uint64_t now_ns);

/* The file is still there under its name, or nobody can tell. */
bool spool_directory_has(const struct spool_directory *directory, const struct spool_file *file);

/* Unmaps and closes; the file stays. */
void spool_directory_release(struct spool_segment *segment);

/* The same, but the mapping is kept for spool_directory_recycle() to use again. */
void spool_directory_retire(struct spool_directory *directory, struct spool_segment *segment);

/* Lets go of what is kept of files that somebody has removed: their room is free then. */
void spool_directory_forget_gone(struct spool_directory *directory);

/* Removes an unused prepared segment's file (shutdown), but keeps the newest number of its folder
 * on record. */
void spool_directory_withdraw(struct spool_directory *directory, struct spool_segment *segment);

/*
 * Writes the mark *sealed* into a file that a crash left without it (to the disk if is_synced).
 * -ENOENT if it is gone or lives another life than that of `salt`, or -errno.
 */
MUST_USE int spool_directory_seal(const struct spool_directory *directory,
                                  const struct spool_file *file, uint64_t salt,
                                  struct spool_format_mark mark);

/*
 * Makes the pages of a mapped segment writable without a fault again, after they were written back.
 * Changes no octet; only who unmaps it may call this.
 */
void spool_directory_populate(const struct spool_segment *segment);

/*
 * Frees a segment file, but keeps the newest number of its folder on record. 0 or -errno; -ENOSPC
 * or -EDQUOT where spool_directory_has() says that it has left: there was no room for the record.
 */
MUST_USE int spool_directory_trim(struct spool_directory *directory, const struct spool_file *file);

/*
 * Maps a segment file for reading into `base`, `size`; -ENOENT if it was recycled meanwhile
 * or never finished, -EBADMSG if its header can't be trusted.
 */
MUST_USE int spool_directory_map(const struct spool_directory *directory,
                                 const struct spool_file *file, const uint8_t **base,
                                 uint64_t *size);
void spool_directory_unmap(const uint8_t *base, uint64_t size);
