#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

static void test_now_never_runs_back(void **state)
{
    (void)state;
    uint64_t before = clock_now_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void test_now_moves_with_time(void **state)
{
    (void)state;
    struct timespec pause = {0, 2 * (long)CLOCK_NS_PER_MS};
    uint64_t before = clock_now_ns();
    assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL), 0);
    uint64_t span = clock_now_ns() - before;
    assert_true(span >= 2 * CLOCK_NS_PER_MS);
    assert_true(span < 60 * CLOCK_NS_PER_S);
}

static void test_realtime_is_the_date(void **state)
{
    (void)state;
    uint64_t before = (uint64_t)time(NULL);
    uint64_t seconds = clock_realtime_ns() / CLOCK_NS_PER_S;
    assert_in_range(seconds, before - 1, (uint64_t)time(NULL) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now_never_runs_back),
        cmocka_unit_test(test_now_moves_with_time),
        cmocka_unit_test(test_realtime_is_the_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
