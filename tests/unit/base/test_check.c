#include "base/check.h"
#include "unit/base/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

static int evaluated_count;

static int count_evaluation(void)
{
    return ++evaluated_count;
}

static void fail_a_check(void)
{
    signal(SIGABRT, SIG_DFL); /* cmocka and the sanitizers have their own */
    CHECK(evaluated_count == 12345);
}

static void test_true_passes_and_is_evaluated_once(void **state)
{
    (void)state;
    evaluated_count = 0;
    CHECK(count_evaluation() == 1);
    assert_int_equal(evaluated_count, 1);
}

static void test_false_aborts_with_the_place_and_the_expression(void **state)
{
    struct capture capture;
    (void)state;
    int status = capture_child(&capture, fail_a_check);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(capture.text, "test_check.c:"));
    assert_non_null(strstr(capture.text, "evaluated_count == 12345"));
}

static void test_slow_checks_follow_the_preset(void **state)
{
    (void)state;
    evaluated_count = 0;
    CHECK_SLOW(count_evaluation() == 1);
#ifdef RINGSINK_SLOW_CHECKS
    assert_int_equal(evaluated_count, 1);
#else
    assert_int_equal(evaluated_count, 0);
    (void)count_evaluation;
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_passes_and_is_evaluated_once),
        cmocka_unit_test(test_false_aborts_with_the_place_and_the_expression),
        cmocka_unit_test(test_slow_checks_follow_the_preset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
