/*
 * STARTTLS (RFC 3207), with TLS itself left out: behind the 220 the input counts as decrypted.
 * Where it is cut shows in one thing alone: what stands behind STARTTLS in the same input.
 */
#include "smtp/smtp_session.h"

#include "unit/smtp/session_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define OK         "250 2.0.0 Ok\r\n"
#define READY_TLS  "220 2.0.0 Ready to start TLS\r\n"
#define NEED_TLS   "530 5.7.0 Must issue a STARTTLS command first\r\n"
#define NEED_HELO  "503 5.5.1 Error: send HELO/EHLO first\r\n"
#define UNKNOWN    "500 5.5.2 Error: command not recognized\r\n"
#define TWICE      "554 5.5.1 Error: TLS already active\r\n"
#define INJECTED   "554 5.5.1 Error: nothing may be sent behind STARTTLS before its reply\r\n"
#define LOGGED_IN  "235 2.7.0 Authentication successful\r\n"
#define AUTH_PLAIN "538 5.7.11 Encryption required for requested authentication mechanism\r\n"
#define LOGIN      "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"
#define SENDER     "SENDER esmtp <a> <a@b> <>0\n250 2.1.0 Ok\r\n"
#define RECIPIENT  "RECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"
#define EHLO       "EHLO a\r\n"
#define EHLO_PLAIN                                                                                 \
    "250-sink.example\r\n250-PIPELINING\r\n" EHLO_MIDDLE "250-AUTH PLAIN LOGIN\r\n"                \
    "250-HELP\r\n250 STARTTLS\r\n"
#define EHLO_NO_AUTH                                                                               \
    "250-sink.example\r\n250-PIPELINING\r\n" EHLO_MIDDLE "250-HELP\r\n250 STARTTLS\r\n"

static const struct trace_setup with_tls = {.size_limit = 1000, .offers_tls = true};
static const struct trace_setup strict = {
    .size_limit = 1000, .offers_tls = true, .is_strict = true};

static void test_not_offered(void **state)
{
    static const struct trace_setup without = {.size_limit = 1000};
    static const struct reply_row rows[] = {
        {EHLO "STARTTLS\r\nSTARTTLS x\r\nNOOP\r\n", EHLO_OK UNKNOWN UNKNOWN OK},
    };
    (void)state;
    CHECK_ROWS(&without, rows);
}

static void test_started(void **state)
{
    static const struct reply_row rows[] = {
        {EHLO "STARTTLS\r\n", EHLO_PLAIN READY_TLS},
        {EHLO "starttls \r\n", EHLO_PLAIN READY_TLS},
        {"STARTTLS\r\n", READY_TLS},
        {HELLO "STARTTLS\n", HELLO_OK READY_TLS},
        {OPEN "STARTTLS\r\n", OPEN_OK READY_TLS},
        {READY "STARTTLS\r\n.\r\n", READY_OK QUEUED}, /* content */
    };
    (void)state;
    CHECK_ROWS(&with_tls, rows);
}

/* None of these starts anything, so what follows is read on. */
static void test_refused(void **state)
{
    static const struct reply_row rows[] = {
        {EHLO "STARTTLS x\r\nSTARTTLSX\r\nSTART TLS\r\nNOOP\r\n",
         EHLO_PLAIN "501 5.5.4 Syntax: STARTTLS\r\n" UNKNOWN UNKNOWN OK},
        {OPEN "BDAT 1\r\nxSTARTTLS\r\nBDAT 0 LAST\r\n",
         OPEN_OK OK "503 5.5.1 Error: BDAT in progress: only BDAT or RSET may come\r\n" QUEUED},
        {HELLO "AUTH LOGIN\r\nSTARTTLS\r\nNOOP\r\n", /* a user and a password */
         HELLO_OK "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" LOGGED_IN},
    };
    static const struct trace_setup no_service = {
        .size_limit = 1000, .offers_tls = true, .is_out_of_service = true};
    (void)state;
    CHECK_ROWS(&with_tls, rows);
    session_check_events(&no_service, "STARTTLS\r\nQUIT\r\n",
                         "554 sink.example No SMTP service here\r\n"
                         "503 5.5.1 Error: no SMTP service here\r\n221 2.0.0 Bye\r\nHANG UP 0\n");
}

