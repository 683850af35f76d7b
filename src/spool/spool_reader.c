#include "spool/spool_reader.h"

#include "base/hash.h"
#include "spool/spool_format.h"

#include <string.h>

/* A search costs at most this many times the segment, whatever stands in it. */
#define READER_HASH_FACTOR 4u

bool spool_reader_segment_open(struct spool_reader_segment *segment, struct bytes file,
                               uint32_t worker, uint64_t number)
{
    struct spool_format_segment header;
    struct spool_format_mark mark;

    *segment = (struct spool_reader_segment){.number = number, .worker = worker};
    if (file.size < SPOOL_SEGMENT_HEADER_SIZE) return false;
    if (!spool_format_get_segment(file.data, &header)) return false;
    if (header.number != number || header.worker != worker) return false;
    segment->base = file.data;
    segment->capacity = (uint32_t)(file.size < header.capacity ? file.size : header.capacity);
    segment->created_ns = header.created_ns;
    segment->salt = header.salt;
    if (spool_format_get_mark(file.data, SPOOL_MARK_OPENED, header.salt, &mark))
        segment->opened_ns = mark.time_ns;
    if (spool_format_get_mark(file.data, SPOOL_MARK_SEALED, header.salt, &mark)) {
        segment->sealed_end = mark.end;
        segment->sealed_count = mark.record_count;
    }
    return true;
}

bool spool_reader_segment_is_current(const struct spool_reader_segment *segment)
{
    struct spool_format_segment header;

    if (segment->base == NULL) return false;
    atomic_thread_fence(memory_order_acquire); /* what was read was read before this */
    return spool_format_get_segment(segment->base, &header) && header.number == segment->number &&
           header.worker == segment->worker && header.salt == segment->salt;
}

