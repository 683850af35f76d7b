#include "smtp/smtp_content.h"

#include "unit/smtp/session_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define BEGUN                                                                                      \
    GREETING HELLO_OK "SENDER smtp <a> <a@b> <>0\n250 2.1.0 Ok\r\n"                                \
                      "RECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"
#define GO_AHEAD    "DATA\n354 End data with <CR><LF>.<CR><LF>\r\n"
#define OK          "250 2.0.0 Ok\r\n"
#define NEED_MAIL   "503 5.5.1 Error: need MAIL command\r\n"
#define BDAT_SYNTAX "501 5.5.4 Syntax: BDAT count [LAST]\r\n"
#define TOO_BIG     "552 5.3.4 Error: message file too big\r\n"

static const struct trace_setup usual = {.size_limit = 1000};

/* RFC 3030 2: octets counted, neither dots nor line ends looked at. */
static void test_chunks(void **state)
{
    (void)state;
    session_check_events(&usual, OPEN "BDAT 8 LAST\r\nHey <3\r\nNOOP\r\n",
                         BEGUN "DATA\nBODY <Hey <3\r\n>\nVERDICT\n" QUEUED OK);
    session_check_events(&usual, OPEN "bdat 4\r\nabcdBDAT 0\r\nBDAT 4 last\r\nefgh",
                         BEGUN "DATA\n" OK OK "BODY <abcdefgh>\nVERDICT\n" QUEUED);
    session_check_events(&usual, OPEN "BDAT 0 LAST\r\nNOOP\r\n",
                         BEGUN "DATA\nBODY <>\nVERDICT\n" QUEUED OK);
    session_check_events(&usual, OPEN "BDAT 12 LAST \r\n\r\n.\r\n..x\n.\rx",
                         BEGUN "DATA\nBODY <\r\n.\r\n..x\n.\rx>\nVERDICT\n" QUEUED);
    session_check_events(&usual, OPEN "BDAT 00000000000000000002\r\nabRSET\r\nNOOP\r\n",
                         BEGUN "DATA\n" OK "BODY <ab>\nABANDONED\n" OK OK);
}

/* RFC 3030 2: "accept and discard": the octets of a refused chunk are never commands. */
static void test_refused_chunks(void **state)
{
    static const struct reply_row rows[] = {
        {"BDAT 6\r\nNOOP\r\nNOOP\r\n", "503 5.5.1 Error: send HELO/EHLO first\r\n" OK},
        {HELLO "BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n", HELLO_OK NEED_MAIL NEED_MAIL OK},
        {HELLO "MAIL FROM:<>\r\nBDAT 6\r\nRSET\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx",
         HELLO_OK "250 2.1.0 Ok\r\n503 5.5.1 Error: need RCPT command\r\n250 2.1.5 Ok\r\n" QUEUED},
        {HELLO "MAIL FROM:<>\r\nRCPT TO:<>\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n",
         HELLO_OK "250 2.1.0 Ok\r\n550 5.1.3 Error: null recipient address\r\n"
                  "554 5.5.1 Error: no valid recipients\r\n" OK},
        {OPEN "BDAT 1 LAST\r\nxBDAT 6\r\nQUIT\r\nNOOP\r\n", OPEN_OK QUEUED NEED_MAIL OK},
    };
    (void)state;
    CHECK_ROWS(&usual, rows);
}

static void test_order_between_chunks(void **state)
{
    static const struct reply_row rows[] = {
        {OPEN "BDAT 1\r\nxDATA\r\nMAIL FROM:<>\r\nRCPT TO:<e@f>\r\nETRN x\r\nNOOP\r\nVRFY x\r\n"
              "BDAT 0 LAST\r\n",
         OPEN_OK OK "503 5.5.1 Error: BDAT in progress: only BDAT or RSET may come\r\n"
                    "503 5.5.1 Error: BDAT in progress: only BDAT or RSET may come\r\n"
                    "503 5.5.1 Error: BDAT in progress: only BDAT or RSET may come\r\n"
                    "503 5.5.1 Error: BDAT in progress: only BDAT or RSET may come\r\n" OK
                    "252 2.0.0 Cannot VRFY user, but will accept message and keep it\r\n" QUEUED},
        {OPEN "BDAT 1\r\nxHELO a\r\nDATA\r\n",
         OPEN_OK OK HELLO_OK "503 5.5.1 Error: need RCPT command\r\n"},
        {HELLO "MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nDATA\r\nBDAT 1 LAST\r\nx"
               "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n",
         HELLO_OK "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
                  "503 5.5.1 Error: BODY=BINARYMIME needs BDAT\r\n" QUEUED
                  "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n" QUEUED},
    };
    (void)state;
    CHECK_ROWS(&usual, rows);
    session_check_events(&usual, OPEN "BDAT 2\r\nabQUIT\r\n",
                         BEGUN "DATA\n" OK "BODY <ab>\nABANDONED\n221 2.0.0 Bye\r\nHANG UP 0\n");
}

