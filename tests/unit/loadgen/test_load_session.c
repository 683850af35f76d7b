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
 *   M: 1: likewise an envelope alone, in front of a chunk
 *   >: "begin", "quit", "add", "follow N", "reset N": N with RSET in front
 *                  =: the event that the last S: must have brought
 */
static struct load_script script;
static struct load_session session;
static enum load_session_event last_event;
static uint64_t sequence;

static const char *event_name(enum load_session_event event)
{
    static const char *const names[] = {"none",     "ready",    "go-ahead", "accepted",
                                        "tempfail", "reject",   "kept",     "not-kept",
                                        "closing",  "unusable", "protocol"};
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

static void act(const char *text)
{
    if (strcmp(text, "begin") == 0) {
        sequence++;
        load_session_begin(&session, &script, sequence);
    } else if (strcmp(text, "add") == 0) {
        sequence++;
        load_session_add(&session);
    } else if (strcmp(text, "quit") == 0) {
        load_session_quit(&session);
    } else {
        uint64_t number = strtoull(strchr(text, ' '), NULL, 10);
        load_session_follow(&session, &script, number, text[0] == 'r');
    }
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
    case 'M':
        (void)snprintf(group, sizeof group,
                       "MAIL FROM:<load@client.test>|RCPT TO:<user%s@sink.test>|", text);
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
        act(text);
        break;
    default:
        fail_msg("a step of no kind: %c", kind);
    }
}

static void open_script(enum load_pipelining pipelining, uint32_t recipients)
{
    script = (struct load_script){0};
    load_script_open(&script, "client.test", "load@client.test", "user@sink.test", recipients,
                     pipelining);
}

/* With the script as it is. */
static void play(const char *const *steps)
{
    load_session_init(&session, &script);
    sequence = 0;
    last_event = LOAD_EVENT_NONE;
    for (; *steps != NULL; steps++)
        run_step((*steps)[0], *steps + 3);
}

static void run(enum load_pipelining pipelining, uint32_t recipients, const char *const *steps)
{
    open_script(pipelining, recipients);
    play(steps);
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
    load_session_init(&session, &script);
    session.state = LOAD_IDLE;
    session.mode = LOAD_PIPELINING_GROUP;
    load_session_begin(&session, &script, 1);
    expect_octets(octets, load_session_put(&session, &script, 333333333334, octets),
                  "MAIL FROM:<>|RCPT TO:<plain1000000000000>|RCPT TO:<plain1000000000001>|"
                  "RCPT TO:<plain1000000000002>|DATA|");
}

/* ---- LMTP ---- */

#define LMTP_GREETING                                                                              \
    "S: 220 mx LMTP", "C: LHLO client.test|", "S: 250-mx", "S: 250 PIPELINING", "=: ready"
/* In brackets: one text in two lines, and no comma is missing. */
#define LMTP_GROUP                                                                                 \
    ("C: MAIL FROM:<load@client.test>|RCPT TO:<user1@sink.test>|"                                  \
     "RCPT TO:<user2@sink.test>|RCPT TO:<user3@sink.test>|DATA|")
#define LMTP_ENVELOPE LMTP_GREETING, ">: begin", LMTP_GROUP, "S: 250 Ok"

static void run_lmtp(enum load_pipelining pipelining, uint32_t recipients, const char *const *steps)
{
    open_script(pipelining, recipients);
    load_script_speak_lmtp(&script, "client.test");
    play(steps);
}

static void test_lmtp_has_a_verdict_a_recipient(void **state)
{
    static const char *const steps[] = {
        LMTP_ENVELOPE, "S: 250 Ok",    "S: 250 Ok",   "S: 250 Ok",  "S: 354 go", "=: go-ahead",
        "B: ",         "S: 250 one",   "=: none",     "S: 250 two", "=: none",   "S: 250 three",
        "=: accepted", "S: 250 four?", "=: protocol", NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_GROUP, 3, steps);
    assert_int_equal(session.messages_ended, 1);
    assert_int_equal(session.recipients_accepted, 3);
}

