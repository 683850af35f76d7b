#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool/spool_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE (1u << 20)
#define NOW  1700000000000000000ull

/* A spool in a temporary directory, one worker's log in it. */
struct scene {
    char root[64];
    struct spool_directory directory;
    struct spool_writer writer;
    struct spool_segment segments[8];
    struct blocks pool;
    uint32_t count;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    char path[128];
    if (scene == NULL) return -1;
    (void)snprintf(scene->root, sizeof(scene->root), "/tmp/test_archive.XXXXXX");
    if (mkdtemp(scene->root) == NULL) return -1;
    (void)snprintf(path, sizeof(path), "%s/spool", scene->root);
    if (spool_directory_open(&scene->directory, path) != 0) return -1;
    if (spool_writer_open(&scene->writer, 4, false) != 0) return -1;
    if (blocks_open(&scene->pool, 4, SPOOL_ENVELOPE_BLOCK_SIZE) != 0) return -1;
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    spool_writer_close(&scene->writer);
    for (uint32_t i = 0; i < scene->count; i++)
        spool_directory_release(&scene->segments[i]);
    spool_directory_close(&scene->directory);
    blocks_close(&scene->pool);
    char *arguments[] = {(char[]){"rm"}, (char[]){"-rf"}, scene->root, NULL};
    pid_t child = fork();
    if (child == 0) {
        (void)execv("/bin/rm", arguments);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
    free(scene);
    return 0;
}

static void serve(struct scene *scene)
{
    (void)spool_writer_take_sealed(&scene->writer);
    if (!spool_writer_wants_segment(&scene->writer)) return;
    uint32_t i = scene->count++;
    assert_true(i < 8);
    assert_int_equal(spool_directory_create(&scene->directory, &scene->segments[i], 4,
                                            (uint64_t)i + 1, SIZE, NOW),
                     0);
    spool_writer_give(&scene->writer, &scene->segments[i]);
}

static struct spool_id store(struct scene *scene, struct bytes content)
{
    struct spool_message message = {0};
    struct spool_envelope envelope;
    struct spool_id id;

