#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* xoshiro256**'s first outputs from the state 1, 2, 3, 4, as its authors' C code gives them. */
static void test_known_answers(void **state)
{
    static const uint64_t expected[] = {
        11520ull,
        0ull,
        1509978240ull,
        1215971899390074240ull,
        1216172134540287360ull,
        607988272756665600ull,
        16172922978634559625ull,
        8476171486693032832ull,
        10595114339597558777ull,
        2904607092377533576ull,
    };
    struct random random = {{1, 2, 3, 4}};
    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(random_next(&random), expected[i]);
}

static void test_seed_and_stream_decide(void **state)
{
    struct random a;
    struct random b;
    struct random other_seed;
    struct random other_stream;
    (void)state;

    random_init(&a, 4711, 3);
    random_init(&b, 4711, 3);
    random_init(&other_seed, 4712, 3);
    random_init(&other_stream, 4711, 4);
    for (int i = 0; i < 100; i++) {
        uint64_t number = random_next(&a);
        assert_int_equal(number, random_next(&b));
        assert_int_not_equal(number, random_next(&other_seed));
        assert_int_not_equal(number, random_next(&other_stream));
    }
}

/* These numbers are written into ledgers and results: they may never change. */
static void test_the_same_for_ever(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 1, 0);
    assert_int_equal(random_next(&random), 0x6082e9993631e7d5);
    assert_int_equal(random_mix(1, 0), 0x5e41ab087439611e);
    assert_int_equal(random_mix(1, 1), 0xf18d6ce93d6cf1ee);
}

static void test_seed_zero_works(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 0, 0);
    assert_int_not_equal(random.state[0] | random.state[1] | random.state[2] | random.state[3], 0);
    assert_int_not_equal(random_next(&random), random_next(&random));
}

static void test_below_is_bounded_and_even(void **state)
{
    enum { BOUND = 10, TRIES = 100000 };
    uint32_t counts[BOUND] = {0};
    struct random random;
    (void)state;

    random_init(&random, 1, 1);
    for (int i = 0; i < TRIES; i++) {
        uint64_t number = random_below(&random, BOUND);
        assert_true(number < BOUND);
        counts[number]++;
    }
    /* Six standard deviations of a binomial count: sqrt(100000 * 0.1 * 0.9) = 95. */
    for (int i = 0; i < BOUND; i++)
        assert_in_range(counts[i], TRIES / BOUND - 570, TRIES / BOUND + 570);
}

/* Three quarters of 2^64: without a second try, small numbers would be twice as likely. */
static void test_below_is_even_at_an_awkward_bound(void **state)
{
    enum { TRIES = 30000 };
    struct random random;
    uint32_t small_count = 0;
    (void)state;

    random_init(&random, 1, 4);
    for (int i = 0; i < TRIES; i++)
        small_count += random_below(&random, 3ull << 62) < 1ull << 62;
    assert_in_range(small_count, TRIES / 3 - 500, TRIES / 3 + 500); /* six deviations of 82 */
}

static void test_below_at_the_ends(void **state)
{
    struct random random;
    uint64_t all = 0;
    (void)state;

    random_init(&random, 1, 2);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(random_below(&random, 1), 0);
        assert_true(random_below(&random, (1ull << 63) + 1) <= 1ull << 63);
        all |= random_below(&random, UINT64_MAX);
    }
    assert_int_equal(all, UINT64_MAX);
}

static void test_unit_is_in_its_interval(void **state)
{
    struct random random;
    double sum = 0;
    (void)state;

    random_init(&random, 1, 3);
    for (int i = 0; i < 100000; i++) {
        double number = random_unit(&random);
        assert_true(number >= 0);
        assert_true(number < 1);
        sum += number;
    }
    assert_true(sum / 100000 > 0.49);
    assert_true(sum / 100000 < 0.51);
}

static void test_mix_depends_on_both(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(random_mix(7, i), random_mix(7, i));
        assert_int_not_equal(random_mix(7, i), random_mix(7, i + 1));
        assert_int_not_equal(random_mix(7, i), random_mix(8, i));
        assert_int_not_equal(random_mix(i, i + 1), random_mix(i + 1, i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_seed_and_stream_decide),
        cmocka_unit_test(test_the_same_for_ever),
        cmocka_unit_test(test_seed_zero_works),
        cmocka_unit_test(test_below_is_bounded_and_even),
        cmocka_unit_test(test_below_is_even_at_an_awkward_bound),
        cmocka_unit_test(test_below_at_the_ends),
        cmocka_unit_test(test_unit_is_in_its_interval),
        cmocka_unit_test(test_mix_depends_on_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
