#include "smtp/smtp_session.h"

#include "base/random.h"
#include "unit/smtp/session_check.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct trace_setup lenient = {.size_limit = 1000};
static const struct trace_setup strict = {.size_limit = 1000, .is_strict = true};

static void test_greetings(void **state)
{
    static const struct reply_row rows[] = {
        {"HELO client.example\r\n", HELLO_OK},
        {"eHlO [127.0.0.1] extra words\r\nHELO\r\nEHLO \r\n",
         EHLO_OK "501 Syntax: HELO hostname\r\n501 Syntax: EHLO hostname\r\n"},
        {"LHLO x\r\n", "500 5.5.2 Error: command not recognized\r\n"},
        {"NOOP\r\nRSET\r\nVRFY x\r\n",
         "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n"
         "252 2.0.0 Cannot VRFY user, but will accept message and keep it\r\n"},
    };
    (void)state;
    CHECK_ROWS(&lenient, rows);
}

static void test_order(void **state)
{
    static const struct reply_row rows[] = {
        {"MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\nETRN x\r\n",
         "503 5.5.1 Error: send HELO/EHLO first\r\n503 5.5.1 Error: send HELO/EHLO first\r\n"
         "503 5.5.1 Error: send HELO/EHLO first\r\n503 5.5.1 Error: send HELO/EHLO first\r\n"},
        {HELLO "RCPT TO:<a@b>\r\nDATA\r\n",
         HELLO_OK "503 5.5.1 Error: need MAIL command\r\n503 5.5.1 Error: need RCPT command\r\n"},
        {HELLO "MAIL FROM:<a@b>\r\nMAIL FROM:<c@d>\r\nDATA\r\nRCPT TO:<u@d>\r\nMAIL FROM:<>\r\n",
         HELLO_OK "250 2.1.0 Ok\r\n503 5.5.1 Error: nested MAIL command\r\n"
                  "503 5.5.1 Error: need RCPT command\r\n250 2.1.5 Ok\r\n"
                  "503 5.5.1 Error: nested MAIL command\r\n"},
        {OPEN "RSET\r\nRCPT TO:<u@d>\r\nRSET x\r\n",
         OPEN_OK "250 2.0.0 Ok\r\n503 5.5.1 Error: need MAIL command\r\n"
                 "501 5.5.4 Syntax: RSET\r\n"},
        {OPEN "HELO x\r\nDATA\r\n", OPEN_OK HELLO_OK "503 5.5.1 Error: need RCPT command\r\n"},
        {OPEN "EHLO\r\nDATA foo\r\nDATA\r\n",
         OPEN_OK "501 Syntax: EHLO hostname\r\n501 5.5.4 Syntax: DATA\r\n"
                 "354 End data with <CR><LF>.<CR><LF>\r\n"},
        {HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<c d>\r\nDATA\r\n",
         HELLO_OK "250 2.1.0 Ok\r\n501 5.1.3 Bad recipient address syntax\r\n"
                  "554 5.5.1 Error: no valid recipients\r\n"},
        {HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nNOOP\r\n",
         HELLO_OK "250 2.1.0 Ok\r\n550 5.1.3 Error: null recipient address\r\n250 2.1.5 Ok\r\n"
                  "354 End data with <CR><LF>.<CR><LF>\r\n" QUEUED "250 2.0.0 Ok\r\n"},
        {HELLO "MAIL FROM:<>\r\nRCPT TO:<>\r\nRSET\r\nMAIL FROM:<>\r\nDATA\r\n",
         HELLO_OK "250 2.1.0 Ok\r\n550 5.1.3 Error: null recipient address\r\n250 2.0.0 Ok\r\n"
                  "250 2.1.0 Ok\r\n503 5.5.1 Error: need RCPT command\r\n"},
        {HELLO "ETRN x\r\nETRN\r\nMAIL FROM:<>\r\nETRN x\r\n",
         HELLO_OK "459 4.7.1 Node not allowed: nothing is ever relayed\r\n"
                  "501 5.5.4 Syntax: ETRN domain\r\n250 2.1.0 Ok\r\n"
                  "503 5.5.1 Error: MAIL transaction in progress\r\n"},
        {READY ".\r\nDATA\r\nMAIL FROM:<>\r\nDATA\r\n",
         READY_OK QUEUED "503 5.5.1 Error: need RCPT command\r\n250 2.1.0 Ok\r\n"
                         "503 5.5.1 Error: need RCPT command\r\n"},
    };
    (void)state;
    CHECK_ROWS(&lenient, rows);
}

