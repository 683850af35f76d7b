#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "spool/spool_directory.h"
#include "spool/spool_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (1u << 20)
#define NOW  1700000000000000000ull

struct place {
    char root[64];
    char path[96];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (place == NULL) return -1;
    (void)snprintf(place->root, sizeof(place->root), "/tmp/test_spool.XXXXXX");
    if (mkdtemp(place->root) == NULL) return -1;
    (void)snprintf(place->path, sizeof(place->path), "%s/spool", place->root);
    *state = place;
    return 0;
}

static void run(const char *const arguments[])
{
    pid_t child = fork();
    if (child == 0) {
        (void)execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
}

static int teardown(void **state)
{
    struct place *place = *state;
    run((const char *const[]){"/bin/rm", "-rf", place->root, NULL});
    free(place);
    return 0;
}

static bool file_exists(const struct place *place, const char *name, struct stat *status)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", place->path, name);
    return lstat(path, status) == 0;
}

static void store_one(struct spool_segment *segment, const char *content, struct spool_id *id)
{
    struct spool_writer writer;
    struct spool_message message = {0};
    struct spool_envelope envelope;
    struct blocks pool;
    struct bytes slice = bytes_from_text(content);

    assert_int_equal(blocks_open(&pool, 4, SPOOL_ENVELOPE_BLOCK_SIZE), 0);
    spool_envelope_init(&envelope, &pool);
    assert_int_equal(spool_writer_open(&writer, segment->worker, false), 0);
    spool_writer_give(&writer, segment);
    assert_int_equal(spool_message_begin(&writer, &message, &envelope, NOW), SPOOL_DONE);
    assert_int_equal(spool_message_append(&writer, &message, &slice, NOW), SPOOL_DONE);
    assert_int_equal(spool_message_commit(&writer, &message, NOW, id), SPOOL_DONE);
    spool_writer_seal(&writer, NOW + 7);
    assert_ptr_equal(spool_writer_take_sealed(&writer), segment);
    spool_writer_close(&writer);
    blocks_close(&pool);
}

/* The content of the only message in a file; "" if there is none. */
static void read_one(const struct spool_directory *directory, const struct spool_file *file,
                     char *out, uint64_t capacity)
{
    struct spool_reader_segment segment;
    struct spool_reader_table table = {&segment, 1};
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    struct spool_reader_head head;
    struct bytes piece;
    const uint8_t *base;
    uint64_t size;

    out[0] = '\0';
    assert_int_equal(spool_directory_map(directory, file, &base, &size), 0);
    assert_true(
        spool_reader_segment_open(&segment, bytes_make(base, size), file->worker, file->number));
    spool_reader_start(&reader, &segment);
    if (spool_reader_next(&reader, &message, &gap) == SPOOL_READER_MESSAGE) {
        assert_int_equal(spool_reader_assemble(&table, &message, &piece, &head),
                         SPOOL_READER_WHOLE);
        assert_true(piece.size < capacity);
        memcpy(out, piece.data, piece.size);
        out[piece.size] = '\0';
    }
    spool_directory_unmap(base, size);
}

