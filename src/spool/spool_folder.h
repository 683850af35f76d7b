/*
 * spool_folder -- one worker's folder: its files' names, and what it remembers of those that left.
 *
 *   w00/0000000001.seg ...   segments
 *   w00/freed                a segment with the number `newest`, and none higher, has left;
 * messages committed up to freed_ns left with them
 *
 * `freed` has two slots, written in turn, each in place: a crash leaves the old or the new, and on
 * a disk that is full to its last block segments can still leave.
 *
 * Errors:     -errno.
 * Thread:     spool_folder_remember() excludes other processes; the rest is spool_directory's.
 */
#pragma once

#include "base/check.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

#define SPOOL_FOLDER_NAME_SIZE  8
#define SPOOL_SEGMENT_NAME_SIZE 32

/* What has left a folder; all zero: nothing. */
struct spool_folder_memory {
    uint64_t newest;
    uint64_t freed_ns;
};

/* "w00" */
void spool_folder_name(char *out, uint32_t worker);

/* "0000000001.seg" */
void spool_folder_segment_name(char *out, uint64_t number);

/* A directory that is ours. Its descriptor, -EPERM, or -errno. */
MUST_USE int spool_folder_open(int parent, const char *name);

/* A stream over what stands in `folder`, to be closed with closedir(); NULL and errno. */
DIR *spool_folder_stream(int folder);

/* The next segment's number; false at the end. Other names are passed over. */
MUST_USE bool spool_folder_next(DIR *stream, uint64_t *number);

struct spool_folder_memory spool_folder_recall(int folder);

/* Makes `freed`, so that remembering takes no room later. 0 or -errno. */
MUST_USE int spool_folder_reserve(int folder, bool is_synced);

/*
 * Segment `number` is about to leave, with messages that were committed up to `freed_ns` (0: it
 * holds none). `is_synced`: it is on the disk before this returns. 0 or -errno.
 */
MUST_USE int spool_folder_remember(int folder, uint64_t number, uint64_t freed_ns, bool is_synced);
