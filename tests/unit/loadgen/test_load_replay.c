/* Sessions as they are written down, in load_session's hands: load_replay is seen through it. */
#include "loadgen/load_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

/*
 * What happens is text, a line a step:
 *   S: a reply      C: what leaves now, CR LF as "|"      B: N: the content of message N leaves
 *   P: the pause that is wanted is over                   =: the event of the last S:
 *   E: the session has gone as written: "quit", "fin", "rst"
 *   W: nothing is wanted: a reply is awaited
 */
static struct load_dialogues dialogues;
static struct load_script script;
static struct load_session session;
static enum load_session_event last_event;

static const char *event_name(enum load_session_event event)
{
    static const char *const names[] = {"none",     "ready",    "go-ahead", "accepted",
                                        "tempfail", "reject",   "kept",     "not-kept",
                                        "closing",  "unusable", "protocol"};
    return names[event];
}

static void expect_octets(const char *expected)
{
    uint8_t octets[LOAD_DIALOGUE_SENT_MAX];
    char text[LOAD_DIALOGUE_SENT_MAX + 1];
    uint32_t shown = 0;

    assert_true(load_script_group_max(&script) <= sizeof octets);
    uint32_t size = load_session_put(&session, &script, 1, octets);
    assert_true(size <= load_script_group_max(&script));
    for (uint32_t index = 0; index < size; index++) {
        if (octets[index] == '\r') continue;
        text[shown++] = octets[index] == '\n' ? '|' : (char)octets[index];
    }
    text[shown] = '\0';
    assert_string_equal(text, expected);
    load_session_sent(&session);
}

static const char *ending(void)
{
    if (load_replay_wants(&session.replay) == LOAD_REPLAY_RESETS) return "rst";
    return load_session_said_goodbye(&session) ? "quit" : "fin";
}

static void run_step(char kind, const char *text)
{
    struct load_reply_line line;

    switch (kind) {
    case 'S':
        line.code = (uint32_t)strtoul(text, NULL, 10);
        line.text = bytes_from_text(strlen(text) > 4 ? text + 4 : "");
        last_event = load_session_reply(&session, &script, &line, text[3] != '-');
        break;
    case 'C':
        assert_true(session.wants == LOAD_WANTS_GROUP || session.wants == LOAD_WANTS_QUIT);
        expect_octets(text);
        break;
    case 'B':
        assert_int_equal(session.wants, LOAD_WANTS_CONTENT);
        assert_int_equal(load_session_message(&session), strtoull(text, NULL, 10));
        load_session_sent(&session);
        break;
    case 'P':
        assert_int_equal(session.wants, LOAD_WANTS_PAUSE);
        assert_non_null(load_session_pause(&session));
        load_session_sent(&session);
        break;
    case 'E':
        assert_int_equal(session.wants, LOAD_WANTS_END);
        assert_string_equal(ending(), text);
        break;
    case 'W':
        assert_int_equal(session.wants, LOAD_WANTS_NOTHING);
        break;
    case '=':
        assert_string_equal(event_name(last_event), text);
        break;
    default:
        fail_msg("a step of no kind: %c", kind);
    }
}

/* Session `number` of a file; the greeting is taken already. */
static void play(const char *file, uint64_t number, const char *const *steps)
{
    char error[LOAD_DIALOGUE_ERROR_MAX];

    assert_true(load_dialogues_open(&dialogues, bytes_from_text(file), 1, error));
    script = (struct load_script){0};
    load_script_open(&script, "a", "b@c", "d@e", 1, LOAD_PIPELINING_AUTO);
    load_script_replay(&script, &dialogues);
    load_session_init(&session, &script);
    run_step('S', "220 mx");
    run_step('=', "ready");
    assert_int_equal(session.state, LOAD_IDLE);
    assert_int_equal(session.mode, LOAD_PIPELINING_WRITTEN);
    load_session_begin(&session, &script, number);
    for (; *steps != NULL; steps++)
        run_step((*steps)[0], (*steps)[1] == '\0' ? "" : *steps + 3);
    load_dialogues_close(&dialogues);
}

static const char deliver[] = "S: 220\n"
                              "C: EHLO a\nS: 250\n"
                              "C: MAIL FROM:<>\nC: RCPT TO:<u{n}@b>\nC: DATA\nS: 250\nS: 250\n"
                              "S: 354\nmessage\nS: 250\n"
                              "C: QUIT\nS: 221\n";

static void test_a_message(void **state)
{
    static const char *const steps[] = {"C: EHLO a|",
                                        "W",
                                        "S: 250-mx",
                                        "W",
                                        "S: 250 SIZE",
                                        "=: none",
                                        "C: MAIL FROM:<>|RCPT TO:<u5@b>|DATA|",
                                        "S: 250 Ok",
                                        "S: 250 Ok",
                                        "W",
                                        "S: 354 go",
                                        "=: none",
                                        "B: 5",
                                        "S: 250 Ok",
                                        "=: kept",
                                        "C: QUIT|",
                                        "W",
                                        "S: 221 bye",
                                        "=: none",
                                        "E: quit",
                                        NULL};
    (void)state;
    play(deliver, 5, steps);
    assert_int_equal(session.recipients_accepted, 1);
}