/* RFC 2033 4.2: recipients that were refused at RCPT get no reply to the content. */
static void test_lmtp_counts_the_recipients_taken_only(void **state)
{
    static const char *const steps[] = {LMTP_ENVELOPE, "S: 250 Ok",   "S: 550 no",   "S: 250 Ok",
                                        "S: 354 go",   "=: go-ahead", "B: ",         "S: 250 one",
                                        "=: none",     "S: 250 two",  "=: accepted", NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_GROUP, 3, steps);
    assert_int_equal(session.state, LOAD_IDLE);
    assert_int_equal(session.recipients_accepted, 2);
}

static void test_lmtp_some_recipients_fail_at_the_end(void **state)
{
    static const char *const first[] = {LMTP_ENVELOPE, "S: 250 Ok",     "S: 250 Ok",   "S: 250 Ok",
                                        "S: 354 go",   "B: ",           "S: 452 full", "=: none",
                                        "S: 550 no",   "S: 250 stored", "=: accepted", NULL};
    static const char *const last[] = {LMTP_ENVELOPE, "S: 250 Ok",    "S: 250 Ok",   "S: 250 Ok",
                                       "S: 354 go",   "B: ",          "S: 250 yes",  "=: none",
                                       "S: 550 no",   "S: 451 later", "=: accepted", NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_GROUP, 3, first);
    assert_int_equal(session.recipients_accepted, 1);
    run_lmtp(LOAD_PIPELINING_GROUP, 3, last);
    assert_int_equal(session.recipients_accepted, 1);
    assert_int_equal(session.recipients_answered, 3);
}

static void test_lmtp_all_recipients_fail_at_the_end(void **state)
{
    static const char *const later[] = {
        LMTP_ENVELOPE, "S: 250 Ok", "S: 250 Ok", "S: 250 Ok",   "S: 354 go", "B: ", "S: 452 full",
        "S: 550 no",   "=: none",   "S: 550 no", "=: tempfail", ">: begin",  NULL};
    static const char *const never[] = {LMTP_ENVELOPE, "S: 250 Ok", "S: 250 Ok", "S: 250 Ok",
                                        "S: 354 go",   "B: ",       "S: 550 no", "S: 452 full",
                                        "=: none",     "S: 452 no", "=: reject", NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_GROUP, 3, later);
    assert_false(session.needs_reset); /* the transaction ended with its content */
    run_lmtp(LOAD_PIPELINING_GROUP, 3, never);
    assert_int_equal(session.failure_code, 550);
    assert_int_equal(session.failure_phase, LOAD_PHASE_DOT);
    assert_int_equal(session.recipients_accepted, 0);
}

/* RFC 2033 4.2: DATA without a recipient gets 503. There is no lone dot to be sent. */
static void test_lmtp_data_goes_ahead_without_a_recipient(void **state)
{
    static const char *const wrong[] = {LMTP_ENVELOPE, "S: 550 no", "S: 550 no",   "S: 550 no",
                                        "=: none",     "S: 354 go", "=: protocol", NULL};
    static const char *const right[] = {LMTP_ENVELOPE, "S: 550 no",      "S: 450 no", "S: 550 no",
                                        "=: none",     "S: 503 no rcpt", "=: reject", NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_GROUP, 3, wrong);
    assert_int_equal(session.state, LOAD_OVER);
    run_lmtp(LOAD_PIPELINING_GROUP, 3, right);
    assert_int_equal(session.state, LOAD_IDLE);
    assert_true(session.needs_reset);
}

