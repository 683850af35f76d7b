#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export/export_progress.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define NAME ".ringspool-mbox-1"

struct folder {
    char path[64];
    int descriptor;
};

static int folder_open(void **state)
{
    static struct folder folder;
    (void)snprintf(folder.path, sizeof(folder.path), "/tmp/export-progress-XXXXXX");
    assert_non_null(mkdtemp(folder.path));
    folder.descriptor = open(folder.path, O_RDONLY | O_DIRECTORY);
    *state = &folder;
    return folder.descriptor < 0;
}

static int folder_close(void **state)
{
    struct folder *folder = *state;
    (void)unlinkat(folder->descriptor, NAME, 0);
    (void)close(folder->descriptor);
    return rmdir(folder->path); /* nothing else was left in it */
}

static void put(struct folder *folder, const char *text, size_t size)
{
    int file = openat(folder->descriptor, NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(file, text, size), size);
    assert_int_equal(close(file), 0);
}

/* Both slots, with a checksum that holds. */
static void put_lines(struct folder *folder, const char *lines)
{
    char text[256];
    uint64_t checksum = XXH3_64bits_withSeed(lines, strlen(lines), 7);
    int size =
        snprintf(text, sizeof(text), "ringspool export 2 7 %" PRIu64 "\n%s", checksum, lines);
    memcpy(text + size, text, (size_t)size);
    put(folder, text, 2 * (size_t)size);
}

static struct export_place *place_of(struct export_progress *progress, uint32_t worker,
                                     uint64_t number, uint64_t salt)
{
    struct export_place *place = export_progress_place(progress, worker, number, salt);
    assert_non_null(place);
    assert_int_equal(place->worker, worker);
    assert_int_equal(place->number, number);
    return place;
}

static void assert_place(struct export_progress *progress, uint32_t worker, uint64_t number,
                         uint64_t salt, uint32_t offset, uint32_t index)
{
    struct export_place *place = place_of(progress, worker, number, salt);
    assert_int_equal(place->offset, offset);
    assert_int_equal(place->index, index);
}

static void save_and_load(struct export_progress *progress, struct folder *folder)
{
    assert_int_equal(export_progress_save(progress, folder->descriptor, NAME), 0);
    export_progress_close(progress);
    assert_int_equal(export_progress_load(progress, folder->descriptor, NAME), 0);
}

/* In any order, more than there is room for at first, the largest numbers too. */
static void kept_over_runs(void **state)
{
    struct export_progress progress;
    assert_int_equal(export_progress_load(&progress, ((struct folder *)*state)->descriptor, NAME),
                     0);
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t k = i * 211 % 500;
        export_place_advance(place_of(&progress, k % 3, k, k * 7ull), 4096 + 64 * k, k);
    }
    export_place_advance(place_of(&progress, UINT32_MAX, UINT64_MAX, UINT64_MAX), UINT32_MAX,
                         UINT32_MAX);
    save_and_load(&progress, *state);
    assert_int_equal(progress.count, 501);
    for (uint32_t k = 0; k < 500; k++)
        assert_place(&progress, k % 3, k, k * 7ull, 4096 + 64 * k, k);
    assert_place(&progress, UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX);
    assert_place(&progress, 1, 500, 1, 0, 0); /* a new one */
    export_progress_close(&progress);
}

static void another_life_begins_again(void **state)
{
    struct export_progress progress = {0};
    export_place_advance(place_of(&progress, 0, 1, 10), 8192, 5);
    export_place_advance(place_of(&progress, 0, 2, 20), 8192, 6);
    save_and_load(&progress, *state);
    assert_place(&progress, 0, 1, 11, 0, 0);
    assert_place(&progress, 0, 2, 20, 8192, 6);
    export_progress_close(&progress);
}

/* In this run the walk goes on; the next begins where it failed. */
static void failure_is_not_passed(void **state)
{
    struct export_progress progress = {0};
    struct export_place *place = place_of(&progress, 0, 1, 10);
    export_place_advance(place, 4160, 1);
    export_place_fail(place);
    export_place_advance(place, 4224, 2);
    assert_place(&progress, 0, 1, 10, 4224, 2);
    place = place_of(&progress, 0, 2, 20);
    export_place_fail(place);
    export_place_advance(place, 4224, 2);
    save_and_load(&progress, *state);
    assert_place(&progress, 0, 1, 10, 4160, 1);
    assert_place(&progress, 0, 2, 20, 0, 0);
    export_progress_close(&progress);
}

/* Each place of damage once, in every life of a segment. */
static void damage_is_told_once(void **state)
{
    struct export_progress progress = {0};
    (void)state;
    assert_true(export_place_tell(place_of(&progress, 0, 1, 10), 4096));
    assert_false(export_place_tell(place_of(&progress, 0, 1, 10), 4096));
    assert_true(export_place_tell(place_of(&progress, 0, 1, 10), 8192));
    assert_false(export_place_tell(place_of(&progress, 0, 1, 10), 4096));
    assert_true(export_place_tell(place_of(&progress, 0, 2, 10), 4096));
    assert_true(export_place_tell(place_of(&progress, 0, 1, 11), 4096));
    export_progress_close(&progress);
}

