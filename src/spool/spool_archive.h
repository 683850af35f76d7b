/*
 * spool_archive -- a whole spool opened for reading: every segment mapped, sorted, looked up.
 *
 * Owns:       the directory descriptor, the mappings, the array of pieces that grows with the
 *             longest message read.
 * Errors:     -errno at open; verdicts later. A segment recycled meanwhile is `expired`.
 * Bounds:     one mapping a segment file; memory in use is the page cache's.
 */
#pragma once

#include "spool/spool_directory.h"
#include "spool/spool_reader.h"

/* When a folder's files last changed. */
struct spool_archive_stamp {
    int64_t seconds;
    int64_t nanoseconds;
    bool is_there;
};

struct spool_archive {
    struct spool_directory directory;
    struct spool_file *files;              /* segments that are there, by worker and number */
    struct spool_reader_segment *segments; /* the same, as a reader sees them               */
    struct bytes *mappings;                /* the same; data is NULL if not mapped          */
    struct bytes *pieces;                  /* of the message that was read last             */
    uint64_t freed_ns;                     /* messages up to then may have been freed; 0: none */
    uint64_t count;
    uint64_t pieces_capacity;
    struct spool_archive_stamp stamps[SPOOL_WORKERS_MAX]; /* of the workers' folders, at open */
    bool is_doubtful; /* one changed so lately that another change might not show */
};

/* A message's content in pieces, with what stands before it. */
struct spool_archive_content {
    struct spool_reader_head head;
    const struct bytes *pieces; /* valid until the next is read */
    uint32_t count;
};

/* 0 or -errno; -ENOENT: no spool there. */
MUST_USE int spool_archive_open(struct spool_archive *archive, const char *path);
void spool_archive_close(struct spool_archive *archive);

/* Files may have come or gone since it was opened. */
bool spool_archive_is_stale(const struct spool_archive *archive);

/* Reads the segments' headers again: who is sealed now, who is gone. */
void spool_archive_refresh(struct spool_archive *archive);

/* -ENOMEM counts as damaged: a message of that many pieces is not shown. */
MUST_USE enum spool_reader_verdict spool_archive_read(struct spool_archive *archive,
                                                      const struct spool_reader_message *message,
                                                      struct spool_archive_content *content);

/*
 * No segment of the message was recycled up to now: what was taken from its pieces before this call
 * is true.
 */
bool spool_archive_is_current(const struct spool_archive *archive,
                              const struct spool_reader_message *message);

/* Finds the LAST record of the message with that name. False: there is none. */
MUST_USE bool spool_archive_find(const struct spool_archive *archive, const struct spool_id *id,
                                 struct spool_reader_message *message);