/* What was not written ends the session, with QUIT where the server may listen to it. */
static void test_another_way(void **state)
{
    static const char *const refused[] = {
        "C: EHLO a|", "S: 250 mx", "C: MAIL FROM:<>|RCPT TO:<u1@b>|DATA|", "S: 250 Ok", "S: 550 no",
        "=: reject",  NULL};
    static const char *const refused_last[] = {"C: EHLO a|", "S: 451 later", "=: tempfail",
                                               "C: QUIT|",   "S: 221 bye",   NULL};
    static const char *const unasked[] = {"C: EHLO a|", "S: 354 what", "=: protocol", NULL};
    static const char *const closing[] = {
        "C: EHLO a|",   "S: 250 mx",   "C: MAIL FROM:<>|RCPT TO:<u1@b>|DATA|",
        "S: 421 going", "=: tempfail", NULL};
    (void)state;
    play(deliver, 1, refused);
    assert_int_equal(session.failure_code, 550);
    assert_int_equal(session.failure_phase, LOAD_PHASE_RCPT);
    assert_int_equal(session.state, LOAD_OVER); /* DATA may go ahead: QUIT would be content */
    play(deliver, 1, refused_last);
    assert_int_equal(session.failure_phase, LOAD_PHASE_EHLO);
    play(deliver, 1, unasked);
    assert_int_equal(session.state, LOAD_OVER);
    play(deliver, 1, closing);
    assert_int_equal(session.state, LOAD_OVER);
    assert_int_equal(session.failure_phase, LOAD_PHASE_MAIL);
}

/* A refusal may be what is wanted, 421 too. */
static void test_refusals_as_written(void **state)
{
    static const char *const steps[] = {"C: DATA|",    "S: 354 go", "B: 1",      "S: 451 later",
                                        "=: not-kept", "C: NOOP|",  "S: 421 no", "=: none",
                                        "E: fin",      NULL};
    (void)state;
    play("C: DATA\nS: 354\nmessage\nS: 451\nC: NOOP\nS: 421\n", 1, steps);
}

/* LMTP: a reply for each recipient that was taken; kept, if one of them says so. */
static void test_verdicts_of_lmtp(void **state)
{
    static const char file[] = "C: LHLO a\nS: 250\nrepeat 3\nC: RCPT TO:<{i}@b>\nend\nC: DATA\n"
                               "repeat 3\nS: 2|5\nend\nS: 354\nmessage\nrepeat 2\nS: 2|4\nend\n"
                               "C: QUIT\nS: 221\n";
#define UP_TO_CONTENT                                                                              \
    "C: LHLO a|", "S: 250 a", "C: RCPT TO:<1@b>|RCPT TO:<2@b>|RCPT TO:<3@b>|DATA|", "S: 250 a",    \
        "S: 550 b", "S: 250 c", "S: 354 go", "B: 1"
    static const char *const some[] = {UP_TO_CONTENT, "S: 450 no", "=: none",
                                       "S: 250 Ok",   "=: kept",   "C: QUIT|",
                                       "S: 221 bye",  "E: quit",   NULL};
    static const char *const none[] = {UP_TO_CONTENT, "S: 450 no", "=: none", "S: 452 no",
                                       "=: not-kept", "C: QUIT|",  NULL};
    (void)state;
    play(file, 1, some);
    assert_int_equal(session.recipients_accepted, 2);
    play(file, 1, none);
}

/* What is not as written may still be the verdict on a message. */
static void test_unwritten_verdicts(void **state)
{
    static const char file[] = "C: DATA\nS: 354\nmessage\nS: 250 2.6.0\nC: QUIT\nS: 221\n";
    static const char *const other_text[] = {"C: DATA|",        "S: 354 go",   "B: 1",
                                             "S: 250 2.0.0 Ok", "=: protocol", NULL};
    static const char *const refused[] = {"C: DATA|",  "S: 354 go", "B: 1", "S: 552 full",
                                          "=: reject", "C: QUIT|",  NULL};
    (void)state;
    play(file, 1, other_text);
    assert_int_equal(session.news, LOAD_REPLAY_KEPT);
    assert_int_equal(session.failed_line, 4);
    play(file, 1, refused);
    assert_int_equal(session.news, LOAD_REPLAY_NOT_KEPT);
}

/* A second message waits until the first is judged; replies that nobody waits for are passed over.
 */
static void test_messages_one_after_the_other(void **state)
{
    static const char file[] = "C: DATA\nC: DATA\nS: 354\nmessage\npause 1s\nC: DATA\nS: 354\n"
                               "S: 250\nS: 354\nclose\n";
    static const char quick[] = "C: DATA\nS: 354\nmessage\npause 1s\nC: RSET\npause 1s\nclose\n";
    static const char *const steps[] = {"C: DATA|DATA|", "S: 354 go", "B: 1",      "P",
                                        "C: DATA|",      "W",         "S: 354 go", "S: 250 Ok",
                                        "=: kept",       "S: 354 go", "E: fin",    NULL};
    static const char *const passed_over[] = {"C: DATA|", "S: 354 go", "B: 1",     "S: 250 Ok",
                                              "=: kept",  "P",         "C: RSET|", "S: 500 what",
                                              "=: none",  "P",         "E: fin",   NULL};
    (void)state;
    play(file, 1, steps);
    play(quick, 1, passed_over);
}