/* Where the size can't be read nothing behind it can be understood. */
static void test_unreadable_sizes(void **state)
{
    static const char *const wrong[] = {
        "BDAT",
        "BDAT ",
        "BDAT x",
        "BDAT -1",
        "BDAT 5 FOO",
        "BDAT 5 LAST x",
        "BDAT 5LAST",
        "BDAT +5",
        "BDAT 5.",
        "BDAT LAST",
        "BDAT 18446744073709551616",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char input[128] = OPEN;
        strcat(input, wrong[i]);
        strcat(input, "\r\nNOOP\r\n");
        session_check_events(&usual, input, BEGUN "ABANDONED\n" BDAT_SYNTAX "HANG UP 3\n");
    }
    session_check_events(&usual, "BDAT x\r\nNOOP\r\n", GREETING BDAT_SYNTAX "HANG UP 3\n");
}

static void test_chunks_past_the_limit(void **state)
{
    struct trace_setup setup = {.size_limit = 6};
    (void)state;
    session_check_events(&setup, OPEN "BDAT 6 LAST\r\nabcdef", /* exactly */
                         BEGUN "DATA\nBODY <abcdef>\nVERDICT\n" QUEUED);
    session_check_events(&setup,
                         OPEN "BDAT 4\r\nabcdBDAT 8\r\nQUIT\r\n\r\nBDAT 2 LAST\r\nxyNOOP\r\n",
                         BEGUN "DATA\n" OK "BODY <abcdQU>\nABANDONED\n" TOO_BIG NEED_MAIL OK);
    session_check_events(&setup, OPEN "BDAT 7 LAST\r\nabcdefgRSET\r\nMAIL FROM:<>\r\n",
                         BEGUN "DATA\nBODY <abcdef>\nABANDONED\n" TOO_BIG OK
                               "SENDER smtp <a> <> <>0\n250 2.1.0 Ok\r\n");
}

/* The caller can't keep it: the chunk is swallowed, the transaction stays. */
static void test_refused_by_the_caller(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .refusals = 4};
    (void)state;
    session_check_events(&setup, OPEN "BDAT 6\r\nQUIT\r\nBDAT 2 LAST\r\nab",
                         BEGUN "DATA\n451 4.3.0 Error: queue file write error\r\n"
                               "DATA\nBODY <ab>\nVERDICT\n" QUEUED);
}

/* An endless message ends the dialogue, at the same octet however it is cut. */
static uint64_t drain_until_hang_up(struct smtp_session *session, uint64_t chunk)
{
    uint8_t *content = calloc(1, chunk);
    uint8_t replies_text[SMTP_REPLY_MAX];
    uint64_t taken = 0;
    enum smtp_event event;
    do {
        struct bytes input = bytes_make(content, chunk);
        struct smtp_replies replies = {.data = replies_text, .capacity = sizeof replies_text};
        struct smtp_detail detail;
        do
            event = smtp_session_step(session, &input, &replies, &detail);
        while (event == SMTP_BODY || event == SMTP_ABANDONED);
        taken += chunk - input.size;
        if (event == SMTP_HANG_UP)
            assert_memory_equal(replies_text, "421 4.7.0 Error: message goes on", 32);
    } while (event == SMTP_WANT_INPUT && taken < 2 * SMTP_DRAIN_MAX);
    assert_int_equal(event, SMTP_HANG_UP);
    assert_int_equal(session->hang_up_reason, SMTP_HANG_UP_TOO_MUCH);
    free(content);
    return taken;
}

static void reach(struct smtp_session *session, const struct smtp_config *config, const char *text)
{
    uint8_t replies_text[2 * SMTP_REPLY_MAX];
    struct smtp_replies replies = {.data = replies_text, .capacity = sizeof replies_text};
    struct smtp_detail detail;
    struct bytes input = bytes_from_text(text);
    smtp_session_init(session, config);
    while (smtp_session_step(session, &input, &replies, &detail) != SMTP_WANT_INPUT)
        continue;
}

