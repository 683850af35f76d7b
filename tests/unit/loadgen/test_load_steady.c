#include "loadgen/load_steady.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

static void test_a_line_is_a_drift(void **state)
{
    double values[10];
    (void)state;

    for (uint32_t index = 0; index < 10; index++)
        values[index] = 1000 + 100.0 * index;
    struct load_trend trend = load_steady_measure(values, 10);
    assert_true(trend.is_known);
    assert_true(trend.is_drift);
    assert_true(fabs(trend.drift_ratio - 900.0 / 1450) < 1e-9);
    assert_true(fabs(trend.halves_ratio - 1700.0 / 1200) < 1e-9);
    for (uint32_t index = 0; index < 10; index++)
        values[index] = 1000 - 5.0 * index; /* 4.6 %: below the limit, however straight */
    assert_false(load_steady_measure(values, 10).is_drift);
    for (uint32_t index = 0; index < 10; index++)
        values[index] = 1000;
    trend = load_steady_measure(values, 10);
    assert_true(trend.is_known);
    assert_false(trend.is_drift);
    assert_true(trend.drift_ratio == 0);
}

static void test_few_seconds_say_nothing(void **state)
{
    double values[] = {1, 2, 3, 4, 5, 6, 7, -1, -1, -1};
    (void)state;

    assert_false(load_steady_measure(values, 0).is_known);
    assert_false(load_steady_measure(values, 7).is_known);
    assert_false(load_steady_measure(values, 10).is_known); /* unknown ones do not count */
    values[9] = 8;
    assert_true(load_steady_measure(values, 10).is_known);
    double nothing[20] = {0};
    assert_false(load_steady_measure(nothing, 20).is_known);
}

/* Scatter alone is taken for a drift no more than once in a hundred times. */
static void test_scatter_is_no_drift(void **state)
{
    struct random random;
    uint32_t wrong = 0;
    uint32_t missed = 0;
    (void)state;

    random_init(&random, 5, 1);
    for (uint32_t round = 0; round < 1000; round++) {
        double values[10];
        for (uint32_t index = 0; index < 10; index++)
            values[index] = 100 + 40 * (random_unit(&random) - 0.5);
        wrong += load_steady_measure(values, 10).is_drift;
        for (uint32_t index = 0; index < 10; index++)
            values[index] += 10.0 * index;
        missed += !load_steady_measure(values, 10).is_drift;
    }
    assert_in_range(wrong, 0, 20);
    assert_in_range(missed, 0, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_a_drift),
        cmocka_unit_test(test_few_seconds_say_nothing),
        cmocka_unit_test(test_scatter_is_no_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
