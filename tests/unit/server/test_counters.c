#include "server/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_reason_has_a_sentence(void **state)
{
    (void)state;
    for (int reason = CLOSE_NONE; reason < CLOSE_REASON_COUNT; reason++)
        assert_true(strlen(close_reason_sentence((enum close_reason)reason)) > 5);
    assert_false(close_reason_is_error(CLOSE_QUIT));
    assert_true(close_reason_is_error(CLOSE_PEER_GONE));
}

static void totals_are_sums_and_zeros_are_left_out(void **state)
{
    struct counters first = {0};
    struct counters second = {0};
    struct counters sum = {0};
    char text[COUNTERS_TEXT_MAX];
    (void)state;
    counter_add(&first.messages, 3);
    counter_add(&second.messages, 4);
    counter_add(&second.close_reasons[CLOSE_IDLE], 1);
    counters_merge(&sum, &first);
    counters_merge(&sum, &second);
    assert_int_equal(counter_read(&sum.messages), 7);
    (void)counters_format(text, &sum);
    assert_non_null(strstr(text, " 7  messages answered 250\n"));
    assert_non_null(strstr(text, close_reason_sentence(CLOSE_IDLE)));
    assert_null(strstr(text, close_reason_sentence(CLOSE_QUIT)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_sentence),
        cmocka_unit_test(totals_are_sums_and_zeros_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
