/* trim: frees whole segments, oldest first. */
#include "ringspool.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    struct spool_file file;
    uint64_t newest_ns; /* no message in it is younger */
    bool is_in_use;     /* by the running server       */
};

struct trimming {
    uint64_t total_bytes;
    uint64_t freed_bytes;
    uint64_t freed_count;
    uint64_t used_count;
};

/* When the log of `file`'s worker went on behind it; 0: it has not. */
static uint64_t successor_opened_ns(const struct spool_file *files, uint64_t count,
                                    const struct spool_file *file)
{
    for (uint64_t i = 0; i < count; i++)
        if (files[i].worker == file->worker && files[i].number > file->number &&
            files[i].opened_ns != 0)
            return files[i].opened_ns;
    return 0;
}

/* When the youngest message of a segment that nobody sealed was committed. */
static uint64_t newest_message_ns(const struct spool_directory *directory,
                                  const struct spool_file *file)
{
    struct spool_reader_segment segment;
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    enum spool_reader_event event;
    const uint8_t *base;
    uint64_t size;
    uint64_t newest_ns = file->created_ns;

    if (spool_directory_map(directory, file, &base, &size) < 0) return newest_ns;
    if (spool_reader_segment_open(&segment, bytes_make(base, size), file->worker, file->number)) {
        spool_reader_start(&reader, &segment);
        while ((event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END)
            if (event == SPOOL_READER_MESSAGE && message.committed_ns > newest_ns)
                newest_ns = message.committed_ns;
    }
    spool_directory_unmap(base, size);
    return newest_ns;
}

static void candidate_fill(const struct spool_directory *directory, const struct spool_file *files,
                           uint64_t count, uint64_t index, bool is_locked,
                           struct candidate *candidate)
{
    const struct spool_file *file = &files[index];
    uint64_t went_on_ns = successor_opened_ns(files, count, file);

    candidate->file = *file;
    candidate->is_in_use = is_locked && !file->is_sealed && went_on_ns == 0;
    if (file->is_sealed)
        candidate->newest_ns = file->sealed_ns;
    else
        candidate->newest_ns = went_on_ns != 0 ? went_on_ns : newest_message_ns(directory, file);
}

static int candidate_compare(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;
    if (a->newest_ns != b->newest_ns) return a->newest_ns < b->newest_ns ? -1 : 1;
    if (a->file.worker != b->file.worker) return a->file.worker < b->file.worker ? -1 : 1;
    return a->file.number < b->file.number ? -1 : a->file.number > b->file.number;
}

/* All segments, oldest first, to be freed by the caller. */
static struct candidate *candidates_make(const struct spool_directory *directory, uint64_t *count)
{
    struct spool_file *files;
    int64_t listed = spool_directory_list(directory, &files);
    if (listed < 0)
        die(EXIT_CODE_NO_SPOOL, "can't list %s: %s", directory->path, strerror((int)-listed));
    struct candidate *candidates = calloc((uint64_t)listed + 1, sizeof(*candidates));
    if (candidates == NULL) die(EXIT_CODE_FAILED, "out of memory");
    bool is_locked = spool_directory_is_locked(directory);
    *count = 0;
    for (uint64_t i = 0; i < (uint64_t)listed; i++)
        if (!files[i].is_empty)
            candidate_fill(directory, files, (uint64_t)listed, i, is_locked,
                           &candidates[(*count)++]);
    free(files);
    qsort(candidates, *count, sizeof(*candidates), candidate_compare);
    return candidates;
}

static bool is_wanted(const struct ringspool *program, const struct trimming *trimming,
                      const struct candidate *candidate, uint64_t now_ns)
{
    if (program->is_all) return true;
    if (program->keep_bytes != RINGSPOOL_UNSET)
        return trimming->total_bytes - trimming->freed_bytes > program->keep_bytes;
    return candidate->newest_ns + program->older_ns < now_ns;
}

static void candidate_free(struct spool_directory *directory, const struct candidate *candidate,
                           struct trimming *trimming)
{
    char name[RINGSPOOL_SEGMENT_TEXT_MAX];
    int error = spool_directory_trim(directory, &candidate->file);

    if (error < 0 && error != -ENOENT) { /* -ENOENT: the server was faster */
        (void)ringspool_segment_text(name, candidate->file.worker, candidate->file.number);
        die(EXIT_CODE_FAILED, "can't free %s/%s: %s; run as the user that owns the spool",
            directory->path, name, strerror(-error));
    }
    trimming->freed_count += error == 0;
    trimming->freed_bytes += candidate->file.size;
}

static void usage_check(const struct ringspool *program)
{
    int given = program->is_all + (program->keep_bytes != RINGSPOOL_UNSET) +
                (program->older_ns != RINGSPOOL_UNSET);
    if (given != 1)
        die(EXIT_CODE_USAGE, "trim needs one of --all, --keep SIZE, --older T: which messages may "
                             "go for ever?");
}

int ringspool_trim(const struct ringspool *program)
{
    struct spool_directory directory;
    struct trimming trimming = {0};
    uint64_t count;
    uint64_t now_ns = clock_realtime_ns();
    char freed[UNITS_TEXT_MAX];
    char left[UNITS_TEXT_MAX];

    usage_check(program);
    ringspool_require(program, spool_directory_open_to_read(&directory, program->spool));
    directory.is_synced = true; /* no power cut may take the file and leave `freed` as it was */
    struct candidate *candidates = candidates_make(&directory, &count);
    for (uint64_t i = 0; i < count; i++)
        trimming.total_bytes += candidates[i].file.size;
    for (uint64_t i = 0; i < count; i++) {
        if (!is_wanted(program, &trimming, &candidates[i], now_ns)) continue;
        if (candidates[i].is_in_use)
            trimming.used_count++;
        else
            candidate_free(&directory, &candidates[i], &trimming);
    }
    (void)printf("freed %" PRIu64 " segments (%s), left %" PRIu64 " (%s)\n", trimming.freed_count,
                 units_format_size(freed, trimming.freed_bytes), count - trimming.freed_count,
                 units_format_size(left, trimming.total_bytes - trimming.freed_bytes));
    if (trimming.used_count > 0)
        (void)printf("%" PRIu64 " more would go, but the running server uses them\n",
                     trimming.used_count);
    free(candidates);
    spool_directory_close(&directory);
    return EXIT_CODE_OK;
}