static void create_and_read(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;
    struct spool_segment other;
    struct spool_file *files;
    struct spool_id id;
    struct stat status;
    char content[64];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_string_equal(directory.path, place->path);
    directory.is_synced = true;
    assert_int_equal(spool_directory_list(&directory, &files), 0);
    free(files);
    assert_int_equal(spool_directory_create(&directory, &segment, 2, 1, SIZE, NOW), 0);
    assert_int_equal(segment.capacity, SIZE);
    assert_int_equal(spool_directory_create(&directory, &other, 2, 1, SIZE, NOW), -EEXIST);
    assert_int_equal(spool_directory_create(&directory, &other, 0, 12345678901ull, SIZE, NOW), 0);
    assert_true(segment.salt != other.salt);

    assert_true(file_exists(place, "w02/0000000001.seg", &status));
    assert_int_equal(status.st_size, SIZE);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_true((uint64_t)status.st_blocks * 512 >= SIZE);
    assert_true(file_exists(place, "w02", &status));
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_true(file_exists(place, ".", &status));
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_true(file_exists(place, "w00/12345678901.seg", &status));

    assert_int_equal(spool_directory_list(&directory, &files), 2);
    assert_int_equal(files[1].number, 1);
    assert_int_equal(files[1].worker, 2);
    assert_int_equal(files[1].opened_ns, 0);
    assert_false(files[1].is_sealed);
    free(files);
    store_one(&segment, "content", &id);
    assert_int_equal(spool_directory_list(&directory, &files), 2);
    assert_int_equal(files[0].number, 12345678901ull);
    assert_int_equal(files[1].created_ns, NOW);
    assert_int_equal(files[1].opened_ns, NOW);
    assert_int_equal(files[1].size, SIZE);
    assert_true(files[1].is_sealed);
    assert_false(files[1].is_empty);
    read_one(&directory, &files[1], content, sizeof(content));
    assert_string_equal(content, "content");
    free(files);
    spool_directory_release(&segment);
    spool_directory_release(&other);
    assert_true(spool_directory_free_bytes(&directory) > SIZE);
    spool_directory_close(&directory);
}

/* Names that are none of ours, folders and links among the segments: all passed over. */
static void list_ignores_strangers(void **state)
{
    const struct place *place = *state;
    static const char *const names[] = {"1.seg",
                                        "0000000000.seg",
                                        "00000000001.seg",
                                        "0000000001.segx",
                                        "0000000002.Seg",
                                        "-000000001.seg",
                                        "99999999999999999999999.seg"};
    struct spool_directory directory;
    struct spool_segment segment;
    struct spool_file *files;
    char path[256];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 5, SIZE, NOW), 0);
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/w00/%s", place->path, names[i]);
        int file = open(path, O_CREAT | O_WRONLY, 0600);
        assert_true(file >= 0);
        close(file);
    }
    (void)snprintf(path, sizeof(path), "%s/w00/0000000006.seg", place->path);
    assert_int_equal(symlink("0000000005.seg", path), 0);
    (void)snprintf(path, sizeof(path), "%s/w00/0000000007.seg", place->path);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/w01", place->path);
    assert_int_equal(symlink("w00", path), 0);
    assert_int_equal(spool_directory_list(&directory, &files), 1);
    assert_int_equal(files[0].number, 5);
    free(files);
    /* A worker's folder that is a link is not written through. */
    struct spool_segment other;
    assert_true(spool_directory_create(&directory, &other, 1, 1, SIZE, NOW) < 0);
    struct spool_file planted = {.number = 6};
    const uint8_t *base;
    uint64_t size;
    assert_int_equal(spool_directory_map(&directory, &planted, &base, &size), -ELOOP);
    assert_int_equal(spool_directory_recycle(&directory, &planted, &other, 0, 9, SIZE, NOW),
                     -ELOOP);
    spool_directory_release(&segment);
    spool_directory_close(&directory);
}

