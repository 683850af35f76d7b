#include "loadgen/load_expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static void test_lists(void **state)
{
    struct load_expects expects;
    (void)state;

    assert_true(load_expects_parse(&expects, "RCPT=450,data.=421,BDAT=552,Mail=550"));
    assert_int_equal(expects.count, 4);
    assert_true(load_expects_has(&expects, LOAD_PHASE_RCPT, 450));
    assert_true(load_expects_has(&expects, LOAD_PHASE_DOT, 421));
    assert_true(load_expects_has(&expects, LOAD_PHASE_DOT, 552));
    assert_true(load_expects_has(&expects, LOAD_PHASE_MAIL, 550));
    assert_false(load_expects_has(&expects, LOAD_PHASE_RCPT, 451));
    assert_false(load_expects_has(&expects, LOAD_PHASE_MAIL, 450));
    assert_false(load_expects_has(&expects, LOAD_PHASE_DATA, 421));
    assert_true(load_expects_parse(&expects, "DATA=503"));
    assert_true(load_expects_has(&expects, LOAD_PHASE_DATA, 503));
    assert_false(load_expects_has(&expects, LOAD_PHASE_RCPT, 450));
}

static void test_what_is_no_list(void **state)
{
    static const char *const wrong[] = {
        "",          ",",         "RCPT",       "RCPT=",
        "RCPT=45",   "RCPT=4500", "RCPT=250",   "RCPT=354",
        "RCPT=600",  "RCPT=4x0",  "FROG=450",   "RCPT=450,",
        ",RCPT=450", "RCPT450",   "DATA..=450", "RCPT=450;MAIL=450"};
    char many[33 * 9 + 1];
    struct load_expects expects;
    (void)state;

    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++)
        assert_false(load_expects_parse(&expects, wrong[index]));
    for (size_t index = 0; index < 33; index++)
        memcpy(many + index * 9, "RCPT=450,", 9);
    many[32 * 9 - 1] = '\0';
    assert_true(load_expects_parse(&expects, many));
    many[32 * 9 - 1] = ',';
    many[33 * 9 - 1] = '\0';
    assert_false(load_expects_parse(&expects, many));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_what_is_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
