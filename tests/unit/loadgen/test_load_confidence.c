#include "loadgen/load_confidence.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The design's own examples, and binomial tables. */
static void test_ranks(void **state)
{
    static const struct {
        uint64_t count;
        double percentile;
        uint64_t low;
        uint64_t high;
    } rows[] = {
        {1000000, 99, 989804, 990197}, /* 98.980 % to 99.020 % */
        {10000, 99, 9880, 9921},       /* 98.80 % to 99.21 % */
        {100, 50, 40, 61},
        {1000, 99, 983, 996}, /* ten beyond: 4 to 17 of them at 95 % */
        {100, 90, 84, 95},
    };
    (void)state;
    for (uint32_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        uint64_t low;
        uint64_t high;
        load_confidence_ranks(rows[index].count, rows[index].percentile, &low, &high);
        if (low + 1 < rows[index].low || low > rows[index].low + 1 || high + 1 < rows[index].high ||
            high > rows[index].high + 1)
            fail_msg("row %u: %llu to %llu", index, (unsigned long long)low,
                     (unsigned long long)high);
    }
}

/* In 95 of 100 series of uniform samples the true percentile lies in the interval. */
static void test_it_covers_the_truth(void **state)
{
    static const struct {
        uint32_t samples;
        double percentile;
    } rows[] = {{200, 50}, {1500, 99}, {3000, 99}};
    struct random random;
    (void)state;

    random_init(&random, 6, 1);
    for (uint32_t row = 0; row < 3; row++) {
        double truth = rows[row].percentile / 100 * 1e6;
        uint32_t covered = 0;
        for (uint32_t round = 0; round < 500; round++) {
            struct histogram histogram;
            struct load_interval95 interval;
            assert_int_equal(histogram_open(&histogram, 2000000, 3), 0);
            for (uint32_t sample = 0; sample < rows[row].samples; sample++)
                histogram_record(&histogram, random_below(&random, 1000000));
            assert_true(load_confidence_order(&histogram, rows[row].percentile, &interval));
            covered += (double)interval.low * 0.9995 <= truth && (double)interval.high >= truth;
            histogram_close(&histogram);
        }
        assert_in_range(covered, 460, 500);
    }
}

static void test_too_few_samples_have_none(void **state)
{
    struct histogram histogram;
    struct load_interval95 interval;
    (void)state;

    assert_int_equal(histogram_open(&histogram, 1000, 3), 0);
    assert_false(load_confidence_order(&histogram, 50, &interval));
    for (uint32_t sample = 0; sample < 500; sample++)
        histogram_record(&histogram, 7);
    assert_false(load_confidence_order(&histogram, 99, &interval));
    assert_true(load_confidence_order(&histogram, 90, &interval));
    assert_int_equal(interval.low, 7);
    assert_int_equal(interval.high, 7);
    histogram_close(&histogram);
}

static void test_seconds_that_differ_widen_it(void **state)
{
    struct load_interval95 interval = {990, 1010};
    double seconds[10] = {500, 1500, 500, 1500, 500, 1500, 500, 1500, 500, -1};
    (void)state;

    load_confidence_widen(&interval, 1000, seconds, 10); /* nine only */
    assert_int_equal(interval.low, 990);
    seconds[9] = 1500;
    load_confidence_widen(&interval, 1000, seconds, 10);
    assert_in_range(interval.low, 620, 628); /* 1000 - 2.26 x 527 / root of 10 */
    assert_in_range(interval.high, 1372, 1380);
    load_confidence_widen(&interval, 100, seconds, 10);
    assert_int_equal(interval.low, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_it_covers_the_truth),
        cmocka_unit_test(test_too_few_samples_have_none),
        cmocka_unit_test(test_seconds_that_differ_widen_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