static void test_lmtp_of_stream(void **state)
{
    static const char *const steps[] = {
        LMTP_GREETING,
        ">: begin",
        "C: MAIL FROM:<load@client.test>|RCPT TO:<user1@sink.test>|RCPT TO:<user2@sink.test>|DATA|",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "D: MAIL FROM:<load@client.test>|RCPT TO:<user3@sink.test>|RCPT TO:<user4@sink.test>|DATA|",
        "S: 250 one",
        "=: none",
        "S: 550 two",
        "=: accepted",
        "S: 250 Ok",
        "=: none",
        "S: 550 no",
        "S: 250 Ok",
        "S: 354 go",
        "=: go-ahead",
        "B: ",
        "S: 451 full",
        "=: tempfail",
        NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_STREAM, 2, steps);
    assert_int_equal(session.messages_ended, 2);
    assert_int_equal(session.state, LOAD_IDLE);
}

/* 421 outweighs what other recipients were told; nothing comes behind it. */
static void test_lmtp_closing_between_verdicts(void **state)
{
    static const char *const steps[] = {LMTP_ENVELOPE, "S: 250 Ok", "S: 250 Ok",  "S: 250 Ok",
                                        "S: 354 go",   "B: ",       "S: 250 one", "S: 421 down",
                                        "=: tempfail", NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_GROUP, 3, steps);
    assert_int_equal(session.state, LOAD_OVER);
    assert_int_equal(session.failure_code, 421);
}

static void test_lmtp_knows_its_last_verdict(void **state)
{
    static const char *const steps[] = {LMTP_ENVELOPE, "S: 250 Ok", "S: 250 Ok", "S: 550 no",
                                        "S: 354 go",   "B: ",       NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_GROUP, 3, steps);
    assert_false(load_session_is_last_dot(&session));
    reply("250 one");
    assert_true(load_session_is_last_dot(&session));
}

/* RFC 2033 4.1: no HELO behind a refused LHLO. */
static void test_lmtp_greeting_refused(void **state)
{
    static const char *const steps[] = {"S: 220 mx",
                                        "C: LHLO client.test|",
                                        "S: 500 what?",
                                        "=: unusable",
                                        "C: QUIT|",
                                        "S: 221 bye",
                                        NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_AUTO, 1, steps);
    assert_int_equal(session.state, LOAD_OVER);
}

/* ---- BDAT ---- */

#define BDAT_GREETING                                                                              \
    "S: 220 mx ESMTP", "C: EHLO client.test|", "S: 250-mx", "S: 250-PIPELINING",                   \
        "S: 250 CHUNKING", "=: ready"

static void test_bdat(void **state)
{
    static const char *const steps[] = {
        BDAT_GREETING,
        ">: begin",
        "M: 1",
        "S: 250 Ok",
        "S: 250 Ok",
        "=: none",
        "S: 250 kept",
        "=: accepted",
        ">: begin",
        "M: 2",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 552 big",
        "=: reject",
        ">: begin",
        "C: RSET|MAIL FROM:<load@client.test>|RCPT TO:<user3@sink.test>|",
        "S: 250 reset",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 250 kept",
        "=: accepted",
        ">: quit",
        "C: QUIT|",
        "S: 221 bye",
        NULL};
    (void)state;
    run(LOAD_PIPELINING_BDAT, 1, steps);
    assert_int_equal(session.mode, LOAD_PIPELINING_BDAT);
    assert_int_equal(session.state, LOAD_OVER);
    assert_int_equal(session.messages_ended, 3);
}

static void test_bdat_where_it_is_not_offered(void **state)
{
    static const char *const grouped[] = {GREETING, ">: begin", "G: 1", NULL};
    static const char *const single[] = {"S: 220 mx", "C: EHLO client.test|",
                                         "S: 250-mx", "S: 250 CHUNKING",
                                         ">: begin",  "C: MAIL FROM:<load@client.test>|",
                                         NULL};
    static const char *const helo[] = {"S: 220 mx",
                                       "C: EHLO client.test|",
                                       "S: 502 no",
                                       "C: HELO client.test|",
                                       "S: 250 CHUNKING",
                                       "=: ready",
                                       NULL};
    (void)state;
    run(LOAD_PIPELINING_BDAT, 1, grouped);
    assert_int_equal(session.mode, LOAD_PIPELINING_GROUP);
    run(LOAD_PIPELINING_BDAT, 1, single);
    assert_int_equal(session.mode, LOAD_PIPELINING_OFF);
    run(LOAD_PIPELINING_BDAT, 1, helo);
    assert_int_equal(session.mode, LOAD_PIPELINING_OFF);
}

