#include "loadgen/load_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

/*
 * A dialogue is text, a line a step:
 *   S: a reply line of the server      C: what the client must send now, CR LF as "|"
 *   G: 1: the client must send a group for user1, and that alone
 *   B: the client must want to send the content     D: ... and the next group with it, as C:
 *   >: "begin" or "quit"               =: the event that the last S: must have brought
 */
static struct load_script script;
static struct load_session session;
static enum load_session_event last_event;
static uint64_t sequence;

static const char *event_name(enum load_session_event event)
{
    static const char *const names[] = {"none",   "ready",   "go-ahead", "accepted", "tempfail",
                                        "reject", "closing", "unusable", "protocol"};
    return names[event];
}

static void reply(const char *text)
{
    struct load_reply_line line;
    bool is_last = text[3] != '-';

    line.code = (uint32_t)strtoul(text, NULL, 10);
    line.text = bytes_from_text(strlen(text) > 4 ? text + 4 : "");
    last_event = load_session_reply(&session, &script, &line, is_last);
}

/* What was written, CR LF as "|". */
static void expect_octets(const uint8_t *octets, uint32_t size, const char *expected)
{
    char text[2000];
    uint32_t shown = 0;

    assert_true(size <= load_script_group_max(&script));
    for (uint32_t index = 0; index < size; index++) {
        if (octets[index] == '\r') continue;
        text[shown++] = octets[index] == '\n' ? '|' : (char)octets[index];
    }
    text[shown] = '\0';
    assert_string_equal(text, expected);
}

static void expect_command(const char *expected)
{
    uint8_t octets[4000];

    assert_int_not_equal(session.wants, LOAD_WANTS_NOTHING);
    assert_int_not_equal(session.wants, LOAD_WANTS_CONTENT);
    expect_octets(octets, load_session_put(&session, &script, sequence, octets), expected);
    load_session_sent(&session);
}

static void expect_content(const char *next)
{
    uint8_t octets[4000];

    assert_int_equal(session.wants, LOAD_WANTS_CONTENT);
    if (next != NULL) {
        sequence++;
        expect_octets(octets, load_session_put_next(&session, &script, sequence, octets), next);
    }
    load_session_sent(&session);
}

static void run_step(char kind, const char *text)
{
    char group[200];

    switch (kind) {
    case 'S':
        /* Nothing is wanted while a reply is awaited, but for content that was refused early. */
        reply(text);
        break;
    case 'C':
        expect_command(text);
        break;
    case 'G':
        (void)snprintf(group, sizeof group,
                       "MAIL FROM:<load@client.test>|RCPT TO:<user%s@sink.test>|DATA|", text);
        expect_command(group);
        break;
    case 'B':
        expect_content(NULL);
        break;
    case 'D':
        expect_content(text);
        break;
    case '=':
        assert_string_equal(event_name(last_event), text);
        break;
    case '>':
        if (strcmp(text, "begin") == 0) {
            sequence++;
            load_session_begin(&session, &script, 1);
        } else {
            load_session_quit(&session);
        }
        break;
    default:
        fail_msg("a step of no kind: %c", kind);
    }
}

static void run(enum load_pipelining pipelining, uint32_t recipients, const char *const *steps)
{
    load_script_open(&script, "client.test", "load@client.test", "user@sink.test", recipients,
                     pipelining);
    load_session_init(&session);
    sequence = 0;
    last_event = LOAD_EVENT_NONE;
    for (; *steps != NULL; steps++)
        run_step((*steps)[0], *steps + 3);
}

#define GREETING                                                                                   \
    "S: 220 mx ESMTP", "C: EHLO client.test|", "S: 250-mx", "S: 250-PIPELINING", "S: 250 SIZE 9",  \
        "=: ready"

