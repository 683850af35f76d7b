/*
 * A message's records:      FIRST -> ... -> LAST, or one that is both
 *
 *   no record open          --> open at the tail          [record_start]
 *   open at the tail        --> open, longer              [record_fill]
 *   open at the tail        --> closed                    [record_close: another message appends,
 *                                                          the segment is full, or commit]
 *   open at the tail        --> none, its room is reused  [message_drop]
 *
 * The log's segments:       next -> tail -> sealed        [segment_roll]
 */
#include "spool/spool_writer.h"

#include "spool/spool_format.h"

#include <string.h>

/* Octets are hashed while they are in the cache, in chunks of this; below it, at once at close. */
#define HASH_CHUNK (16u * 1024)

/* A record is not begun in less room than this, unless all that is at hand fits. */
#define RECORD_ROOM_MIN 512u

static_assert(SPOOL_SEGMENT_HEADER_SIZE + SPOOL_RECORD_HEADER_SIZE + SPOOL_FIRST_HEAD_SIZE +
                      SPOOL_ENVELOPE_MAX <=
                  SPOOL_SEGMENT_SIZE_MIN,
              "every envelope fits into an empty segment");

int spool_writer_open(struct spool_writer *writer, uint32_t worker, bool is_discard)
{
    CHECK(worker < 100);
    *writer = (struct spool_writer){.worker = worker, .is_discard = is_discard};
    if (is_discard) return 0;
    return hash_open(&writer->hash);
}

void spool_writer_close(struct spool_writer *writer)
{
    hash_close(&writer->hash);
    *writer = (struct spool_writer){.worker = writer->worker};
}

bool spool_writer_wants_segment(const struct spool_writer *writer)
{
    return !writer->is_discard && writer->next == NULL;
}

void spool_writer_give(struct spool_writer *writer, struct spool_segment *segment)
{
    CHECK(spool_writer_wants_segment(writer));
    CHECK(segment->worker == writer->worker);
    CHECK(segment->record_count == 0);
    CHECK(writer->tail == NULL || segment->number > writer->tail->number);
    spool_segment_check(segment);
    writer->next = segment;
}

struct spool_segment *spool_writer_take_sealed(struct spool_writer *writer)
{
    struct spool_segment *segment = writer->sealed;
    writer->sealed = NULL;
    return segment;
}

struct spool_segment *spool_writer_take_next(struct spool_writer *writer)
{
    struct spool_segment *segment = writer->next;
    writer->next = NULL;
    return segment;
}

static uint32_t payload_start(const struct spool_writer *writer)
{
    return writer->record_start + SPOOL_RECORD_HEADER_SIZE;
}

/* Hashes what the open record has gained, while it is in the cache. */
ASIDE static void record_hash(struct spool_writer *writer)
{
    const struct spool_segment *tail = writer->tail;
    if (writer->hashed_end == payload_start(writer)) hash_begin(&writer->hash);
    hash_take(&writer->hash, tail->base + writer->hashed_end,
              tail->appended_end - writer->hashed_end);
    writer->hashed_end = tail->appended_end;
}

/* XXH3-64 of the open record's payload: in one go, or what is left of it. */
static uint64_t payload_hash(struct spool_writer *writer)
{
    const uint8_t *payload = writer->tail->base + payload_start(writer);
    uint32_t size = writer->tail->appended_end - payload_start(writer);

    if (writer->hashed_end == payload_start(writer)) return hash_octets(payload, size);
    record_hash(writer);
    return hash_end(&writer->hash);
}

/*
 * Completes a record's header by what all have in common and writes it at `offset`, which makes it
 * one. The header comes after all it covers.
 */
static void record_put(struct spool_segment *tail, uint32_t offset,
                       struct spool_format_record *record, uint64_t hash)
{
    record->magic = spool_format_record_magic(tail->salt);
    record->worker = (uint16_t)tail->worker;
    record->number = tail->number;
    record->index = tail->record_count;
    record->checksum = spool_format_record_checksum(record, hash, tail->salt);
    atomic_thread_fence(memory_order_release);
    memcpy(tail->base + offset, record, sizeof(*record));
    atomic_thread_fence(memory_order_release);
    tail->record_count++;
}

