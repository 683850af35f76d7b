#include "loadgen/load_pause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS 1000000ull

static struct load_pause parsed(const char *text)
{
    struct load_pause pause;
    assert_true(load_pause_parse(&pause, text));
    return pause;
}

static void test_what_is_read(void **state)
{
    static const char *const wrong[] = {"",        "x",      "-",        "1ms-",     "-1ms",
                                        "2ms-1ms", "exp:",   "exp:1-2s", "1s-2s-3s", "61m",
                                        "1s-61m",  "exp:2h", "5 ms",     "exp"};
    (void)state;
    assert_int_equal(parsed("50ms").kind, LOAD_PAUSE_FIXED);
    assert_int_equal(parsed("50ms").low_ns, 50 * MS);
    assert_int_equal(parsed("0").low_ns, 0);
    assert_int_equal(parsed("10ms-2s").kind, LOAD_PAUSE_RANGE);
    assert_int_equal(parsed("10ms-2s").low_ns, 10 * MS);
    assert_int_equal(parsed("10ms-2s").high_ns, 2000 * MS);
    assert_int_equal(parsed("exp:50ms").kind, LOAD_PAUSE_EXPONENTIAL);
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        struct load_pause pause;
        assert_false(load_pause_parse(&pause, wrong[index]));
    }
}

/* Mean, least and most of many; what a distribution promises. */
static void check(const char *text, double mean_ms, uint64_t least_ns, uint64_t most_ns)
{
    struct load_pause pause = parsed(text);
    struct random random;
    double sum_ms = 0;

    random_init(&random, 3, 1);
    for (uint32_t count = 0; count < 20000; count++) {
        uint64_t drawn_ns = load_pause_draw(&pause, &random);
        assert_in_range(drawn_ns, least_ns, most_ns);
        sum_ms += (double)drawn_ns / 1e6;
    }
    assert_true(sum_ms / 20000 > 0.97 * mean_ms);
    assert_true(sum_ms / 20000 < 1.03 * mean_ms);
}

static void test_what_is_drawn(void **state)
{
    (void)state;
    check("50ms", 50, 50 * MS, 50 * MS);
    check("10ms-30ms", 20, 10 * MS, 30 * MS);
    check("5ms-5ms", 5, 5 * MS, 5 * MS);
    check("exp:40ms", 40, 0, 1000 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_what_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
