/*
 * spool_listing -- which segments there are, by the names and headers of their files.
 *
 * Owns:       the list, until spool_listing_finish() hands it out.
 * Errors:     -errno. What vanishes meanwhile, or is no segment, is left out.
 * Thread:     any.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

/* A segment, or what is left of some. */
struct spool_file {
    uint64_t number;
    uint64_t size;       /* bytes of the file */
    uint64_t created_ns; /* CLOCK_REALTIME when it was made; 0 if its header can't be trusted */
    uint64_t opened_ns;  /* when its writer began with it; 0 if it never did */
    uint64_t sealed_ns;  /* when its writer had finished with it */
    uint64_t freed_ns;   /* of an empty one: messages committed up to then may have left */
    uint32_t worker;
    bool is_sealed; /* its writer has finished with it */
    bool is_empty;  /* no segment: what the folder remembers of those that left */
};

/* All zero: an empty one. */
struct spool_listing {
    struct spool_file *files;
    uint64_t count;
    uint64_t capacity;
};

/* What a header page of SPOOL_SEGMENT_HEADER_SIZE says, if `file` and header agree; else created_ns
 * stays 0. */
void spool_listing_note_header(struct spool_file *file, const uint8_t *page);

/* The same of the file of that name. */
void spool_listing_read_header(int folder, const char *name, struct spool_file *file);

/* Adds the segments of a worker's folder, and what that remembers of those that left. 0 or -errno.
 */
MUST_USE int spool_listing_add_folder(struct spool_listing *list, int folder, uint32_t worker);

/* By worker, then number. */
void spool_listing_sort(struct spool_file *files, uint64_t count);

/* All of them, sorted, to be freed by the caller, and how many; or -ENOMEM. */
MUST_USE int64_t spool_listing_finish(struct spool_listing *list, struct spool_file **files);

/* Frees what was added. */
void spool_listing_give_up(struct spool_listing *list);