static void test_lock_step(void **state)
{
    static const char *const steps[] = {GREETING,
                                        ">: begin",
                                        "C: MAIL FROM:<load@client.test>|",
                                        "S: 250 2.1.0 Ok",
                                        "C: RCPT TO:<user1@sink.test>|",
                                        "S: 250 2.1.5 Ok",
                                        "C: RCPT TO:<user2@sink.test>|",
                                        "S: 251 forwards",
                                        "C: DATA|",
                                        "S: 354 go",
                                        "=: go-ahead",
                                        "B: ",
                                        "S: 250 queued",
                                        "=: accepted",
                                        ">: begin",
                                        "C: MAIL FROM:<load@client.test>|",
                                        "S: 250 Ok",
                                        "C: RCPT TO:<user3@sink.test>|",
                                        "S: 250 Ok",
                                        "C: RCPT TO:<user4@sink.test>|",
                                        "S: 250 Ok",
                                        "C: DATA|",
                                        "S: 354 go",
                                        "B: ",
                                        "S: 250 queued",
                                        "=: accepted",
                                        ">: quit",
                                        "C: QUIT|",
                                        "S: 221 Bye",
                                        NULL};
    (void)state;
    run(LOAD_PIPELINING_OFF, 2, steps);
    assert_int_equal(session.state, LOAD_OVER);
    assert_int_equal(session.messages_ended, 2);
}

static void test_group(void **state)
{
    static const char *const steps[] = {GREETING,      ">: begin",  "G: 1",        "S: 250 Ok",
                                        "=: none",     "S: 250 Ok", "=: none",     "S: 354 go",
                                        "=: go-ahead", "B: ",       "S: 250 Ok",   "=: accepted",
                                        ">: begin",    "G: 2",      "S: 250 Ok",   "S: 250 Ok",
                                        "S: 354 go",   "B: ",       "S: 451 full", "=: tempfail",
                                        NULL};
    (void)state;
    run(LOAD_PIPELINING_AUTO, 1, steps);
    assert_int_equal(session.mode, LOAD_PIPELINING_GROUP);
    assert_int_equal(session.state, LOAD_IDLE);
    assert_false(session.needs_reset);
    assert_int_equal(session.failure_phase, LOAD_PHASE_DOT);
}

static void test_stream(void **state)
{
    static const char *const steps[] = {
        GREETING,
        ">: begin",
        "G: 1",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "D: MAIL FROM:<load@client.test>|RCPT TO:<user2@sink.test>|DATA|",
        "S: 250 queued",
        "=: accepted",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "=: go-ahead",
        "D: MAIL FROM:<load@client.test>|RCPT TO:<user3@sink.test>|DATA|",
        "S: 550 spam",
        "=: reject",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "B: ",
        "S: 250 queued",
        "=: accepted",
        NULL};
    (void)state;
    run(LOAD_PIPELINING_STREAM, 1, steps);
    assert_int_equal(session.state, LOAD_IDLE);
    assert_int_equal(session.messages_ended, 3);
}

static void test_helo_after_ehlo_was_refused(void **state)
{
    static const char *const steps[] = {"S: 220-mx",
                                        "S: 220 ESMTP",
                                        "C: EHLO client.test|",
                                        "S: 502 no",
                                        "C: HELO client.test|",
                                        "S: 250 mx",
                                        "=: ready",
                                        ">: begin",
                                        "C: MAIL FROM:<load@client.test>|",
                                        NULL};
    (void)state;
    run(LOAD_PIPELINING_STREAM, 1, steps);
    assert_int_equal(session.mode, LOAD_PIPELINING_OFF);
}

static void test_no_grouping_where_it_is_not_offered(void **state)
{
    static const char *const steps[] = {"S: 220 mx",
                                        "C: EHLO client.test|",
                                        "S: 250-mx",
                                        "S: 250-PIPELININGS",
                                        "S: 250 X PIPELINING",
                                        "=: ready",
                                        ">: begin",
                                        "C: MAIL FROM:<load@client.test>|",
                                        NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 1, steps);
    assert_int_equal(session.mode, LOAD_PIPELINING_OFF);
}

