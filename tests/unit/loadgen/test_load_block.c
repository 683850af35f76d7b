#include "loadgen/load_block.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static void test_bars(void **state)
{
    static const double values[] = {0, 1, 4, 7.9, 8, -1, 2};
    char out[LOAD_BLOCK_BAR_MAX];
    (void)state;

    load_block_bars(out, values, 7);
    assert_string_equal(out, "▁▂▅██ ▃");
    load_block_bars(out, values, 1); /* nothing came at all */
    assert_string_equal(out, "▁");
    load_block_bars(out, values, 0);
    assert_string_equal(out, "");
}

static void test_a_block_takes_the_place_of_the_last(void **state)
{
    struct load_config config = {.duration_ns = 10 * CLOCK_NS_PER_S};
    struct load_progress progress = {0};
    char *text;
    size_t size;
    (void)state;

    progress.intervals = calloc(100, sizeof *progress.intervals);
    assert_non_null(progress.intervals);
    progress.count = 100;
    for (uint32_t index = 0; index < 100; index++)
        progress.intervals[index] = (struct load_interval){.start_ns = index * CLOCK_NS_PER_S,
                                                           .length_ns = CLOCK_NS_PER_S,
                                                           .accepted = index,
                                                           .service = {.p99_ns = 2000000}};
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    load_block_show(&progress, &config, file);
    (void)fflush(file);
    assert_null(strstr(text, "\033[5A"));
    load_block_show(&progress, &config, file);
    assert_int_equal(fclose(file), 0);
    assert_non_null(strstr(text, "\033[5A\r"));
    assert_non_null(strstr(text, "[############################################################]"));
    assert_non_null(strstr(text, "service p99 2ms"));
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 10);
    free(text);
    free(progress.intervals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bars),
        cmocka_unit_test(test_a_block_takes_the_place_of_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
