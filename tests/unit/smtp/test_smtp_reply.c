#include "smtp/smtp_reply.h"

#include "smtp/smtp_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool is_digit(uint8_t octet)
{
    return octet >= '0' && octet <= '9';
}

/* RFC 2034 4: class "." subject "." detail, the class being the reply's first digit. */
static bool has_enhanced_code(struct bytes line)
{
    if (line.size <= 11) return false;
    uint64_t end = is_digit(line.data[9]) ? 10 : 9;
    return is_digit(line.data[4]) && line.data[5] == '.' && is_digit(line.data[6]) &&
           line.data[7] == '.' && is_digit(line.data[8]) && line.data[end] == ' ';
}

static void test_every_row(void **state)
{
    (void)state;
    for (int reply = 0; reply < SMTP_REPLY_COUNT; reply++) {
        struct bytes text = smtp_reply_text((enum smtp_reply)reply);
        assert_true(text.size >= 6);
        assert_true(text.size <= SMTP_REPLY_LINE_MAX);
        assert_int_equal(bytes_find(text, '\n'), text.size - 1);
        assert_int_equal(bytes_find(text, '\r'), text.size - 2);
        assert_true(text.data[0] >= '2' && text.data[0] <= '5');
        assert_true(is_digit(text.data[1]));
        assert_true(is_digit(text.data[2]));
        assert_int_equal(text.data[3], ' ');
        for (uint64_t i = 0; i + 2 < text.size; i++)
            assert_true(text.data[i] >= ' ' && text.data[i] <= '~');
        /* RFC 2034 4: not for 3yz */
        bool may_lack_code = reply == SMTP_REPLY_SYNTAX_HELO || reply == SMTP_REPLY_SYNTAX_EHLO ||
                             reply == SMTP_REPLY_SYNTAX_LHLO || text.data[0] == '3';
        assert_int_equal(has_enhanced_code(text), !may_lack_code);
        if (!may_lack_code) assert_int_equal(text.data[4], text.data[0]);
    }
}

static void test_words_that_clients_know(void **state)
{
    static const struct {
        enum smtp_reply reply;
        const char *text;
    } rows[] = {
        {SMTP_REPLY_OK, "250 2.0.0 Ok\r\n"},
        {SMTP_REPLY_SENDER_OK, "250 2.1.0 Ok\r\n"},
        {SMTP_REPLY_RECIPIENT_OK, "250 2.1.5 Ok\r\n"},
        {SMTP_REPLY_GO_AHEAD, "354 End data with <CR><LF>.<CR><LF>\r\n"},
        {SMTP_REPLY_BYE, "221 2.0.0 Bye\r\n"},
        {SMTP_REPLY_NEED_MAIL, "503 5.5.1 Error: need MAIL command\r\n"},
        {SMTP_REPLY_SYNTAX_MAIL, "501 5.5.4 Syntax: MAIL FROM:<address>\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(bytes_equal(smtp_reply_text(rows[i].reply), bytes_from_text(rows[i].text)));
}

static void test_buffer(void **state)
{
    uint8_t memory[32];
    struct smtp_replies replies = {.data = memory, .capacity = 20};
    (void)state;
    assert_true(smtp_replies_have_room(&replies, 20));
    assert_false(smtp_replies_have_room(&replies, 21));
    smtp_replies_put(&replies, SMTP_REPLY_OK, true);
    assert_int_equal(replies.size, 14);
    assert_memory_equal(memory, "250 2.0.0 Ok\r\n", 14);
    assert_true(smtp_replies_have_room(&replies, 6));
    assert_false(smtp_replies_have_room(&replies, 7));
    smtp_replies_put_bytes(&replies, BYTES("abcdef"));
    smtp_replies_put_bytes(&replies, bytes_make(NULL, 0));
    assert_int_equal(replies.size, 20);
    assert_memory_equal(memory + 14, "abcdef", 6);
}

/* RFC 2034: without the extension no enhanced code, and nothing else is missing. */
static void test_without_enhanced_codes(void **state)
{
    static const struct {
        enum smtp_reply reply;
        const char *text;
    } rows[] = {
        {SMTP_REPLY_OK, "250 Ok\r\n"},
        {SMTP_REPLY_GO_AHEAD, "354 End data with <CR><LF>.<CR><LF>\r\n"},
        {SMTP_REPLY_SYNTAX_HELO, "501 Syntax: HELO hostname\r\n"},
        {SMTP_REPLY_CHALLENGE, "334 \r\n"},
        {SMTP_REPLY_AUTH_NEEDS_TLS,
         "538 Encryption required for requested authentication mechanism\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t memory[256];
        struct smtp_replies replies = {.data = memory, .capacity = sizeof memory};
        smtp_replies_put(&replies, rows[i].reply, false);
        assert_int_equal(replies.size, strlen(rows[i].text));
        assert_memory_equal(memory, rows[i].text, replies.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_words_that_clients_know),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_without_enhanced_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
