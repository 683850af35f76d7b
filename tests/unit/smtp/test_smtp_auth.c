#include "smtp/smtp_auth.h"

#include "unit/smtp/session_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define IN       "235 2.7.0 Authentication successful\r\n"
#define OUT      "535 5.7.8 Error: authentication failed\r\n"
#define ASK      "334 \r\n"
#define USER     "334 VXNlcm5hbWU6\r\n"
#define PASSWORD "334 UGFzc3dvcmQ6\r\n"
#define STOPPED  "501 5.7.0 Authentication aborted\r\n"
#define NOT_64   "501 5.5.2 Error: not BASE64\r\n"
#define OK       "250 2.0.0 Ok\r\n"

static const struct trace_setup anybody = {.size_limit = 1000};

/* RFC 4616 4, RFC 4954 4.1: tim has "tanstaaftanstaaf". */
#define TIM       "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"
#define TIM_WRONG "AHRpbQB0YW5zdGFhZnRhbnN0YWFu"
#define AS_TIM    "dGltAHRpbQB0YW5zdGFhZnRhbnN0YWFm"
#define AS_OTHER  "dG9tAHRpbQB0YW5zdGFhZnRhbnN0YWFm"
#define TIM_USER  "dGlt"
#define TIM_PASS  "dGFuc3RhYWZ0YW5zdGFhZg=="

static const struct smtp_credential credentials[] = {
    {{(const uint8_t *)"tom", 3}, {(const uint8_t *)"x", 1}},
    {{(const uint8_t *)"tim", 3}, {(const uint8_t *)"tanstaaftanstaaf", 16}},
};
static const struct trace_setup known = {
    .size_limit = 1000, .credentials = credentials, .credential_count = 2};

static void test_anybody(void **state)
{
    static const struct reply_row rows[] = {
        {HELLO "AUTH PLAIN " TIM "\r\nNOOP\r\n", HELLO_OK IN OK},
        {HELLO "auth plain\r\n" TIM "\r\nNOOP\r\n", HELLO_OK ASK IN OK},
        {HELLO "AUTH LOGIN\r\n" TIM_USER "\r\n" TIM_PASS "\r\n", HELLO_OK USER PASSWORD IN},
        {HELLO "AUTH LOGIN " TIM_USER "\r\n\r\n", HELLO_OK PASSWORD IN},
        {HELLO "AUTH PLAIN =\r\n", HELLO_OK OUT}, /* an empty response has no user in it */
        {HELLO "AUTH PLAIN AAA=\r\n", HELLO_OK OUT},
    };
    (void)state;
    CHECK_ROWS(&anybody, rows);
}

static void test_known(void **state)
{
    static const struct reply_row rows[] = {
        {HELLO "AUTH PLAIN " TIM "\r\n", HELLO_OK IN},
        {HELLO "AUTH PLAIN " AS_TIM "\r\n", HELLO_OK IN},
        {HELLO "AUTH PLAIN " AS_OTHER "\r\n", HELLO_OK OUT},
        {HELLO "AUTH PLAIN " TIM_WRONG "\r\nAUTH PLAIN " TIM "\r\n", HELLO_OK OUT IN},
        {HELLO "AUTH LOGIN\r\n" TIM_USER "\r\n" TIM_PASS "\r\n", HELLO_OK USER PASSWORD IN},
        {HELLO "AUTH LOGIN\r\n" TIM_USER "\r\n" TIM_USER "\r\n", HELLO_OK USER PASSWORD OUT},
        {HELLO "AUTH LOGIN\r\nbm9ib2R5\r\n" TIM_PASS "\r\n", HELLO_OK USER PASSWORD OUT},
    };
    (void)state;
    CHECK_ROWS(&known, rows);
}

static void test_wrong_exchanges(void **state)
{
    static const struct reply_row rows[] = {
        {HELLO "AUTH\r\nAUTH NOSUCH\r\nAUTH CRAM-MD5 x\r\n",
         HELLO_OK "501 5.5.4 Syntax: AUTH mechanism\r\n"
                  "504 5.5.4 Unrecognized authentication type\r\n"
                  "504 5.5.4 Unrecognized authentication type\r\n"},
        {HELLO "AUTH PLAIN\r\n*\r\nNOOP\r\n", HELLO_OK ASK STOPPED OK},
        {HELLO "AUTH LOGIN\r\n" TIM_USER "\r\n*\r\nNOOP\r\n", HELLO_OK USER PASSWORD STOPPED OK},
        {HELLO "AUTH PLAIN\r\nnot base 64\r\nNOOP\r\n", HELLO_OK ASK NOT_64 OK},
        {HELLO "AUTH PLAIN QQ\r\nAUTH PLAIN a b\r\n", HELLO_OK NOT_64 NOT_64},
        {"AUTH PLAIN " TIM "\r\n", "503 5.5.1 Error: send HELO/EHLO first\r\n"},
        {HELLO "AUTH PLAIN " TIM "\r\nAUTH PLAIN " TIM "\r\nRSET\r\nAUTH LOGIN\r\n",
         HELLO_OK IN "503 5.5.1 Error: already authenticated\r\n" OK
                     "503 5.5.1 Error: already authenticated\r\n"},
        {HELLO "MAIL FROM:<>\r\nAUTH PLAIN " TIM "\r\nRCPT TO:<c@d>\r\n",
         HELLO_OK "250 2.1.0 Ok\r\n503 5.5.1 Error: MAIL transaction in progress\r\n"
                  "250 2.1.5 Ok\r\n"},
    };
    (void)state;
    CHECK_ROWS(&anybody, rows);
}

