/* audit: is everything in the spool that the generator's ledgers say was acknowledged? */
#include "ringspool.h"

#include "audit/audit.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXAMPLES_MAX    5
#define READ_SIZE_LEAST (1u << 16)

/* The whole file, to be freed. */
static struct bytes file_read(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) < 0)
        die(EXIT_CODE_USAGE, "can't read ledger %s: %s", path, strerror(errno));
    uint64_t capacity = (uint64_t)status.st_size + READ_SIZE_LEAST;
    uint64_t size = 0;
    uint8_t *text = malloc(capacity);
    while (text != NULL) {
        ssize_t got = read(file, text + size, capacity - size);
        if (got < 0) die(EXIT_CODE_USAGE, "can't read ledger %s: %s", path, strerror(errno));
        if (got == 0) break;
        size += (uint64_t)got;
        if (size < capacity) continue;
        capacity *= 2;
        uint8_t *longer = realloc(text, capacity);
        if (longer == NULL) free(text);
        text = longer;
    }
    if (text == NULL) die(EXIT_CODE_FAILED, "out of memory for ledger %s", path);
    close(file);
    return bytes_make(text, size);
}

static void ledgers_add(const struct ringspool *program, struct audit *audit)
{
    for (int i = 0; i < program->operand_count; i++) {
        const char *path = program->operands[i];
        struct bytes text = file_read(path);
        int error = audit_add_ledger(audit, text);
        free((void *)(uintptr_t)text.data);
        if (error == -EBADMSG)
            die(EXIT_CODE_USAGE, "%s is no ledger: give what loadgen --ledger FILE wrote", path);
        if (error < 0) die(EXIT_CODE_FAILED, "ledger %s: %s", path, strerror(-error));
    }
    if (audit->entry_count == 0)
        die(EXIT_CODE_USAGE, "the ledger is empty: nothing was sent, so nothing can be proved");
}

static void spool_walk(const struct ringspool *program, struct audit *audit)
{
    struct spool_archive archive;
    struct ringspool_progress progress;
    int error = 0;

    ringspool_require(program, spool_archive_open(&archive, program->spool));
    ringspool_progress_start(&progress, "auditing");
    for (uint64_t i = 0; i < archive.count && error == 0; i++) {
        if (audit_can_skip(audit, &archive, i))
            audit->skipped_segments++;
        else
            error = audit_segment(audit, &archive, i);
        ringspool_progress_show(&progress, i + 1, archive.count);
    }
    ringspool_progress_end(&progress);
    if (error == 0) error = audit_finish(audit, &archive);
    if (error < 0) die(EXIT_CODE_FAILED, "can't audit %s: %s", program->spool, strerror(-error));
    spool_archive_close(&archive);
}

/* A run that was never seen is another spool's, unless this one is damaged. */
static int status_of(const struct audit *audit, const struct audit_report *report)
{
    uint64_t faults = report->lost - report->lost_unseen + report->duplicated + report->corrupt +
                      report->refused_present;
    bool is_damaged = audit->damaged + audit->damaged_places > 0;
    if (faults > 0 || (report->lost > 0 && is_damaged)) return EXIT_CODE_FAILED;
    if (report->unseen_runs > 0) return EXIT_CODE_USAGE;
    return report->expired > 0 ? EXIT_CODE_UNPROVABLE : EXIT_CODE_OK;
}

static const char *verdict_of(int status)
{
    if (status == EXIT_CODE_OK) return "everything acknowledged is there, once and unchanged";
    if (status == EXIT_CODE_FAILED) return "FAILED: the spool does not hold what was promised";
    if (status == EXIT_CODE_USAGE) return "the spool never saw this run: is it another one's?";
    return "unprovable: recycling took what is missing";
}

static void line_put(const char *name, uint64_t value)
{
    (void)printf("%-20s %" PRIu64 "\n", name, value);
}

static void duration_put(const char *name, uint64_t duration_ns)
{
    char text[UNITS_TEXT_MAX];
    (void)printf("%s %s", name, units_format_duration(text, duration_ns));
}