/* Replies come in the order in which the messages left, whatever is added meanwhile. */
static void test_bdat_window(void **state)
{
    static const char *const steps[] = {
        BDAT_GREETING, ">: begin",  "M: 1",      ">: add",      "M: 2",        "S: 250 Ok",
        ">: add",      "M: 3",      "S: 250 Ok", "S: 250 kept", "=: accepted", ">: follow 2",
        "S: 250 Ok",   "S: 250 Ok", ">: add",    "M: 4",        "S: 451 no",   "=: tempfail",
        ">: follow 3", "S: 250 Ok", "S: 250 Ok", "S: 250 kept", "=: accepted", NULL};
    (void)state;
    run(LOAD_PIPELINING_BDAT, 1, steps);
    assert_int_equal(session.state, LOAD_IDLE);
    assert_true(session.needs_reset);
    load_session_follow(&session, &script, 4, false);
    assert_int_equal(session.state, LOAD_AWAIT_MAIL);
    assert_int_equal(load_session_phase(&session), LOAD_PHASE_MAIL);
}

/*
 * All recipients of the first were refused, and the server keeps its transaction: the second's MAIL
 * is out of place there, but its content is taken. The RSET came with the third.
 */
static void test_bdat_behind_a_transaction_that_was_left_open(void **state)
{
    static const char *const steps[] = {
        BDAT_GREETING,
        ">: begin",
        "M: 1",
        ">: add",
        "M: 2",
        "S: 250 Ok",
        "S: 550 no",
        "S: 554 no recipients",
        "=: reject",
        ">: follow 2",
        ">: add",
        "C: RSET|MAIL FROM:<load@client.test>|RCPT TO:<user3@sink.test>|",
        "S: 503 nested MAIL",
        "=: none",
        "S: 250 Ok",
        "S: 250 kept",
        "=: accepted",
        ">: reset 3",
        "S: 250 reset",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 250 kept",
        "=: accepted",
        NULL};
    (void)state;
    run(LOAD_PIPELINING_BDAT, 1, steps);
    assert_false(session.needs_reset);
    assert_int_equal(session.messages_ended, 3);
}

static void test_bdat_content_of_nobody(void **state)
{
    /* A server may say 250 to what it throws away. */
    static const char *const taken[] = {BDAT_GREETING, ">: begin",  "M: 1",        "S: 250 Ok",
                                        "S: 450 no",   "S: 250 Ok", "=: tempfail", NULL};
    static const char *const refused[] = {
        BDAT_GREETING,  ">: begin",     "M: 1",        "S: 452 full",
        "S: 503 MAIL?", "S: 503 RCPT?", "=: tempfail", NULL};
    static const char *const asked[] = {BDAT_GREETING, ">: begin",  "M: 1",        "S: 250 Ok",
                                        "S: 250 Ok",   "S: 354 go", "=: protocol", NULL};
    (void)state;
    run(LOAD_PIPELINING_BDAT, 1, taken);
    assert_int_equal(session.failure_phase, LOAD_PHASE_RCPT);
    run(LOAD_PIPELINING_BDAT, 1, refused);
    assert_int_equal(session.failure_code, 452);
    assert_false(session.needs_reset); /* MAIL was refused: nothing is open */
    run(LOAD_PIPELINING_BDAT, 1, asked);
    assert_int_equal(session.state, LOAD_OVER);
}