/* RFC 3207 4: the client may go on in plain, and what was agreed on is still so. */
static void test_not_available(void **state)
{
    struct trace_setup setup = with_tls;
    (void)state;
    setup.refusals = 1 << 2;
    session_check_way(&setup, &(struct trace_cuts){.every = 1},
                      EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nSTARTTLS\r\nDATA\r\n.\r\n",
                      GREETING EHLO_PLAIN SENDER RECIPIENT
                      "STARTTLS\n454 4.7.0 TLS not available due to local problem\r\n"
                      "DATA\n354 End data with <CR><LF>.<CR><LF>\r\nBODY <>\nVERDICT\n" QUEUED);
}

/* RFC 3207 4.2: as after the greeting, which is not said again. */
static void test_all_is_forgotten(void **state)
{
    struct trace_setup setup = with_tls;
    (void)state;
    session_check_tls(&with_tls, EHLO "STARTTLS\r\n", "MAIL FROM:<a@b>\r\nEHLO a\r\nSTARTTLS\r\n",
                      GREETING EHLO_PLAIN "STARTTLS\n" READY_TLS NEED_HELO EHLO_OK TWICE);
    session_check_tls(&with_tls, EHLO LOGIN "STARTTLS\r\n", EHLO LOGIN,
                      GREETING EHLO_PLAIN LOGGED_IN "STARTTLS\n" READY_TLS EHLO_OK LOGGED_IN);
    session_check_tls(
        &with_tls, EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nSTARTTLS\r\n",
        "RCPT TO:<c@d>\r\n" EHLO "DATA\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n",
        GREETING EHLO_PLAIN SENDER RECIPIENT
        "STARTTLS\n" READY_TLS NEED_HELO EHLO_OK
        "503 5.5.1 Error: need RCPT command\r\n" SENDER RECIPIENT
        "DATA\n354 End data with <CR><LF>.<CR><LF>\r\nBODY <x\r\n>\nVERDICT\n" QUEUED);
    setup.is_auth_required = true; /* a login in plain is none inside */
    session_check_tls(&setup, EHLO LOGIN "STARTTLS\r\n", EHLO "MAIL FROM:<a@b>\r\n",
                      GREETING EHLO_PLAIN LOGGED_IN "STARTTLS\n" READY_TLS EHLO_OK
                                                    "530 5.7.0 Authentication required\r\n");
    setup.bad_commands_max = 2; /* what the server counts is not the client's to forget */
    session_check_tls(&setup, "X\r\nX\r\nSTARTTLS\r\n", "NOOP\r\nX\r\n",
                      GREETING UNKNOWN UNKNOWN "STARTTLS\n" READY_TLS OK
                                               "421 4.7.0 Error: too many errors\r\nHANG UP 1\n");
}

/* CVE-2011-0411: whatever one in the middle adds to STARTTLS is never run, nor answered. */
static void test_injected(void **state)
{
    static const struct trace_cuts whole = {0};
    (void)state;
    session_check_way(&with_tls, &whole, EHLO "STARTTLS\r\nNOOP\r\n",
                      GREETING EHLO_PLAIN INJECTED "HANG UP 6\n");
    session_check_way(&with_tls, &whole, "STARTTLS\r\n\n", GREETING INJECTED "HANG UP 6\n");
    session_check_way(&with_tls, &(struct trace_cuts){.at = 8 + 17 + 15},
                      EHLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nSTARTTLS\r\nDATA\r\nx\r\n.\r\n",
                      GREETING EHLO_PLAIN SENDER RECIPIENT "ABANDONED\n" INJECTED "HANG UP 6\n");
    session_check_way(&strict, &(struct trace_cuts){.at = 8}, EHLO "STARTTLS\r\nN",
                      GREETING EHLO_PLAIN INJECTED "HANG UP 6\n");
}

static void test_strict(void **state)
{
    static const struct trace_cuts one_octet = {.every = 1};
    (void)state;
    session_check_way(&strict, &one_octet, "STARTTLS\r\n" EHLO "STARTTLS\r\n",
                      GREETING NEED_HELO EHLO_PLAIN "STARTTLS\n" READY_TLS);
}