static void test_keywords_are_read_without_case(void **state)
{
    static const char *const steps[] = {
        "S: 220 mx", "C: EHLO client.test|", "S: 250-mx", "S: 250 Pipelining", "=: ready", NULL};
    (void)state;
    run(LOAD_PIPELINING_AUTO, 1, steps);
    assert_int_equal(session.mode, LOAD_PIPELINING_GROUP);
}

static void test_refused_sender_in_lock_step(void **state)
{
    static const char *const steps[] = {
        GREETING,    ">: begin", "C: MAIL FROM:<load@client.test>|", "S: 550 no",
        "=: reject", ">: begin", "C: MAIL FROM:<load@client.test>|", NULL};
    (void)state;
    run(LOAD_PIPELINING_OFF, 1, steps);
    assert_int_equal(session.messages_ended, 1);
}

static void test_refused_recipients_in_lock_step_need_a_reset(void **state)
{
    static const char *const steps[] = {GREETING,
                                        ">: begin",
                                        "C: MAIL FROM:<load@client.test>|",
                                        "S: 250 Ok",
                                        "C: RCPT TO:<user1@sink.test>|",
                                        "S: 450 greylisted",
                                        "C: RCPT TO:<user2@sink.test>|",
                                        "S: 550 no",
                                        "=: tempfail",
                                        ">: begin",
                                        "C: RSET|",
                                        "S: 250 Ok",
                                        "C: MAIL FROM:<load@client.test>|",
                                        NULL};
    (void)state;
    run(LOAD_PIPELINING_OFF, 2, steps);
    assert_int_equal(session.state, LOAD_AWAIT_MAIL);
}

static void test_one_recipient_of_two_is_enough(void **state)
{
    static const char *const steps[] = {
        GREETING,
        ">: begin",
        "C: MAIL FROM:<load@client.test>|RCPT TO:<user1@sink.test>|RCPT TO:<user2@sink.test>|DATA|",
        "S: 250 Ok",
        "S: 550 no",
        "S: 250 Ok",
        "S: 354 go",
        "=: go-ahead",
        "B: ",
        "S: 250 Ok",
        "=: accepted",
        NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 2, steps);
    assert_int_equal(session.recipients_answered, 2);
    assert_int_equal(session.recipients_accepted, 1);
}

static void test_a_group_is_answered_to_its_end(void **state)
{
    static const char *const steps[] = {
        GREETING,
        ">: begin",
        "G: 1",
        "S: 452 full",
        "=: none",
        "S: 503 need MAIL",
        "=: none",
        "S: 503 need RCPT",
        "=: tempfail",
        ">: begin",
        "G: 2", /* MAIL was refused, so nothing is left to reset */
        "S: 250 Ok",
        "S: 550 no",
        "S: 554 no valid recipients",
        "=: reject",
        ">: begin",
        "C: RSET|MAIL FROM:<load@client.test>|RCPT TO:<user3@sink.test>|DATA|",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "B: ",
        "S: 250 Ok",
        "=: accepted",
        ">: begin",
        "G: 4",
        NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 1, steps);
    assert_int_equal(session.messages_ended, 3);
}

static void test_a_lone_dot_where_354_comes_anyway(void **state)
{
    static const char *const steps[] = {GREETING,    ">: begin", "G: 1",  "S: 250 Ok", "S: 550 no",
                                        "S: 354 go", "=: none",  "C: .|", "S: 250 Ok", "=: reject",
                                        ">: begin",  "G: 2",     NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 1, steps);
}