    spool_envelope_init(&envelope, &scene->pool);
    while (spool_message_begin(&scene->writer, &message, &envelope, NOW) != SPOOL_DONE)
        serve(scene);
    while (spool_message_append(&scene->writer, &message, &content, NOW) != SPOOL_DONE)
        serve(scene);
    while (spool_message_commit(&scene->writer, &message, NOW, &id) != SPOOL_DONE)
        serve(scene);
    return id;
}

static void expect(struct spool_archive *archive, const struct spool_id *id, struct bytes wanted)
{
    struct spool_reader_message message;
    struct spool_archive_content content;
    uint64_t at = 0;

    assert_true(spool_archive_find(archive, id, &message));
    assert_int_equal(spool_archive_read(archive, &message, &content), SPOOL_READER_WHOLE);
    assert_int_equal(content.head.content_size, wanted.size);
    for (uint32_t i = 0; i < content.count; i++) {
        struct bytes piece = content.pieces[i];
        assert_memory_equal(piece.data, wanted.data + at, piece.size);
        at += piece.size;
    }
    assert_int_equal(at, wanted.size);
    assert_true(spool_archive_is_current(archive, &message));
}

static void find_and_read(void **state)
{
    struct scene *scene = *state;
    struct spool_archive archive;
    struct spool_reader_message message;
    uint8_t *content = malloc(3 * SIZE);

    assert_non_null(content);
    for (uint32_t i = 0; i < 3 * SIZE; i++)
        content[i] = (uint8_t)(i * 7 >> 3);
    struct spool_id small = store(scene, BYTES("small"));
    struct spool_id large = store(scene, bytes_make(content, 3 * SIZE));
    struct spool_id empty = store(scene, BYTES(""));
    assert_int_equal(large.number, 1);
    assert_int_equal(empty.number, 4);

    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_int_equal(archive.count, 4);
    expect(&archive, &small, BYTES("small"));
    expect(&archive, &large, bytes_make(content, 3 * SIZE));
    expect(&archive, &empty, BYTES(""));
    struct spool_id wrong = small;
    wrong.offset += 64;
    assert_false(spool_archive_find(&archive, &wrong, &message));
    wrong = small;
    wrong.worker = 5;
    assert_false(spool_archive_find(&archive, &wrong, &message));
    spool_archive_close(&archive);
    free(content);
}

/* What the server recycles while an archive is open is expired, never shown and never damaged. */
static void recycled_while_open(void **state)
{
    struct scene *scene = *state;
    struct spool_archive archive;
    struct spool_reader_message small_message;
    struct spool_reader_message large_message;
    struct spool_archive_content read;
    struct spool_segment segment;
    struct spool_file *files;
    uint8_t *body = calloc(1, 2 * SIZE);

    assert_non_null(body);
    struct spool_id small = store(scene, BYTES("small"));
    struct spool_id large = store(scene, bytes_make(body, 2 * SIZE));
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_true(spool_archive_find(&archive, &small, &small_message));
    assert_true(spool_archive_find(&archive, &large, &large_message));
    assert_int_equal(large_message.last_number, 3);
    assert_int_equal(spool_archive_read(&archive, &small_message, &read), SPOOL_READER_WHOLE);

    assert_int_equal(spool_directory_list(&scene->directory, &files), 3);
    assert_int_equal(
        spool_directory_recycle(&scene->directory, &files[0], &segment, 4, 9, SIZE, NOW), 0);
    free(files);
    assert_false(spool_archive_is_current(&archive, &small_message));
    assert_false(spool_archive_is_current(&archive, &large_message));
    memset(segment.base + SPOOL_SEGMENT_HEADER_SIZE, 'x', SIZE - SPOOL_SEGMENT_HEADER_SIZE);
    assert_int_equal(spool_archive_read(&archive, &large_message, &read), SPOOL_READER_EXPIRED);
    assert_int_equal(spool_archive_read(&archive, &small_message, &read), SPOOL_READER_EXPIRED);
    spool_archive_close(&archive);

    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_int_equal(archive.count, 3);
    assert_true(archive.freed_ns == NOW); /* when segment 1 was sealed */
    assert_false(spool_archive_find(&archive, &small, &small_message));
    assert_true(spool_archive_find(&archive, &large, &large_message));
    assert_int_equal(spool_archive_read(&archive, &large_message, &read), SPOOL_READER_EXPIRED);
    spool_archive_close(&archive);
    spool_directory_release(&segment);
    free(body);
}

/* A header that is broken twice takes its segment with it, and only that. */
static void broken_header(void **state)
{
    struct scene *scene = *state;
    struct spool_archive archive;
    struct spool_reader_message message;
    struct spool_archive_content read;
    uint8_t *body = calloc(1, 2 * SIZE);

    assert_non_null(body);
    struct spool_id large = store(scene, bytes_make(body, 2 * SIZE));
    struct spool_id small = store(scene, BYTES("small"));
    scene->segments[0].base[20] ^= 1;
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    expect(&archive, &large, bytes_make(body, 2 * SIZE));
    spool_archive_close(&archive);
    scene->segments[0].base[SPOOL_SEGMENT_COPY + 20] ^= 1;
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_int_equal(archive.count, 3);
    assert_null(archive.segments[0].base);
    expect(&archive, &small, BYTES("small"));
    assert_true(spool_archive_find(&archive, &large, &message));
    assert_int_equal(spool_archive_read(&archive, &message, &read), SPOOL_READER_DAMAGED);
    spool_archive_close(&archive);
    free(body);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SHADOW
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_SHADOW
#endif

#ifdef HAS_SHADOW
#define IS_LIMITABLE false /* its shadow needs the addresses */
#else
#define IS_LIMITABLE true
#endif

/* Who reads can tell a lack of memory from damage, and read on. */
static void memory_is_short(void **state)
{
    struct scene *scene = *state;
    struct spool_archive archive;
    struct spool_reader_message message;
    struct spool_archive_content read;
    struct rlimit before;

    if (!IS_LIMITABLE) skip();
    struct spool_id id = store(scene, BYTES("one"));
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_true(spool_archive_find(&archive, &id, &message));
    struct spool_reader_message endless = message;
    endless.record_count = UINT32_MAX;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit low = {.rlim_cur = 1u << 30, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    assert_int_equal(spool_archive_read(&archive, &endless, &read), SPOOL_READER_DAMAGED);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_true(archive.is_memory_short);
    assert_int_equal(spool_archive_read(&archive, &message, &read), SPOOL_READER_WHOLE);
    assert_false(archive.is_memory_short);
    spool_archive_close(&archive);
}

static void nothing_there(void **state)
{
    const struct scene *scene = *state;
    struct spool_archive archive;
    assert_int_equal(spool_archive_open(&archive, scene->root), -ENOENT);
    assert_int_equal(spool_archive_open(&archive, "/nowhere"), -ENOENT);
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_int_equal(archive.count, 0);
    spool_archive_close(&archive);
}

/* As if nothing had come or gone for an hour. */
static void settle(const struct scene *scene)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &times[1]), 0);
    times[1].tv_sec -= 3600;
    assert_int_equal(utimensat(scene->directory.folder, "w04", times, 0), 0);
}

/* Kept open, it tells when it has to be opened anew, and else sees what has changed. */
static void kept_open(void **state)
{
    struct scene *scene = *state;
    struct spool_archive archive;
    char moved[SPOOL_PATH_MAX + 8];

    (void)store(scene, BYTES("one"));
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_true(spool_archive_is_stale(&archive)); /* another file might come within the tick */
    spool_archive_close(&archive);
    settle(scene);
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_false(spool_archive_is_stale(&archive));
    assert_int_equal(archive.segments[0].sealed_end, 0);
    spool_writer_seal(&scene->writer, NOW);
    spool_archive_refresh(&archive);
    assert_int_equal(archive.segments[0].sealed_end, scene->segments[0].appended_end);
    assert_false(spool_archive_is_stale(&archive));
    serve(scene);
    assert_true(spool_archive_is_stale(&archive));
    spool_archive_close(&archive);
    settle(scene);
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    assert_false(spool_archive_is_stale(&archive));
    (void)snprintf(moved, sizeof(moved), "%s.moved", scene->directory.path);
    assert_int_equal(rename(scene->directory.path, moved), 0);
    assert_true(spool_archive_is_stale(&archive)); /* whatever comes to be there */
    assert_int_equal(rename(moved, scene->directory.path), 0);
    spool_archive_close(&archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(find_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(kept_open, setup, teardown),
        cmocka_unit_test_setup_teardown(recycled_while_open, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_header, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_short, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
