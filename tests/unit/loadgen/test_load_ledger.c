#include "loadgen/load_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUN     0xfeedfacecafef00dull
#define ENTRIES 20000u /* several buffers full */
#define WRITERS 4u

static char path[] = "/tmp/test_load_ledger.XXXXXX";

static struct load_ledger ledger;

static void *write_entries(void *argument)
{
    struct load_ledger_buffer buffer;
    uint64_t first = *(const uint64_t *)argument;

    if (load_ledger_buffer_open(&buffer, &ledger) != 0) abort();
    for (uint64_t sequence = first; sequence < ENTRIES; sequence += WRITERS) {
        struct ledger_entry entry = {.run = RUN,
                                     .sequence = sequence,
                                     .size = 1000 + sequence,
                                     .hash = ~sequence,
                                     .sent_ns = 7 * sequence,
                                     .state = (enum ledger_state)(sequence % 3),
                                     .recipients = (uint32_t)sequence % 7,
                                     .accepted_ns = 8 * sequence};
        load_ledger_put(&buffer, &entry);
    }
    load_ledger_buffer_close(&buffer);
    return NULL;
}

/* Nobody sets the clock during the tests. */
static void assert_same_clock(int64_t a_ns, int64_t b_ns)
{
    assert_in_range(a_ns - b_ns + (int64_t)CLOCK_NS_PER_MS, 0, 2 * CLOCK_NS_PER_MS);
}

static void check_file(void)
{
    static bool is_seen[ENTRIES];
    char line[LEDGER_LINE_MAX + 2];
    struct ledger_entry entry;
    struct ledger_start start;
    int64_t end_clock_ns;
    uint32_t count = 0;
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_true(ledger_parse_start(bytes_make(line, strlen(line) - 1), &start));
    assert_true(start.run == RUN);
    assert_int_equal(start.format, LEDGER_FORMAT);
    assert_true(boot_id_equal(start.boot, boot_id_read()));
    assert_same_clock(start.clock_ns, clock_offset_ns());
    while (fgets(line, sizeof line, file) != NULL && count < ENTRIES) {
        assert_true(ledger_parse_entry(bytes_make(line, strlen(line) - 1), start.format, &entry));
        assert_true(entry.sequence < ENTRIES);
        assert_false(is_seen[entry.sequence]);
        assert_true(entry.hash == ~entry.sequence);
        assert_int_equal(entry.state, entry.sequence % 3);
        assert_int_equal(entry.recipients, entry.sequence % 7);
        assert_int_equal(entry.accepted_ns, 8 * entry.sequence);
        is_seen[entry.sequence] = true;
        count++;
    }
    assert_int_equal(count, ENTRIES);
    assert_true(ledger_parse_end(bytes_make(line, strlen(line) - 1), &end_clock_ns));
    assert_same_clock(end_clock_ns, start.clock_ns);
    assert_null(fgets(line, sizeof line, file));
    assert_int_equal(fclose(file), 0);
}

static void test_lines_of_many_writers_stay_whole(void **state)
{
    pthread_t threads[WRITERS];
    uint64_t firsts[WRITERS];
    (void)state;

    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(load_ledger_open(&ledger, path, RUN), 0);
    for (uint64_t index = 0; index < WRITERS; index++) {
        firsts[index] = index;
        assert_int_equal(pthread_create(&threads[index], NULL, write_entries, &firsts[index]), 0);
    }
    for (uint32_t index = 0; index < WRITERS; index++)
        assert_int_equal(pthread_join(threads[index], NULL), 0);
    assert_int_equal(load_ledger_close(&ledger), 0);
    check_file();
    assert_int_equal(unlink(path), 0);
}

static void test_a_full_disk_is_told(void **state)
{
    uint64_t first = 0;
    (void)state;

    assert_int_equal(load_ledger_open(&ledger, "/dev/full", RUN), -ENOSPC);
    assert_int_equal(load_ledger_open(&ledger, "/dev/null", RUN), 0);
    int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    assert_true(dup2(full, ledger.file) >= 0); /* the disk fills up later */
    (void)write_entries(&first);
    assert_int_equal(load_ledger_close(&ledger), -ENOSPC);
    assert_int_equal(close(full), 0);
    assert_int_equal(load_ledger_open(&ledger, "/no/such/folder/ledger", RUN), -ENOENT);
}

static void test_without_a_ledger_nothing_is_kept(void **state)
{
    struct load_ledger_buffer buffer;
    struct ledger_entry entry = {.run = RUN};
    (void)state;

    assert_int_equal(load_ledger_buffer_open(&buffer, NULL), 0);
    load_ledger_put(&buffer, &entry);
    assert_int_equal(buffer.size, 0);
    load_ledger_buffer_close(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_of_many_writers_stay_whole),
        cmocka_unit_test(test_a_full_disk_is_told),
        cmocka_unit_test(test_without_a_ledger_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