/* A reply may come while a pause lasts; what is behind the pause has not been asked yet. */
static void test_replies_in_a_pause(void **state)
{
    static const char file[] = "C: NOOP\npause 1s\nS: 250\npause 1s\nC: RSET\nS: 250\nreset\n";
    static const char *const early[] = {"C: NOOP|", "S: 250 Ok", "=: none",   "P",      "P",
                                        "C: RSET|", "W",         "S: 250 Ok", "E: rst", NULL};
    static const char *const late[] = {"C: NOOP|", "P",         "W",      "S: 250 Ok", "P",
                                       "C: RSET|", "S: 250 Ok", "E: rst", NULL};
    static const char *const talks[] = {"C: NOOP|", "S: 250 Ok", "S: 250 Ok", "=: protocol", NULL};
    (void)state;
    play(file, 1, early);
    play(file, 1, late);
    play(file, 1, talks);
}

/* Replies are written where they are waited for, which may be behind what was sent since. */
static void test_replies_written_later(void **state)
{
    static const char file[] = "C: MAIL\npause 1s\nC: RSET\nS: 250\nS: 250\n"
                               "C: x\nC: y\nrepeat 2\nS: 250\nend\n";
    static const char *const steps[] = {
        "C: MAIL|", "S: 250 Ok", "=: none", "P",         "C: RSET|", "W", "S: 250 Ok",
        "C: x|y|",  "S: 250 Ok", "W",       "S: 250 Ok", "E: fin",   NULL};
    static const char *const early[] = {"C: MAIL|", "S: 250 Ok", "S: 250 Ok", "=: protocol", NULL};
    (void)state;
    play(file, 1, steps);
    play(file, 1, early);
}

static void test_repeats(void **state)
{
    static const char file[] = "repeat 2\nC: VRFY u{n}.{i}\nS: 252\nend\n"
                               "repeat 3\nC: NOOP {i}\nend\nrepeat 3\nS: 250\nend\n"
                               "repeat 2\nC: DATA\nS: 354\nmessage\nS: 250\nend\nclose\n";
    static const char *const steps[] = {"C: VRFY u4.1|",
                                        "S: 252 x",
                                        "C: VRFY u4.2|",
                                        "S: 252 x",
                                        "C: NOOP 1|NOOP 2|NOOP 3|",
                                        "S: 250 a",
                                        "S: 250 b",
                                        "W",
                                        "S: 250 c",
                                        "C: DATA|",
                                        "S: 354 go",
                                        "B: 7",
                                        "S: 250 Ok",
                                        "=: kept",
                                        "C: DATA|",
                                        "S: 354 go",
                                        "B: 8",
                                        "S: 250 Ok",
                                        "=: kept",
                                        "E: fin",
                                        NULL};
    (void)state;
    play(file, 4, steps);
}

/* A repeat may be passed over whole, and what does not fit one send leaves in several. */
static void test_none_and_many(void **state)
{
    char error[LOAD_DIALOGUE_ERROR_MAX];
    static const char file[] = "repeat 0-1\nC: NOOP\nend\nrepeat 2000\nC: NOOP\nend\nclose\n";
    uint8_t out[LOAD_DIALOGUE_SENT_MAX];
    struct load_replay replay;
    uint64_t without = 0;

    (void)state;
    assert_true(load_dialogues_open(&dialogues, bytes_from_text(file), 1, error));
    for (uint64_t number = 1; number <= 100; number++) {
        uint32_t sends = 0;
        uint64_t size = 0;
        load_replay_begin(&replay, &dialogues, number);
        for (; load_replay_wants(&replay) == LOAD_REPLAY_SENDS; sends++) {
            uint32_t put = load_replay_put(&replay, out);
            assert_true(put <= load_replay_put_max(&dialogues));
            size += put;
            load_replay_advance(&replay);
        }
        assert_int_equal(load_replay_wants(&replay), LOAD_REPLAY_ENDS);
        assert_true(size == 2000 * 6 || size == 2001 * 6);
        assert_int_equal(sends, 3);
        without += size == 2000 * 6;
    }
    assert_in_range(without, 30, 70);
    load_dialogues_close(&dialogues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message),
        cmocka_unit_test(test_another_way),
        cmocka_unit_test(test_refusals_as_written),
        cmocka_unit_test(test_verdicts_of_lmtp),
        cmocka_unit_test(test_unwritten_verdicts),
        cmocka_unit_test(test_messages_one_after_the_other),
        cmocka_unit_test(test_replies_in_a_pause),
        cmocka_unit_test(test_replies_written_later),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_none_and_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