static void test_other_commands(void **state)
{
    static const struct reply_row rows[] = {
        {"EXPN list\r\nTURN\r\nSEND FROM:<a@b>\r\nSOML\r\nSAML\r\n",
         "502 5.5.1 Error: command not implemented\r\n502 5.5.1 Error: command not implemented\r\n"
         "502 5.5.1 Error: command not implemented\r\n502 5.5.1 Error: command not implemented\r\n"
         "502 5.5.1 Error: command not implemented\r\n"},
        {"HELP\r\nHELP MAIL\r\n",
         "214 2.0.0 Every message is accepted and kept, none is relayed: see RFC 5321\r\n"
         "214 2.0.0 Every message is accepted and kept, none is relayed: see RFC 5321\r\n"},
        {"VRFY\r\n", "501 5.5.4 Syntax: VRFY address\r\n"},
        {"QUIT now\r\nQUIT \r\n", "501 5.5.4 Syntax: QUIT\r\n221 2.0.0 Bye\r\n"},
        {"FOOBAR\r\nXFOO 1\r\n\xff\xfe\x01\r\nNOOPS\r\nMAI\r\n",
         "500 5.5.2 Error: command not recognized\r\n500 5.5.2 Error: command not recognized\r\n"
         "500 5.5.2 Error: command not recognized\r\n500 5.5.2 Error: command not recognized\r\n"
         "500 5.5.2 Error: command not recognized\r\n"},
        {"\r\n NOOP\r\n\tNOOP\r\n \t \r\n",
         "500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n"
         "500 5.5.2 Error: bad syntax\r\n500 5.5.2 Error: bad syntax\r\n"},
        {"NOOP\nQUIT\r\nNOOP\r\n", "250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "421 4.7.0 Error: this is SMTP, not HTTP\r\n"},
        {"CONNECT x:25 HTTP/1.1\r\nNOOP\r\n", "421 4.7.0 Error: this is SMTP, not HTTP\r\n"},
        {OPEN "post / HTTP/1.0\r\n", OPEN_OK "421 4.7.0 Error: this is SMTP, not HTTP\r\n"},
    };
    (void)state;
    CHECK_ROWS(&lenient, rows);
}

static void test_addresses_and_parameters(void **state)
{
    static const struct reply_row rows[] = {
        {HELLO "MAIL\r\nMAIL FROM\r\nMAIL TO:<a@b>\r\nMAIL FROM:\r\nMAIL FROM:  \r\n", HELLO_OK
         "501 5.5.4 Syntax: MAIL FROM:<address>\r\n501 5.5.4 Syntax: MAIL FROM:<address>\r\n"
         "501 5.5.4 Syntax: MAIL FROM:<address>\r\n501 5.5.4 Syntax: MAIL FROM:<address>\r\n"
         "501 5.5.4 Syntax: MAIL FROM:<address>\r\n"},
        {HELLO "MAIL FROM:<a@b> FOO=1\r\nMAIL FROM:<a@b> SIZE=1001\r\nMAIL FROM:<a@b> SIZE=\r\n"
               "MAIL FROM:<\xc3\xbc@b>\r\nMAIL FROM:<a@b> SIZE=1000\r\n",
         HELLO_OK "555 5.5.4 Unsupported option\r\n552 5.3.4 Message size exceeds fixed limit\r\n"
                  "501 5.5.4 Bad message size syntax\r\n"
                  "553 5.6.7 Must declare SMTPUTF8 to permit unicode address\r\n250 2.1.0 Ok\r\n"},
        {OPEN "RCPT\r\nRCPT TO:\r\nRCPT LALA:<u@d>\r\nRCPT TO:<u@d> FOO\r\nRCPT TO:<a@>\r\n"
              "rcpt to: u@d  NOTIFY=NEVER \r\n",
         OPEN_OK "501 5.5.4 Syntax: RCPT TO:<address>\r\n501 5.5.4 Syntax: RCPT TO:<address>\r\n"
                 "501 5.5.4 Syntax: RCPT TO:<address>\r\n555 5.5.4 Unsupported option\r\n"
                 "501 5.1.3 Bad recipient address syntax\r\n250 2.1.5 Ok\r\n"},
    };
    (void)state;
    CHECK_ROWS(&lenient, rows);
}

/* Octet by octet nothing comes too early. */
static void test_strict(void **state)
{
    static const struct trace_cuts one_octet = {.every = 1};
    (void)state;
    session_check_way(&strict, &one_octet, "NOOP\nNOOP\r\n\nNOOP\r\nNOOP\r\n",
                      GREETING "500 5.5.2 Error: bare <LF> received\r\n"
                               "500 5.5.2 Error: bare <LF> received\r\n250 2.0.0 Ok\r\n");
    session_check_way(
        &strict, &one_octet,
        "HELO a b\r\nHELO a_b\r\nEHLO\r\n" HELLO "MAIL FROM: <a@b>\r\nMAIL FROM:a@b\r\n",
        GREETING "501 Syntax: HELO hostname\r\n501 Syntax: HELO hostname\r\n"
                 "501 Syntax: EHLO hostname\r\n" HELLO_OK "501 5.1.7 Bad sender address syntax\r\n"
                 "501 5.1.7 Bad sender address syntax\r\n");
    session_check_way(&strict, &one_octet, READY "a\n.\n.\r\n\r\n.\r\n",
                      GREETING HELLO_OK
                      "SENDER smtp <a> <a@b> <>0\n250 2.1.0 Ok\r\nRECIPIENT <c@d> <>\n"
                      "250 2.1.5 Ok\r\nDATA\n354 End data with <CR><LF>.<CR><LF>\r\n"
                      "BODY <a\n.\n.\r\n\r\n>\nVERDICT\n" QUEUED);
}

#define TOO_EARLY "554 5.5.0 Error: SMTP protocol synchronization\r\n"

/* RFC 2920 3.1: what must wait for a reply, and did not. */
static void test_strict_early_talk(void **state)
{
    static const struct trace_cuts whole = {0};
    static const struct trace_setup no_pipelining = {
        .size_limit = 1000, .is_strict = true, .offers_not = SMTP_OFFER(PIPELINING)};
    (void)state;
    session_check_way(&strict, &whole, "EHLO a\r\nNOOP\r\n", GREETING TOO_EARLY "HANG UP 5\n");
    session_check_way(&strict, &whole, "NOOP\r\nNOOP\r\n", GREETING TOO_EARLY "HANG UP 5\n");
    session_check_way(&strict, &(struct trace_cuts){.at = 8}, HELLO "NOOP\r\nNOOP\r\n",
                      GREETING HELLO_OK TOO_EARLY "HANG UP 5\n");
    session_check_way(&strict, &(struct trace_cuts){.at = 8},
                      "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\nx",
                      GREETING EHLO_OK
                      "SENDER esmtp <a> <> <>0\n250 2.1.0 Ok\r\nRECIPIENT <c@d> <>\n"
                      "250 2.1.5 Ok\r\nABANDONED\n" TOO_EARLY "HANG UP 5\n");
    session_check_way(&strict, &(struct trace_cuts){.at = 8},
                      "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
                      GREETING EHLO_OK
                      "SENDER esmtp <a> <> <>0\n250 2.1.0 Ok\r\nRECIPIENT <c@d> <>\n"
                      "250 2.1.5 Ok\r\nDATA\n354 End data with <CR><LF>.<CR><LF>\r\n"
                      "BODY <>\n");
    session_check_way(&no_pipelining, &(struct trace_cuts){.at = 8}, "EHLO a\r\nNOOP\r\nNOOP\r\n",
                      GREETING EHLO_WITHOUT_PIPELINING TOO_EARLY "HANG UP 5\n");
}

static void test_events_in_order(void **state)
{
    (void)state;
    session_check_events(&lenient,
                         "EHLO [::1] x\r\nMAIL FROM:<@r:a@b>  SIZE=10 BODY=8BITMIME \r\n"
                         "RCPT TO:<\"c d\"@e> NOTIFY=NEVER\r\nDATA\r\n..x\r\n.y\r\n.\r\nQUIT\r\n",
                         GREETING EHLO_OK
                         "SENDER esmtp <[::1]> <a@b> <SIZE=10 BODY=8BITMIME>10\n250 2.1.0 Ok\r\n"
                         "RECIPIENT <\"c d\"@e> <NOTIFY=NEVER>\n250 2.1.5 Ok\r\n"
                         "DATA\n354 End data with <CR><LF>.<CR><LF>\r\n"
                         "BODY <.x\r\ny\r\n>\nVERDICT\n" QUEUED "221 2.0.0 Bye\r\nHANG UP 0\n");
    session_check_events(
        &lenient, OPEN "RSET\r\nMAIL FROM:<>\r\nHELO \x01\x80 x\r\nMAIL FROM:<>\r\nQUIT\r\n",
        GREETING HELLO_OK "SENDER smtp <a> <a@b> <>0\n250 2.1.0 Ok\r\n"
                          "RECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"
                          "ABANDONED\n250 2.0.0 Ok\r\n"
                          "SENDER smtp <a> <> <>0\n250 2.1.0 Ok\r\n"
                          "ABANDONED\n" HELLO_OK "SENDER smtp <?\?> <> <>0\n250 2.1.0 Ok\r\n"
                          "ABANDONED\n221 2.0.0 Bye\r\nHANG UP 0\n");
}

/* What the caller can't keep becomes a reply; what was there before stays. */
static void test_refusals(void **state)
{
    struct trace_setup setup = {.size_limit = 1000};
    (void)state;
    setup.refusals = 1; /* the first SENDER */
    session_check_replies(&setup, HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n",
                          HELLO_OK "452 4.3.1 Insufficient system storage\r\n"
                                   "503 5.5.1 Error: need MAIL command\r\n250 2.1.0 Ok\r\n");
    setup.refusals = 2; /* the only RECIPIENT, for want of memory */
    session_check_replies(&setup, OPEN "DATA\r\nRCPT TO:<e@f>\r\nDATA\r\n",
                          HELLO_OK "250 2.1.0 Ok\r\n452 4.5.3 Error: too many recipients\r\n"
                                   "554 5.5.1 Error: no valid recipients\r\n250 2.1.5 Ok\r\n"
                                   "354 End data with <CR><LF>.<CR><LF>\r\n");
    setup.refusals = 4; /* the second RECIPIENT, for a store that failed; DATA goes on */
    session_check_replies(&setup, OPEN "RCPT TO:<e@f>\r\nDATA\r\n.\r\n",
                          OPEN_OK "451 4.3.0 Error: queue file write error\r\n"
                                  "354 End data with <CR><LF>.<CR><LF>\r\n" QUEUED);
    session_check_replies(&setup, OPEN "DATA\r\nRSET\r\n",
                          OPEN_OK "451 4.3.0 Error: queue file write error\r\n250 2.0.0 Ok\r\n");
}

static void test_verdicts(void **state)
{
    struct trace_setup setup = {
        .size_limit = 1000,
        .verdicts = {SMTP_NO_SPACE, SMTP_NO_MEMORY, SMTP_STORE_FAILED, SMTP_STORED},
        .verdict_count = 4};
    (void)state;
    session_check_replies(
        &setup,
        READY ".\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n"
              "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n"
              "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n",
        READY_OK "452 4.3.1 Insufficient system storage\r\n"
                 "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
                 "452 4.3.1 Insufficient system storage\r\n"
                 "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
                 "451 4.3.0 Error: queue file write error\r\n"
                 "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n" QUEUED);
}

/* PROTOCOL E25, E26, E16: exactly the limit, one more, and a message behind it. */
static void test_size_limit(void **state)
{
    struct trace_setup setup = {.size_limit = 6};
    (void)state;
    session_check_events(
        &setup, READY "..234\r\n.\r\nNOOP\r\n",
        GREETING HELLO_OK
        "SENDER smtp <a> <a@b> <>0\n250 2.1.0 Ok\r\nRECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"
        "DATA\n354 End data with <CR><LF>.<CR><LF>\r\n"
        "BODY <.234\r\n>\nVERDICT\n" QUEUED "250 2.0.0 Ok\r\n");
    session_check_events(
        &setup, READY "12345\r\n\n.\n.x\r\n.\rx\r\n.\r\nMAIL FROM:<>\r\n",
        GREETING HELLO_OK
        "SENDER smtp <a> <a@b> <>0\n250 2.1.0 Ok\r\nRECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"
        "DATA\n354 End data with <CR><LF>.<CR><LF>\r\n"
        "BODY <12345\r>\nABANDONED\n552 5.3.4 Error: message file too big\r\n"
        "SENDER smtp <a> <> <>0\n250 2.1.0 Ok\r\n");
    session_check_events(
        &setup, READY "1234\r\n.\r1", /* the CR given back is the one too many */
        GREETING HELLO_OK
        "SENDER smtp <a> <a@b> <>0\n250 2.1.0 Ok\r\nRECIPIENT <c@d> <>\n250 2.1.5 Ok\r\n"
        "DATA\n354 End data with <CR><LF>.<CR><LF>\r\n"
        "BODY <1234\r\n>\nABANDONED\n");
    setup.size_limit = 0; /* none */
    session_check_replies(&setup, HELLO "MAIL FROM:<> SIZE=99999999999999999999\r\n",
                          HELLO_OK "250 2.1.0 Ok\r\n");
}

static void test_recipient_limit(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .recipients_max = 2};
    (void)state;
    session_check_replies(&setup,
                          OPEN "RCPT TO:<e@f>\r\nRCPT TO:<g@h>\r\nRCPT TO:<>\r\nDATA\r\n.\r\n"
                               "MAIL FROM:<>\r\nRCPT TO:<e@f>\r\n",
                          OPEN_OK "250 2.1.5 Ok\r\n452 4.5.3 Error: too many recipients\r\n"
                                  "550 5.1.3 Error: null recipient address\r\n"
                                  "354 End data with <CR><LF>.<CR><LF>\r\n" QUEUED
                                  "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
}

static void test_bad_command_limit(void **state)
{
    struct trace_setup setup = {.size_limit = 1000, .bad_commands_max = 3};
    (void)state;
    session_check_events(&setup, "X\r\nNOOP\r\nX\r\nDATA\r\nNOOP\r\n\r\nNOOP\r\n",
                         GREETING "500 5.5.2 Error: command not recognized\r\n250 2.0.0 Ok\r\n"
                                  "500 5.5.2 Error: command not recognized\r\n"
                                  "503 5.5.1 Error: send HELO/EHLO first\r\n250 2.0.0 Ok\r\n"
                                  "421 4.7.0 Error: too many errors\r\nHANG UP 1\n");
    session_check_events(&setup, HELLO "MAIL FROM:<>\r\nX\r\nX\r\nX\r\nX\r\nX\r\n",
                         GREETING HELLO_OK
                         "SENDER smtp <a> <> <>0\n250 2.1.0 Ok\r\n"
                         "500 5.5.2 Error: command not recognized\r\n"
                         "500 5.5.2 Error: command not recognized\r\n"
                         "500 5.5.2 Error: command not recognized\r\n"
                         "ABANDONED\n421 4.7.0 Error: too many errors\r\nHANG UP 1\n");
}

/* A line of `size` octets with its end, then NOOP: one reply each, cut wherever. */
static void check_long_line(uint64_t size, const char *end, const char *wanted)
{
    uint64_t end_size = strlen(end);
    struct trace_text input = {0};
    struct session_trace whole;
    uint8_t *line = malloc(size);
    memset(line, 'x', size);
    memcpy(line, "NOOP ", 5);
    memcpy(line + size - end_size, end, end_size);
    trace_text_put(&input, bytes_make(line, size));
    trace_text_put(&input, BYTES("NOOP\r\n"));
    free(line);

    struct bytes view = trace_text_view(&input);
    session_trace_run(&whole, &lenient, view, &(struct trace_cuts){0});
    session_check_text(&whole.replies, bytes_from_text(wanted));
    uint64_t step = size > 10000 ? 9973 : 13;
    for (uint64_t at = 1; at < view.size; at += step)
        session_check_same(&whole, &lenient, view, &(struct trace_cuts){.at = at});
    for (uint64_t at = SMTP_LINE_MAX - 4; at < SMTP_LINE_MAX + 4 && at < view.size; at++)
        session_check_same(&whole, &lenient, view, &(struct trace_cuts){.at = at});
    session_check_same(&whole, &lenient, view, &(struct trace_cuts){.every = 1});
    session_check_same(&whole, &lenient, view, &(struct trace_cuts){.every = 4096});
    session_check_same(&whole, &lenient, view, &(struct trace_cuts){.seed = 7});
    session_trace_close(&whole);
    trace_text_free(&input);
}

static void test_long_lines(void **state)
{
    static const uint64_t too_long[] = {4097, 4098, 5120, 8192, 8193, 1u << 20};
    (void)state;
    check_long_line(512, "\r\n", GREETING "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    check_long_line(4095, "\r\n", GREETING "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    check_long_line(4096, "\r\n", GREETING "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    check_long_line(4096, "\n", GREETING "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n");
    for (size_t i = 0; i < sizeof(too_long) / sizeof(too_long[0]); i++)
        check_long_line(too_long[i], "\r\n",
                        GREETING "500 5.5.2 Error: line too long\r\n250 2.0.0 Ok\r\n");
}

struct live {
    struct smtp_config config;
    struct smtp_session session;
    struct smtp_replies replies;
    struct smtp_detail detail;
    uint8_t config_text[SMTP_CONFIG_TEXT_SIZE];
    uint8_t replies_text[2 * SMTP_REPLY_MAX];
};

static void live_open(struct live *live)
{
    *live = (struct live){
        .config = {.hostname = BYTES("sink"), .recipients_max = 9, .offers = SMTP_OFFERS_EVERY}};
    live->replies.data = live->replies_text;
    live->replies.capacity = sizeof(live->replies_text);
    smtp_config_prepare(&live->config, live->config_text);
    smtp_session_init(&live->session, &live->config);
}

static enum smtp_event live_step(struct live *live, struct bytes *input)
{
    return smtp_session_step(&live->session, input, &live->replies, &live->detail);
}

/* Steps until an event of this kind. */
static void live_reach(struct live *live, const char *text, enum smtp_event wanted)
{
    struct bytes input = bytes_from_text(text);
    while (live_step(live, &input) != wanted)
        live->replies.size = 0;
}

static void test_flush_takes_nothing(void **state)
{
    struct live live;
    (void)state;
    live_open(&live);
    struct bytes input = BYTES("NOOP\r\nNOOP\r\n");
    live.replies.size = sizeof(live.replies_text) - SMTP_REPLY_MAX + 1;
    struct smtp_session before = live.session;
    assert_int_equal(live_step(&live, &input), SMTP_WANT_FLUSH);
    assert_int_equal(input.size, 12);
    assert_memory_equal(&live.session, &before, sizeof(before));
    assert_int_equal(live.replies.size, sizeof(live.replies_text) - SMTP_REPLY_MAX + 1);

    live.replies.size--; /* room for one */
    assert_int_equal(live_step(&live, &input), SMTP_WANT_FLUSH);
    assert_int_equal(input.size, 6);
    live.replies.size = 0;
    assert_int_equal(live_step(&live, &input), SMTP_WANT_INPUT);
    assert_int_equal(live.replies.size, 14);
}

static void test_stash_is_held_only_for_a_line(void **state)
{
    struct live live;
    uint8_t stash[SMTP_STASH_SIZE];
    (void)state;
    live_open(&live);
    assert_null(smtp_session_reclaim_stash(&live.session));
    struct bytes input = BYTES("HELO a\r\nMAIL FR");
    assert_int_equal(live_step(&live, &input), SMTP_WANT_STASH);
    assert_int_equal(input.size, 7);
    smtp_session_lend_stash(&live.session, stash);
    assert_int_equal(live_step(&live, &input), SMTP_WANT_INPUT);
    assert_null(smtp_session_reclaim_stash(&live.session));

    input = BYTES("OM:<a@b>\r\nRSET\r\n");
    assert_int_equal(live_step(&live, &input), SMTP_SENDER);
    assert_true(bytes_equal(live.detail.path, BYTES("a@b")));
    assert_null(smtp_session_reclaim_stash(&live.session)); /* the path is in it */
    assert_int_equal(live_step(&live, &input), SMTP_ABANDONED);
    assert_ptr_equal(smtp_session_reclaim_stash(&live.session), stash);
    assert_int_equal(live_step(&live, &input), SMTP_WANT_INPUT);

    input = BYTES("QU"); /* given back at a hang-up too */
    assert_int_equal(live_step(&live, &input), SMTP_WANT_STASH);
    smtp_session_lend_stash(&live.session, stash);
    assert_int_equal(live_step(&live, &input), SMTP_WANT_INPUT);
    input = BYTES("IT\r\n");
    assert_int_equal(live_step(&live, &input), SMTP_HANG_UP);
    assert_ptr_equal(smtp_session_reclaim_stash(&live.session), stash);
}

static void test_transaction_is_known(void **state)
{
    struct live live;
    (void)state;
    live_open(&live);
    assert_false(smtp_session_has_transaction(&live.session));
    live_reach(&live, "HELO a\r\n", SMTP_WANT_INPUT);
    assert_false(smtp_session_has_transaction(&live.session));
    live_reach(&live, "MAIL FROM:<>\r\n", SMTP_SENDER);
    assert_true(smtp_session_has_transaction(&live.session));
    live_reach(&live, "RCPT TO:<a@b>\r\n", SMTP_RECIPIENT);
    live_reach(&live, "DATA\r\n", SMTP_DATA_BEGINS);
    assert_true(smtp_session_has_transaction(&live.session));
    live_reach(&live, "x\r\n.\r\n", SMTP_WANT_VERDICT);
    assert_true(smtp_session_has_transaction(&live.session));
    live.replies.size = 0;
    smtp_session_verdict(&live.session, &live.replies, SMTP_STORED, BYTES("1.2.3"));
    assert_memory_equal(live.replies_text, "250 2.0.0 Ok: queued as 1.2.3\r\n", live.replies.size);
    assert_false(smtp_session_has_transaction(&live.session));
}

static void test_dismiss(void **state)
{
    static const char *const inputs[] = {"", "HELO a\r\n", "HELO a\r\nMAIL FROM:<>\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct live live;
        live_open(&live);
        live_reach(&live, inputs[i], SMTP_WANT_INPUT);
        live.replies.size = 0;
        smtp_session_dismiss(&live.session, &live.replies, SMTP_REPLY_SHUTTING_DOWN);
        assert_memory_equal(live.replies_text, "421 4.3.2 ", 10);
        assert_int_equal(live.session.state, SMTP_CLOSED);
        assert_false(smtp_session_has_transaction(&live.session));
    }
    struct live full;
    live_open(&full);
    full.replies.size = full.replies.capacity;
    smtp_session_dismiss(&full.session, &full.replies, SMTP_REPLY_IDLE_TOO_LONG);
    assert_int_equal(full.replies.size, full.replies.capacity);
    assert_int_equal(full.session.state, SMTP_CLOSED);
}

/* PROTOCOL G22: what a command earns in each of the states between messages, by a model of its own.
 */
enum model_state { MODEL_NEW, MODEL_GREETED, MODEL_SENDER, MODEL_RECIPIENT, MODEL_STATES };

static const struct {
    const char *line;
    int code[MODEL_STATES];
    int next[MODEL_STATES];
} model[] = {
    {"HELO x\r\n", {250, 250, 250, 250}, {1, 1, 1, 1}},
    {"EHLO x\r\n", {250, 250, 250, 250}, {1, 1, 1, 1}},
    {"EHLO\r\n", {501, 501, 501, 501}, {0, 1, 2, 3}},
    {"MAIL FROM:<a@b>\r\n", {503, 250, 503, 503}, {0, 2, 2, 3}},
    {"mail from: a@b size=1\r\n", {503, 250, 503, 503}, {0, 2, 2, 3}},
    {"MAIL FROM:<a@\r\n", {503, 501, 503, 503}, {0, 1, 2, 3}},
    {"MAIL FROM:<> SIZE=9999999\r\n", {503, 552, 503, 503}, {0, 1, 2, 3}},
    {"MAIL FROM:<> X=9\r\n", {503, 555, 503, 503}, {0, 1, 2, 3}},
    {"RCPT TO:<a@b>\r\n", {503, 503, 250, 250}, {0, 1, 3, 3}},
    {"RCPT TO:<a@b>\n", {503, 503, 250, 250}, {0, 1, 3, 3}},
    {"RSET\r\n", {250, 250, 250, 250}, {0, 1, 1, 1}},
    {"NOOP x\r\n", {250, 250, 250, 250}, {0, 1, 2, 3}},
    {"VRFY x\r\n", {252, 252, 252, 252}, {0, 1, 2, 3}},
    {"ETRN x\r\n", {503, 459, 503, 503}, {0, 1, 2, 3}},
    {"HELP\r\n", {214, 214, 214, 214}, {0, 1, 2, 3}},
    {"EXPN x\r\n", {502, 502, 502, 502}, {0, 1, 2, 3}},
    {"BOGUS\r\n", {500, 500, 500, 500}, {0, 1, 2, 3}},
    {"\r\n", {500, 500, 500, 500}, {0, 1, 2, 3}},
    {"DATA x\r\n", {503, 503, 501, 501}, {0, 1, 2, 3}},
    {"DATA\r\n", {503, 503, 503, 354}, {0, 1, 2, 3}},
};

static void put_code(struct trace_text *codes, int code)
{
    uint8_t digits[20];
    trace_text_put(codes, bytes_make(digits, bytes_put_number(digits, (uint64_t)code)));
}

/* The codes of the replies' last lines. */
static void read_codes(struct bytes replies, struct trace_text *codes)
{
    while (replies.size > 0) {
        struct bytes line = bytes_take(&replies, bytes_find(replies, '\n') + 1);
        if (line.data[3] == ' ') trace_text_put(codes, bytes_make(line.data, 3));
    }
}

static void test_random_sequences_against_a_model(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 2821, 0);
    for (int run = 0; run < 300; run++) {
        struct trace_setup setup = {.size_limit = 1000, .bad_commands_max = 60000};
        struct trace_text input = {0};
        struct trace_text wanted = {0};
        struct trace_text found = {0};
        struct session_trace trace;
        int at = MODEL_NEW;
        put_code(&wanted, 220);
        for (int i = 0; i < 100; i++) {
            uint64_t row = random_below(&random, sizeof(model) / sizeof(model[0]));
            trace_text_put(&input, bytes_from_text(model[row].line));
            put_code(&wanted, model[row].code[at]);
            if (model[row].code[at] == 354) {
                trace_text_put(&input, BYTES("NOOP\r\n..\r\n.\r\n"));
                put_code(&wanted, 250);
                at = MODEL_GREETED;
            } else {
                at = model[row].next[at];
            }
        }
        struct trace_cuts cuts = {.seed = (uint64_t)run};
        session_trace_run(&trace, &setup, trace_text_view(&input), &cuts);
        read_codes(trace_text_view(&trace.replies), &found);
        session_check_text(&found, trace_text_view(&wanted));
        session_trace_close(&trace);
        trace_text_free(&input);
        trace_text_free(&wanted);
        trace_text_free(&found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_other_commands),
        cmocka_unit_test(test_addresses_and_parameters),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_strict_early_talk),
        cmocka_unit_test(test_events_in_order),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_recipient_limit),
        cmocka_unit_test(test_bad_command_limit),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_flush_takes_nothing),
        cmocka_unit_test(test_stash_is_held_only_for_a_line),
        cmocka_unit_test(test_transaction_is_known),
        cmocka_unit_test(test_dismiss),
        cmocka_unit_test(test_random_sequences_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