static void test_required(void **state)
{
    static const struct trace_setup setup = {
        .size_limit = 1000, .offers_tls = true, .is_tls_required = true};
    static const struct reply_row rows[] = {
        {EHLO "NOOP\r\nMAIL FROM:<a@b>\r\nMAIL FROM: a@b\r\nRCPT TO:<c@d>\r\nDATA\r\n",
         EHLO_PLAIN OK NEED_TLS NEED_TLS NEED_TLS NEED_TLS},
        {"HELO a\r\nRSET\r\nVRFY x\r\nHELP\r\nETRN x\r\nEXPN x\r\n" LOGIN "NOOP\r\n",
         NEED_TLS NEED_TLS NEED_TLS NEED_TLS NEED_TLS NEED_TLS NEED_TLS OK},
        {EHLO "BDAT 6 LAST\r\nNOOP\r\nX\r\nQUIT\r\n", /* with its octets */
         EHLO_PLAIN NEED_TLS UNKNOWN "221 2.0.0 Bye\r\n"},
        {"GET / HTTP/1.1\r\n\r\n", "421 4.7.0 Error: this is SMTP, not HTTP\r\n"},
    };
    (void)state;
    CHECK_ROWS(&setup, rows);
    session_check_tls(&setup, EHLO "MAIL FROM:<a@b>\r\nSTARTTLS\r\n",
                      "HELO a\r\nRSET\r\n" EHLO "MAIL FROM:<a@b>\r\n",
                      GREETING EHLO_PLAIN NEED_TLS
                      "STARTTLS\n" READY_TLS HELLO_OK OK EHLO_OK SENDER);
}

static void test_auth_inside_tls_only(void **state)
{
    static const struct trace_setup setup = {
        .size_limit = 1000, .offers_tls = true, .is_auth_tls_required = true};
    static const struct reply_row rows[] = {
        {EHLO LOGIN "AUTH LOGIN\r\nMAIL FROM:<a@b> AUTH=<>\r\nMAIL FROM:<a@b>\r\n",
         EHLO_NO_AUTH AUTH_PLAIN AUTH_PLAIN "555 5.5.4 Unsupported option\r\n250 2.1.0 Ok\r\n"},
    };
    (void)state;
    CHECK_ROWS(&setup, rows);
    session_check_tls(&setup, EHLO "STARTTLS\r\n", EHLO LOGIN,
                      GREETING EHLO_NO_AUTH "STARTTLS\n" READY_TLS EHLO_OK LOGGED_IN);
}

/* RFC 8314 3.3: TLS from the first octet. */
static void test_secure_from_the_start(void **state)
{
    struct trace_setup setup = {.size_limit = 1000,
                                .is_secure = true,
                                .is_tls_required = true,
                                .is_auth_tls_required = true};
    (void)state;
    session_check_replies(&setup, EHLO LOGIN "STARTTLS\r\nMAIL FROM:<a@b>\r\n",
                          EHLO_OK LOGGED_IN TWICE "250 2.1.0 Ok\r\n");
    setup.offers_tls = true;
    session_check_replies(&setup, EHLO "STARTTLS\r\nSTARTTLS x\r\n", EHLO_OK TWICE TWICE);
}

struct live {
    struct smtp_config config;
    struct smtp_session session;
    struct smtp_replies replies;
    uint8_t config_text[SMTP_CONFIG_TEXT_SIZE];
    uint8_t replies_text[4 * SMTP_REPLY_MAX];
    uint8_t stash[SMTP_STASH_SIZE];
};

static void live_open(struct live *live, bool is_lmtp)
{
    *live = (struct live){.config = {.hostname = BYTES("sink"),
                                     .recipients_max = 9,
                                     .offers = SMTP_OFFERS_EVERY,
                                     .is_lmtp = is_lmtp}};
    live->replies.data = live->replies_text;
    live->replies.capacity = sizeof(live->replies_text);
    smtp_config_prepare(&live->config, live->config_text);
    smtp_session_init(&live->session, &live->config);
}

static enum smtp_event live_say(struct live *live, const char *text)
{
    struct bytes input = bytes_from_text(text);
    struct smtp_detail detail;
    enum smtp_event event;
    live->replies.size = 0;
    do {
        event = smtp_session_step(&live->session, &input, &live->replies, &detail);
        if (event == SMTP_WANT_STASH) smtp_session_lend_stash(&live->session, live->stash);
    } while (event == SMTP_WANT_STASH);
    return event;
}