static void test_bdat_of_lmtp(void **state)
{
    static const char *const steps[] = {
        "S: 220 mx LMTP",
        "C: LHLO client.test|",
        "S: 250-mx",
        "S: 250-CHUNKING",
        "S: 250 PIPELINING",
        ">: begin",
        "C: MAIL FROM:<load@client.test>|RCPT TO:<user1@sink.test>|RCPT TO:<user2@sink.test>|",
        ">: add",
        "C: MAIL FROM:<load@client.test>|RCPT TO:<user3@sink.test>|RCPT TO:<user4@sink.test>|",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 452 full",
        "=: none",
        "S: 250 Ok",
        "=: accepted",
        ">: follow 2",
        "S: 250 Ok",
        "S: 550 no",
        "S: 550 no",
        "S: 503 no recipients",
        "=: reject",
        NULL};
    (void)state;
    run_lmtp(LOAD_PIPELINING_BDAT, 2, steps);
    assert_int_equal(session.messages_ended, 2);
    assert_int_equal(session.recipients_accepted, 0);
}

static void test_bdat_closing(void **state)
{
    static const char *const between[] = {BDAT_GREETING, ">: begin",    "M: 1",       ">: add",
                                          "M: 2",        "S: 250 Ok",   "S: 250 Ok",  "S: 250 kept",
                                          ">: follow 2", "S: 421 down", "=: closing", NULL};
    static const char *const within[] = {BDAT_GREETING, ">: begin",    "M: 1",
                                         ">: add",      "M: 2",        "S: 250 Ok",
                                         "S: 421 down", "=: tempfail", NULL};
    (void)state;
    run(LOAD_PIPELINING_BDAT, 1, between);
    assert_int_equal(session.state, LOAD_OVER);
    run(LOAD_PIPELINING_BDAT, 1, within);
    assert_int_equal(session.failure_code, 421);
}

static void test_chunk_line(void **state)
{
    uint8_t octets[LOAD_CHUNK_LINE_MAX];
    (void)state;
    assert_int_equal(load_session_put_chunk(1234, octets), 16);
    assert_memory_equal(octets, "BDAT 1234 LAST\r\n", 16);
    assert_true(load_session_put_chunk(1ull << 31, octets) <= LOAD_CHUNK_LINE_MAX);
}

/* ---- content of 8 bits, addresses of more than ASCII ---- */

static void run_8bit(enum load_pipelining pipelining, const char *sender, const char *const *steps)
{
    script = (struct load_script){0};
    load_script_open(&script, "client.test", sender, "user@sink.test", 1, pipelining);
    load_script_set_8bit(&script);
    play(steps);
}

#define EHLO_OF(keyword) "S: 220 mx", "C: EHLO client.test|", "S: 250-mx", keyword

static void test_8bitmime_where_it_is_offered(void **state)
{
    static const char *const offered[] = {EHLO_OF("S: 250 8bitMIME"), ">: begin",
                                          "C: MAIL FROM:<a@b> BODY=8BITMIME|", NULL};
    static const char *const not_offered[] = {EHLO_OF("S: 250 SIZE"), ">: begin",
                                              "C: MAIL FROM:<a@b>|", NULL};
    static const char *const helo[] = {"S: 220 mx",           "C: EHLO client.test|",
                                       "S: 500 8BITMIME",     "C: HELO client.test|",
                                       "S: 250 8BITMIME",     ">: begin",
                                       "C: MAIL FROM:<a@b>|", NULL};
    (void)state;
    run_8bit(LOAD_PIPELINING_OFF, "a@b", offered);
    run_8bit(LOAD_PIPELINING_OFF, "a@b", not_offered);
    run_8bit(LOAD_PIPELINING_OFF, "a@b", helo);
    /* Content of 7 bits says nothing. */
    static const char *const plain[] = {EHLO_OF("S: 250 8BITMIME"), ">: begin",
                                        "C: MAIL FROM:<load@client.test>|", NULL};
    run(LOAD_PIPELINING_OFF, 1, plain);
}

