/*
 * spool_format -- the bytes on disk; docs/SPOOL.md has the same by offset.
 *
 * A segment file is a header page, then records. A record is a 64-byte header at a 64-byte aligned
 * offset, then its payload. Every number is little-endian.
 *
 * Invariants: (1) A record is valid if and only if its magic is the segment's, its number and
 *             worker are those of the segment's header (which are those of the file's name), its
 *             payload ends inside the segment, and its checksum holds; met in a walk, also its
 *             index is the next one.
 *             (2) A message is committed if and only if the records from FIRST to LAST are valid,
 *             name the same first record, and count chain_index from 0 without a gap.
 *             (3) Magic and checksum hang on the segment's salt, which no peer ever sees: neither
 *             a record of the file's earlier life nor octets that a client sent pass for a record.
 */
#pragma once

#include "base/check.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_FORMAT_VERSION 1u

#define SPOOL_SEGMENT_HEADER_SIZE 4096u
#define SPOOL_SEGMENT_COPY        2048u
#define SPOOL_SEGMENT_SIZE_MIN    (1u << 20)
#define SPOOL_SEGMENT_SIZE_MAX    (1u << 31)

#define SPOOL_RECORD_HEADER_SIZE 64u
#define SPOOL_RECORD_ALIGNMENT   64u

/* Where a group that is synced together ends. */
#define SPOOL_PAGE_SIZE 4096u

/* What stands before the envelope's items in FIRST's payload: envelope_size u32, received_ns u64.
 */
#define SPOOL_FIRST_HEAD_SIZE 12u

enum spool_format_flag {
    SPOOL_RECORD_FIRST = 1, /* begins a message: received_ns and envelope come first */
    SPOOL_RECORD_LAST = 2,  /* commits it */
    SPOOL_RECORD_PAD = 4,   /* of no message: fills a page, so that a sync ends at one */
};

/*
 * At offset 0 of a segment file, and once more at SPOOL_SEGMENT_COPY, which is read where the first
 * does not hold: without the salt nothing of the segment could be read. The rest of the header
 * page's 4096 octets is zero but for the marks.
 */
struct spool_format_segment {
    uint64_t magic;
    uint32_t version;
    uint32_t worker;
    uint64_t number;
    uint64_t capacity;   /* octets of the file                             */
    uint64_t created_ns; /* CLOCK_REALTIME                                 */
    uint64_t salt;       /* random, new in every life of the file          */
    uint64_t checksum;   /* XXH3-64 of the 48 octets before it             */
};
static_assert(sizeof(struct spool_format_segment) == 56, "stands on disk");
static_assert(offsetof(struct spool_format_segment, number) == 16, "stands on disk");
static_assert(offsetof(struct spool_format_segment, salt) == 40, "stands on disk");
static_assert(offsetof(struct spool_format_segment, checksum) == 48, "stands on disk");

/* Written into the header page later, each at a place of its own; absent until it is whole. */
enum spool_format_mark_kind {
    SPOOL_MARK_OPENED = 64,  /* its writer began with it at time_ns; end and record_count are 0 */
    SPOOL_MARK_SEALED = 128, /* its writer has finished: records end at `end`                   */
};

struct spool_format_mark {
    uint64_t time_ns;
    uint32_t end;
    uint32_t record_count;
    uint64_t checksum; /* XXH3-64 of the 16 octets before it, seed salt ^ kind */
};
static_assert(sizeof(struct spool_format_mark) == 24, "stands on disk");
static_assert(offsetof(struct spool_format_mark, checksum) == 16, "stands on disk");

struct spool_format_record {
    uint32_t magic;           /* SPOOL_RECORD_MAGIC ^ low half of the salt         */
    uint16_t flags;           /* enum spool_format_flag                            */
    uint16_t worker;          /* the segment's                                     */
    uint64_t number;          /* the segment's                                     */
    uint32_t index;           /* place in the segment, from 0                      */
    uint32_t chain_index;     /* place in the message, from 0; PAD: 1               */
    uint64_t first_number;    /* where the message begins: its name                */
    uint32_t first_offset;    /*                                                   */
    uint32_t previous_offset; /* the message's record before this one; FIRST: 0    */
    uint32_t previous_delta;  /* number minus that record's number; FIRST: 0       */
    uint32_t payload_size;
    uint64_t time_ns;  /* CLOCK_REALTIME when it was closed                        */
    uint64_t checksum; /* XXH3-64 of the 56 octets before it, seed XXH3-64(payload) ^ salt */
};
static_assert(sizeof(struct spool_format_record) == SPOOL_RECORD_HEADER_SIZE, "stands on disk");
static_assert(offsetof(struct spool_format_record, number) == 8, "stands on disk");
static_assert(offsetof(struct spool_format_record, index) == 16, "stands on disk");
static_assert(offsetof(struct spool_format_record, first_number) == 24, "stands on disk");
static_assert(offsetof(struct spool_format_record, first_offset) == 32, "stands on disk");
static_assert(offsetof(struct spool_format_record, payload_size) == 44, "stands on disk");
static_assert(offsetof(struct spool_format_record, checksum) == 56, "stands on disk");

/* Writes the header page of a fresh segment (SPOOL_SEGMENT_HEADER_SIZE octets) and its checksum. */
void spool_format_put_segment(uint8_t *page, struct spool_format_segment *header);

/* Reads it. False unless magic, version and checksum hold and the numbers can be true. */
MUST_USE bool spool_format_get_segment(const uint8_t *page, struct spool_format_segment *header);

void spool_format_put_mark(uint8_t *page, enum spool_format_mark_kind kind, uint64_t salt,
                           struct spool_format_mark mark);
MUST_USE bool spool_format_get_mark(const uint8_t *page, enum spool_format_mark_kind kind,
                                    uint64_t salt, struct spool_format_mark *mark);

uint32_t spool_format_record_magic(uint64_t salt);
uint64_t spool_format_record_checksum(const struct spool_format_record *record,
                                      uint64_t payload_hash, uint64_t salt);

/* The first offset at or behind `offset` where a record may stand. */
static inline uint32_t spool_format_align(uint32_t offset)
{
    return (offset + (SPOOL_RECORD_ALIGNMENT - 1)) & ~(SPOOL_RECORD_ALIGNMENT - 1);
}