static void test_required(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .is_auth_required = true};
    (void)state;
    session_check_replies(&setup,
                          HELLO "MAIL FROM:<>\r\nNOOP\r\nRSET\r\nVRFY x\r\nAUTH PLAIN " TIM "\r\n"
                                "MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\n",
                          HELLO_OK "530 5.7.0 Authentication required\r\n" OK OK
                                   "252 2.0.0 Cannot VRFY user, but will accept message and keep "
                                   "it\r\n" IN "250 2.1.0 Ok\r\n" OK "250 2.1.0 Ok\r\n");
}

static void test_switched_off(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .offers_not = SMTP_OFFER(AUTH)};
    (void)state;
    session_check_replies(&setup, HELLO "AUTH PLAIN " TIM "\r\nMAIL FROM:<> AUTH=<>\r\n",
                          HELLO_OK "500 5.5.2 Error: command not recognized\r\n"
                                   "555 5.5.4 Unsupported option\r\n");
}

/* `before`, then a line of `size` octets with its end, then NOOP. */
static void check_long(const char *before, const char *start, uint64_t size, const char *wanted)
{
    char *input = malloc(SMTP_AUTH_LINE_MAX * 2);
    uint64_t before_size = strlen(before);
    memcpy(input, before, before_size);
    memset(input + before_size, 'A', size);
    memcpy(input + before_size, start, strlen(start));
    memcpy(input + before_size + size - 2, "\r\nNOOP\r\n", 9);
    struct bytes view = bytes_make(input, before_size + size + 6);
    static const uint64_t steps[] = {0, 1, 2, 3, 4, 5, 1000, 4095, 4096, 4097, 12287, 12288, 12290};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct session_trace trace;
        session_trace_run(&trace, &anybody, view, &(struct trace_cuts){.every = steps[i]});
        session_check_text(&trace.replies, bytes_from_text(wanted));
        session_trace_close(&trace);
    }
    free(input);
}

/* RFC 4954 4: 12,288 octets and the CR LF, for the command and for a response. */
static void test_long_exchanges(void **state)
{
    static const char too_long[] =
        "500 5.5.6 Error: authentication exchange line is too long\r\n" OK;
    char wanted[512];
    (void)state;
    (void)snprintf(wanted, sizeof wanted, "%s", GREETING HELLO_OK ASK OUT OK);
    check_long(HELLO "AUTH PLAIN\r\n", "", SMTP_AUTH_LINE_MAX + 2, wanted);
    (void)snprintf(wanted, sizeof wanted, "%s%s", GREETING HELLO_OK ASK, too_long);
    check_long(HELLO "AUTH PLAIN\r\n", "", SMTP_AUTH_LINE_MAX + 3, wanted);
    (void)snprintf(wanted, sizeof wanted, "%s", GREETING HELLO_OK OUT OK);
    check_long(HELLO, "aUTH PLAIN ", SMTP_AUTH_LINE_MAX + 1, wanted); /* base64 of 12,276 */
    (void)snprintf(wanted, sizeof wanted, "%s%s", GREETING HELLO_OK, too_long);
    check_long(HELLO, "AUTH PLAIN ", SMTP_AUTH_LINE_MAX + 3, wanted);
    (void)snprintf(wanted, sizeof wanted, "%s",
                   GREETING HELLO_OK "500 5.5.2 Error: line too long\r\n" OK);
    check_long(HELLO, "NOOP ", SMTP_LINE_MAX + 1, wanted);
}

/* What a log may see, line by line. */
static void test_secrets(void **state)
{
    static const struct {
        const char *line;
        bool is_secret;
    } lines[] = {
        {HELLO, false},
        {"AUTH LOGIN\r\n", true},
        {TIM_USER "\r\n", true},
        {TIM_PASS "\r\n", true},
        {"NOOP\r\n", false},
        {"FOO\r\n", false},
        {"auth plain " TIM "\r\n", true}, /* refused: what follows may be meant for a 334 */
        {TIM "\r\n", true},
        {"NOOP\r\n", false},
    };
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    uint8_t replies_text[2 * SMTP_REPLY_MAX];
    uint8_t stash[SMTP_STASH_SIZE];
    struct smtp_session session;
    struct smtp_config config = {
        .hostname = BYTES("sink"), .recipients_max = 9, .offers = SMTP_OFFERS_EVERY};
    (void)state;
    smtp_config_prepare(&config, text);
    smtp_session_init(&session, &config);
    smtp_session_lend_stash(&session, stash);
    memset(stash, 0, sizeof stash);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct smtp_replies replies = {.data = replies_text, .capacity = sizeof replies_text};
        struct smtp_detail detail;
        struct bytes line = bytes_from_text(lines[i].line);
        struct bytes rest = line;
        struct bytes start = bytes_take(&rest, 3); /* so that it passes through the stash */
        assert_int_equal(smtp_session_step(&session, &start, &replies, &detail), SMTP_WANT_INPUT);
        assert_int_equal(detail.line.size, 0);
        struct bytes none = bytes_make(NULL, 0);
        enum smtp_event event = smtp_session_step(&session, &rest, &replies, &detail);
        assert_int_equal(event, SMTP_WANT_INPUT);
        assert_true(bytes_equal(detail.line, line) || lines[i].is_secret);
        assert_int_equal(detail.is_line_secret, lines[i].is_secret);
        if (lines[i].is_secret)
            for (uint64_t k = 0; k < line.size; k++)
                assert_int_equal(stash[k], 0);
        (void)smtp_session_step(&session, &none, &replies, &detail);
        assert_int_equal(detail.line.size, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anybody),         cmocka_unit_test(test_known),
        cmocka_unit_test(test_wrong_exchanges), cmocka_unit_test(test_required),
        cmocka_unit_test(test_switched_off),    cmocka_unit_test(test_long_exchanges),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
