/*
 * spool_reader -- walks the bytes of segments and yields the messages that were committed in them.
 *
 * Borrows:    the segments' bytes, the caller's arrays. Allocates nothing, makes no system call.
 * Errors:     events and verdicts; no sequence of octets makes it fail otherwise.
 * Bounds:     it reads nothing outside the bytes it was given; looking for records behind a damaged
 *             one hashes at most READER_HASH_FACTOR times the segment.
 * Invariants: (1) A message is shown as whole only if every record of it is valid (spool_format).
 *             (2) Under a writer that appends, what was committed before the walk is found.
 *             (3) A seal is believed only if the walk ends with the record and at the offset that
 * it names: if not, that is damage, and what stands behind is read all the same. (4) Under a server
 * that recycles, what was read of a segment is true if spool_reader_segment_is_current() still
 * holds afterwards.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "spool/spool_writer.h"

#include <stdbool.h>
#include <stdint.h>

struct spool_reader_segment {
    const uint8_t *base; /* NULL: its file is there but can't be trusted */
    uint64_t number;
    uint64_t created_ns;
    uint64_t opened_ns; /* 0: its writer never began with it            */
    uint64_t salt;
    uint32_t worker;
    uint32_t capacity;     /* octets that may be read                      */
    uint32_t sealed_end;   /* where its records end, or 0: not sealed      */
    uint32_t sealed_count; /* how many they are                            */
};

/* Segments sorted by worker and number: where a chain's earlier records are looked up. */
struct spool_reader_table {
    const struct spool_reader_segment *segments;
    uint64_t count;
};

enum spool_reader_event {
    SPOOL_READER_MESSAGE, /* a LAST record was met                                           */
    SPOOL_READER_DAMAGE,  /* `gap` held records that are valid no more; the walk goes on     */
    SPOOL_READER_TORN,    /* `gap` is a last record that was never finished: not an error    */
    SPOOL_READER_END,     /* nothing more                                                    */
};

struct spool_reader {
    const struct spool_reader_segment *segment;
    uint64_t hash_budget; /* octets that may still be hashed in search of a record */
    uint64_t newest_ns;   /* no record up to here was closed later */
    uint32_t offset;      /* where the next record must be   */
    uint32_t index;       /* and what its index must be      */
    bool is_seal_wrong;   /* and was told: the walk goes on as if there were none */
    bool has_ended;
};

struct spool_reader_gap {
    uint32_t offset;
    uint32_t end;
    uint32_t record_count; /* so many are missing, if that can be told; else 0 */
};

/* What a LAST record tells. */
struct spool_reader_message {
    struct spool_id id;
    uint64_t committed_ns;
    uint64_t last_number; /* where it is */
    uint64_t checksum;
    uint32_t last_offset;
    uint32_t record_count;
};

enum spool_reader_verdict {
    SPOOL_READER_WHOLE,
    SPOOL_READER_DAMAGED, /* a record of it is not valid                          */
    SPOOL_READER_EXPIRED, /* a segment with records of it is not there any more   */
};

/* What stands before the content. */
struct spool_reader_head {
    struct bytes envelope; /* for spool_envelope_next() */
    uint64_t received_ns;
    uint64_t content_size;
};

/*
 * Reads a segment file's header; `file` stays borrowed. False, with base NULL, if it can't be
 * trusted or is not that of `worker` and `number`.
 */
bool spool_reader_segment_open(struct spool_reader_segment *segment, struct bytes file,
                               uint32_t worker, uint64_t number);

/* It has not been recycled since it was opened. */
bool spool_reader_segment_is_current(const struct spool_reader_segment *segment);

/* The segment, or NULL. */
const struct spool_reader_segment *spool_reader_find(const struct spool_reader_table *table,
                                                     uint32_t worker, uint64_t number);

/* The segment's first record is valid: its writer has been at it. */
bool spool_reader_has_record(const struct spool_reader_segment *segment);

/* Starts a walk; base is not NULL. */
void spool_reader_start(struct spool_reader *reader, const struct spool_reader_segment *segment);

enum spool_reader_event spool_reader_next(struct spool_reader *reader,
                                          struct spool_reader_message *message,
                                          struct spool_reader_gap *gap);

/*
 * Fills `pieces` (message->record_count of them, in order; some may be empty) with the content and
 * `head` with what stands before it. Both are meaningful only if the verdict is WHOLE.
 */
MUST_USE enum spool_reader_verdict spool_reader_assemble(const struct spool_reader_table *table,
                                                         const struct spool_reader_message *message,
                                                         struct bytes *pieces,
                                                         struct spool_reader_head *head);
