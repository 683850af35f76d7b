#include "export/export_progress.h"

#include "export/export_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define FIRST_LINE    "ringspool export 1\n"
#define FILE_SIZE_MAX (256ll << 20)
#define LINE_MAX      96

void export_progress_name(char *out, const char *format, const char *spool)
{
    int size = snprintf(out, EXPORT_PROGRESS_NAME_MAX, ".ringspool-%s-%016" PRIx64, format,
                        (uint64_t)XXH3_64bits(spool, strlen(spool)));
    CHECK(size > 0 && size < EXPORT_PROGRESS_NAME_MAX);
}

/* Where the segment's place is, or would be. */
static uint64_t place_find(const struct export_progress *progress, uint32_t worker, uint64_t number)
{
    uint64_t low = 0;
    uint64_t high = progress->count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct export_place *place = &progress->places[middle];
        if (place->worker < worker || (place->worker == worker && place->number < number))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool place_reserve(struct export_progress *progress)
{
    if (progress->count < progress->capacity) return true;
    uint64_t capacity = progress->capacity == 0 ? 64 : progress->capacity * 2;
    struct export_place *places = realloc(progress->places, capacity * sizeof(*places));
    if (places == NULL) return false;
    progress->places = places;
    progress->capacity = capacity;
    return true;
}

struct export_place *export_progress_place(struct export_progress *progress, uint32_t worker,
                                           uint64_t number, uint64_t salt)
{
    uint64_t at = place_find(progress, worker, number);
    struct export_place *place = at < progress->count ? &progress->places[at] : NULL;

    if (place == NULL || place->worker != worker || place->number != number) {
        if (!place_reserve(progress)) return NULL;
        place = &progress->places[at];
        memmove(place + 1, place, (progress->count - at) * sizeof(*place));
        progress->count++;
        *place = (struct export_place){.worker = worker, .number = number, .salt = salt};
    }
    if (place->salt != salt)
        *place = (struct export_place){.worker = worker, .number = number, .salt = salt};
    place->is_in_use = true;
    return place;
}

void export_place_advance(struct export_place *place, uint32_t offset, uint32_t index)
{
    CHECK(offset >= place->offset);
    place->offset = offset;
    place->index = index;
    if (place->has_failed) return;
    place->saved_offset = offset;
    place->saved_index = index;
}

void export_place_fail(struct export_place *place)
{
    place->has_failed = true;
}

void export_progress_forget(struct export_progress *progress)
{
    uint64_t kept = 0;

    for (uint64_t i = 0; i < progress->count; i++) {
        if (!progress->places[i].is_in_use) continue;
        progress->places[kept] = progress->places[i];
        progress->places[kept++].is_in_use = false;
    }
    progress->count = kept;
}

void export_progress_close(struct export_progress *progress)
{
    free(progress->places);
    *progress = (struct export_progress){0};
}

static bool number_take(struct bytes *line, uint64_t *number, uint64_t most)
{
    struct bytes word = bytes_take(line, bytes_find(*line, ' '));

    if (line->size > 0) (void)bytes_take(line, 1);
    return bytes_to_number(word, number) && *number <= most;
}

static int line_read(struct export_progress *progress, struct bytes line)
{
    uint64_t worker = 0;
    uint64_t number = 0;
    uint64_t salt = 0;
    uint64_t offset = 0;
    uint64_t index = 0;

    bool is_whole =
        number_take(&line, &worker, UINT32_MAX) && number_take(&line, &number, UINT64_MAX) &&
        number_take(&line, &salt, UINT64_MAX) && number_take(&line, &offset, UINT32_MAX) &&
        number_take(&line, &index, UINT32_MAX) && line.size == 0;
    if (!is_whole) return -EBADMSG;
    struct export_place *place = export_progress_place(progress, (uint32_t)worker, number, salt);
    if (place == NULL) return -ENOMEM;
    place->is_in_use = false;
    place->offset = place->saved_offset = (uint32_t)offset;
    place->index = place->saved_index = (uint32_t)index;
    return 0;
}

static int text_read(struct export_progress *progress, struct bytes text)
{
    if (!bytes_start_with(text, BYTES(FIRST_LINE))) return -EBADMSG;
    (void)bytes_take(&text, sizeof(FIRST_LINE) - 1);
    while (text.size > 0) {
        struct bytes line = bytes_take(&text, bytes_find(text, '\n'));
        if (text.size == 0) return -EBADMSG; /* every line has an end */
        (void)bytes_take(&text, 1);
        int error = line_read(progress, line);
        if (error < 0) return error;
    }
    return 0;
}

/* The whole file, at `text`, which the caller frees. 0 or -errno. */
static int file_read(int file, struct bytes *text)
{
    struct stat status;
    uint64_t done = 0;

    if (fstat(file, &status) < 0) return -errno;
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_SIZE_MAX) return -EBADMSG;
    uint64_t size = (uint64_t)status.st_size;
    uint8_t *octets = malloc(size + 1);
    if (octets == NULL) return -ENOMEM;
    while (done < size) {
        ssize_t count = read(file, octets + done, size - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        done += (uint64_t)count;
    }
    *text = bytes_make(octets, done);
    return done == size ? 0 : -EIO;
}

int export_progress_load(struct export_progress *progress, int root, const char *name)
{
    struct bytes text = {0};

    *progress = (struct export_progress){0};
    int file = export_directory_open_file(root, name, O_RDONLY);
    if (file == -ENOENT) return 0;
    if (file < 0) return file;
    int error = file_read(file, &text);
    if (error == 0) error = text_read(progress, text);
    (void)close(file);
    free((void *)(uintptr_t)text.data);
    if (error < 0) export_progress_close(progress);
    return error;
}

static struct bytes text_make(const struct export_progress *progress)
{
    uint64_t capacity = sizeof(FIRST_LINE) + progress->count * LINE_MAX;
    char *text = malloc(capacity);
    uint64_t size = sizeof(FIRST_LINE) - 1;

    if (text == NULL) return bytes_make(NULL, 0);
    memcpy(text, FIRST_LINE, sizeof(FIRST_LINE));
    for (uint64_t i = 0; i < progress->count; i++) {
        const struct export_place *place = &progress->places[i];
        if (place->saved_offset == 0) continue;
        int written =
            snprintf(text + size, capacity - size,
                     "%" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 "\n", place->worker,
                     place->number, place->salt, place->saved_offset, place->saved_index);
        CHECK(written > 0 && written < LINE_MAX);
        size += (uint64_t)written;
    }
    return bytes_make(text, size);
}

int export_progress_save(const struct export_progress *progress, int root, const char *name)
{
    char fresh[EXPORT_PROGRESS_NAME_MAX + 4];
    struct bytes text = text_make(progress);

    if (text.data == NULL) return -ENOMEM;
    (void)snprintf(fresh, sizeof(fresh), "%s.tmp", name);
    (void)unlinkat(root, fresh, 0); /* an export that was killed left it */
    int file = export_directory_open_file(root, fresh, O_WRONLY | O_CREAT | O_EXCL);
    int error = file < 0 ? file : export_directory_write(file, text);
    free((void *)(uintptr_t)text.data);
    if (error == 0 && fdatasync(file) < 0) error = -errno;
    if (file >= 0) (void)close(file);
    if (error == 0 && renameat(root, fresh, root, name) < 0) error = -errno;
    if (error < 0) (void)unlinkat(root, fresh, 0);
    return error;
}
