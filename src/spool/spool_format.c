#include "spool/spool_format.h"

#include <string.h>
#include <xxhash.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the structs are the bytes on disk");

#define SEGMENT_MAGIC      0x4745534b4e495352ull /* "RSINKSEG" */
#define SPOOL_RECORD_MAGIC 0x44434552u           /* "RECD"     */

void spool_format_put_segment(uint8_t *page, struct spool_format_segment *header)
{
    header->magic = SEGMENT_MAGIC;
    header->version = SPOOL_FORMAT_VERSION;
    header->checksum = XXH3_64bits(header, offsetof(struct spool_format_segment, checksum));
    memset(page, 0, SPOOL_SEGMENT_HEADER_SIZE);
    memcpy(page, header, sizeof(*header));
    memcpy(page + SPOOL_SEGMENT_COPY, header, sizeof(*header));
}

static bool header_holds(const struct spool_format_segment *header)
{
    return header->magic == SEGMENT_MAGIC && header->version == SPOOL_FORMAT_VERSION &&
           header->number > 0 && header->worker <= UINT16_MAX &&
           header->capacity >= SPOOL_SEGMENT_SIZE_MIN &&
           header->capacity <= SPOOL_SEGMENT_SIZE_MAX &&
           header->capacity % SPOOL_SEGMENT_HEADER_SIZE == 0 &&
           header->checksum == XXH3_64bits(header, offsetof(struct spool_format_segment, checksum));
}

bool spool_format_get_segment(const uint8_t *page, struct spool_format_segment *header)
{
    memcpy(header, page, sizeof(*header));
    if (header_holds(header)) return true;
    memcpy(header, page + SPOOL_SEGMENT_COPY, sizeof(*header));
    return header_holds(header);
}

static uint64_t mark_checksum(const struct spool_format_mark *mark, uint64_t seed)
{
    return XXH3_64bits_withSeed(mark, offsetof(struct spool_format_mark, checksum), seed);
}

void spool_format_put_mark(uint8_t *page, enum spool_format_mark_kind kind, uint64_t salt,
                           struct spool_format_mark mark)
{
    mark.checksum = mark_checksum(&mark, salt ^ (uint64_t)kind);
    memcpy(page + kind, &mark, sizeof(mark));
}

bool spool_format_get_mark(const uint8_t *page, enum spool_format_mark_kind kind, uint64_t salt,
                           struct spool_format_mark *mark)
{
    memcpy(mark, page + kind, sizeof(*mark));
    return mark->checksum == mark_checksum(mark, salt ^ (uint64_t)kind);
}

uint32_t spool_format_record_magic(uint64_t salt)
{
    return SPOOL_RECORD_MAGIC ^ (uint32_t)salt;
}

uint64_t spool_format_record_checksum(const struct spool_format_record *record,
                                      uint64_t payload_hash, uint64_t salt)
{
    return XXH3_64bits_withSeed(record, offsetof(struct spool_format_record, checksum),
                                payload_hash ^ salt);
}
