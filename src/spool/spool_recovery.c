#include "spool/spool_recovery.h"

#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool spool_recovery_walk(struct spool_recovery *recovery, struct bytes file, uint32_t worker,
                         uint64_t number)
{
    struct spool_reader_segment segment;
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    enum spool_reader_event event;

    *recovery = (struct spool_recovery){0};
    if (!spool_reader_segment_open(&segment, file, worker, number)) return false;
    spool_reader_start(&reader, &segment);
    while ((event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
        if (event == SPOOL_READER_MESSAGE) {
            recovery->message_count++;
        } else if (event == SPOOL_READER_TORN) {
            recovery->torn = gap;
        } else if (recovery->damage_count++ == 0) {
            recovery->damage = gap;
        }
    }
    recovery->salt = segment.salt;
    recovery->seal = (struct spool_format_mark){
        .time_ns = later(reader.newest_ns, later(segment.opened_ns, segment.created_ns)),
        .end = reader.offset,
        .record_count = reader.index};
    return true;
}

const char *spool_recovery_format(char *out, const struct spool_recovery *recovery)
{
    char count[UNITS_TEXT_MAX];
    const struct spool_reader_gap *damage = &recovery->damage;
    const struct spool_reader_gap *torn = &recovery->torn;
    uint64_t room = SPOOL_RECOVERY_TEXT_MAX;

    int size = snprintf(out, room, "%s message%s up to offset %" PRIu32,
                        units_format_count(count, recovery->message_count),
                        recovery->message_count == 1 ? "" : "s", recovery->seal.end);
    if (damage->end != 0)
        size +=
            snprintf(out + size, room - (uint64_t)size,
                     "; damaged at offset %" PRIu32 " (%" PRIu32 " octets, %" PRIu32 " place%s)",
                     damage->offset, damage->end - damage->offset, recovery->damage_count,
                     recovery->damage_count == 1 ? "" : "s");
    if (torn->end != 0)
        (void)snprintf(out + size, room - (uint64_t)size,
                       "; torn at offset %" PRIu32 " (%" PRIu32
                       " octets): a message that was never acknowledged",
                       torn->offset, torn->end - torn->offset);
    return out;
}
