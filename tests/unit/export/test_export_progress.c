#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export/export_progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void put(struct folder *folder, const char *text)
{
    int file = openat(folder->descriptor, NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(close(file), 0);
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

static void files_that_are_none(void **state)
{
    static const char *const texts[] = {
        "",
        "ringspool export 1",
        "ringspool export 2\n",
        "ringspool export 1\n\n",
        "ringspool export 1\n0 1 2 3\n",
        "ringspool export 1\n0 1 2 3 4 5\n",
        "ringspool export 1\n0 1 2 3 4",
        "ringspool export 1\n0 1 2 4294967296 4\n",
        "ringspool export 1\n4294967296 1 2 3 4\n",
        "ringspool export 1\n0 18446744073709551616 2 3 4\n",
        "ringspool export 1\n0 -1 2 3 4\n",
        "ringspool export 1\n0 1 2 3 4\nx\n",
    };
    struct folder *folder = *state;
    struct export_progress progress;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put(folder, texts[i]);
        assert_int_equal(export_progress_load(&progress, folder->descriptor, NAME), -EBADMSG);
        assert_null(progress.places);
    }
    put(folder, "ringspool export 1\n0 1 2 3 4\n");
    assert_int_equal(export_progress_load(&progress, folder->descriptor, NAME), 0);
    assert_int_equal(progress.count, 1);
    export_progress_close(&progress);
    assert_int_equal(unlinkat(folder->descriptor, NAME, 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", folder->descriptor, NAME), 0);
    assert_int_equal(export_progress_load(&progress, folder->descriptor, NAME), -ELOOP);
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
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
