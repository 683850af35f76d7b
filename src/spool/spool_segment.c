#include "spool/spool_segment.h"

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
    CHECK(segment->appended_end >= SPOOL_SEGMENT_HEADER_SIZE);
    CHECK(segment->appended_end <= segment->capacity);
    CHECK((uint64_t)segment->record_count * SPOOL_RECORD_HEADER_SIZE <= segment->appended_end);
}