static void record_close(struct spool_writer *writer, uint16_t last_flag, uint64_t now_ns)
{
    struct spool_segment *tail = writer->tail;
    struct spool_message *message = writer->at_tail;
    bool is_first = message->record_count == 0;

    CHECK(message->state == SPOOL_MESSAGE_OPEN);
    CHECK(tail->number - message->last_number <= UINT32_MAX || is_first);
    struct spool_format_record record = {
        .flags = (uint16_t)((is_first ? SPOOL_RECORD_FIRST : 0) | last_flag),
        .chain_index = message->record_count,
        .first_number = message->first_number,
        .first_offset = message->first_offset,
        .previous_offset = is_first ? 0 : message->last_offset,
        .previous_delta = is_first ? 0 : (uint32_t)(tail->number - message->last_number),
        .payload_size = tail->appended_end - payload_start(writer),
        .time_ns = now_ns,
    };
    record_put(tail, writer->record_start, &record, payload_hash(writer));
    message->record_count++;
    message->last_number = tail->number;
    message->last_offset = writer->record_start;
    writer->at_tail = NULL;
}

/* All records of the tail are closed, its header says so, and the caller may take it. */
static void tail_seal(struct spool_writer *writer, uint64_t now_ns)
{
    struct spool_segment *tail = writer->tail;

    CHECK(writer->sealed == NULL);
    if (writer->at_tail != NULL) record_close(writer, 0, now_ns);
    spool_format_put_mark(tail->base, SPOOL_MARK_SEALED, tail->salt,
                          (struct spool_format_mark){.time_ns = now_ns,
                                                     .end = tail->appended_end,
                                                     .record_count = tail->record_count});
    spool_segment_check(tail);
    writer->sealed = tail;
    writer->tail = NULL;
}

/* The next segment becomes the tail. False, and nothing changed, if there is none. */
RARE static bool segment_roll(struct spool_writer *writer, uint64_t now_ns)
{
    if (writer->next == NULL) return false;
    if (writer->tail != NULL && writer->sealed != NULL) return false;
    if (writer->tail != NULL) tail_seal(writer, now_ns);
    writer->tail = writer->next;
    writer->next = NULL;
    spool_format_put_mark(writer->tail->base, SPOOL_MARK_OPENED, writer->tail->salt,
                          (struct spool_format_mark){.time_ns = now_ns});
    return true;
}

static bool tail_has_room(const struct spool_writer *writer, uint32_t payload_size)
{
    if (writer->tail == NULL) return false;
    uint64_t start = spool_format_align(writer->tail->appended_end);
    return start + SPOOL_RECORD_HEADER_SIZE + payload_size <= writer->tail->capacity;
}

/* Opens a record with room for `payload_size` octets. False, and nothing changed, if none fits. */
static bool record_start(struct spool_writer *writer, struct spool_message *message,
                         uint32_t payload_size, uint64_t now_ns)
{
    if (!tail_has_room(writer, payload_size)) {
        if (!segment_roll(writer, now_ns)) return false;
    } else if (writer->at_tail != NULL) {
        record_close(writer, 0, now_ns);
    }
    CHECK(tail_has_room(writer, payload_size));
    writer->at_tail = message;
    writer->record_start = spool_format_align(writer->tail->appended_end);
    writer->hashed_end = payload_start(writer);
    writer->tail->appended_end = writer->hashed_end;
    return true;
}

/* Copies what fits of `slice` into the open record. */
static void record_fill(struct spool_writer *writer, struct bytes *slice)
{
    struct spool_segment *tail = writer->tail;
    uint32_t room = tail->capacity - tail->appended_end;
    uint32_t size = slice->size < room ? (uint32_t)slice->size : room;

    while (size > 0) {
        uint32_t part = size < HASH_CHUNK ? size : HASH_CHUNK;
        memcpy(tail->base + tail->appended_end, bytes_take(slice, part).data, part);
        tail->appended_end += part;
        size -= part;
        if (tail->appended_end - writer->hashed_end >= HASH_CHUNK) record_hash(writer);
    }
}