static void recycle_renames(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;
    struct spool_file *files;
    struct spool_id id;
    struct stat status;
    char content[64];
    const uint8_t *base;
    uint64_t size;

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    store_one(&segment, "old content", &id);
    spool_directory_release(&segment);
    assert_int_equal(spool_directory_list(&directory, &files), 1);
    struct spool_file old = files[0];
    free(files);
    assert_int_equal(spool_directory_map(&directory, &old, &base, &size), 0);
    struct spool_reader_segment seen;
    assert_true(spool_reader_segment_open(&seen, bytes_make(base, size), 0, 1));

    /* In its folder, and larger. */
    assert_int_equal(spool_directory_recycle(&directory, &old, &segment, 0, 2, 2 * SIZE, NOW + 1),
                     0);
    assert_int_equal(segment.capacity, 2 * SIZE);
    assert_false(spool_reader_segment_is_current(&seen));
    spool_directory_unmap(base, size);
    assert_false(file_exists(place, "w00/0000000001.seg", &status));
    assert_int_equal(spool_directory_map(&directory, &old, &base, &size), -ENOENT);
    assert_int_equal(spool_directory_recycle(&directory, &old, &segment, 0, 3, SIZE, NOW), -ENOENT);
    assert_int_equal(spool_directory_list(&directory, &files), 2);
    assert_true(files[0].is_empty);
    assert_int_equal(files[0].number, 1);
    assert_int_equal(files[0].freed_ns, NOW + 7); /* when it was sealed */
    read_one(&directory, &files[1], content, sizeof(content));
    assert_string_equal(content, "");
    assert_int_equal(files[1].created_ns, NOW + 1);
    assert_false(files[1].is_sealed);
    files[0] = files[1];
    old = files[0];
    free(files);
    store_one(&segment, "new content", &id);
    segment.base[2 * SIZE - 1] = 'z';
    spool_directory_release(&segment);

    /* To another folder, and smaller: the number stays on record where it was, and who has it
     * mapped reads on. */
    assert_int_equal(spool_directory_map(&directory, &old, &base, &size), 0);
    assert_int_equal(spool_directory_recycle(&directory, &old, &segment, 7, 1, SIZE, NOW + 2), 0);
    spool_directory_release(&segment);
    assert_int_equal(size, 2 * SIZE);
    assert_int_equal(base[2 * SIZE - 1], 'z');
    assert_true(spool_reader_segment_open(&seen, bytes_make(base, size), 0, 2));
    assert_true(spool_reader_has_record(&seen));
    spool_directory_unmap(base, size);
    assert_int_equal(spool_directory_list(&directory, &files), 2);
    assert_int_equal(files[0].worker, 0);
    assert_int_equal(files[0].number, 2);
    assert_true(files[0].is_empty);
    assert_int_equal(files[1].worker, 7);
    assert_int_equal(files[1].size, SIZE);
    assert_int_equal(spool_directory_recycle(&directory, &files[0], &segment, 0, 9, SIZE, NOW),
                     -ENOENT);
    assert_int_equal(spool_directory_map(&directory, &files[0], &base, &size), -ENOENT);
    /* A number that is taken is not overwritten. */
    struct spool_segment taken;
    assert_int_equal(spool_directory_create(&directory, &taken, 7, 2, SIZE, NOW), 0);
    assert_int_equal(spool_directory_recycle(&directory, &files[1], &segment, 7, 2, SIZE, NOW),
                     -EEXIST);
    assert_true(file_exists(place, "w07/0000000001.seg", &status));
    spool_directory_release(&taken);
    free(files);
    spool_directory_close(&directory);
}

static uint64_t faults(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (uint64_t)usage.ru_minflt;
}

/* What was mapped and written costs no fault in its next life. */
static void mapping_is_kept(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;
    struct spool_segment other;
    struct spool_file old = {.worker = 0, .number = 1, .size = SIZE};
    struct spool_id id;
    char content[64];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    assert_int_equal(spool_directory_create(&directory, &other, 0, 2, SIZE, NOW), 0);
    uint8_t *base = segment.base;
    spool_directory_retire(&directory, &other);
    spool_directory_retire(&directory, &segment);
    assert_null(segment.base);
    assert_int_equal(segment.file, -1);
    assert_int_equal(directory.kept.count, 2);

    uint64_t before = faults();
    assert_int_equal(spool_directory_recycle(&directory, &old, &segment, 0, 3, SIZE, NOW + 1), 0);
    assert_true(faults() - before < SIZE / SPOOL_PAGE_SIZE / 4);
    assert_ptr_equal(segment.base, base);
    assert_int_equal(directory.kept.count, 1);
    store_one(&segment, "stored in the next life", &id);
    struct spool_file now = {.worker = 0, .number = 3};
    read_one(&directory, &now, content, sizeof(content));
    assert_string_equal(content, "stored in the next life");
    spool_directory_release(&segment);

    /* Segments that are larger now need a new one. */
    old.number = 2;
    assert_int_equal(spool_directory_recycle(&directory, &old, &segment, 0, 4, 2 * SIZE, NOW + 2),
                     0);
    assert_int_equal(directory.kept.count, 0);
    assert_int_equal(segment.capacity, 2 * SIZE);
    segment.base[2 * SIZE - 1] = 'z';
    spool_directory_release(&segment);
    spool_directory_close(&directory);
}

