#include "loadgen/load_handshakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void test_full_and_resumed_in_time_and_not(void **state)
{
    struct load_handshakes handshakes = {0};
    (void)state;

    load_handshakes_count(&handshakes, false, false);
    load_handshakes_count(&handshakes, false, true);
    load_handshakes_count(&handshakes, true, true);
    load_handshakes_count(&handshakes, true, true);
    load_handshakes_count(&handshakes, true, false);
    assert_int_equal(handshakes.full, 2);
    assert_int_equal(handshakes.full_in_time, 1);
    assert_int_equal(handshakes.resumed, 3);
    assert_int_equal(handshakes.resumed_in_time, 2);
}

static void test_suites_are_told_apart_and_bounded(void **state)
{
    struct load_handshakes handshakes = {0};
    char cipher[20];
    (void)state;

    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t index = 0; index < LOAD_SUITES_MAX + 2; index++) {
            (void)snprintf(cipher, sizeof cipher, "CIPHER_%u", index);
            load_handshakes_add_suite(&handshakes, "TLSv1.3", cipher, 10);
        }
    assert_int_equal(handshakes.suite_count, LOAD_SUITES_MAX);
    assert_int_equal(handshakes.suites_beyond, 60);
    assert_int_equal(handshakes.suites[LOAD_SUITES_MAX - 1].count, 30);
    load_handshakes_add_suite(&handshakes, "TLSv1.2", "CIPHER_0", 1);
    assert_int_equal(handshakes.suites[0].count, 30);
    assert_int_equal(handshakes.suites_beyond, 61);
}

static void test_long_names_are_cut(void **state)
{
    struct load_handshakes handshakes = {0};
    char name[3 * LOAD_SUITE_TEXT_MAX];
    (void)state;

    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    load_handshakes_add_suite(&handshakes, name, name, 1);
    assert_int_equal(strlen(handshakes.suites[0].version), LOAD_SUITE_TEXT_MAX - 1);
    assert_int_equal(strlen(handshakes.suites[0].cipher), LOAD_SUITE_TEXT_MAX - 1);
}

static void test_merge(void **state)
{
    struct load_handshakes one = {.full = 1, .resumed = 2, .full_in_time = 1, .truncated = 5};
    struct load_handshakes other = {.full = 10, .resumed = 20, .resumed_in_time = 7};
    (void)state;

    load_handshakes_add_suite(&one, "TLSv1.3", "A", 3);
    load_handshakes_add_suite(&other, "TLSv1.2", "A", 4);
    load_handshakes_add_suite(&other, "TLSv1.3", "A", 5);
    other.suites_beyond = 2;
    load_handshakes_merge(&one, &other);
    assert_int_equal(one.full, 11);
    assert_int_equal(one.resumed, 22);
    assert_int_equal(one.full_in_time, 1);
    assert_int_equal(one.resumed_in_time, 7);
    assert_int_equal(one.truncated, 5);
    assert_int_equal(one.suites_beyond, 2);
    assert_int_equal(one.suite_count, 2);
    assert_string_equal(one.suites[0].version, "TLSv1.3");
    assert_int_equal(one.suites[0].count, 8);
    assert_int_equal(one.suites[1].count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_and_resumed_in_time_and_not),
        cmocka_unit_test(test_suites_are_told_apart_and_bounded),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
