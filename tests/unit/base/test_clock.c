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

static void test_offset_is_what_leads_to_the_date(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        uint64_t before_ns = clock_realtime_ns();
        uint64_t now_ns = clock_now_ns() + (uint64_t)clock_offset_ns();
        uint64_t after_ns = clock_realtime_ns();
        /* It may be wrong by half of a reading's width: less than a preemption in all five. */
        assert_in_range(now_ns, before_ns - CLOCK_NS_PER_MS, after_ns + CLOCK_NS_PER_MS);
    }
}

static void test_offset_stays(void **state)
{
    (void)state;
    int64_t first_ns = clock_offset_ns();
    struct timespec pause = {0, 20 * (long)CLOCK_NS_PER_MS};
    assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL), 0);
    int64_t change_ns = clock_offset_ns() - first_ns;
    assert_in_range(change_ns + (int64_t)CLOCK_NS_PER_MS, 0, 2 * CLOCK_NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now_never_runs_back),
        cmocka_unit_test(test_now_moves_with_time),
        cmocka_unit_test(test_realtime_is_the_date),
        cmocka_unit_test(test_offset_is_what_leads_to_the_date),
        cmocka_unit_test(test_offset_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
