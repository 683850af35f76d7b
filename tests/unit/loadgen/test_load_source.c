#include "loadgen/load_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

static struct load_sources sources;

static void expect_address(uint32_t index, const char *text)
{
    char shown[NET_TEXT_MAX];
    assert_true(index < sources.count);
    assert_string_equal(net_format(shown, &sources.addresses[index]), text);
}

static void test_lists(void **state)
{
    (void)state;
    assert_true(load_sources_parse(&sources, "127.0.0.2"));
    assert_int_equal(sources.count, 1);
    expect_address(0, "127.0.0.2:0");
    assert_true(load_sources_parse(&sources, "127.0.0.2,::1,127.0.1.5/30"));
    assert_int_equal(sources.count, 6);
    expect_address(1, "[::1]:0");
    expect_address(2, "127.0.1.4:0");
    expect_address(5, "127.0.1.7:0");
    assert_true(load_sources_parse(&sources, "127.0.9.0/24"));
    assert_int_equal(sources.count, LOAD_SOURCES_MAX);
    expect_address(255, "127.0.9.255:0");
}

static void test_what_is_no_list(void **state)
{
    static const char *const wrong[] = {
        "",         "x",         "127.0.0.256", "127.0.0.1,",  "1.2.3.4/33",   "1.2.3.4/0",
        "1.2.3.4/", "1.2.3.4/x", "::1/128",     "127.0.0.0/8", "127.0.0.1:25", "1.2.3.0/24,::1"};
    (void)state;
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++)
        assert_false(load_sources_parse(&sources, wrong[index]));
}

static void test_addresses_are_tried(void **state)
{
    uint32_t index = 9;
    (void)state;

    assert_true(load_sources_parse(&sources, "127.0.0.1,127.0.0.77"));
    assert_int_equal(load_sources_check(&sources, AF_INET, &index), 0);
    assert_int_equal(load_sources_check(&sources, AF_INET6, &index), -EAFNOSUPPORT);
    assert_int_equal(index, 0);
    /* TEST-NET-1 (RFC 5737) is nobody's. */
    assert_true(load_sources_parse(&sources, "127.0.0.1,192.0.2.1"));
    assert_int_equal(load_sources_check(&sources, AF_INET, &index), -EADDRNOTAVAIL);
    assert_int_equal(index, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_what_is_no_list),
        cmocka_unit_test(test_addresses_are_tried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