/* The counts have one writer, so a plain addition will do: no locked instruction a message. */
static void count_add(_Atomic uint32_t *count, uint32_t by)
{
    uint32_t value = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, value + by, memory_order_release);
}

static void count_subtract(_Atomic uint32_t *count)
{
    uint32_t value = atomic_load_explicit(count, memory_order_relaxed);
    CHECK(value > 0);
    atomic_store_explicit(count, value - 1, memory_order_release);
}

void spool_writer_seal(struct spool_writer *writer, uint64_t now_ns)
{
    if (writer->tail != NULL) tail_seal(writer, now_ns);
}

/* A record of no message up to `end`; what stands in its payload is left as it is. */
static void pad_put(struct spool_segment *tail, uint32_t start, uint32_t end, uint64_t now_ns)
{
    const uint8_t *payload = tail->base + start + SPOOL_RECORD_HEADER_SIZE;
    struct spool_format_record record = {
        .flags = SPOOL_RECORD_PAD,
        .chain_index = 1,
        .payload_size = end - start - SPOOL_RECORD_HEADER_SIZE,
        .time_ns = now_ns,
    };
    record_put(tail, start, &record, hash_octets(payload, record.payload_size));
}

void spool_writer_end_group(struct spool_writer *writer, uint64_t now_ns)
{
    struct spool_segment *tail = writer->tail;
    if (tail == NULL) return;
    if (writer->at_tail != NULL) record_close(writer, 0, now_ns);
    uint32_t start = spool_format_align(tail->appended_end);
    uint32_t end = (start + (SPOOL_PAGE_SIZE - 1)) & ~(SPOOL_PAGE_SIZE - 1);
    CHECK(end <= tail->capacity); /* which is whole pages */
    if (start < end) pad_put(tail, start, end, now_ns);
    tail->appended_end = end;
}

void spool_writer_give_up(struct spool_writer *writer)
{
    CHECK(writer->at_tail == NULL);
    CHECK(writer->sealed == NULL);
    writer->sealed = writer->tail;
    writer->tail = NULL;
}

void spool_writer_revoke(struct spool_writer *writer)
{
    if (writer->sealed != NULL) spool_segment_revoke(writer->sealed);
    if (writer->tail != NULL) spool_segment_revoke(writer->tail);
}

/* The head of a message's first record: sizes, time of reception, the envelope's items. */
static void first_head_put(uint8_t *out, const struct spool_envelope *envelope, uint64_t now_ns)
{
    static_assert(sizeof(envelope->size) + sizeof(now_ns) == SPOOL_FIRST_HEAD_SIZE, "no padding");
    memcpy(out, &envelope->size, sizeof(envelope->size));
    memcpy(out + sizeof(envelope->size), &now_ns, sizeof(now_ns));
    spool_envelope_copy(envelope, out + SPOOL_FIRST_HEAD_SIZE);
}

enum spool_outcome spool_message_begin(struct spool_writer *writer, struct spool_message *message,
                                       const struct spool_envelope *envelope, uint64_t now_ns)
{
    CHECK(message->state == SPOOL_MESSAGE_NONE);
    CHECK(envelope->size <= SPOOL_ENVELOPE_MAX);
    if (writer->is_discard) {
        *message = (struct spool_message){.state = SPOOL_MESSAGE_OPEN};
        return SPOOL_DONE;
    }
    uint32_t head_size = SPOOL_FIRST_HEAD_SIZE + envelope->size;
    if (!record_start(writer, message, head_size, now_ns)) return SPOOL_NEEDS_SEGMENT;
    struct spool_segment *tail = writer->tail;
    first_head_put(tail->base + tail->appended_end, envelope, now_ns);
    tail->appended_end += head_size;
    *message = (struct spool_message){.first_segment = tail,
                                      .first_number = tail->number,
                                      .first_offset = writer->record_start,
                                      .state = SPOOL_MESSAGE_OPEN};
    count_add(&tail->open_begun, 1);
    return SPOOL_DONE;
}