/* Pages that were lost are not the file's; a file that was removed has its room back. */
static void mapping_is_let_go(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segments[3];
    char path[256];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(spool_directory_create(&directory, &segments[i], 0, i + 1, SIZE, NOW), 0);
    atomic_store(&segments[0].has_lost_pages, true);
    spool_directory_retire(&directory, &segments[0]);
    assert_int_equal(directory.kept.count, 0);
    assert_null(segments[0].base);

    spool_directory_retire(&directory, &segments[1]);
    spool_directory_retire(&directory, &segments[2]);
    spool_directory_forget_gone(&directory);
    assert_int_equal(directory.kept.count, 2);
    (void)snprintf(path, sizeof(path), "%s/w00/0000000002.seg", place->path);
    assert_int_equal(unlink(path), 0);
    spool_directory_forget_gone(&directory);
    assert_int_equal(directory.kept.count, 1);
    assert_int_equal(directory.kept.items[0].number, 3);
    spool_directory_close(&directory);
    assert_int_equal(directory.kept.count, 0);
}

/* A crash between rename and header: name and header disagree, so it is unused. */
static void crash_in_recycle(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;
    struct spool_file *files;
    const uint8_t *base;
    uint64_t size;
    char from[256];
    char to[256];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    spool_directory_release(&segment);
    (void)snprintf(from, sizeof(from), "%s/w00/0000000001.seg", place->path);
    (void)snprintf(to, sizeof(to), "%s/w00/0000000004.seg", place->path);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(spool_directory_list(&directory, &files), 1);
    assert_int_equal(files[0].number, 4); /* never to be used again */
    assert_int_equal(files[0].created_ns, 0);
    assert_int_equal(spool_directory_map(&directory, &files[0], &base, &size), -ENOENT);
    assert_int_equal(spool_directory_recycle(&directory, &files[0], &segment, 0, 5, SIZE, NOW), 0);
    spool_directory_release(&segment);
    free(files);
    assert_int_equal(truncate(to, 0), -1);
    (void)snprintf(to, sizeof(to), "%s/w00/0000000005.seg", place->path);
    assert_int_equal(truncate(to, 100), 0);
    assert_int_equal(spool_directory_list(&directory, &files), 2);
    assert_int_equal(spool_directory_map(&directory, &files[1], &base, &size), -EBADMSG);
    free(files);
    spool_directory_close(&directory);
}

/* A file that a crash left gets its seal; one of another life, or of somebody else's, does not. */
static void seal_what_a_crash_left(void **state)
{
    const struct place *place = *state;
    struct spool_format_mark mark = {.time_ns = NOW + 3, .end = 4096};
    struct spool_directory directory;
    struct spool_segment segment;
    struct spool_file *files;

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    directory.is_synced = true;
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    uint64_t salt = segment.salt;
    spool_directory_populate(&segment);
    spool_directory_release(&segment);
    struct spool_file file = {.number = 1, .size = SIZE};
    struct spool_file other = {.number = 2, .size = SIZE};
    assert_int_equal(spool_directory_seal(&directory, &file, salt ^ 1, mark), -ENOENT);
    assert_int_equal(spool_directory_seal(&directory, &other, salt, mark), -ENOENT);
    assert_int_equal(spool_directory_list(&directory, &files), 1);
    assert_false(files[0].is_sealed);
    free(files);
    assert_int_equal(spool_directory_seal(&directory, &file, salt, mark), 0);
    assert_int_equal(spool_directory_list(&directory, &files), 1);
    assert_true(files[0].is_sealed);
    assert_int_equal(files[0].sealed_ns, NOW + 3);
    assert_int_equal(files[0].created_ns, NOW);
    assert_int_equal(files[0].size, SIZE);
    free(files);
    spool_directory_close(&directory);
}

/* Minor faults of writing to every page of a segment. */
static long faults_of_writing(struct spool_segment *segment)
{
    struct rusage before;
    struct rusage after;
    (void)getrusage(RUSAGE_THREAD, &before);
    for (uint32_t at = 0; at < segment->capacity; at += SPOOL_PAGE_SIZE)
        ((volatile uint8_t *)segment->base)[at] = 1;
    (void)getrusage(RUSAGE_THREAD, &after);
    return after.ru_minflt - before.ru_minflt;
}