static void text_put(const struct audit *audit, const struct audit_report *report, int status)
{
    line_put("acknowledged", report->acknowledged);
    line_put("found", report->found);
    line_put("lost", report->lost);
    line_put("duplicated", report->duplicated);
    line_put("corrupt", report->corrupt);
    line_put("refused", report->refused);
    line_put("refused yet present", report->refused_present);
    line_put("expired", report->expired);
    line_put("unknown", report->unknown);
    line_put("unknown yet present", report->unknown_present);
    line_put("in no ledger", audit->unlisted);
    line_put("of other runs", audit->others);
    line_put("damaged", audit->damaged + audit->damaged_places);
    if (audit->bad_lines > 0) line_put("unreadable lines", audit->bad_lines);
    if (audit->stored.total_count > 0) {
        (void)printf("%-20s ", "sent to stored");
        duration_put("p50", histogram_percentile(&audit->stored, 50));
        duration_put("  p99", histogram_percentile(&audit->stored, 99));
        duration_put("  max", audit->stored.maximum);
        (void)putchar('\n');
    }
    (void)printf("%-20s %s\n", "verdict", verdict_of(status));
}

static void json_put(const struct audit *audit, const struct audit_report *report, int status)
{
    const struct histogram *stored = &audit->stored;

    (void)printf("{\"schema\":\"ringspool.audit/1\",\"acknowledged\":%" PRIu64 ",\"found\":%" PRIu64
                 ",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64 ",\"corrupt\":%" PRIu64,
                 report->acknowledged, report->found, report->lost, report->duplicated,
                 report->corrupt);
    (void)printf(",\"refused\":%" PRIu64 ",\"refused_present\":%" PRIu64 ",\"expired\":%" PRIu64
                 ",\"unknown\":%" PRIu64 ",\"unknown_present\":%" PRIu64,
                 report->refused, report->refused_present, report->expired, report->unknown,
                 report->unknown_present);
    (void)printf(",\"unlisted\":%" PRIu64 ",\"others\":%" PRIu64 ",\"damaged_messages\":%" PRIu64
                 ",\"damaged_places\":%" PRIu64 ",\"headless\":%" PRIu64
                 ",\"unreadable_lines\":%" PRIu64 ",\"unseen_runs\":%" PRIu64,
                 audit->unlisted, audit->others, audit->damaged, audit->damaged_places,
                 audit->headless, audit->bad_lines, report->unseen_runs);
    (void)printf(",\"stored_ns\":{\"count\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64
                 ",\"max\":%" PRIu64 "},\"status\":%d}\n",
                 stored->total_count, histogram_percentile(stored, 50),
                 histogram_percentile(stored, 99), stored->maximum, status);
}

static const char *const verdict_names[] = {
    [AUDIT_FINE] = "fine",
    [AUDIT_LOST] = "lost",
    [AUDIT_CORRUPT] = "corrupt",
    [AUDIT_DUPLICATED] = "duplicated",
    [AUDIT_REFUSED_PRESENT] = "refused yet present",
    [AUDIT_EXPIRED] = "expired",
};

/* A few messages by name, on stderr: where to begin to look. */
static void examples_put(const struct audit *audit)
{
    uint32_t shown[AUDIT_EXPIRED + 1] = {0};

    for (uint64_t i = 0; i < audit->entry_count; i++) {
        const struct audit_entry *entry = &audit->entries[i];
        enum audit_verdict verdict = audit_judge(audit, entry);
        if (verdict == AUDIT_FINE || verdict == AUDIT_EXPIRED) continue;
        if (shown[verdict]++ >= EXAMPLES_MAX) continue;
        log_error("%s: run=%016" PRIx64 " seq=%012" PRIu64 " sent_ns=%" PRIu64,
                  verdict_names[verdict], entry->ledger.run, entry->ledger.sequence,
                  entry->ledger.sent_ns);
    }
}

int ringspool_audit(const struct ringspool *program)
{
    static struct audit audit;
    struct audit_report report;

    if (audit_open(&audit) < 0) die(EXIT_CODE_FAILED, "out of memory");
    ledgers_add(program, &audit);
    spool_walk(program, &audit);
    audit_sum(&audit, &report);
    int status = status_of(&audit, &report);
    if (program->is_json)
        json_put(&audit, &report, status);
    else
        text_put(&audit, &report, status);
    examples_put(&audit);
    audit_close(&audit);
    return status;
}
