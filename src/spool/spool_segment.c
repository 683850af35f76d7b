#include "spool/spool_segment.h"

#include "base/hash.h"

#include <string.h>

void spool_segment_init(struct spool_segment *segment, uint8_t *base, int file,
                        const struct spool_format_segment *header)
{
    CHECK(base != NULL);
    CHECK(header->capacity <= SPOOL_SEGMENT_SIZE_MAX);
    memset(segment, 0, sizeof(*segment));
    segment->base = base;
    segment->capacity = (uint32_t)header->capacity;
    segment->appended_end = SPOOL_SEGMENT_HEADER_SIZE;
    segment->worker = header->worker;
    segment->number = header->number;
    segment->salt = header->salt;
    segment->file = file;
    spool_segment_check(segment);
}

void spool_segment_check(const struct spool_segment *segment)
{
    CHECK(segment->number > 0);
    CHECK(segment->capacity >= SPOOL_SEGMENT_SIZE_MIN);
    CHECK(segment->capacity % SPOOL_PAGE_SIZE == 0);
    CHECK(segment->appended_end >= SPOOL_SEGMENT_HEADER_SIZE);
    CHECK(segment->appended_end <= segment->capacity);
    CHECK(segment->synced_end <= segment->appended_end);
    CHECK((uint64_t)segment->record_count * SPOOL_RECORD_HEADER_SIZE <= segment->appended_end);
}

static void record_revoke(struct spool_segment *segment, uint32_t offset,
                          struct spool_format_record record)
{
    const uint8_t *payload = segment->base + offset + SPOOL_RECORD_HEADER_SIZE;
    record.flags = (uint16_t)(record.flags & ~SPOOL_RECORD_LAST);
    record.checksum = spool_format_record_checksum(
        &record, hash_octets(payload, record.payload_size), segment->salt);
    memcpy(segment->base + offset, &record, sizeof(record));
}

void spool_segment_revoke(struct spool_segment *segment)
{
    struct spool_format_record record;
    uint32_t offset = SPOOL_SEGMENT_HEADER_SIZE;
    for (uint32_t index = 0; index < segment->record_count; index++) {
        memcpy(&record, segment->base + offset, sizeof(record));
        /* Pages that could not be written have given way to empty memory. */
        if (record.magic != spool_format_record_magic(segment->salt) || record.index != index)
            return;
        bool is_last = (record.flags & SPOOL_RECORD_LAST) != 0;
        if (offset >= segment->synced_end && is_last) record_revoke(segment, offset, record);
        offset = spool_format_align(offset + SPOOL_RECORD_HEADER_SIZE + record.payload_size);
    }
}
