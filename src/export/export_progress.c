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

#define FIRST_WORDS    "ringspool export 2 "
#define FIRST_LINE_MAX 64
#define LINE_MAX       96
#define SLOTS          2u
#define SLOT_UNIT      4096u /* writing one slot can't hurt the other */
#define SPARE_LINES    64u
#define FILE_SIZE_MAX  (256ll << 20)

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

bool export_place_tell(struct export_place *place, uint32_t offset)
{
    if (offset <= place->told_offset) return false;
    place->told_offset = offset;
    return true;
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

static uint64_t lines_checksum(struct bytes lines, uint64_t sequence)
{
    return XXH3_64bits_withSeed(lines.data, lines.size, sequence);
}

/* Takes the first line off a slot; its sequence, or 0: it was not written whole. */
static uint64_t slot_take_sequence(struct bytes *slot)
{
    uint64_t sequence = 0;
    uint64_t checksum = 0;

    struct bytes line = bytes_take(slot, bytes_find(*slot, '\n'));
    if (slot->size == 0 || !bytes_start_with(line, BYTES(FIRST_WORDS))) return 0;
    (void)bytes_take(slot, 1);
    (void)bytes_take(&line, sizeof(FIRST_WORDS) - 1);
    bool is_whole = number_take(&line, &sequence, UINT64_MAX) &&
                    number_take(&line, &checksum, UINT64_MAX) && line.size == 0 &&
                    checksum == lines_checksum(*slot, sequence);
    return is_whole ? sequence : 0;
}

static int lines_read(struct export_progress *progress, struct bytes lines)
{
    while (lines.size > 0 && lines.data[0] != '\n') { /* the rest of a slot is empty lines */
        struct bytes line = bytes_take(&lines, bytes_find(lines, '\n'));
        if (lines.size == 0) return -EBADMSG; /* every line has an end */
        (void)bytes_take(&lines, 1);
        int error = line_read(progress, line);
        if (error < 0) return error;
    }
    return 0;
}

/* The slot that was written last and whole is what counts. */
static int text_read(struct export_progress *progress, struct bytes text)
{
    struct bytes newest = {0};

    progress->slot_size = text.size / SLOTS;
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct bytes slot = bytes_take(&text, progress->slot_size);
        uint64_t sequence = slot_take_sequence(&slot);
        if (sequence <= progress->sequence) continue;
        progress->sequence = sequence;
        newest = slot;
    }
    return progress->sequence == 0 ? -EBADMSG : lines_read(progress, newest);
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

static uint64_t slot_size_for(uint64_t line_count)
{
    uint64_t size = FIRST_LINE_MAX + line_count * LINE_MAX;
    return (size + SLOT_UNIT - 1) / SLOT_UNIT * SLOT_UNIT;
}

/* One line a place, from `text` on. */
static void lines_put(char *text, const struct export_progress *progress)
{
    for (uint64_t i = 0; i < progress->count; i++) {
        const struct export_place *place = &progress->places[i];
        if (place->saved_offset == 0) continue;
        int written = snprintf(
            text, LINE_MAX, "%" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 "\n",
            place->worker, place->number, place->salt, place->saved_offset, place->saved_index);
        CHECK(written > 0 && written < LINE_MAX);
        text += written;
        *text = '\n';
    }
}

/* The next slot at `text`, slot_size octets; its first line has the same size whatever it says. */
static void slot_make(char *text, const struct export_progress *progress)
{
    char first[FIRST_LINE_MAX];
    const int first_size = snprintf(first, sizeof(first), FIRST_WORDS "%020" PRIu64 " %020u\n",
                                    progress->sequence, 0u);

    CHECK(first_size > 0 && first_size < FIRST_LINE_MAX);
    memset(text, '\n', progress->slot_size);
    lines_put(text + first_size, progress);
    struct bytes lines = bytes_make(text + first_size, progress->slot_size - (uint64_t)first_size);
    (void)snprintf(first, sizeof(first), FIRST_WORDS "%020" PRIu64 " %020" PRIu64 "\n",
                   progress->sequence, lines_checksum(lines, progress->sequence));
    memcpy(text, first, (uint64_t)first_size);
}

static int slot_write(int file, const struct export_progress *progress, const char *slot)
{
    uint64_t start = progress->sequence % SLOTS * progress->slot_size;

    if (lseek(file, (off_t)start, SEEK_SET) < 0) return -errno;
    int error = export_directory_write(file, bytes_make(slot, progress->slot_size));
    return error == 0 && fdatasync(file) < 0 ? -errno : error;
}

/* The file, to be written in place; -ENOENT: there is none, or none that has this one's slots. */
static int file_open(const struct export_progress *progress, int root, const char *name)
{
    struct stat status;
    int file = export_directory_open_file(root, name, O_WRONLY);

    if (file < 0) return file;
    int error = fstat(file, &status) < 0 ? -errno : 0;
    if (error == 0 &&
        (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != progress->slot_size * SLOTS))
        error = -ENOENT;
    if (error == 0) return file;
    (void)close(file);
    return error;
}

/* A new file with room for both slots, which takes the name when it is whole. */
static int file_make(const struct export_progress *progress, int root, const char *name, char *slot)
{
    char fresh[EXPORT_PROGRESS_NAME_MAX + 4];
    struct bytes text = bytes_make(slot, progress->slot_size);
    int error = 0;

    (void)snprintf(fresh, sizeof(fresh), "%s.tmp", name);
    (void)unlinkat(root, fresh, 0); /* an export that was killed left it */
    int file = export_directory_open_file(root, fresh, O_WRONLY | O_CREAT | O_EXCL);
    if (file < 0) return file;
    /* The slot in both places: of the same sequence, either may be taken. */
    for (uint32_t i = 0; i < SLOTS && error == 0; i++)
        error = export_directory_write(file, text);
    if (error == 0 && fdatasync(file) < 0) error = -errno;
    (void)close(file);
    if (error == 0 && renameat(root, fresh, root, name) < 0) error = -errno;
    if (error < 0) (void)unlinkat(root, fresh, 0);
    return error;
}

int export_progress_save(struct export_progress *progress, int root, const char *name)
{
    bool has_room = progress->slot_size >= slot_size_for(progress->count);
    int file = has_room ? file_open(progress, root, name) : -ENOENT;

    if (file < 0 && file != -ENOENT) return file;
    if (!has_room) progress->slot_size = slot_size_for(progress->count * 2 + SPARE_LINES);
    progress->sequence++;
    char *slot = malloc(progress->slot_size);
    int error = slot == NULL ? -ENOMEM : 0;
    if (error == 0) slot_make(slot, progress);
    if (error == 0 && file >= 0) error = slot_write(file, progress, slot);
    if (error == 0 && file < 0) error = file_make(progress, root, name, slot);
    if (error < 0)
        progress->sequence--; /* the other slot is the whole one, also for the next save */
    if (file >= 0) (void)close(file);
    free(slot);
    return error;
}

int export_progress_reserve(struct export_progress *progress, int root, const char *name,
                            uint64_t segment_count)
{
    uint64_t slot_size = slot_size_for(segment_count + progress->count + SPARE_LINES);

    if (progress->slot_size >= slot_size_for(segment_count)) return 0;
    progress->slot_size = slot_size;
    return export_progress_save(progress, root, name);
}