const struct spool_reader_segment *spool_reader_find(const struct spool_reader_table *table,
                                                     uint32_t worker, uint64_t number)
{
    uint64_t low = 0;
    uint64_t high = table->count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct spool_reader_segment *segment = &table->segments[middle];
        if (segment->worker == worker && segment->number == number) return segment;
        if (segment->worker < worker || (segment->worker == worker && segment->number < number))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Copies the header at `offset`, if one of this segment is there whose payload could be. */
static bool record_read(const struct spool_reader_segment *segment, uint64_t offset,
                        struct spool_format_record *record)
{
    if (offset < SPOOL_SEGMENT_HEADER_SIZE || offset % SPOOL_RECORD_ALIGNMENT != 0) return false;
    if (offset + SPOOL_RECORD_HEADER_SIZE > segment->capacity) return false;
    memcpy(record, segment->base + offset, sizeof(*record));
    return record->magic == spool_format_record_magic(segment->salt) &&
           record->number == segment->number && record->worker == segment->worker &&
           offset + SPOOL_RECORD_HEADER_SIZE + record->payload_size <= segment->capacity;
}

static const uint8_t *record_payload(const struct spool_reader_segment *segment, uint64_t offset)
{
    return segment->base + offset + SPOOL_RECORD_HEADER_SIZE;
}

/* A record that begins a message is where the message says, and has the room its head needs. */
static bool first_is_sound(const struct spool_reader_segment *segment, uint64_t offset,
                           const struct spool_format_record *record)
{
    uint32_t envelope_size;

    if (record->first_number != record->number || record->first_offset != offset) return false;
    if (record->payload_size < SPOOL_FIRST_HEAD_SIZE) return false;
    memcpy(&envelope_size, record_payload(segment, offset), sizeof(envelope_size));
    return envelope_size <= record->payload_size - SPOOL_FIRST_HEAD_SIZE;
}

/* The checksum holds, and what the record says of itself can be true. */
static bool record_holds(const struct spool_reader_segment *segment, uint64_t offset,
                         const struct spool_format_record *record)
{
    uint64_t hash = hash_octets(record_payload(segment, offset), record->payload_size);
    bool is_first = (record->flags & SPOOL_RECORD_FIRST) != 0;

    if (record->checksum != spool_format_record_checksum(record, hash, segment->salt)) return false;
    if (is_first != (record->chain_index == 0)) return false;
    return !is_first || first_is_sound(segment, offset, record);
}

void spool_reader_start(struct spool_reader *reader, const struct spool_reader_segment *segment)
{
    CHECK(segment->base != NULL);
    *reader = (struct spool_reader){.segment = segment,
                                    .hash_budget = (uint64_t)segment->capacity * READER_HASH_FACTOR,
                                    .offset = SPOOL_SEGMENT_HEADER_SIZE};
}

/* The record where the walk stands. */
static bool record_at_walk(const struct spool_reader *reader, struct spool_format_record *record)
{
    return record_read(reader->segment, reader->offset, record) && record->index == reader->index &&
           record_holds(reader->segment, reader->offset, record);
}

bool spool_reader_has_record(const struct spool_reader_segment *segment)
{
    struct spool_format_record record;
    struct spool_reader reader;

    spool_reader_start(&reader, segment);
    return record_at_walk(&reader, &record);
}

/* The first offset behind the walk with a valid record of a later index; 0: there is none. */
static uint32_t record_search(struct spool_reader *reader, struct spool_format_record *record)
{
    const struct spool_reader_segment *segment = reader->segment;

    for (uint64_t offset = (uint64_t)reader->offset + SPOOL_RECORD_ALIGNMENT;
         offset + SPOOL_RECORD_HEADER_SIZE <= segment->capacity; offset += SPOOL_RECORD_ALIGNMENT) {
        if (!record_read(segment, offset, record) || record->index <= reader->index) continue;
        if (record->payload_size > reader->hash_budget) break;
        reader->hash_budget -= record->payload_size;
        if (record_holds(segment, offset, record)) return (uint32_t)offset;
    }
    return 0;
}

/*
 * Where the record ends whose header stands where the walk does, though it does not hold; 0: there
 * is no header of this segment's.
 */
static uint32_t torn_end(const struct spool_reader *reader)
{
    const struct spool_reader_segment *segment = reader->segment;
    struct spool_format_record record;

    if ((uint64_t)reader->offset + sizeof(record) > segment->capacity) return 0;
    memcpy(&record, segment->base + reader->offset, sizeof(record));
    if (record.magic != spool_format_record_magic(segment->salt) ||
        record.number != segment->number)
        return 0;
    uint64_t end = (uint64_t)reader->offset + sizeof(record) + record.payload_size;
    return end < segment->capacity ? (uint32_t)end : segment->capacity;
}

static bool is_sealed(const struct spool_reader *reader)
{
    return reader->segment->sealed_end != 0 && !reader->is_seal_wrong;
}

/* No valid record is left: how does the segment end? `torn` is 0, or where a torn record ends. */
static enum spool_reader_event walk_end(struct spool_reader *reader, uint32_t torn,
                                        struct spool_reader_gap *gap)
{
    const struct spool_reader_segment *segment = reader->segment;

    reader->has_ended = true;
    *gap = (struct spool_reader_gap){.offset = reader->offset, .end = torn};
    if (is_sealed(reader)) {
        gap->end = segment->sealed_end;
        gap->record_count = segment->sealed_count - reader->index;
        return SPOOL_READER_DAMAGE;
    }
    return torn != 0 ? SPOOL_READER_TORN : SPOOL_READER_END;
}

/* The walk has all the records that the seal counts, but stands elsewhere than the seal says. */
static enum spool_reader_event seal_refute(struct spool_reader *reader,
                                           struct spool_reader_gap *gap)
{
    uint32_t sealed_end = reader->segment->sealed_end;
    bool is_before = reader->offset < sealed_end;

    reader->is_seal_wrong = true;
    *gap = (struct spool_reader_gap){.offset = is_before ? reader->offset : sealed_end,
                                     .end = is_before ? sealed_end : reader->offset};
    return SPOOL_READER_DAMAGE;
}

/* The walk has met what is no valid record: goes on with the next one, if there is any. */
static bool walk_resume(struct spool_reader *reader, struct spool_reader_gap *gap)
{
    struct spool_format_record record;

    uint32_t found = record_search(reader, &record);
    if (found == 0) return false;
    *gap = (struct spool_reader_gap){
        .offset = reader->offset, .end = found, .record_count = record.index - reader->index};
    reader->offset = found;
    reader->index = record.index;
    return true;
}

/* All records that the seal counts were met. */
static bool is_finished(const struct spool_reader *reader)
{
    return is_sealed(reader) && reader->index >= reader->segment->sealed_count;
}

static bool is_seal_right(const struct spool_reader *reader)
{
    const struct spool_reader_segment *segment = reader->segment;
    return reader->index == segment->sealed_count &&
           reader->offset == spool_format_align(segment->sealed_end);
}

enum spool_reader_event spool_reader_next(struct spool_reader *reader,
                                          struct spool_reader_message *message,
                                          struct spool_reader_gap *gap)
{
    struct spool_format_record record;

    while (!reader->has_ended) {
        if (is_finished(reader)) {
            if (is_seal_right(reader)) break;
            return seal_refute(reader, gap);
        }
        uint32_t offset = reader->offset;
        if (!record_at_walk(reader, &record)) {
            struct spool_reader before = *reader;
            uint32_t torn = torn_end(reader);
            bool has_resumed = walk_resume(reader, gap);
            if (!record_at_walk(&before, &record))
                return has_resumed ? SPOOL_READER_DAMAGE : walk_end(reader, torn, gap);
            *reader = before; /* it is there after all: a live writer has got on meanwhile */
        }
        reader->offset =
            spool_format_align(offset + SPOOL_RECORD_HEADER_SIZE + record.payload_size);
        reader->index++;
        if (record.time_ns > reader->newest_ns) reader->newest_ns = record.time_ns;
        if ((record.flags & SPOOL_RECORD_LAST) == 0) continue;
        *message = (struct spool_reader_message){
            .id = {record.first_number, record.first_offset, record.worker},
            .committed_ns = record.time_ns,
            .last_number = record.number,
            .checksum = record.checksum,
            .last_offset = offset,
            .record_count = record.chain_index + 1,
        };
        return SPOOL_READER_MESSAGE;
    }
    return SPOOL_READER_END;
}

/* A chain on its way back from LAST to FIRST. */
struct chain {
    const struct spool_reader_segment *segment;
    struct spool_format_record record;
    uint32_t offset;
};

/* The chain's LAST record: the very one the walk has verified. */
static bool chain_start(struct chain *chain, const struct spool_reader_message *message)
{
    const struct spool_format_record *record = &chain->record;
    chain->offset = message->last_offset;
    return record_read(chain->segment, chain->offset, &chain->record) &&
           record->checksum == message->checksum &&
           (uint64_t)record->chain_index + 1 == message->record_count;
}

/* The record before, which must be of the same message, stand before it, and count one less. */
static enum spool_reader_verdict chain_step(struct chain *chain,
                                            const struct spool_reader_table *table)
{
    struct spool_format_record later = chain->record;

    if (later.previous_delta >= later.number) return SPOOL_READER_DAMAGED;
    if (later.previous_delta == 0 && later.previous_offset >= chain->offset)
        return SPOOL_READER_DAMAGED;
    if (later.previous_delta != 0)
        chain->segment =
            spool_reader_find(table, later.worker, later.number - later.previous_delta);
    if (chain->segment == NULL) return SPOOL_READER_EXPIRED;
    if (chain->segment->base == NULL) return SPOOL_READER_DAMAGED;
    chain->offset = later.previous_offset;
    if (!record_read(chain->segment, chain->offset, &chain->record)) return SPOOL_READER_DAMAGED;
    if (chain->record.first_number != later.first_number ||
        chain->record.first_offset != later.first_offset ||
        chain->record.chain_index + 1 != later.chain_index ||
        (chain->record.flags & SPOOL_RECORD_LAST) != 0)
        return SPOOL_READER_DAMAGED;
    return record_holds(chain->segment, chain->offset, &chain->record) ? SPOOL_READER_WHOLE
                                                                       : SPOOL_READER_DAMAGED;
}

/* Takes the head off FIRST's payload. */
static bool head_take(struct bytes *payload, struct spool_reader_head *head)
{
    uint32_t envelope_size;

    if (payload->size < SPOOL_FIRST_HEAD_SIZE) return false;
    memcpy(&envelope_size, bytes_take(payload, sizeof(envelope_size)).data, sizeof(envelope_size));
    memcpy(&head->received_ns, bytes_take(payload, sizeof(head->received_ns)).data,
           sizeof(head->received_ns));
    if (envelope_size > payload->size) return false;
    head->envelope = bytes_take(payload, envelope_size);
    return true;
}

enum spool_reader_verdict spool_reader_assemble(const struct spool_reader_table *table,
                                                const struct spool_reader_message *message,
                                                struct bytes *pieces,
                                                struct spool_reader_head *head)
{
    struct chain chain = {.segment =
                              spool_reader_find(table, message->id.worker, message->last_number)};

    *head = (struct spool_reader_head){0};
    if (chain.segment == NULL) return SPOOL_READER_EXPIRED;
    if (chain.segment->base == NULL || !chain_start(&chain, message)) return SPOOL_READER_DAMAGED;
    for (uint32_t left = message->record_count;;) {
        struct bytes *piece = &pieces[--left];
        *piece = bytes_make(record_payload(chain.segment, chain.offset), chain.record.payload_size);
        if (left == 0) break;
        head->content_size += piece->size;
        enum spool_reader_verdict verdict = chain_step(&chain, table);
        if (verdict != SPOOL_READER_WHOLE) return verdict;
    }
    if (!head_take(&pieces[0], head)) return SPOOL_READER_DAMAGED;
    head->content_size += pieces[0].size;
    return SPOOL_READER_WHOLE;
}