/* RFC 3848, RFC 6531 4.3 */
static void test_protocol(void **state)
{
    static const struct {
        bool is_lmtp;
        bool is_secure;
        const char *login;
        const char *mail;
        const char *protocol;
    } rows[] = {
        {false, false, "", "MAIL FROM:<>\r\n", "ESMTP"},
        {false, true, "", "MAIL FROM:<>\r\n", "ESMTPS"},
        {false, false, LOGIN, "MAIL FROM:<>\r\n", "ESMTPA"},
        {false, true, LOGIN, "MAIL FROM:<>\r\n", "ESMTPSA"},
        {false, false, "", "MAIL FROM:<> SMTPUTF8\r\n", "UTF8SMTP"},
        {false, true, "", "MAIL FROM:<> SMTPUTF8\r\n", "UTF8SMTPS"},
        {false, false, LOGIN, "MAIL FROM:<> SMTPUTF8\r\n", "UTF8SMTPA"},
        {false, true, LOGIN, "MAIL FROM:<> SMTPUTF8\r\n", "UTF8SMTPSA"},
        {true, false, "", "MAIL FROM:<>\r\n", "LMTP"},
        {true, true, "", "MAIL FROM:<>\r\n", "LMTPS"},
        {true, false, LOGIN, "MAIL FROM:<>\r\n", "LMTPA"},
        {true, true, LOGIN, "MAIL FROM:<>\r\n", "LMTPSA"},
        {true, false, "", "MAIL FROM:<> SMTPUTF8\r\n", "UTF8LMTP"},
        {true, true, "", "MAIL FROM:<> SMTPUTF8\r\n", "UTF8LMTPS"},
        {true, false, LOGIN, "MAIL FROM:<> SMTPUTF8\r\n", "UTF8LMTPA"},
        {true, true, LOGIN, "MAIL FROM:<> SMTPUTF8\r\n", "UTF8LMTPSA"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct live live;
        live_open(&live, rows[i].is_lmtp);
        if (rows[i].is_secure) smtp_session_set_secure(&live.session);
        live_say(&live, rows[i].is_lmtp ? "LHLO a\r\n" : "EHLO a\r\n");
        live_say(&live, rows[i].login);
        assert_int_equal(live_say(&live, rows[i].mail), SMTP_SENDER);
        assert_true(
            bytes_equal(smtp_session_protocol(&live.session), bytes_from_text(rows[i].protocol)));
    }
    struct live live; /* HELO knows of none of these */
    live_open(&live, false);
    smtp_session_set_secure(&live.session);
    live_say(&live, "HELO a\r\n");
    live_say(&live, LOGIN);
    assert_true(bytes_equal(smtp_session_protocol(&live.session), BYTES("SMTP")));
}

/* While STARTTLS is unanswered: the transaction is still the caller's, and so is the stash. */
static void test_between_event_and_answer(void **state)
{
    struct live live;
    (void)state;
    live_open(&live, false);
    assert_int_equal(live_say(&live, "EHLO a\r\n"), SMTP_WANT_INPUT);
    assert_int_equal(live_say(&live, "MAIL FROM:<a@b>\r\n"), SMTP_SENDER);
    assert_int_equal(live_say(&live, "START"), SMTP_WANT_INPUT);
    assert_int_equal(live_say(&live, "TLS\r\n"), SMTP_STARTTLS);
    assert_int_equal(live.replies.size, 0);
    assert_true(smtp_session_has_transaction(&live.session));
    assert_null(smtp_session_reclaim_stash(&live.session));
    uint32_t commands = live.session.command_count;
    smtp_session_start_tls(&live.session, &live.replies);
    assert_int_equal(live.replies.size, strlen(READY_TLS));
    assert_memory_equal(live.replies_text, READY_TLS, live.replies.size);
    assert_false(smtp_session_has_transaction(&live.session));
    assert_int_equal(live.session.command_count, commands);
    assert_true(smtp_session_is_at_rest(&live.session));
    assert_ptr_equal(smtp_session_reclaim_stash(&live.session), live.stash);
}

/* Instead of an answer: the server drains, or the client waited too long. */
static void test_dismissed(void **state)
{
    struct live live;
    (void)state;
    live_open(&live, false);
    assert_int_equal(live_say(&live, "STARTTLS\r\n"), SMTP_STARTTLS);
    smtp_session_dismiss(&live.session, &live.replies, SMTP_REPLY_SHUTTING_DOWN);
    assert_memory_equal(live.replies_text, "421 4.3.2 ", 10);
    assert_int_equal(live.session.state, SMTP_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_offered),
        cmocka_unit_test(test_started),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_available),
        cmocka_unit_test(test_all_is_forgotten),
        cmocka_unit_test(test_injected),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_auth_inside_tls_only),
        cmocka_unit_test(test_secure_from_the_start),
        cmocka_unit_test(test_protocol),
        cmocka_unit_test(test_between_event_and_answer),
        cmocka_unit_test(test_dismissed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