/* Pages that were written back can be written without a fault again. */
static void populate_again(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    (void)faults_of_writing(&segment); /* a sanitizer's shadow has pages, too */
    assert_int_equal(fdatasync(segment.file), 0);
    bool are_protected = faults_of_writing(&segment) > 3; /* not on tmpfs */
    assert_int_equal(fdatasync(segment.file), 0);
    spool_directory_populate(&segment);
    assert_true(faults_of_writing(&segment) < 3);
    spool_directory_release(&segment);
    spool_directory_close(&directory);
    if (!are_protected) skip();
}

/* What the only folder remembers. */
static struct spool_file memory_of(const struct spool_directory *directory)
{
    struct spool_file *files;
    struct spool_file memory = {0};
    int64_t count = spool_directory_list(directory, &files);
    for (int64_t i = 0; i < count; i++)
        if (files[i].is_empty) memory = files[i];
    free(files);
    return memory;
}

static void trim_remembers(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segments[4];
    struct spool_file *files;
    struct spool_id id;
    struct stat status;
    const uint8_t *base;
    uint64_t size;

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(spool_directory_create(&directory, &segments[i], 0, i + 1, SIZE, NOW), 0);
    store_one(&segments[0], "sealed at 7", &id);
    spool_format_put_mark(segments[1].base, SPOOL_MARK_OPENED, segments[1].salt,
                          (struct spool_format_mark){.time_ns = NOW + 20});
    spool_format_put_mark(segments[2].base, SPOOL_MARK_OPENED, segments[2].salt,
                          (struct spool_format_mark){.time_ns = NOW + 30});
    segments[2].base[8000] = 'x';
    assert_int_equal(spool_directory_list(&directory, &files), 4);
    assert_int_equal(spool_directory_map(&directory, &files[2], &base, &size), 0);

    assert_int_equal(spool_directory_trim(&directory, &files[0]), 0);
    assert_int_equal(memory_of(&directory).number, 1);
    assert_int_equal(memory_of(&directory).freed_ns, NOW + 7);
    /* Never sealed: what it held was committed before the log went on in 3. */
    assert_int_equal(spool_directory_trim(&directory, &files[1]), 0);
    assert_int_equal(memory_of(&directory).freed_ns, NOW + 30);
    /* Never begun: its number is remembered, but nothing left with it. */
    assert_int_equal(spool_directory_trim(&directory, &files[3]), 0);
    assert_int_equal(memory_of(&directory).number, 4);
    assert_int_equal(memory_of(&directory).freed_ns, NOW + 30);
    assert_int_equal(spool_directory_trim(&directory, &files[2]), 0);
    assert_int_equal(memory_of(&directory).number, 4);
    assert_true(memory_of(&directory).freed_ns > NOW + CLOCK_NS_PER_S); /* now, that is */
    assert_int_equal(base[8000], 'x'); /* who had it mapped still sees it */
    segments[2].base[8001] = 'y';
    assert_int_equal(base[8001], 'y');
    spool_directory_unmap(base, size);
    assert_int_equal(spool_directory_trim(&directory, &files[1]), -ENOENT);
    free(files);

    struct spool_segment unused;
    assert_int_equal(spool_directory_create(&directory, &unused, 0, 5, SIZE, NOW), 0);
    spool_directory_withdraw(&directory, &unused);
    assert_null(unused.base);
    assert_int_equal(spool_directory_list(&directory, &files), 1);
    assert_int_equal(files[0].number, 5);
    assert_true(files[0].is_empty);
    free(files);
    assert_true(file_exists(place, "w00/freed", &status));
    assert_int_equal(status.st_size, 1024);
    for (uint32_t i = 0; i < 4; i++)
        spool_directory_release(&segments[i]);
    spool_directory_close(&directory);
}

