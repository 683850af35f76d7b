#include "loadgen/load_length.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>

#define MAXIMUM (1ull << 30)

static struct load_length length;

static void parse(const char *text)
{
    if (!load_length_parse(&length, text, MAXIMUM)) fail_msg("'%s' is no length", text);
    for (uint32_t index = 1; index < length.count; index++)
        assert_true(length.slots[index - 1] <= length.slots[index]);
}

static void test_one_size(void **state)
{
    (void)state;
    parse("10k");
    assert_int_equal(length.kind, LOAD_LENGTH_FIXED);
    assert_int_equal(length.count, 1);
    assert_int_equal(length.slots[0], 10000);
    parse("0");
    assert_int_equal(load_length_percentile(&length, 99), 0);
}

static void test_a_range_is_flat(void **state)
{
    (void)state;
    parse("1k-101k");
    assert_int_equal(length.kind, LOAD_LENGTH_RANGE);
    assert_true(fabs(load_length_mean(&length) - 51000) < 100);
    assert_true(fabs((double)load_length_percentile(&length, 10) - 11000) < 200);
    assert_true(fabs((double)load_length_percentile(&length, 90) - 91000) < 200);
    assert_true(length.slots[0] >= 1000);
    assert_true(length.slots[length.count - 1] <= 101000);
    parse("0-4"); /* a body of one octet can't be */
    for (uint32_t index = 0; index < length.count; index++)
        assert_int_not_equal(length.slots[index], 1);
    parse("5k-5k");
    assert_int_equal(length.slots[0], 5000);
}

static void test_a_lognormal_has_its_median_and_tail(void **state)
{
    (void)state;
    parse("lognormal:8k,1.4");
    assert_int_equal(length.kind, LOAD_LENGTH_LOGNORMAL);
    assert_true(fabs((double)load_length_percentile(&length, 50) - 8000) < 40);
    /* One deviation is the factor e^1.4: 84.13 % lie below. */
    assert_true(fabs((double)load_length_percentile(&length, 84.134) / (8000 * exp(1.4)) - 1) <
                0.02);
    assert_true(fabs((double)load_length_percentile(&length, 15.866) / (8000 * exp(-1.4)) - 1) <
                0.02);
    assert_true(fabs(load_length_mean(&length) / (8000 * exp(1.4 * 1.4 / 2)) - 1) < 0.05);
    parse("lognormal:8k,0");
    assert_int_equal(length.slots[0], 8000);
    assert_int_equal(length.slots[1023], 8000);
    parse("lognormal:1Gi,10"); /* what would be longer is not */
    assert_true(length.slots[1023] == MAXIMUM);
    assert_true(length.slots[0] >= 2);
}

static void test_a_list_keeps_its_weights(void **state)
{
    uint32_t counts[3] = {0};
    (void)state;
    parse("1m:10,1k:50,10k:40");
    assert_int_equal(length.kind, LOAD_LENGTH_LIST);
    for (uint32_t index = 0; index < length.count; index++)
        counts[length.slots[index] == 1000 ? 0 : length.slots[index] == 10000 ? 1 : 2]++;
    assert_in_range(counts[0], 511, 513);
    assert_in_range(counts[1], 409, 411);
    assert_in_range(counts[2], 101, 103);
    parse("7:1");
    assert_int_equal(length.slots[512], 7);
}

static void test_what_is_no_length(void **state)
{
    static const char *const wrong[] = {"",
                                        "1",
                                        "-",
                                        "1k-",
                                        "-1k",
                                        "5k-1k",
                                        "1-5",
                                        "1k:",
                                        ":5",
                                        "1k:0",
                                        "1k:-1",
                                        "1k:5,",
                                        "1:5",
                                        "2Gi",
                                        "lognormal:8k",
                                        "lognormal:8k,",
                                        "lognormal:8k,x",
                                        "lognormal:8k,11",
                                        "lognormal:1,1",
                                        "lognormal:,1",
                                        "1k:nan",
                                        "lognormal:8k,nan",
                                        "many"};
    (void)state;
    for (uint32_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++)
        if (load_length_parse(&length, wrong[index], MAXIMUM)) fail_msg("'%s'", wrong[index]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_size),
        cmocka_unit_test(test_a_range_is_flat),
        cmocka_unit_test(test_a_lognormal_has_its_median_and_tail),
        cmocka_unit_test(test_a_list_keeps_its_weights),
        cmocka_unit_test(test_what_is_no_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