static void test_a_verdict_before_the_content_ends_the_session(void **state)
{
    static const char *const refused[] = {GREETING,     ">: begin",  "G: 1",
                                          "S: 250 Ok",  "S: 250 Ok", "S: 354 go",
                                          "S: 552 big", "=: reject", NULL};
    static const char *const accepted[] = {GREETING,    ">: begin",    "G: 1",
                                           "S: 250 Ok", "S: 250 Ok",   "S: 354 go",
                                           "S: 250 Ok", "=: protocol", NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 1, refused);
    assert_int_equal(session.state, LOAD_OVER);
    run(LOAD_PIPELINING_GROUP, 1, accepted);
    assert_int_equal(session.state, LOAD_OVER);
}

static void test_closing_between_messages_blames_none(void **state)
{
    static const char *const idle[] = {GREETING, "S: 421 bye", "=: closing", NULL};
    static const char *const begun[] = {GREETING,    ">: begin",  "G: 1",          "S: 250 Ok",
                                        "S: 250 Ok", "S: 354 go", "B: ",           "S: 250 Ok",
                                        ">: begin",  "G: 2",      "S: 421 enough", "=: closing",
                                        NULL};
    static const char *const first[] = {GREETING,      ">: begin",    "G: 1",
                                        "S: 421 busy", "=: tempfail", NULL};
    static const char *const later[] = {GREETING,    ">: begin",    "G: 1", "S: 250 Ok",
                                        "S: 421 no", "=: tempfail", NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 1, idle);
    run(LOAD_PIPELINING_GROUP, 1, begun);
    assert_int_equal(session.state, LOAD_OVER);
    run(LOAD_PIPELINING_GROUP, 1, first);
    run(LOAD_PIPELINING_GROUP, 1, later);
    assert_int_equal(session.failure_phase, LOAD_PHASE_RCPT);
}

#define CONVERSATION                                                                               \
    "C: MAIL FROM:<load@client.test>|RCPT TO:<user1@sink.test>|RCPT TO:<user2@sink.test>|DATA|"

static void test_closing_outweighs_a_recipient_refused_before(void **state)
{
    static const char *const steps[] = {GREETING,    ">: begin",    CONVERSATION,  "S: 250 Ok",
                                        "S: 550 no", "S: 421 down", "=: tempfail", NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 2, steps);
    assert_int_equal(session.failure_code, 421);
}

static void test_closing_at_the_dot_of_stream(void **state)
{
    static const char *const steps[] = {
        GREETING,
        ">: begin",
        "G: 1",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "D: MAIL FROM:<load@client.test>|RCPT TO:<user2@sink.test>|DATA|",
        "S: 421 down",
        "=: tempfail",
        NULL};
    (void)state;
    run(LOAD_PIPELINING_STREAM, 1, steps);
    assert_int_equal(session.state, LOAD_OVER);
    assert_true(session.next_begun);
}

static void test_loss_is_blamed_on_what_was_judged_only(void **state)
{
    static const char *const fresh[] = {GREETING, ">: begin", "G: 1", NULL};
    static const char *const between[] = {
        GREETING,
        ">: begin",
        "G: 1",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "D: MAIL FROM:<load@client.test>|RCPT TO:<user2@sink.test>|DATA|",
        "S: 250 Ok",
        NULL};
    static const char *const answered[] = {GREETING,    ">: begin",  "G: 1",
                                           "S: 250 Ok", "S: 250 Ok", NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 1, fresh);
    assert_true(load_session_is_blamed(&session));
    run(LOAD_PIPELINING_STREAM, 1, between);
    assert_true(load_session_has_message(&session));
    assert_false(load_session_is_blamed(&session));
    run(LOAD_PIPELINING_GROUP, 1, answered);
    assert_true(load_session_is_blamed(&session));
    assert_int_equal(load_session_phase(&session), LOAD_PHASE_DATA);
}

