#include "smtp/smtp_line_ends.h"

#include "smtp/smtp_limits.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Cut at every place. */
static void check(struct bytes content, bool has_bare, bool has_long)
{
    for (uint64_t at = 0; at <= content.size; at++) {
        struct smtp_line_ends ends;
        smtp_line_ends_init(&ends);
        smtp_line_ends_inspect(&ends, bytes_make(content.data, at));
        smtp_line_ends_inspect(&ends, bytes_make(content.data + at, content.size - at));
        assert_int_equal(ends.has_bare_newline, has_bare);
        assert_int_equal(ends.has_long_line, has_long);
    }
}

static void test_bare_newlines(void **state)
{
    (void)state;
    check(BYTES(""), false, false);
    check(BYTES("a\r\n\r\nb\r\n"), false, false);
    check(BYTES("a\nb\r\n"), true, false);
    check(BYTES("\n"), true, false);
    check(BYTES("a\rb\r\n"), true, false);
    check(BYTES("a\r\r\n"), true, false);
    check(BYTES("\r\n\n"), true, false);
    check(BYTES("\r\n\rx"), true, false);
}

static void check_long(uint64_t size, const char *end, bool has_bare, bool is_long)
{
    uint64_t end_size = strlen(end);
    uint8_t *line = malloc(2 * (size + end_size));
    memset(line, 'x', size);
    memcpy(line + size, end, end_size);
    memcpy(line + size + end_size, line, size + end_size);
    check(bytes_make(line, 2 * (size + end_size)), has_bare, is_long);
    free(line);
}

/* RFC 5321 4.5.3.1.6: 1,000 octets with the CR LF. */
static void test_long_lines(void **state)
{
    (void)state;
    check_long(SMTP_TEXT_LINE_MAX, "\r\n", false, false);
    check_long(SMTP_TEXT_LINE_MAX + 1, "\r\n", false, true);
    check_long(SMTP_TEXT_LINE_MAX / 2 - 1, "\r", true, false); /* a lone CR ends no line */
    check_long(SMTP_TEXT_LINE_MAX / 2, "\r", true, true);
}

static void test_is_bare(void **state)
{
    struct smtp_line_ends before = {0};
    (void)state;
    assert_true(smtp_line_ends_is_bare(&before, BYTES("\n")));
    assert_true(smtp_line_ends_is_bare(&before, BYTES("a\n")));
    assert_false(smtp_line_ends_is_bare(&before, BYTES("\r\n")));
    assert_false(smtp_line_ends_is_bare(&before, BYTES("a")));
    assert_false(smtp_line_ends_is_bare(&before, BYTES("")));
    smtp_line_ends_inspect(&before, BYTES("a\r"));
    assert_false(smtp_line_ends_is_bare(&before, BYTES("\n")));
    assert_true(smtp_line_ends_is_bare(&before, BYTES("a\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bare_newlines),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_is_bare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
