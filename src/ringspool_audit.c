/* audit: is everything in the spool that the generator's ledgers say was acknowledged? */
#include "ringspool_audit.h"

#include "base/exit_codes.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void ledger_add(struct audit *audit, const char *path, bool is_probe)
{
    struct bytes text = file_read(path);
    int error = is_probe ? audit_add_probes(audit, text) : audit_add_ledger(audit, text);

    free((void *)(uintptr_t)text.data);
    if (error == -EBADMSG)
        die(EXIT_CODE_USAGE, "%s is no ledger: give what loadgen --ledger FILE wrote", path);
    if (error < 0) die(EXIT_CODE_FAILED, "ledger %s: %s", path, strerror(-error));
}

static void ledgers_add(const struct ringspool *program, struct audit *audit)
{
    for (int i = 0; i < program->operand_count; i++)
        ledger_add(audit, program->operands[i], false);
    for (uint32_t i = 0; i < program->clocks.count; i++)
        ledger_add(audit, program->clocks.values[i], true);
    if (audit->table.count == 0)
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
                      report->partial + report->refused_present;
    bool is_damaged = audit->damaged + audit->damaged_places > 0;
    if (faults > 0 || (report->lost > 0 && is_damaged)) return EXIT_CODE_FAILED;
    if (report->unseen_runs > 0) return EXIT_CODE_USAGE;
    return report->expired > 0 ? EXIT_CODE_UNPROVABLE : EXIT_CODE_OK;
}

static void files_put(const struct ringspool *program, FILE *faults, FILE *csv,
                      const struct ringspool_audit *told)
{
    if (faults != NULL) ringspool_audit_put_faults(faults, program->faults, told->audit);
    if (csv != NULL) ringspool_audit_put_csv(csv, program->csv, told->audit, told->relay);
}

int ringspool_audit(const struct ringspool *program)
{
    static struct audit audit;
    struct audit_report report;
    struct audit_relay relay;

    if (audit_open(&audit) < 0) die(EXIT_CODE_FAILED, "out of memory");
    audit.is_relayed = program->is_relayed;
    audit.keeps_copies = program->faults != NULL;
    ledgers_add(program, &audit);
    FILE *faults = ringspool_audit_file_open(program->faults);
    FILE *csv = ringspool_audit_file_open(program->csv);
    spool_walk(program, &audit);
    audit_sum(&audit, &report);
    if (audit.is_relayed && audit_relay_open(&relay, &audit) < 0)
        die(EXIT_CODE_FAILED, "out of memory");
    struct ringspool_audit told = {
        .audit = &audit,
        .report = &report,
        .relay = audit.is_relayed ? &relay : NULL,
        .status = status_of(&audit, &report),
    };
    if (program->is_json)
        ringspool_audit_put_json(&told);
    else
        ringspool_audit_put_text(&told);
    ringspool_audit_put_examples(&audit);
    files_put(program, faults, csv, &told);
    if (audit.is_relayed) audit_relay_close(&relay);
    audit_close(&audit);
    return told.status;
}
