/* verify: every checksum of a spool; what is damaged, what is torn, and where. */
#include "ringspool.h"

#include "base/exit_codes.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>

struct verification {
    uint64_t segments;
    uint64_t bytes;
    uint64_t whole;
    uint64_t expired;
    uint64_t recycled; /* while it was read */
    uint64_t torn;
    uint64_t damaged_messages;
    uint64_t damaged_places;
};

static void gap_put(const char *segment, const struct spool_reader_gap *gap, const char *what)
{
    (void)printf("%s: octets %" PRIu32 " to %" PRIu32 ": %s", segment, gap->offset, gap->end, what);
    if (gap->record_count > 0) (void)printf(", %" PRIu32 " records", gap->record_count);
    (void)putchar('\n');
}

static void message_verify(struct verification *sum, struct spool_archive *archive,
                           const struct spool_reader_message *message)
{
    struct spool_archive_content content;
    enum spool_reader_verdict verdict = spool_archive_read(archive, message, &content);

    if (verdict == SPOOL_READER_WHOLE && !spool_archive_is_current(archive, message))
        verdict = SPOOL_READER_EXPIRED;
    switch (verdict) {
    case SPOOL_READER_WHOLE:
        sum->whole++;
        break;
    case SPOOL_READER_DAMAGED:
        sum->damaged_messages++;
        (void)fputs("message ", stdout);
        ringspool_put_id(&message->id);
        (void)puts(": damaged: it was committed, but not all its records are valid");
        break;
    case SPOOL_READER_EXPIRED:
        sum->expired++;
        break;
    }
}

static void segment_verify(struct verification *sum, struct spool_archive *archive, uint64_t index)
{
    const struct spool_reader_segment *segment = &archive->segments[index];
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    enum spool_reader_event event;
    char name[RINGSPOOL_SEGMENT_TEXT_MAX];

    sum->segments++;
    sum->bytes += archive->files[index].size;
    (void)ringspool_segment_text(name, segment->worker, segment->number);
    if (segment->base == NULL) {
        sum->damaged_places++;
        (void)printf("%s: damaged: its header can't be trusted, so nothing in it can be read\n",
                     name);
        return;
    }
    spool_reader_start(&reader, segment);
    while ((event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
        if (event == SPOOL_READER_MESSAGE) {
            message_verify(sum, archive, &message);
        } else if (!spool_reader_segment_is_current(segment)) {
            sum->recycled++;
            return;
        } else if (event == SPOOL_READER_DAMAGE) {
            sum->damaged_places++;
            gap_put(name, &gap, "damaged");
        } else {
            sum->torn++;
            gap_put(name, &gap, "torn: not finished when the server or the machine died");
        }
    }
}

static void line_put(const char *name, uint64_t value)
{
    (void)printf("%-18s %" PRIu64 "\n", name, value);
}

int ringspool_verify(const struct ringspool *program)
{
    struct spool_archive archive;
    struct verification sum = {0};
    struct ringspool_progress progress;
    char size[UNITS_TEXT_MAX];

    ringspool_require(program, spool_archive_open(&archive, program->spool));
    ringspool_progress_start(&progress, "verifying");
    for (uint64_t i = 0; i < archive.count; i++) {
        segment_verify(&sum, &archive, i);
        ringspool_progress_show(&progress, i + 1, archive.count);
    }
    ringspool_progress_end(&progress);
    (void)printf("%-18s %" PRIu64 " (%s)\n", "segments", sum.segments,
                 units_format_size(size, sum.bytes));
    line_put("messages", sum.whole);
    line_put("damaged messages", sum.damaged_messages);
    line_put("damaged places", sum.damaged_places);
    line_put("torn", sum.torn);
    line_put("expired", sum.expired);
    if (sum.recycled > 0) line_put("recycled meanwhile", sum.recycled);
    if (ringspool_fault_count() > 0) line_put("unreadable pages", ringspool_fault_count());
    spool_archive_close(&archive);
    bool is_fine =
        sum.damaged_messages == 0 && sum.damaged_places == 0 && ringspool_fault_count() == 0;
    return is_fine ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
