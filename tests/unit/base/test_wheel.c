#include "base/wheel.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define TICK 1000ull

static void test_never_early_at_most_a_tick_late(void **state)
{
    static const uint64_t dues[] = {0,     1,     999,   1000,   1001,  5500,
                                    15999, 16000, 16001, 100000, 123456};
    (void)state;
    for (size_t i = 0; i < sizeof(dues) / sizeof(dues[0]); i++) {
        struct wheel wheel;
        struct wheel_timer timer = {0};
        assert_int_equal(wheel_open(&wheel, 16, TICK, 0), 0);
        wheel_arm(&wheel, &timer, dues[i]);
        uint64_t now = 0;
        while (wheel_expire(&wheel, now) == NULL)
            now++;
        assert_true(now >= dues[i]);
        assert_true(now < dues[i] + TICK);
        assert_false(wheel_is_armed(&timer));
        assert_int_equal(wheel.armed_count, 0);
        wheel_close(&wheel);
    }
}

static void test_disarmed_never_fires(void **state)
{
    struct wheel wheel;
    struct wheel_timer a = {0};
    struct wheel_timer b = {0};
    (void)state;

    assert_int_equal(wheel_open(&wheel, 8, TICK, 0), 0);
    wheel_arm(&wheel, &a, 3000);
    wheel_arm(&wheel, &b, 3000);
    assert_true(wheel_is_armed(&a));
    wheel_disarm(&wheel, &a);
    wheel_disarm(&wheel, &a); /* has nothing left to do */
    assert_false(wheel_is_armed(&a));
    assert_ptr_equal(wheel_expire(&wheel, 100000), &b);
    assert_null(wheel_expire(&wheel, 100000));
    wheel_close(&wheel);
}

static void test_armed_anew_counts_from_anew(void **state)
{
    struct wheel wheel;
    struct wheel_timer timer = {0};
    (void)state;

    assert_int_equal(wheel_open(&wheel, 8, TICK, 0), 0);
    wheel_arm(&wheel, &timer, 2000);
    wheel_arm(&wheel, &timer, 5000);
    assert_int_equal(wheel.armed_count, 1);
    assert_null(wheel_expire(&wheel, 4999));
    assert_ptr_equal(wheel_expire(&wheel, 5000), &timer);
    wheel_close(&wheel);
}

static void test_far_timers_wait_in_the_last_bucket(void **state)
{
    struct wheel wheel;
    struct wheel_timer timer = {0};
    (void)state;

    assert_int_equal(wheel_open(&wheel, 4, TICK, 0), 0);
    wheel_arm(&wheel, &timer, 1000 * TICK);
    for (uint64_t now = 0; now < 1000 * TICK; now += TICK / 2)
        assert_null(wheel_expire(&wheel, now));
    assert_ptr_equal(wheel_expire(&wheel, 1000 * TICK), &timer);
    wheel_close(&wheel);
}

static void test_a_long_pause_loses_nothing(void **state)
{
    enum { COUNT = 50 };
    struct wheel wheel;
    struct wheel_timer timers[COUNT];
    uint32_t fired = 0;
    (void)state;

    memset(timers, 0, sizeof(timers));
    assert_int_equal(wheel_open(&wheel, 8, TICK, 0), 0);
    for (uint64_t i = 0; i < COUNT; i++)
        wheel_arm(&wheel, &timers[i], i * 3 * TICK);
    wheel_arm(&wheel, &timers[0], 1ull << 60); /* a year of ticks away */
    while (wheel_expire(&wheel, 1ull << 50) != NULL)
        fired++;
    assert_int_equal(fired, COUNT - 1);
    assert_true(wheel_is_armed(&timers[0]));
    assert_null(wheel_expire(&wheel, (1ull << 60) - 1));
    assert_ptr_equal(wheel_expire(&wheel, (1ull << 60) + TICK), &timers[0]);
    wheel_close(&wheel);
}

