#include "smtp/smtp_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_view(struct bytes view, const char *text)
{
    assert_int_equal(view.size, strlen(text));
    assert_memory_equal(view.data, text, view.size);
}

static void test_verb_and_argument(void **state)
{
    static const struct {
        const char *line;
        const char *verb;
        const char *argument;
    } rows[] = {
        {"QUIT", "QUIT", ""},
        {"NOOP some words ", "NOOP", "some words"},
        {"mail \t from:<a@b>  ", "mail", "from:<a@b>"},
        {"", "", ""},
        {"   ", "", ""},
        {" NOOP", "", "NOOP"},
        {"\tNOOP", "", "NOOP"},
        {"X", "X", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_command command = smtp_command_parse(bytes_from_text(rows[i].line));
        assert_view(command.verb, rows[i].verb);
        assert_view(command.argument, rows[i].argument);
    }
}

static void test_words(void **state)
{
    (void)state;
    struct bytes text = BYTES("RET=FULL\tENVID=a  b");
    assert_view(smtp_command_take_word(&text), "RET=FULL");
    assert_view(text, "\tENVID=a  b");
    assert_view(smtp_command_take_word(&text), ""); /* it stands on a blank */
    assert_view(text, "\tENVID=a  b");
    (void)bytes_take(&text, 1);
    assert_view(smtp_command_take_word(&text), "ENVID=a");
    text = BYTES("last");
    assert_view(smtp_command_take_word(&text), "last");
    assert_view(text, "");
    assert_view(smtp_command_take_word(&text), "");
}

static uint32_t key_of(const char *line)
{
    return smtp_command_parse(bytes_from_text(line)).key;
}

/* Of all octets only the two cases of a letter may have that letter's key. */
static void test_key_ignores_case_alone(void **state)
{
    (void)state;
    assert_int_equal(key_of("eHlO x"), SMTP_COMMAND_KEY('e', 'h', 'l', 'o'));
    assert_int_equal(key_of("GET /"), SMTP_COMMAND_KEY('g', 'e', 't', ' '));
    for (int octet = 1; octet < 256; octet++) {
        char line[] = {'N', 'O', (char)octet, 'P', '\0'};
        bool is_blank = octet == ' ' || octet == '\t';
        bool is_noop = key_of(line) == SMTP_COMMAND_KEY('n', 'o', 'o', 'p');
        assert_true(is_noop == (!is_blank && (octet == 'O' || octet == 'o')));
    }
}

static void test_rest_of_a_long_verb(void **state)
{
    (void)state;
    struct smtp_command connect = smtp_command_parse(BYTES("CONNECT x"));
    struct smtp_command connected = smtp_command_parse(BYTES("connected"));
    struct smtp_command noop = smtp_command_parse(BYTES("NOOP"));
    struct smtp_command get = smtp_command_parse(BYTES("GET"));
    assert_true(smtp_command_has_rest(&connect, BYTES("ect")));
    assert_false(smtp_command_has_rest(&connect, BYTES("")));
    assert_false(smtp_command_has_rest(&connected, BYTES("ect")));
    assert_true(smtp_command_has_rest(&noop, BYTES("")));
    assert_true(smtp_command_has_rest(&get, BYTES("")));
}

static void test_line_ends(void **state)
{
    static const struct {
        const char *line;
        const char *stripped;
        bool has_cr;
    } rows[] = {
        {"NOOP\r\n", "NOOP", true}, {"NOOP\n", "NOOP", false},     {"\r\n", "", true},
        {"\n", "", false},          {"NO\rOP\n", "NO\rOP", false}, {"NOOP\r\r\n", "NOOP\r", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes line = bytes_from_text(rows[i].line);
        assert_int_equal(smtp_command_strip_line(&line), rows[i].has_cr);
        assert_view(line, rows[i].stripped);
    }
}

static void test_keyword(void **state)
{
    (void)state;
    struct bytes text = BYTES("from:<a@b>");
    assert_true(smtp_command_take_keyword(&text, BYTES("FROM:")));
    assert_view(text, "<a@b>");
    assert_false(smtp_command_take_keyword(&text, BYTES("FROM:")));
    assert_view(text, "<a@b>");
    text = BYTES("FRO");
    assert_false(smtp_command_take_keyword(&text, BYTES("FROM:")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verb_and_argument),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_key_ignores_case_alone),
        cmocka_unit_test(test_rest_of_a_long_verb),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_keyword),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