static void test_endless_content(void **state)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    struct smtp_session session;
    struct smtp_config config = {.hostname = BYTES("sink"),
                                 .size_limit = 1000,
                                 .recipients_max = 9,
                                 .offers = SMTP_OFFERS_EVERY};
    (void)state;
    smtp_config_prepare(&config, text);
    reach(&session, &config, READY);
    drain_until_hang_up(&session, 1 << 20);
    reach(&session, &config, OPEN "BDAT 18446744073709551615\r\n");
    drain_until_hang_up(&session, 1 << 20);
    reach(&session, &config, "BDAT 18446744073709551615\r\n");
    uint64_t taken = drain_until_hang_up(&session, 1 << 20);
    assert_int_equal(taken, SMTP_DRAIN_MAX + (1 << 20));
}

/* What the 421 itself drops, where a refused chunk comes in an open transaction. */
static void test_switched_off(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .offers_not = SMTP_OFFER(CHUNKING)};
    (void)state;
    session_check_replies(&setup, HELLO "BDAT 4\r\nMAIL FROM:<> BODY=BINARYMIME\r\n",
                          HELLO_OK "500 5.5.2 Error: command not recognized\r\n"
                                   "555 5.5.4 Unsupported option\r\n");
}

static void test_bare_newlines(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .bare_newline = SMTP_BARE_REJECT};
    (void)state;
    session_check_events(&setup, READY "a\nb\r\n.\r\nMAIL FROM:<>\r\n",
                         BEGUN GO_AHEAD
                         "BODY <a\nb\r\n>\nABANDONED\n550 5.5.2 Error: bare <CR> or <LF> "
                         "received\r\nSENDER smtp <a> <> <>0\n250 2.1.0 Ok\r\n");
    session_check_events(&setup, READY "a\rb\r\n.\r\n",
                         BEGUN GO_AHEAD "BODY <a\rb\r\n>\nABANDONED\n"
                                        "550 5.5.2 Error: bare <CR> or <LF> received\r\n");
    session_check_events(&setup, READY "..a\r\n\r\n.b\r\n.\r\n",
                         BEGUN GO_AHEAD "BODY <.a\r\n\r\nb\r\n>\nVERDICT\n" QUEUED);
    session_check_events(&setup, OPEN "BDAT 2 LAST\r\n\n\r", /* octets are octets */
                         BEGUN "DATA\nBODY <\n\r>\nVERDICT\n" QUEUED);
    setup.bare_newline = SMTP_BARE_NORMALIZE;
    session_check_events(&setup, READY "\na\n.\nb\r\n..\n\r\r\n\n\n.\rx\r\n.\r\n",
                         BEGUN GO_AHEAD "BODY <\r\na\r\n.\r\nb\r\n.\r\n\r\r\n\r\n\r\n.\rx\r\n>\n"
                                        "VERDICT\n" QUEUED);
    setup.size_limit = 4; /* of what is stored */
    session_check_events(&setup, READY "a\nbc\n\r\n.\r\nNOOP\r\n",
                         BEGUN GO_AHEAD "BODY <a\r\nb>\nABANDONED\n" TOO_BIG OK);
    session_check_events(&setup, READY "abc\n\r\n.\r\nNOOP\r\n",
                         BEGUN GO_AHEAD "BODY <abc\r>\nABANDONED\n" TOO_BIG OK);
}

static void test_strict_lines(void **state)
{
    struct trace_setup setup = {.size_limit = 5000, .has_strict_lines = true};
    char input[4000] = READY;
    struct session_trace trace;
    (void)state;
    uint64_t start = strlen(input);
    memset(input + start, 'x', 999);
    memcpy(input + start + 999, "\r\n.\r\nNOOP\r\n", 12);
    session_trace_run(&trace, &setup, bytes_from_text(input), &(struct trace_cuts){.every = 7});
    assert_non_null(memmem(trace.replies.data, trace.replies.size, "554 5.6.0 ", 10));
    assert_int_equal(trace.stored_count, 0);
    session_trace_close(&trace);
    memcpy(input + start + 998, "\r\n.\r\nNOOP\r\n", 12);
    session_trace_run(&trace, &setup, bytes_from_text(input), &(struct trace_cuts){.every = 7});
    assert_int_equal(trace.stored_count, 1);
    session_trace_close(&trace);
}

