#include "spool/spool_listing.h"

#include "spool/spool_folder.h"
#include "spool/spool_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool grow(struct spool_listing *list)
{
    uint64_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
    struct spool_file *files = realloc(list->files, capacity * sizeof(*files));
    if (files == NULL) return false;
    list->files = files;
    list->capacity = capacity;
    return true;
}

/* All zero; NULL: no memory. */
static struct spool_file *add(struct spool_listing *list)
{
    if (list->count == list->capacity && !grow(list)) return NULL;
    struct spool_file *file = &list->files[list->count++];
    memset(file, 0, sizeof(*file));
    return file;
}

void spool_listing_note_header(struct spool_file *file, const uint8_t *page)
{
    struct spool_format_segment header;
    struct spool_format_mark mark;

    if (!spool_format_get_segment(page, &header)) return;
    if (header.number != file->number || header.worker != file->worker) return;
    file->created_ns = header.created_ns;
    if (spool_format_get_mark(page, SPOOL_MARK_OPENED, header.salt, &mark))
        file->opened_ns = mark.time_ns;
    if (!spool_format_get_mark(page, SPOOL_MARK_SEALED, header.salt, &mark)) return;
    file->is_sealed = true;
    file->sealed_ns = mark.time_ns;
}

void spool_listing_read_header(int folder, const char *name, struct spool_file *file)
{
    uint8_t page[SPOOL_SEGMENT_HEADER_SIZE];

    int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return;
    bool is_read = pread(descriptor, page, sizeof(page), 0) == (ssize_t)sizeof(page);
    close(descriptor);
    if (is_read) spool_listing_note_header(file, page);
}

/* 0 or -ENOMEM. A file that vanishes meanwhile, or is no regular file, is left out. */
static int add_segments(struct spool_listing *list, int folder, uint32_t worker, DIR *stream)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    struct stat status;
    uint64_t number = 0;

    while (spool_folder_next(stream, &number)) {
        spool_folder_segment_name(name, number);
        if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
        if (!S_ISREG(status.st_mode)) continue;
        struct spool_file *file = add(list);
        if (file == NULL) return -ENOMEM;
        file->number = number;
        file->worker = worker;
        file->size = (uint64_t)status.st_size;
        spool_listing_read_header(folder, name, file);
    }
    return 0;
}

int spool_listing_add_folder(struct spool_listing *list, int folder, uint32_t worker)
{
    struct spool_folder_memory memory = spool_folder_recall(folder);
    DIR *stream = spool_folder_stream(folder);
    if (stream == NULL) return -errno;
    int error = add_segments(list, folder, worker, stream);
    closedir(stream);
    if (error < 0 || memory.newest == 0) return error;
    struct spool_file *file = add(list);
    if (file == NULL) return -ENOMEM;
    file->number = memory.newest;
    file->worker = worker;
    file->freed_ns = memory.freed_ns;
    file->is_empty = true;
    return 0;
}

static int file_compare(const void *left, const void *right)
{
    const struct spool_file *a = left;
    const struct spool_file *b = right;
    if (a->worker != b->worker) return a->worker < b->worker ? -1 : 1;
    if (a->number != b->number) return a->number < b->number ? -1 : 1;
    return (int)a->is_empty - (int)b->is_empty;
}

void spool_listing_sort(struct spool_file *files, uint64_t count)
{
    qsort(files, count, sizeof(*files), file_compare);
}

int64_t spool_listing_finish(struct spool_listing *list, struct spool_file **files)
{
    if (list->files == NULL && !grow(list)) return -ENOMEM;
    spool_listing_sort(list->files, list->count);
    *files = list->files;
    return (int64_t)list->count;
}

void spool_listing_give_up(struct spool_listing *list)
{
    free(list->files);
    *list = (struct spool_listing){0};
}
