/* audit's files: every message at fault, and a relay second by second. */
#include "ringspool_audit.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

FILE *ringspool_audit_file_open(const char *path)
{
    if (path == NULL) return NULL;
    FILE *file = fopen(path, "we");
    if (file == NULL) die(EXIT_CODE_USAGE, "can't write %s: %s", path, strerror(errno));
    return file;
}

static void file_close(FILE *file, const char *path)
{
    bool has_failed = ferror(file) != 0;
    if (fclose(file) != 0) has_failed = true;
    if (has_failed) die(EXIT_CODE_FAILED, "can't write %s: %s", path, strerror(errno));
}

/* ---- faults ---- */

/* NULL: no fault, or none that could be told. */
static const char *fault_word(enum audit_verdict verdict)
{
    switch (verdict) {
    case AUDIT_LOST:
        return "lost";
    case AUDIT_CORRUPT:
        return "corrupt";
    case AUDIT_DUPLICATED:
        return "duplicated";
    case AUDIT_REFUSED_PRESENT:
        return "refused-present";
    case AUDIT_PARTIAL:
        return "partial";
    case AUDIT_FINE:
    case AUDIT_EXPIRED:
        break;
    }
    return NULL;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_entries(const void *left, const void *right)
{
    const struct ledger_entry *a = &(*(const struct audit_entry *const *)left)->ledger;
    const struct ledger_entry *b = &(*(const struct audit_entry *const *)right)->ledger;
    if (a->sequence != b->sequence) return compare_numbers(a->sequence, b->sequence);
    return compare_numbers(a->run, b->run);
}

static void fault_put(FILE *file, const struct audit *audit, const struct audit_entry *entry)
{
    const struct audit_copy *copy;
    uint32_t chain = entry->copies;
    uint8_t id[SPOOL_ID_TEXT_MAX];

    (void)fprintf(file, "%s %016" PRIx64 " %" PRIu64, fault_word(audit_judge(audit, entry)),
                  entry->ledger.run, entry->ledger.sequence);
    while ((copy = audit_deliveries_next(&audit->deliveries, &chain)) != NULL)
        (void)fprintf(file, " %.*s", (int)spool_id_put(id, &copy->id), (const char *)id);
    (void)fputc('\n', file);
}

void ringspool_audit_put_faults(FILE *file, const char *path, const struct audit *audit)
{
    uint64_t count = 0;
    const struct audit_entry **faulty = calloc(audit->table.count, sizeof(const void *));

    if (faulty == NULL) die(EXIT_CODE_FAILED, "out of memory");
    for (uint64_t i = 0; i < audit->table.count; i++)
        if (fault_word(audit_judge(audit, &audit->table.entries[i])) != NULL)
            faulty[count++] = &audit->table.entries[i];
    qsort(faulty, count, sizeof(const void *), compare_entries);
    for (uint64_t i = 0; i < count; i++)
        fault_put(file, audit, faulty[i]);
    free(faulty);
    file_close(file, path);
}

/* ---- second by second ---- */

/* Nothing where it is not known. */
static void csv_put_ms(FILE *file, const struct audit *audit, uint64_t value_ns)
{
    (void)fputc(',', file);
    if (value_ns == AUDIT_TIMELINE_UNKNOWN || !audit_relay_is_sure(audit, value_ns)) return;
    (void)fprintf(file, "%.3f", (double)value_ns / (double)CLOCK_NS_PER_MS);
}

static void csv_put_row(FILE *file, const struct audit *audit, const struct audit_timeline_row *row)
{
    (void)fprintf(file, "%" PRIu32 ",%" PRIu64, row->second, row->accepted);
    if (audit->clock.kind == AUDIT_CLOCK_NONE)
        (void)fputs(",,", file);
    else
        (void)fprintf(file, ",%" PRIu64 ",%" PRIu64, row->delivered, row->backlog);
    csv_put_ms(file, audit, row->p50_ns);
    csv_put_ms(file, audit, row->p99_ns);
    csv_put_ms(file, audit, row->max_ns);
    (void)fputc('\n', file);
}

void ringspool_audit_put_csv(FILE *file, const char *path, const struct audit *audit,
                             const struct audit_relay *relay)
{
    struct audit_timeline timeline;
    struct audit_timeline_row row;

    if (audit_relay_timeline(relay, audit, &timeline) < 0) die(EXIT_CODE_FAILED, "out of memory");
    (void)fputs("time_s,accepted,delivered,backlog,p50_ms,p99_ms,max_ms\n", file);
    while (audit_timeline_next(&timeline, &row))
        csv_put_row(file, audit, &row);
    if (timeline.left_out > 0)
        log_warning("%s lacks %" PRIu64 " events: they were later than %u days", path,
                    timeline.left_out, AUDIT_TIMELINE_SECONDS_MAX / 86400);
    audit_timeline_close(&timeline);
    file_close(file, path);
}
