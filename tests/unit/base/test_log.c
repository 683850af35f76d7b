#include "base/log.h"
#include "unit/base/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static struct capture capture;

static const char *log_one(enum log_format format, const char *message)
{
    log_open("ringsink", LOG_LEVEL_DEBUG, format);
    capture_begin(&capture, STDERR_FILENO);
    log_warning("%s", message);
    return capture_end(&capture);
}

static void test_text_lines(void **state)
{
    (void)state;
    log_open("ringsink", LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    capture_begin(&capture, STDERR_FILENO);
    log_error("one %d", 1);
    log_warning("two");
    log_info("three");
    log_debug("four");
    assert_string_equal(capture_end(&capture), "ringsink: error: one 1\n"
                                               "ringsink: warning: two\n"
                                               "ringsink: info: three\n"
                                               "ringsink: debug: four\n");
}

static void test_level_is_a_limit(void **state)
{
    (void)state;
    log_open("ringsink", LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    assert_true(log_is_on(LOG_LEVEL_ERROR));
    assert_true(log_is_on(LOG_LEVEL_WARNING));
    assert_false(log_is_on(LOG_LEVEL_INFO));
    capture_begin(&capture, STDERR_FILENO);
    log_debug("no");
    log_info("no");
    log_warning("yes");
    assert_string_equal(capture_end(&capture), "ringsink: warning: yes\n");
}

static void test_level_parse(void **state)
{
    enum log_level level = LOG_LEVEL_ERROR;
    (void)state;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_true(log_level_parse("WARN", &level));
    assert_int_equal(level, LOG_LEVEL_WARNING);
    assert_true(log_level_parse("Info", &level));
    assert_int_equal(level, LOG_LEVEL_INFO);
    assert_true(log_level_parse("warning", &level));
    assert_int_equal(level, LOG_LEVEL_WARNING);
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_false(log_level_parse("loud", &level));
    assert_false(log_level_parse("", &level));
}

static void test_text_is_one_line_whatever_it_holds(void **state)
{
    (void)state;
    assert_string_equal(log_one(LOG_FORMAT_TEXT, "a\r\nb\x1b[31m"),
                        "ringsink: warning: a??b?[31m\n");
}

static void test_long_lines_are_cut(void **state)
{
    static char message[3 * LOG_LINE_MAX];
    (void)state;
    memset(message, '"', sizeof(message) - 1);
    const char *text = log_one(LOG_FORMAT_TEXT, message);
    assert_in_range(strlen(text), LOG_LINE_MAX - 8, LOG_LINE_MAX);
    assert_int_equal(text[strlen(text) - 1], '\n');
    text = log_one(LOG_FORMAT_JSON, message);
    assert_in_range(strlen(text), LOG_LINE_MAX - 8, LOG_LINE_MAX);
    assert_string_equal(text + strlen(text) - 5, "\\\"\"}\n"); /* no half escape */
}

static void check_json(const char *message, const char *escaped)
{
    const char *text = log_one(LOG_FORMAT_JSON, message);
    const char *rest = strstr(text, "\",\"level\"");
    char expected[256];

    snprintf(expected, sizeof(expected),
             "\",\"level\":\"warning\",\"program\":\"ringsink\",\"message\":\"%s\"}\n", escaped);
    assert_non_null(rest);
    assert_string_equal(rest, expected);
}

static void test_json_escapes(void **state)
{
    static const struct {
        const char *message;
        const char *escaped;
    } rows[] = {
        {"plain", "plain"},
        {"say \"hi\" \\ o/", "say \\\"hi\\\" \\\\ o/"},
        {"a\nb\tc\x01\x7f", "a\\u000ab\\u0009c\\u0001\\u007f"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe2\x82\xac \xf0\x9f\x93\xa7", "\xe2\x82\xac \xf0\x9f\x93\xa7"},
        {"\xff", "\\ufffd"},
        {"\xc3", "\\ufffd"},
        {"\xc0\xaf", "\\ufffd\\ufffd"},                       /* overlong */
        {"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"},            /* overlong */
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},            /* surrogate */
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* past U+10FFFF */
        {"\xe2\x82", "\\ufffd\\ufffd"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_json(rows[i].message, rows[i].escaped);
}

static void test_json_has_the_time(void **state)
{
    unsigned year;
    unsigned rest[6];
    (void)state;
    const char *text = log_one(LOG_FORMAT_JSON, "x");
    assert_int_equal(sscanf(text, "{\"time\":\"%4u-%2u-%2uT%2u:%2u:%2u.%3uZ\"", &year, &rest[0],
                            &rest[1], &rest[2], &rest[3], &rest[4], &rest[5]),
                     7);
    assert_in_range(year, 2020, 2200);
    assert_memory_equal(strchr(text, 'Z'), "Z\",\"level\"", 10);
}

static void test_errno_stays(void **state)
{
    (void)state;
    capture_begin(&capture, STDERR_FILENO);
    int original = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOSPC;
    log_error("nobody reads this");
    int error = errno;
    dup2(original, STDERR_FILENO);
    close(original);
    assert_string_equal(capture_end(&capture), "");
    assert_int_equal(error, ENOSPC);
}

static void die_of_it(void)
{
    log_open("ringsink", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    die(73, "can't make %s", "/spool");
}

static void test_die_says_why_and_exits(void **state)
{
    (void)state;
    int status = capture_child(&capture, die_of_it);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 73);
    assert_string_equal(capture.text, "ringsink: error: can't make /spool\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_lines),
        cmocka_unit_test(test_level_is_a_limit),
        cmocka_unit_test(test_level_parse),
        cmocka_unit_test(test_text_is_one_line_whatever_it_holds),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_json_escapes),
        cmocka_unit_test(test_json_has_the_time),
        cmocka_unit_test(test_errno_stays),
        cmocka_unit_test(test_die_says_why_and_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