#define LMTP_BEGUN                                                                                 \
    "220 sink.example LMTP ringsink\r\n" EHLO_OK                                                   \
    "SENDER esmtp <a> <> <>0\n250 2.1.0 Ok\r\nRECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"                \
    "RECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"
#define LMTP_OPEN "LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\n"

/* RFC 2033 4.2: a reply for each RCPT that was accepted, in their order, doubles too. */
static void test_lmtp(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .is_lmtp = true};
    (void)state;
    session_check_events(&setup, LMTP_OPEN "RCPT TO:<>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n",
                         LMTP_BEGUN "550 5.1.3 Error: null recipient address\r\n" GO_AHEAD
                                    "BODY <x\r\n>\nVERDICT\n" QUEUED QUEUED OK);
    session_check_events(&setup, LMTP_OPEN "BDAT 1\r\nxBDAT 1 LAST\r\nyNOOP\r\n",
                         LMTP_BEGUN "DATA\n" OK "BODY <xy>\nVERDICT\n" QUEUED QUEUED OK);
    setup.verdict_count = 1;
    setup.verdicts[0] = SMTP_NO_SPACE;
    session_check_events(&setup, LMTP_OPEN "BDAT 1 LAST\r\nx",
                         LMTP_BEGUN "DATA\nBODY <x>\nVERDICT\n"
                                    "452 4.3.1 Insufficient system storage\r\n"
                                    "452 4.3.1 Insufficient system storage\r\n");
    setup.size_limit = 1000;
    setup.verdict_count = 0;
    setup.bare_newline = SMTP_BARE_REJECT;
    session_check_events(&setup, LMTP_OPEN "DATA\r\n\n\r\n.\r\nNOOP\r\n",
                         LMTP_BEGUN GO_AHEAD "BODY <\n\r\n>\nABANDONED\n"
                                             "550 5.5.2 Error: bare <CR> or <LF> received\r\n"
                                             "550 5.5.2 Error: bare <CR> or <LF> received\r\n" OK);
}

static void test_lmtp_order(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .is_lmtp = true};
    (void)state;
    session_check_events(&setup,
                         "HELO a\r\nEHLO a\r\nLHLO\r\nLHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\n"
                         "DATA\r\nBDAT 1\r\nxBDAT 1 LAST\r\nxNOOP\r\n",
                         "220 sink.example LMTP ringsink\r\n"
                         "500 5.5.2 Error: command not recognized\r\n"
                         "500 5.5.2 Error: command not recognized\r\n"
                         "501 Syntax: LHLO hostname\r\n" EHLO_OK
                         "SENDER esmtp <a> <> <>0\n250 2.1.0 Ok\r\n"
                         "550 5.1.3 Error: null recipient address\r\n"
                         "503 5.5.1 Error: need RCPT command\r\n"
                         "503 5.5.1 Error: need RCPT command\r\n" OK);
}

static void test_lmtp_past_the_limit(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .is_lmtp = true};
    char input[2000] = LMTP_OPEN "DATA\r\n";
    struct session_trace trace;
    (void)state;
    uint64_t start = strlen(input);
    memset(input + start, 'x', 1001);
    memcpy(input + start + 1001, "\r\n.\r\nNOOP\r\n", 12);
    for (uint64_t every = 1; every < 2000; every += 37) {
        session_trace_run(&trace, &setup, bytes_from_text(input),
                          &(struct trace_cuts){.every = every});
        struct bytes replies = trace_text_view(&trace.replies);
        static const char end[] = TOO_BIG TOO_BIG OK;
        assert_memory_equal(replies.data + replies.size - (sizeof end - 1), end, sizeof end - 1);
        assert_int_not_equal(replies.data[replies.size - sizeof end - 39], '5');
        session_trace_close(&trace);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_refused_chunks),
        cmocka_unit_test(test_order_between_chunks),
        cmocka_unit_test(test_unreadable_sizes),
        cmocka_unit_test(test_chunks_past_the_limit),
        cmocka_unit_test(test_refused_by_the_caller),
        cmocka_unit_test(test_endless_content),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_bare_newlines),
        cmocka_unit_test(test_strict_lines),
        cmocka_unit_test(test_lmtp),
        cmocka_unit_test(test_lmtp_order),
        cmocka_unit_test(test_lmtp_past_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