static void test_a_fired_timer_may_be_armed_at_once(void **state)
{
    struct wheel wheel;
    struct wheel_timer timer = {0};
    (void)state;

    assert_int_equal(wheel_open(&wheel, 8, TICK, 0), 0);
    wheel_arm(&wheel, &timer, 1000);
    assert_ptr_equal(wheel_expire(&wheel, 1000), &timer);
    wheel_arm(&wheel, &timer, 9000); /* the bucket it just left */
    assert_null(wheel_expire(&wheel, 8999));
    assert_ptr_equal(wheel_expire(&wheel, 9000), &timer);
    wheel_arm(&wheel, &timer, 500); /* long past */
    assert_ptr_equal(wheel_expire(&wheel, 10000), &timer);
    wheel_close(&wheel);
}

static void test_the_wheel_may_start_late(void **state)
{
    struct wheel wheel;
    struct wheel_timer timer = {0};
    uint64_t start = 987654321987654321ull;
    (void)state;

    assert_int_equal(wheel_open(&wheel, 8, TICK, start), 0);
    wheel_arm(&wheel, &timer, start + 2500);
    assert_null(wheel_expire(&wheel, start + 2499));
    assert_ptr_equal(wheel_expire(&wheel, start + 3500), &timer);
    wheel_close(&wheel);
}

static void test_sleep(void **state)
{
    struct wheel wheel;
    struct wheel_timer timer = {0};
    (void)state;

    assert_int_equal(wheel_open(&wheel, 256, TICK, 0), 0);
    assert_int_equal(wheel_sleep_ns(&wheel, 0, 777), 777);
    wheel_arm(&wheel, &timer, 5500);
    assert_int_equal(wheel_sleep_ns(&wheel, 0, UINT64_MAX), 6000);
    assert_int_equal(wheel_sleep_ns(&wheel, 5999, UINT64_MAX), 1);
    assert_int_equal(wheel_sleep_ns(&wheel, 6000, UINT64_MAX), 0);
    assert_int_equal(wheel_sleep_ns(&wheel, 9000, UINT64_MAX), 0);
    assert_int_equal(wheel_sleep_ns(&wheel, 0, 100), 100);
    wheel_arm(&wheel, &timer, 200 * TICK);
    uint64_t sleep = wheel_sleep_ns(&wheel, 0, UINT64_MAX);
    assert_in_range(sleep, 10 * TICK, 200 * TICK);
    wheel_close(&wheel);
}

/* Random arming, disarming and time steps against a plain list of due times. */
static void test_against_a_list(void **state)
{
    enum { COUNT = 64, STEPS = 20000 };
    struct wheel wheel;
    struct wheel_timer timers[COUNT];
    uint64_t armed_at[COUNT];
    struct random random;
    uint64_t now = 0;
    (void)state;

    memset(timers, 0, sizeof(timers));
    random_init(&random, 20260922, 0);
    assert_int_equal(wheel_open(&wheel, 16, TICK, now), 0);
    for (int step = 0; step < STEPS; step++) {
        struct wheel_timer *timer = &timers[random_below(&random, COUNT)];
        if (random_below(&random, 4) == 0) {
            wheel_disarm(&wheel, timer);
        } else {
            wheel_arm(&wheel, timer, now + random_below(&random, 64 * TICK));
            armed_at[timer - timers] = now;
        }
        uint64_t before = now;
        uint64_t range = random_below(&random, 50) == 0 ? 100 * TICK : TICK;
        now += random_below(&random, range);
        uint32_t armed_count = 0;
        while ((timer = wheel_expire(&wheel, now)) != NULL) {
            assert_true(timer->due_ns <= now);
            /* It was not to be had a tick ago, or nobody asked since. */
            uint64_t asked = before > armed_at[timer - timers] ? before : armed_at[timer - timers];
            assert_true(timer->due_ns + TICK > asked);
        }
        for (int i = 0; i < COUNT; i++) {
            if (!wheel_is_armed(&timers[i])) continue;
            armed_count++;
            assert_true(timers[i].due_ns + TICK > now);
        }
        assert_int_equal(wheel.armed_count, armed_count);
    }
    wheel_close(&wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_early_at_most_a_tick_late),
        cmocka_unit_test(test_disarmed_never_fires),
        cmocka_unit_test(test_armed_anew_counts_from_anew),
        cmocka_unit_test(test_far_timers_wait_in_the_last_bucket),
        cmocka_unit_test(test_a_long_pause_loses_nothing),
        cmocka_unit_test(test_a_fired_timer_may_be_armed_at_once),
        cmocka_unit_test(test_the_wheel_may_start_late),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_against_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
