#include "spool/spool_archive.h"

#include "base/clock.h"
#include "spool/spool_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STAMP_SETTLED_S 3

static struct spool_reader_table table_of(const struct spool_archive *archive)
{
    return (struct spool_reader_table){archive->segments, archive->count};
}

/* Maps file `from` of the listing and, unless it is gone, makes it the archive's next segment. */
static int segment_add(struct spool_archive *archive, uint64_t from)
{
    struct spool_file file = archive->files[from];
    struct spool_reader_segment *segment = &archive->segments[archive->count];
    const uint8_t *base = NULL;
    uint64_t size = 0;

    int error = spool_directory_map(&archive->directory, &file, &base, &size);
    if (error == -ENOENT) return 0; /* recycled since it was listed, or never finished */
    if (error < 0 && error != -EBADMSG) return error;
    archive->files[archive->count] = file;
    archive->mappings[archive->count] = bytes_make(base, error < 0 ? 0 : size);
    (void)spool_reader_segment_open(segment, archive->mappings[archive->count], file.worker,
                                    file.number);
    archive->count++;
    return 0;
}

static int segments_add(struct spool_archive *archive, uint64_t listed)
{
    archive->segments = calloc(listed + 1, sizeof(*archive->segments));
    archive->mappings = calloc(listed + 1, sizeof(*archive->mappings));
    if (archive->segments == NULL || archive->mappings == NULL) return -ENOMEM;
    for (uint64_t i = 0; i < listed; i++) {
        const struct spool_file *file = &archive->files[i];
        if (file->is_empty) {
            if (file->freed_ns > archive->freed_ns) archive->freed_ns = file->freed_ns;
            continue;
        }
        int error = segment_add(archive, i);
        if (error < 0) return error;
    }
    return 0;
}

/* A stamp is that of a clock's tick, or of a second where the file system keeps no more. */
static bool stamp_is_doubtful(const struct spool_archive_stamp *stamp, int64_t now_s)
{
    return stamp->is_there && now_s - stamp->seconds < STAMP_SETTLED_S;
}

static struct spool_archive_stamp stamp_take(const struct spool_archive *archive, uint32_t worker)
{
    char name[SPOOL_FOLDER_NAME_SIZE];
    struct stat status;

    spool_folder_name(name, worker);
    if (fstatat(archive->directory.folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return (struct spool_archive_stamp){0};
    return (struct spool_archive_stamp){status.st_mtim.tv_sec, status.st_mtim.tv_nsec, true};
}

/* Before the listing: what changes meanwhile shows afterwards. */
static void stamps_take(struct spool_archive *archive)
{
    int64_t now_s = (int64_t)(clock_realtime_ns() / CLOCK_NS_PER_S);

    for (uint32_t worker = 0; worker < SPOOL_WORKERS_MAX; worker++) {
        archive->stamps[worker] = stamp_take(archive, worker);
        archive->is_doubtful |= stamp_is_doubtful(&archive->stamps[worker], now_s);
    }
}

bool spool_archive_is_stale(const struct spool_archive *archive)
{
    if (archive->is_doubtful) return true;
    for (uint32_t worker = 0; worker < SPOOL_WORKERS_MAX; worker++) {
        struct spool_archive_stamp now = stamp_take(archive, worker);
        const struct spool_archive_stamp *then = &archive->stamps[worker];
        if (now.is_there != then->is_there || now.seconds != then->seconds ||
            now.nanoseconds != then->nanoseconds)
            return true;
    }
    return false;
}

void spool_archive_refresh(struct spool_archive *archive)
{
    for (uint64_t i = 0; i < archive->count; i++)
        (void)spool_reader_segment_open(&archive->segments[i], archive->mappings[i],
                                        archive->files[i].worker, archive->files[i].number);
}

int spool_archive_open(struct spool_archive *archive, const char *path)
{
    memset(archive, 0, sizeof(*archive));
    int error = spool_directory_open_to_read(&archive->directory, path);
    if (error < 0) return error;
    stamps_take(archive);
    int64_t listed = spool_directory_list(&archive->directory, &archive->files);
    error = listed < 0 ? (int)listed : segments_add(archive, (uint64_t)listed);
    if (error < 0) spool_archive_close(archive);
    return error;
}

void spool_archive_close(struct spool_archive *archive)
{
    for (uint64_t i = 0; i < archive->count; i++)
        if (archive->mappings[i].size > 0)
            spool_directory_unmap(archive->mappings[i].data, archive->mappings[i].size);
    free(archive->files);
    free(archive->segments);
    free(archive->mappings);
    free(archive->pieces);
    spool_directory_close(&archive->directory);
    memset(archive, 0, sizeof(*archive));
}

static bool pieces_reserve(struct spool_archive *archive, uint64_t count)
{
    if (count <= archive->pieces_capacity) return true;
    struct bytes *pieces = realloc(archive->pieces, count * sizeof(*pieces));
    if (pieces == NULL) return false;
    archive->pieces = pieces;
    archive->pieces_capacity = count;
    return true;
}

enum spool_reader_verdict spool_archive_read(struct spool_archive *archive,
                                             const struct spool_reader_message *message,
                                             struct spool_archive_content *content)
{
    struct spool_reader_table table = table_of(archive);

    if (!pieces_reserve(archive, message->record_count)) return SPOOL_READER_DAMAGED;
    content->pieces = archive->pieces;
    content->count = message->record_count;
    enum spool_reader_verdict verdict =
        spool_reader_assemble(&table, message, archive->pieces, &content->head);
    if (verdict == SPOOL_READER_DAMAGED && !spool_archive_is_current(archive, message))
        return SPOOL_READER_EXPIRED;
    return verdict;
}

bool spool_archive_is_current(const struct spool_archive *archive,
                              const struct spool_reader_message *message)
{
    struct spool_reader_table table = table_of(archive);
    const struct spool_reader_segment *segment =
        spool_reader_find(&table, message->id.worker, message->last_number);

    /* Its chain lies in the segments from there back to its first. */
    for (; segment != NULL && segment->worker == message->id.worker &&
           segment->number >= message->id.number;
         segment--) {
        if (segment->base != NULL && !spool_reader_segment_is_current(segment)) return false;
        if (segment == archive->segments) break;
    }
    return true;
}

static bool id_equal(const struct spool_id *a, const struct spool_id *b)
{
    return a->worker == b->worker && a->number == b->number && a->offset == b->offset;
}

/* Walks one segment for the message's LAST record. */
static bool segment_search(const struct spool_reader_segment *segment, const struct spool_id *id,
                           struct spool_reader_message *message)
{
    struct spool_reader reader;
    struct spool_reader_gap gap;
    enum spool_reader_event event;

    spool_reader_start(&reader, segment);
    while ((event = spool_reader_next(&reader, message, &gap)) != SPOOL_READER_END)
        if (event == SPOOL_READER_MESSAGE && id_equal(&message->id, id)) return true;
    return false;
}

bool spool_archive_find(const struct spool_archive *archive, const struct spool_id *id,
                        struct spool_reader_message *message)
{
    for (uint64_t i = 0; i < archive->count; i++) {
        const struct spool_reader_segment *segment = &archive->segments[i];
        if (segment->worker != id->worker || segment->number < id->number) continue;
        if (segment->base != NULL && segment_search(segment, id, message)) return true;
    }
    return false;
}