static void test_smtputf8_has_to_be_offered(void **state)
{
    static const char *const offered[] = {
        EHLO_OF("S: 250-SMTPUTF8"),
        "S: 250-8BITMIME",
        "S: 250 PIPELINING",
        ">: begin",
        "C: MAIL FROM:<\303\244@b> BODY=8BITMIME SMTPUTF8|RCPT TO:<user1@sink.test>|DATA|",
        "S: 250 Ok",
        "S: 250 Ok",
        "S: 354 go",
        "D: MAIL FROM:<\303\244@b> BODY=8BITMIME SMTPUTF8|RCPT TO:<user2@sink.test>|DATA|",
        NULL};
    static const char *const not_offered[] = {EHLO_OF("S: 250 8BITMIME"), "=: unusable", "C: QUIT|",
                                              "S: 221 bye", NULL};
    (void)state;
    run_8bit(LOAD_PIPELINING_STREAM, "\303\244@b", offered);
    run_8bit(LOAD_PIPELINING_STREAM, "\303\244@b", not_offered);
    assert_true(session.lacks_utf8);
    assert_int_equal(session.state, LOAD_OVER);
    open_script(LOAD_PIPELINING_OFF, 1);
    assert_false(script.needs_utf8);
    assert_true(load_script_spread(&script, "a.test,\303\244.test", 1));
    assert_true(script.needs_utf8);
}

/* ---- what differs from message to message ---- */

/* Recipients of message `number`, counted in what is written of it. */
static uint32_t count_recipients(uint64_t number)
{
    uint8_t octets[8000];
    uint32_t count = 0;

    load_session_init(&session, &script);
    session.state = LOAD_IDLE;
    session.mode = LOAD_PIPELINING_GROUP;
    load_session_begin(&session, &script, number);
    uint32_t size = load_session_put(&session, &script, number, octets);
    assert_true(size <= load_script_group_max(&script));
    for (uint32_t index = 0; index + 4 < size; index++)
        if (memcmp(octets + index, "RCPT", 4) == 0) count++;
    assert_int_equal(count, session.recipients);
    return count;
}

static void test_recipients_vary(void **state)
{
    uint32_t counts[8] = {0};
    uint32_t again = 0;
    (void)state;

    open_script(LOAD_PIPELINING_GROUP, 2);
    load_script_vary_recipients(&script, 5, 7);
    for (uint64_t number = 1; number <= 1000; number++)
        counts[count_recipients(number)]++;
    for (uint32_t count = 2; count <= 5; count++)
        assert_in_range(counts[count], 200, 300);
    assert_int_equal(counts[2] + counts[3] + counts[4] + counts[5], 1000);
    for (uint64_t number = 1; number <= 1000; number++)
        if (count_recipients(number) == 2) again++;
    assert_int_equal(again, counts[2]); /* the seed and the number alone decide */
}

/* Numbers are apart by the most that a message may have, so no two messages share one. */
static void test_recipients_that_vary_are_numbered_apart(void **state)
{
    uint8_t octets[4000];
    (void)state;

    open_script(LOAD_PIPELINING_OFF, 1);
    load_script_vary_recipients(&script, 4, 7);
    load_session_init(&session, &script);
    session.state = LOAD_IDLE;
    session.mode = LOAD_PIPELINING_OFF;
    load_session_begin(&session, &script, 3);
    session.wants = LOAD_WANTS_RECIPIENT;
    expect_octets(octets, load_session_put(&session, &script, 3, octets),
                  "RCPT TO:<user9@sink.test>|");
}

/* In stream, the message behind has a count of its own. */
static void test_recipients_vary_in_stream(void **state)
{
    uint8_t octets[4000];
    uint64_t first = 1;
    (void)state;

    open_script(LOAD_PIPELINING_STREAM, 1);
    load_script_vary_recipients(&script, 3, 11);
    while (count_recipients(first) != 1 || count_recipients(first + 1) != 3)
        first++;
    load_session_init(&session, &script);
    session.state = LOAD_IDLE;
    session.mode = LOAD_PIPELINING_STREAM;
    load_session_begin(&session, &script, first);
    load_session_sent(&session);
    reply("250 Ok");
    reply("250 Ok");
    reply("354 go");
    (void)load_session_put_next(&session, &script, first + 1, octets);
    load_session_sent(&session);
    reply("250 queued");
    assert_int_equal(last_event, LOAD_EVENT_ACCEPTED);
    assert_int_equal(session.recipients_answered, 1);
    for (uint32_t count = 0; count < 4; count++)
        reply("250 Ok");
    assert_int_equal(session.recipients_answered, 3);
    assert_int_equal(session.state, LOAD_AWAIT_DATA);
}

