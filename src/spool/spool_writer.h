/*
 * spool_writer -- messages being received, appended to one worker's log of segments.
 *
 * Owns:       the record that is open at the log's tail, and its running checksum.
 * Borrows:    segments, from spool_writer_give() until spool_writer_take_sealed().
 * Errors:     none of its own: SPOOL_NEEDS_SEGMENT says that nothing more fits until one is given.
 * Bounds:     three segments: a sealed one to be taken, the tail and one next.
 * Invariants: (1) a message is committed only by a closed LAST record, written after all it covers.
 *             (2) a call that answers SPOOL_NEEDS_SEGMENT changed nothing and may be made again.
 *             (3) an abandoned or failed message never gets a LAST record.
 * Thread:     one worker's.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "spool/spool_envelope.h"
#include "spool/spool_segment.h"

#include <stdbool.h>
#include <stdint.h>

enum spool_outcome { SPOOL_DONE, SPOOL_NEEDS_SEGMENT };

enum spool_message_state {
    SPOOL_MESSAGE_NONE,   /* nothing begun                                       */
    SPOOL_MESSAGE_OPEN,   /* begun; records may be in the log                    */
    SPOOL_MESSAGE_FAILED, /* can't be kept any more: octets are dropped, only abandon may follow */
};

struct spool_message {
    struct spool_segment *first_segment; /* counts it as open; NULL under discard       */
    uint64_t size;                       /* octets of content appended                  */
    uint64_t last_number;                /* segment and offset of the newest closed record */
    uint64_t first_number;
    uint32_t last_offset;
    uint32_t first_offset;
    uint32_t record_count; /* closed ones */
    enum spool_message_state state;
};

/* A message's name for ever: "worker.number.offset" in decimal. */
struct spool_id {
    uint64_t number;
    uint32_t offset;
    uint32_t worker;
};

#define SPOOL_ID_TEXT_MAX 48

struct spool_writer {
    struct spool_segment *tail;
    struct spool_segment *next;
    struct spool_segment *sealed;  /* full, to be taken by the caller; at most one */
    struct spool_message *at_tail; /* whose record is open at the tail, or NULL    */
    struct hash hash;              /* of the open record's payload                 */
    uint32_t worker;
    uint32_t record_start; /* offset of the open record's header           */
    uint32_t hashed_end;   /* payload up to here is in `hash`               */
    bool is_discard;       /* keep nothing: count and name only            */
    uint64_t discard_serial;
    uint64_t committed_count;
    uint64_t abandoned_count;
    uint64_t content_bytes;
};

/* `worker` < 100. 0, or -ENOMEM for the checksum state. */
MUST_USE int spool_writer_open(struct spool_writer *writer, uint32_t worker, bool is_discard);
void spool_writer_close(struct spool_writer *writer);

/* No segment waits behind the tail: the caller should give one soon. False under discard. */
bool spool_writer_wants_segment(const struct spool_writer *writer);
void spool_writer_give(struct spool_writer *writer, struct spool_segment *segment);

/* A segment that was sealed (all its records closed, its header marked), or NULL. */
struct spool_segment *spool_writer_take_sealed(struct spool_writer *writer);

/*
 * Seals the tail at shutdown (what was sealed before has been taken); spool_writer_take_sealed()
 * then yields it, and spool_writer_take_next() what was `next` and unused. Open messages can only
 * be abandoned after that, or go on if a segment is given.
 */
void spool_writer_seal(struct spool_writer *writer, uint64_t now_ns);
struct spool_segment *spool_writer_take_next(struct spool_writer *writer);

/*
 * Ends a group that is to be synced together: closes the open record, whose message goes on in
 * another one, and fills the page.
 */
void spool_writer_end_group(struct spool_writer *writer, uint64_t now_ns);

/*
 * The tail can't be written any more: it is given up as it is, without a seal, and the next segment
 * takes over. Every open message has been failed before.
 */
void spool_writer_give_up(struct spool_writer *writer);

/* The tail can't be synced: its messages that are not on the disk are revoked. */
void spool_writer_revoke(struct spool_writer *writer);

/* Writes the envelope as the head of the first record. `now_ns` is CLOCK_REALTIME. */
MUST_USE enum spool_outcome spool_message_begin(struct spool_writer *writer,
                                                struct spool_message *message,
                                                const struct spool_envelope *envelope,
                                                uint64_t now_ns);

/* Copies as much of `slice` as fits and shrinks it; SPOOL_NEEDS_SEGMENT if octets are left. */
MUST_USE enum spool_outcome spool_message_append(struct spool_writer *writer,
                                                 struct spool_message *message, struct bytes *slice,
                                                 uint64_t now_ns);

/* Closes the LAST record: from here on a reader finds it, whatever happens to this process. */
MUST_USE enum spool_outcome spool_message_commit(struct spool_writer *writer,
                                                 struct spool_message *message, uint64_t now_ns,
                                                 struct spool_id *id);

/* Forgets the message, whatever its state; what it had at the tail is reused. */
void spool_message_abandon(struct spool_writer *writer, struct spool_message *message);

/* Its first segment is to be recycled: the message fails; commit is not allowed any more. */
void spool_message_fail(struct spool_writer *writer, struct spool_message *message);

/* Writes "worker.number.offset" at `out` (SPOOL_ID_TEXT_MAX) and returns its size. No NUL. */
uint32_t spool_id_put(uint8_t *out, const struct spool_id *id);
MUST_USE bool spool_id_parse(struct bytes text, struct spool_id *id);