static void test_a_server_that_does_not_want_us(void **state)
{
    static const char *const banner[] = {"S: 554 no", "=: unusable", "C: QUIT|", "S: 221 bye",
                                         NULL};
    static const char *const busy[] = {"S: 421 busy", "=: unusable", NULL};
    static const char *const helo[] = {
        "S: 220 mx", "C: EHLO client.test|", "S: 550 no", "C: HELO client.test|",
        "S: 550 no", "=: unusable",          "C: QUIT|",  NULL};
    (void)state;
    run(LOAD_PIPELINING_AUTO, 1, banner);
    assert_int_equal(session.state, LOAD_OVER);
    run(LOAD_PIPELINING_AUTO, 1, busy);
    assert_int_equal(session.state, LOAD_OVER);
    run(LOAD_PIPELINING_AUTO, 1, helo);
}

static void test_replies_out_of_place(void **state)
{
    static const char *const rows[][12] = {
        {"S: 354 go", "=: protocol", NULL},
        {"S: 250 Ok", "=: protocol", NULL},
        {"S: 220 mx", "S: 250 before EHLO was sent", "=: protocol", NULL},
        {GREETING, ">: begin", "S: 250 before the group was sent", "=: protocol", NULL},
        {"S: 220 mx", "C: EHLO client.test|", "S: 354 go", "=: protocol", NULL},
        {GREETING, "S: 250 unasked", "=: protocol", NULL},
        {GREETING, ">: begin", "G: 1", "S: 354 go", "=: protocol", NULL},
        {GREETING, ">: begin", "G: 1", "S: 250 Ok", "S: 354 go", "=: protocol", NULL},
    };
    (void)state;
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        run(LOAD_PIPELINING_GROUP, 1, rows[index]);
        assert_int_equal(session.state, LOAD_OVER);
        assert_int_equal(session.wants, LOAD_WANTS_NOTHING);
    }
}

static void test_data_answered_by_250_is_wrong(void **state)
{
    static const char *const steps[] = {GREETING,    ">: begin",  "G: 1",        "S: 250 Ok",
                                        "S: 250 Ok", "S: 250 Ok", "=: protocol", NULL};
    (void)state;
    run(LOAD_PIPELINING_GROUP, 1, steps);
}

static void test_recipients_are_numbered_through_the_run(void **state)
{
    uint8_t octets[2000];
    (void)state;

    load_script_open(&script, "c", "", "plain", 3, LOAD_PIPELINING_GROUP);
    load_session_init(&session);
    session.state = LOAD_IDLE;
    session.mode = LOAD_PIPELINING_GROUP;
    load_session_begin(&session, &script, 1);
    expect_octets(octets, load_session_put(&session, &script, 333333333334, octets),
                  "MAIL FROM:<>|RCPT TO:<plain1000000000000>|RCPT TO:<plain1000000000001>|"
                  "RCPT TO:<plain1000000000002>|DATA|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_step),
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_helo_after_ehlo_was_refused),
        cmocka_unit_test(test_no_grouping_where_it_is_not_offered),
        cmocka_unit_test(test_keywords_are_read_without_case),
        cmocka_unit_test(test_refused_sender_in_lock_step),
        cmocka_unit_test(test_refused_recipients_in_lock_step_need_a_reset),
        cmocka_unit_test(test_one_recipient_of_two_is_enough),
        cmocka_unit_test(test_a_group_is_answered_to_its_end),
        cmocka_unit_test(test_a_lone_dot_where_354_comes_anyway),
        cmocka_unit_test(test_a_verdict_before_the_content_ends_the_session),
        cmocka_unit_test(test_closing_between_messages_blames_none),
        cmocka_unit_test(test_closing_outweighs_a_recipient_refused_before),
        cmocka_unit_test(test_closing_at_the_dot_of_stream),
        cmocka_unit_test(test_loss_is_blamed_on_what_was_judged_only),
        cmocka_unit_test(test_a_server_that_does_not_want_us),
        cmocka_unit_test(test_replies_out_of_place),
        cmocka_unit_test(test_data_answered_by_250_is_wrong),
        cmocka_unit_test(test_recipients_are_numbered_through_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