static void test_domains_by_weight(void **state)
{
    uint8_t octets[4000];
    uint32_t counts[3] = {0};
    (void)state;

    open_script(LOAD_PIPELINING_OFF, 1);
    assert_true(load_script_spread(&script, "a.test:6,b.test:3,c.test", 5));
    assert_int_equal(script.domain_count, 3);
    for (uint64_t number = 1; number <= 1000; number++) {
        (void)count_recipients(number);
        session.wants = LOAD_WANTS_RECIPIENT;
        uint32_t size = load_session_put(&session, &script, number, octets);
        assert_memory_equal(octets + size - 8, ".test>\r\n", 8);
        assert_in_range(octets[size - 9], 'a', 'c');
        assert_int_equal(octets[size - 10], '@');
        counts[octets[size - 9] - 'a']++;
    }
    assert_in_range(counts[0], 550, 650);
    assert_in_range(counts[1], 250, 350);
    assert_in_range(counts[2], 60, 140);
}

static void test_lists_that_are_no_domains(void **state)
{
    static const char *const wrong[] = {
        "",         ",",        "a.test,", "a.test:0", "a.test:-1",  "a.test:",   ":5",
        "a.test:x", "a b.test", "a.test>", "<a.test",  "a.test:inf", "a.test:nan"};
    char many[33 * 2 + 1];
    (void)state;

    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        open_script(LOAD_PIPELINING_OFF, 1);
        assert_false(load_script_spread(&script, wrong[index], 1));
    }
    for (uint32_t index = 0; index < 33; index++)
        memcpy(many + 2 * (size_t)index, "a,", 2);
    many[32 * 2 - 1] = '\0';
    open_script(LOAD_PIPELINING_OFF, 1);
    assert_true(load_script_spread(&script, many, 1));
    many[32 * 2 - 1] = ',';
    many[33 * 2 - 1] = '\0';
    open_script(LOAD_PIPELINING_OFF, 1);
    assert_false(load_script_spread(&script, many, 1));
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
        cmocka_unit_test(test_lmtp_has_a_verdict_a_recipient),
        cmocka_unit_test(test_lmtp_counts_the_recipients_taken_only),
        cmocka_unit_test(test_lmtp_some_recipients_fail_at_the_end),
        cmocka_unit_test(test_lmtp_all_recipients_fail_at_the_end),
        cmocka_unit_test(test_lmtp_data_goes_ahead_without_a_recipient),
        cmocka_unit_test(test_lmtp_of_stream),
        cmocka_unit_test(test_lmtp_closing_between_verdicts),
        cmocka_unit_test(test_lmtp_knows_its_last_verdict),
        cmocka_unit_test(test_lmtp_greeting_refused),
        cmocka_unit_test(test_bdat),
        cmocka_unit_test(test_bdat_where_it_is_not_offered),
        cmocka_unit_test(test_bdat_window),
        cmocka_unit_test(test_bdat_behind_a_transaction_that_was_left_open),
        cmocka_unit_test(test_bdat_content_of_nobody),
        cmocka_unit_test(test_bdat_of_lmtp),
        cmocka_unit_test(test_bdat_closing),
        cmocka_unit_test(test_chunk_line),
        cmocka_unit_test(test_8bitmime_where_it_is_offered),
        cmocka_unit_test(test_smtputf8_has_to_be_offered),
        cmocka_unit_test(test_recipients_vary),
        cmocka_unit_test(test_recipients_that_vary_are_numbered_apart),
        cmocka_unit_test(test_recipients_vary_in_stream),
        cmocka_unit_test(test_domains_by_weight),
        cmocka_unit_test(test_lists_that_are_no_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