static void what_is_gone_is_forgotten(void **state)
{
    struct export_progress progress = {0};
    for (uint32_t i = 1; i <= 3; i++)
        export_place_advance(place_of(&progress, 0, i, i), 8192, i);
    save_and_load(&progress, *state);
    (void)place_of(&progress, 0, 2, 2);
    export_progress_forget(&progress);
    assert_int_equal(progress.count, 1);
    assert_place(&progress, 0, 2, 2, 8192, 2);
    export_progress_forget(&progress);
    assert_int_equal(progress.count, 1);
    export_progress_forget(&progress);
    assert_int_equal(progress.count, 0);
    export_progress_close(&progress);
}

static void expect_none(struct folder *folder)
{
    struct export_progress progress;
    assert_int_equal(export_progress_load(&progress, folder->descriptor, NAME), -EBADMSG);
    assert_null(progress.places);
}

static void files_that_are_none(void **state)
{
    static const char *const texts[] = {"", "\n\n\n\n", "ringspool export 1\n0 1 2 3 4\n",
                                        "ringspool export 2\nringspool export 2\n",
                                        "ringspool export 2 0 0\nringspool export 2 0 0\n"};
    static const char *const lines[] = {
        "0 1 2 3\n",
        "0 1 2 3 4 5\n",
        "0 1 2 3 4",
        "0 1 2 4294967296 4\n",
        "4294967296 1 2 3 4\n",
        "0 18446744073709551616 2 3 4\n",
        "0 -1 2 3 4\n",
        "0 1 2 3 4\nx\n",
    };
    struct folder *folder = *state;
    struct export_progress progress;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put(folder, texts[i], strlen(texts[i]));
        expect_none(folder);
    }
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        put_lines(folder, lines[i]);
        expect_none(folder);
    }
    put_lines(folder, "0 1 2 3 4\n\n\n");
    assert_int_equal(export_progress_load(&progress, folder->descriptor, NAME), 0);
    assert_int_equal(progress.count, 1);
    export_progress_close(&progress);
    assert_int_equal(unlinkat(folder->descriptor, NAME, 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", folder->descriptor, NAME), 0);
    assert_int_equal(export_progress_load(&progress, folder->descriptor, NAME), -ELOOP);
}

static struct stat status_of(const struct folder *folder)
{
    struct stat status;
    assert_int_equal(fstatat(folder->descriptor, NAME, &status, 0), 0);
    return status;
}

/* Cut or torn while it is written, a save leaves what was saved before. */
static void a_torn_save_is_none(void **state)
{
    struct folder *folder = *state;
    for (uint32_t saves = 2; saves < 4; saves++) { /* the last one is in either slot */
        struct export_progress progress = {0};
        for (uint32_t i = 1; i <= saves; i++) {
            export_place_advance(place_of(&progress, 0, 1, 10), 4096 + 64 * i, i);
            assert_int_equal(export_progress_save(&progress, folder->descriptor, NAME), 0);
        }
        uint64_t start = progress.sequence % 2 * progress.slot_size;
        int file = openat(folder->descriptor, NAME, O_WRONLY);
        assert_int_equal(pwrite(file, "9", 1, (off_t)(start + progress.slot_size - 1)), 1);
        assert_int_equal(close(file), 0);
        export_progress_close(&progress);
        assert_int_equal(export_progress_load(&progress, folder->descriptor, NAME), 0);
        assert_place(&progress, 0, 1, 10, 4096 + 64 * (saves - 1), saves - 1);
        export_place_advance(place_of(&progress, 0, 1, 10), 8192, 9);
        save_and_load(&progress, folder);
        assert_place(&progress, 0, 1, 10, 8192, 9);
        export_progress_close(&progress);
        assert_int_equal(unlinkat(folder->descriptor, NAME, 0), 0);
    }
}

/* What was reserved is enough, no new file is made; one that was removed is. */
static void saved_in_place(void **state)
{
    struct folder *folder = *state;
    struct export_progress progress = {0};
    assert_int_equal(export_progress_reserve(&progress, folder->descriptor, NAME, 300), 0);
    struct stat before = status_of(folder);
    for (uint32_t i = 1; i <= 300; i++)
        export_place_advance(place_of(&progress, 0, i, UINT64_MAX), UINT32_MAX, UINT32_MAX);
    for (uint32_t i = 0; i < 3; i++)
        save_and_load(&progress, folder);
    assert_int_equal(export_progress_reserve(&progress, folder->descriptor, NAME, 300), 0);
    assert_int_equal(status_of(folder).st_ino, before.st_ino);
    assert_int_equal(status_of(folder).st_size, before.st_size);
    assert_int_equal(unlinkat(folder->descriptor, NAME, 0), 0);
    save_and_load(&progress, folder);
    assert_int_equal(progress.count, 300);
    export_progress_close(&progress);
}

/* A spool has one name, whatever the format; another spool or format has another. */
static void names(void **state)
{
    char name[3][EXPORT_PROGRESS_NAME_MAX];
    (void)state;
    export_progress_name(name[0], "mbox", "/srv/spool");
    export_progress_name(name[1], "mbox", "/srv/spool2");
    export_progress_name(name[2], "maildir", "/srv/spool");
    assert_memory_equal(name[0], ".ringspool-mbox-", 16);
    assert_string_not_equal(name[0], name[1]);
    assert_string_not_equal(name[0], name[2]);
    export_progress_name(name[1], "mbox", "/srv/spool");
    assert_string_equal(name[0], name[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_over_runs, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(another_life_begins_again, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(failure_is_not_passed, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(what_is_gone_is_forgotten, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(files_that_are_none, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(a_torn_save_is_none, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(saved_in_place, folder_open, folder_close),
        cmocka_unit_test(damage_is_told_once),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
