#include "loadgen/load_schedule.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#define SAMPLES 100000u

static struct load_schedule_recipe recipe_of(const char *arrival, uint64_t rate, uint32_t worker,
                                             uint32_t workers)
{
    struct load_schedule_recipe recipe = {
        .rate_per_s = rate, .seed = 4711, .worker = worker, .workers = workers};
    assert_true(load_schedule_parse(arrival, &recipe));
    return recipe;
}

/* The first `count` due times of all workers together, in order. */
static uint64_t *merge(const char *arrival, uint64_t rate, uint32_t workers, uint32_t count)
{
    struct load_schedule schedules[8];
    uint64_t *dues = calloc(count, sizeof *dues);
    assert_non_null(dues);
    assert_true(workers <= 8);
    for (uint32_t worker = 0; worker < workers; worker++) {
        struct load_schedule_recipe recipe = recipe_of(arrival, rate, worker, workers);
        load_schedule_open(&schedules[worker], &recipe);
    }
    for (uint32_t index = 0; index < count; index++) {
        struct load_schedule *first = &schedules[0];
        for (uint32_t worker = 1; worker < workers; worker++)
            if (schedules[worker].due_ns < first->due_ns) first = &schedules[worker];
        dues[index] = first->due_ns;
        load_schedule_advance(first);
    }
    return dues;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

/*
 * Anderson-Darling's A squared of the gaps against the exponential distribution of the mean asked
 * for, which is known beforehand: 3.857 is exceeded by chance once in a hundred seeds.
 */
static double anderson_darling(const uint64_t *dues, uint32_t count, double mean_ns)
{
    double *gaps = calloc(count, sizeof *gaps);
    double sum = 0;
    assert_non_null(gaps);
    for (uint32_t index = 0; index < count; index++)
        gaps[index] = (double)(dues[index] - (index > 0 ? dues[index - 1] : 0)) + 0.5;
    qsort(gaps, count, sizeof *gaps, compare);
    for (uint32_t index = 0; index < count; index++) {
        double log_below = log(-expm1(-gaps[index] / mean_ns));
        double log_above = -gaps[count - 1 - index] / mean_ns;
        sum += (2.0 * index + 1) * (log_below + log_above);
    }
    free(gaps);
    return -(double)count - sum / count;
}

static void test_poisson_gaps_are_exponential(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 8; workers *= 2) {
        uint64_t *dues = merge("poisson", 200, workers, SAMPLES);
        double square = anderson_darling(dues, SAMPLES, 5e6);
        if (square > 3.857) fail_msg("%u workers: A squared is %f", workers, square);
        free(dues);
    }
}

static void test_the_check_of_gaps_can_fail(void **state)
{
    uint64_t *dues = merge("poisson", 200, 1, SAMPLES);
    (void)state;
    assert_true(anderson_darling(dues, SAMPLES, 5.1e6) > 3.857); /* 2 % off */
    free(dues);
    dues = merge("uniform", 200, 1, SAMPLES);
    assert_true(anderson_darling(dues, SAMPLES, 5e6) > 3.857);
    free(dues);
}

static void test_the_rate_is_the_one_asked_for(void **state)
{
    static const char *const arrivals[] = {"poisson", "uniform", "burst:50"};
    (void)state;
    for (uint32_t index = 0; index < 3; index++)
        for (uint32_t workers = 1; workers <= 4; workers++) {
            uint64_t *dues = merge(arrivals[index], 7000, workers, 70000);
            double seconds = (double)dues[69999] / (double)CLOCK_NS_PER_S;
            if (seconds < 9.85 || seconds > 10.15) fail_msg("%s: %f s", arrivals[index], seconds);
            free(dues);
        }
}

static void test_uniform_gaps_are_equal_over_all_workers(void **state)
{
    uint64_t *dues = merge("uniform", 3000, 4, 9001);
    (void)state;
    assert_int_equal(dues[0], 0);
    for (uint32_t index = 1; index < 9001; index++) {
        uint64_t gap = dues[index] - dues[index - 1];
        assert_in_range(gap, 333333, 333334);
    }
    assert_int_equal(dues[9000], 3 * CLOCK_NS_PER_S); /* no rounding adds up */
    free(dues);
}

static void test_bursts_come_together(void **state)
{
    uint64_t *dues = merge("burst:100", 1000, 3, 1000);
    (void)state;
    for (uint32_t index = 0; index < 1000; index++)
        assert_int_equal(dues[index], index / 100 * 100 * CLOCK_NS_PER_MS);
    free(dues);
}

static void test_seed_and_worker_alone_fix_the_times(void **state)
{
    struct load_schedule_recipe recipe = recipe_of("poisson", 1000, 1, 3);
    struct load_schedule one;
    struct load_schedule same;
    struct load_schedule other;
    uint32_t equal = 0;
    (void)state;
    load_schedule_open(&one, &recipe);
    load_schedule_open(&same, &recipe);
    recipe.seed++;
    load_schedule_open(&other, &recipe);
    for (uint32_t index = 0; index < 1000; index++) {
        assert_int_equal(one.due_ns, same.due_ns);
        equal += one.due_ns == other.due_ns;
        load_schedule_advance(&one);
        load_schedule_advance(&same);
        load_schedule_advance(&other);
    }
    assert_true(equal < 3);
}

static void test_long_runs_keep_their_precision(void **state)
{
    struct load_schedule_recipe recipe = recipe_of("uniform", 100000000, 0, 1);
    struct load_schedule schedule;
    (void)state;
    load_schedule_open(&schedule, &recipe);
    schedule.index = 86400ull * 100000000; /* a day */
    load_schedule_advance(&schedule);
    assert_true(schedule.due_ns == 86400ull * CLOCK_NS_PER_S + 10);
}

static void test_arrivals_are_parsed(void **state)
{
    static const char *const wrong[] = {
        "", "Poisson", "burst", "burst:", "burst:0", "burst:x", "burst:2M", "uniform "};
    struct load_schedule_recipe recipe;
    (void)state;
    assert_true(load_schedule_parse("burst:1k", &recipe));
    assert_int_equal(recipe.arrival, LOAD_ARRIVAL_BURST);
    assert_int_equal(recipe.burst, 1000);
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++)
        assert_false(load_schedule_parse(wrong[index], &recipe));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poisson_gaps_are_exponential),
        cmocka_unit_test(test_the_check_of_gaps_can_fail),
        cmocka_unit_test(test_the_rate_is_the_one_asked_for),
        cmocka_unit_test(test_uniform_gaps_are_equal_over_all_workers),
        cmocka_unit_test(test_bursts_come_together),
        cmocka_unit_test(test_seed_and_worker_alone_fix_the_times),
        cmocka_unit_test(test_long_runs_keep_their_precision),
        cmocka_unit_test(test_arrivals_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