/* Whatever stands in the memory's place is no more than nothing remembered. */
static void broken_memory(void **state)
{
    const struct place *place = *state;
    static const char *const texts[] = {"", "1 2\n", "0123456789012345678901234567890"};
    struct spool_directory directory;
    struct spool_segment segment;
    char path[256];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    (void)snprintf(path, sizeof(path), "%s/w00/freed", place->path);
    assert_int_equal(memory_of(&directory).number, 0);
    for (uint32_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        assert_int_equal(write(file, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
        close(file);
        assert_int_equal(memory_of(&directory).number, 0);
    }
    spool_directory_withdraw(&directory, &segment);
    assert_int_equal(memory_of(&directory).number, 1);
    spool_directory_close(&directory);
}

/* A crash while the memory is written costs the newest entry at most, never the one before. */
static void torn_memory(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    char path[256];
    uint8_t before[1024];
    uint8_t after[1024];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    (void)snprintf(path, sizeof(path), "%s/w00/freed", place->path);
    for (uint64_t number = 1; number < 6; number++) {
        struct spool_segment segment;
        assert_int_equal(spool_directory_create(&directory, &segment, 0, number, SIZE, NOW), 0);
        int file = open(path, O_RDWR);
        assert_int_equal(pread(file, before, sizeof(before), 0), sizeof(before));
        spool_directory_withdraw(&directory, &segment);
        assert_int_equal(memory_of(&directory).number, number);
        assert_int_equal(pread(file, after, sizeof(after), 0), sizeof(after));
        for (uint32_t at = 0; at < sizeof(before); at++) {
            if (before[at] == after[at]) continue;
            assert_int_equal(pwrite(file, before + at, 1, at), 1); /* torn */
            assert_int_equal(memory_of(&directory).number, number - 1);
            assert_int_equal(pwrite(file, after + at, 1, at), 1);
        }
        close(file);
    }
    spool_directory_close(&directory);
}

/* Run by root, trim must not write to what the spool's owner has put in the memory's place. */
static void planted_memory(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;
    char path[256];
    char other[256];

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    struct spool_file file = {.number = 1, .size = SIZE};
    (void)snprintf(path, sizeof(path), "%s/w00/freed", place->path);
    (void)snprintf(other, sizeof(other), "%s/other", place->root);
    assert_int_equal(unlink(path), 0);
    int victim = open(other, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(link(other, path), 0);
    assert_int_equal(spool_directory_trim(&directory, &file), -EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(spool_directory_trim(&directory, &file), -EPERM);
    assert_int_equal(lseek(victim, 0, SEEK_END), 0);
    close(victim);
    assert_true(spool_directory_has(&directory, &file));
    assert_int_equal(unlink(path), 0);
    if (geteuid() == 0) { /* as trim run by root, in another's spool */
        char folder[256];
        (void)snprintf(folder, sizeof(folder), "%s/w00", place->path);
        victim = open(path, O_CREAT | O_WRONLY, 0600);
        close(victim);
        assert_int_equal(chown(folder, 65534, 65534), 0);
        assert_int_equal(spool_directory_trim(&directory, &file), -EPERM);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(spool_directory_trim(&directory, &file), 0);
    assert_false(spool_directory_has(&directory, &file));
    spool_directory_release(&segment);
    spool_directory_close(&directory);
}

/* "Gone" is said of what is not there, not of what can't be looked at. */
static void gone_or_unknown(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;
    struct rlimit usual;

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    const struct spool_file file = {.number = 1, .size = SIZE};
    const struct spool_file other = {.number = 2, .size = SIZE};
    const struct spool_file elsewhere = {.number = 1, .worker = 7, .size = SIZE};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool has = spool_directory_has(&directory, &file);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_true(has);
    assert_true(spool_directory_has(&directory, &file));
    assert_false(spool_directory_has(&directory, &other));
    assert_false(spool_directory_has(&directory, &elsewhere));
    spool_directory_release(&segment);
    spool_directory_close(&directory);
}

/* A power cut took the sector with the marks: what leaves had messages all the same. */
static void leaving_without_marks(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segment;
    struct spool_id id;
    const struct spool_file file = {.number = 1, .size = SIZE};

    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    store_one(&segment, "x", &id);
    memset(segment.base, 0, 512);
    spool_directory_release(&segment);
    assert_int_equal(spool_directory_trim(&directory, &file), 0);
    assert_int_equal(memory_of(&directory).number, 1);
    assert_true(memory_of(&directory).freed_ns > NOW);
    spool_directory_close(&directory);
}

static void one_server_at_a_time(void **state)
{
    const struct place *place = *state;
    struct spool_directory first;
    struct spool_directory second;
    struct spool_directory reader;

    assert_int_equal(spool_directory_open_to_read(&reader, place->path), -ENOENT);
    assert_int_equal(spool_directory_open(&first, place->path), 0);
    assert_int_equal(spool_directory_open(&second, place->path), -EWOULDBLOCK);
    assert_int_equal(spool_directory_open_to_read(&reader, place->path), 0);
    assert_true(spool_directory_is_locked(&reader));
    assert_true(spool_directory_is_locked(&reader)); /* asking takes nothing away */
    assert_int_equal(spool_directory_open(&second, place->path), -EWOULDBLOCK);
    spool_directory_close(&first);
    assert_false(spool_directory_is_locked(&reader));
    assert_int_equal(spool_directory_open(&second, place->path), 0);
    assert_true(spool_directory_is_locked(&reader));
    spool_directory_close(&second);
    spool_directory_close(&reader);
}

static void planted_links(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/target", place->root);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(symlink("target", place->path), 0);
    assert_true(spool_directory_open(&directory, place->path) < 0);
    (void)snprintf(path, sizeof(path), "%s/spool/", place->root); /* a slash must not help */
    assert_true(spool_directory_open(&directory, path) < 0);
    assert_true(spool_directory_open_to_read(&directory, path) < 0);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/lock", place->path);
    assert_int_equal(symlink("../target/victim", path), 0);
    assert_true(spool_directory_open(&directory, place->path) < 0);
    (void)snprintf(path, sizeof(path), "%s/target/victim", place->root);
    struct stat status;
    assert_int_equal(lstat(path, &status), -1);
    assert_int_equal(spool_directory_open(&directory, "/nowhere/spool"), -ENOENT);
    assert_int_equal(spool_directory_open(&directory, ""), -ENOENT);
}

/* Where others can write, only a directory of our own in it is used. */
static void shared_directory(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_directory reader;
    struct spool_file *files;
    struct spool_segment segment;
    char own[128];

    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(chmod(place->path, 01777), 0);
    (void)snprintf(own, sizeof(own), "%s/ringsink-%u", place->path, (unsigned)geteuid());
    assert_int_equal(spool_directory_open_to_read(&reader, place->path), -ENOENT);
    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_string_equal(directory.path, own);
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), 0);
    assert_int_equal(spool_directory_open_to_read(&reader, place->path), 0);
    assert_string_equal(reader.path, own);
    assert_int_equal(spool_directory_list(&reader, &files), 1);
    free(files);
    spool_directory_release(&segment);
    spool_directory_close(&reader);
    spool_directory_close(&directory);
    assert_int_equal(chmod(own, 0777), 0); /* not ours alone: not used */
    assert_int_equal(spool_directory_open(&directory, place->path), -EPERM);
}

static void wrong_owner(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    char path[256];

    if (geteuid() != 0) {
        print_message("skipped: only root can give a directory away\n");
        skip();
    }
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(chown(place->path, 65534, 65534), 0);
    assert_int_equal(spool_directory_open(&directory, place->path), -EPERM);
    assert_int_equal(chown(place->path, 0, 0), 0);
    (void)snprintf(path, sizeof(path), "%s/lock", place->path);
    int file = open(path, O_CREAT | O_WRONLY, 0666);
    assert_true(file >= 0);
    assert_int_equal(fchown(file, 65534, 65534), 0);
    close(file);
    assert_int_equal(spool_directory_open(&directory, place->path), -EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    (void)snprintf(path, sizeof(path), "%s/w00", place->path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, 65534, 65534), 0);
    struct spool_segment segment;
    assert_int_equal(spool_directory_create(&directory, &segment, 0, 1, SIZE, NOW), -EPERM);
    spool_directory_close(&directory);
}

/* A full file system is an error return, and nothing is left behind. */
static void no_room(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segments[2];
    struct spool_file *files;

    assert_int_equal(mkdir(place->path, 0700), 0);
    if (mount("tmpfs", place->path, "tmpfs", 0, "size=3m,mode=0700") < 0) {
        print_message("skipped: no tmpfs can be mounted here: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_true(spool_directory_is_volatile(&directory));
    assert_int_equal(spool_directory_create(&directory, &segments[0], 0, 1, SIZE, NOW), 0);
    int refused = spool_directory_create(&directory, &segments[1], 0, 2, 4 * SIZE, NOW);
    uint64_t free_bytes = spool_directory_free_bytes(&directory);
    int64_t count = spool_directory_list(&directory, &files);
    spool_directory_release(&segments[0]);
    struct spool_file old = files[0];
    free(files);
    int grown = spool_directory_recycle(&directory, &old, &segments[0], 0, 3, 8 * SIZE, NOW);
    int64_t left = spool_directory_list(&directory, &files);
    free(files);
    spool_directory_close(&directory);
    assert_int_equal(umount(place->path), 0);
    assert_int_equal(refused, -ENOSPC);
    assert_true(free_bytes >= SIZE);
    assert_int_equal(count, 1);
    assert_int_equal(grown, -ENOSPC);
    assert_int_equal(left, 1);
}

/* Others have filled the disk to its last octet: segments are recycled and trimmed all the same. */
static void no_block_left(void **state)
{
    const struct place *place = *state;
    struct spool_directory directory;
    struct spool_segment segments[2];
    struct spool_file *files;
    char path[256];
    static const uint8_t noise[4096];

    assert_int_equal(mkdir(place->path, 0700), 0);
    if (mount("tmpfs", place->path, "tmpfs", 0, "size=3m,mode=0700") < 0) {
        print_message("skipped: no tmpfs can be mounted here: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(spool_directory_open(&directory, place->path), 0);
    assert_int_equal(spool_directory_create(&directory, &segments[0], 0, 1, SIZE, NOW), 0);
    assert_int_equal(spool_directory_create(&directory, &segments[1], 0, 2, SIZE, NOW), 0);
    spool_directory_release(&segments[0]);
    spool_directory_release(&segments[1]);
    (void)snprintf(path, sizeof(path), "%s/filler", place->path);
    int filler = open(path, O_CREAT | O_WRONLY, 0600);
    while (write(filler, noise, sizeof(noise)) > 0)
        continue;
    close(filler);
    uint64_t free_bytes = spool_directory_free_bytes(&directory);
    assert_int_equal(spool_directory_list(&directory, &files), 2);
    int recycled = spool_directory_recycle(&directory, &files[0], &segments[0], 0, 3, SIZE, NOW);
    if (recycled == 0) spool_directory_release(&segments[0]);
    int trimmed = spool_directory_trim(&directory, &files[1]);
    uint64_t remembered = memory_of(&directory).number;
    free(files);
    spool_directory_close(&directory);
    assert_int_equal(umount(place->path), 0);
    assert_int_equal(free_bytes, 0);
    assert_int_equal(recycled, 0);
    assert_int_equal(trimmed, 0);
    assert_int_equal(remembered, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(create_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(list_ignores_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(recycle_renames, setup, teardown),
        cmocka_unit_test_setup_teardown(mapping_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(mapping_is_let_go, setup, teardown),
        cmocka_unit_test_setup_teardown(crash_in_recycle, setup, teardown),
        cmocka_unit_test_setup_teardown(seal_what_a_crash_left, setup, teardown),
        cmocka_unit_test_setup_teardown(populate_again, setup, teardown),
        cmocka_unit_test_setup_teardown(trim_remembers, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(torn_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(planted_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(gone_or_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(leaving_without_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(no_block_left, setup, teardown),
        cmocka_unit_test_setup_teardown(one_server_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(planted_links, setup, teardown),
        cmocka_unit_test_setup_teardown(shared_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(no_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