/* The message's record is open at the tail and has room for at least one more octet. */
static bool record_continue(struct spool_writer *writer, struct spool_message *message,
                            uint64_t size, uint64_t now_ns)
{
    if (writer->at_tail == message && writer->tail->appended_end < writer->tail->capacity)
        return true;
    uint32_t least = size < RECORD_ROOM_MIN ? (uint32_t)size : RECORD_ROOM_MIN;
    return record_start(writer, message, least, now_ns);
}

enum spool_outcome spool_message_append(struct spool_writer *writer, struct spool_message *message,
                                        struct bytes *slice, uint64_t now_ns)
{
    uint64_t size = slice->size;
    enum spool_outcome outcome = SPOOL_DONE;
    CHECK(message->state != SPOOL_MESSAGE_NONE);
    if (writer->is_discard || message->state == SPOOL_MESSAGE_FAILED) {
        bytes_take(slice, size);
    } else {
        while (slice->size > 0 && record_continue(writer, message, slice->size, now_ns))
            record_fill(writer, slice);
        if (slice->size > 0) outcome = SPOOL_NEEDS_SEGMENT;
    }
    message->size += size - slice->size;
    return outcome;
}

ASIDE static struct spool_id discard_id(struct spool_writer *writer)
{
    uint64_t serial = writer->discard_serial++;
    return (struct spool_id){
        .number = serial >> 32, .offset = (uint32_t)serial, .worker = writer->worker};
}

enum spool_outcome spool_message_commit(struct spool_writer *writer, struct spool_message *message,
                                        uint64_t now_ns, struct spool_id *id)
{
    CHECK(message->state == SPOOL_MESSAGE_OPEN);
    if (writer->is_discard) {
        *id = discard_id(writer);
    } else {
        if (writer->at_tail != message && !record_start(writer, message, 0, now_ns))
            return SPOOL_NEEDS_SEGMENT;
        record_close(writer, SPOOL_RECORD_LAST, now_ns);
        *id = (struct spool_id){message->first_number, message->first_offset, writer->worker};
        count_add(&writer->tail->committed, 1);
        count_subtract(&message->first_segment->open_begun);
    }
    writer->committed_count++;
    writer->content_bytes += message->size;
    *message = (struct spool_message){.state = SPOOL_MESSAGE_NONE};
    return SPOOL_DONE;
}

/* An open message will never be committed. If its record is the log's tail, the room is reused. */
static void message_drop(struct spool_writer *writer, struct spool_message *message)
{
    if (writer->at_tail == message) {
        writer->tail->appended_end = writer->record_start;
        writer->at_tail = NULL;
    }
    if (message->first_segment != NULL) count_subtract(&message->first_segment->open_begun);
    writer->abandoned_count++;
}

void spool_message_abandon(struct spool_writer *writer, struct spool_message *message)
{
    if (message->state == SPOOL_MESSAGE_OPEN) message_drop(writer, message);
    *message = (struct spool_message){.state = SPOOL_MESSAGE_NONE};
}

void spool_message_fail(struct spool_writer *writer, struct spool_message *message)
{
    if (message->state != SPOOL_MESSAGE_OPEN) return;
    message_drop(writer, message);
    *message = (struct spool_message){.size = message->size, .state = SPOOL_MESSAGE_FAILED};
}

uint32_t spool_id_put(uint8_t *out, const struct spool_id *id)
{
    uint32_t size = bytes_put_number(out, id->worker);
    out[size++] = '.';
    size += bytes_put_number(out + size, id->number);
    out[size++] = '.';
    return size + bytes_put_number(out + size, id->offset);
}

/* The digits up to the next dot, which is skipped. */
static bool number_take(struct bytes *text, uint64_t *number)
{
    struct bytes digits = bytes_take(text, bytes_find(*text, '.'));
    if (text->size > 0) (void)bytes_take(text, 1);
    return bytes_to_number(digits, number);
}

bool spool_id_parse(struct bytes text, struct spool_id *id)
{
    uint64_t worker = 0;
    uint64_t number = 0;
    uint64_t offset = 0;

    if (!number_take(&text, &worker) || !number_take(&text, &number)) return false;
    if (!bytes_to_number(text, &offset)) return false;
    if (worker > 99 || offset > UINT32_MAX) return false;
    *id = (struct spool_id){number, (uint32_t)offset, (uint32_t)worker};
    return true;
}
