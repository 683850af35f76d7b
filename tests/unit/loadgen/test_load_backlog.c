#include "loadgen/load_backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_first_in_is_first_out_across_the_end(void **state)
{
    struct load_backlog backlog;
    uint64_t in = 0;
    uint64_t out = 0;
    (void)state;
    assert_int_equal(load_backlog_open(&backlog, 1), 0);
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t index = 0; index < 100 + round; index++) {
            struct load_due due = {.sequence = in, .due_ns = in * 7, .has_waited = in % 3 == 0};
            assert_true(load_backlog_push(&backlog, &due));
            in++;
        }
        while (out < in - round) {
            struct load_due due = load_backlog_pop(&backlog);
            assert_int_equal(due.sequence, out);
            assert_int_equal(due.due_ns, out * 7);
            assert_int_equal(due.has_waited, out % 3 == 0);
            out++;
        }
    }
    assert_int_equal(backlog.count, 49);
    load_backlog_close(&backlog);
}

static void test_a_full_one_takes_nothing(void **state)
{
    struct load_backlog backlog;
    struct load_due due = {.sequence = 1};
    (void)state;
    assert_int_equal(load_backlog_open(&backlog, 1025), 0);
    assert_int_equal(backlog.capacity, 2048);
    for (uint32_t index = 0; index < 2048; index++)
        assert_true(load_backlog_push(&backlog, &due));
    assert_false(load_backlog_push(&backlog, &due));
    assert_int_equal(backlog.longest, 2048);
    (void)load_backlog_pop(&backlog);
    assert_true(load_backlog_push(&backlog, &due));
    load_backlog_close(&backlog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_is_first_out_across_the_end),
        cmocka_unit_test(test_a_full_one_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
