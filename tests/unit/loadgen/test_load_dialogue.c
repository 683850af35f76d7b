#include "loadgen/load_dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

static struct load_dialogues dialogues;

static void open_text(const char *text)
{
    char error[LOAD_DIALOGUE_ERROR_MAX] = "";
    if (!load_dialogues_open(&dialogues, bytes_from_text(text), 1, error)) fail_msg("%s", error);
}

/* Of step `index`, which sends: the phase, and whether a reply is owed to it. */
static void expect_send(uint32_t index, enum load_phase phase, bool is_owed, bool is_final)
{
    assert_in_range(index, 0, dialogues.step_count - 1);
    assert_int_equal(dialogues.steps[index].kind, LOAD_STEP_SEND);
    assert_int_equal(dialogues.steps[index].phase, phase);
    assert_int_equal(dialogues.steps[index].is_owed, is_owed);
    assert_int_equal(dialogues.steps[index].is_final, is_final);
}

static void test_commands_and_content(void **state)
{
    (void)state;
    open_text("S: 220\n"
              "C: ehlo a\nS: 250\n"
              "C: AUTH LOGIN\nS: 334\nC: dXNlcg==\nS:235\n"
              "C: MAIL FROM:<>\nC: RCPT TO:<a@b>\nC: DATA\nS: 250\nS: 250\nS: 354\n"
              "C: QUIT\nC: .\nC: QUIT\nS: 250\nS: 221\n");
    expect_send(0, LOAD_PHASE_EHLO, true, false);
    expect_send(4, LOAD_PHASE_AUTH, true, false);
    expect_send(12, LOAD_PHASE_OTHER, false, false); /* content that says QUIT */
    expect_send(13, LOAD_PHASE_DOT, true, true);
    expect_send(14, LOAD_PHASE_QUIT, true, false);
    assert_int_equal(dialogues.step_count, 17);
    assert_int_equal(dialogues.messages_max, 1);
    load_dialogues_close(&dialogues);
}

/* A chunk's octets are none of its commands; a line in parts is one command. */
static void test_chunks_and_parts(void **state)
{
    (void)state;
    open_text("C: BDAT 13 LAST\nC: QUIT\nC: RSET !\\r\\c\nS: 250\n"
              "C: NO\\c\npause 1s\nC: OP\nS: 250\nC: BDAT x\nS: 501\n"
              "C: EHLO \\c\nrepeat 5\nC: x\\c\npause 5ms\nend\nC: .test\nS: 250\n");
    expect_send(0, LOAD_PHASE_DOT, true, true);
    expect_send(1, LOAD_PHASE_OTHER, false, false);
    expect_send(4, LOAD_PHASE_OTHER, true, false);
    expect_send(6, LOAD_PHASE_OTHER, false, false);
    expect_send(8, LOAD_PHASE_DOT, true, false);
    expect_send(10, LOAD_PHASE_EHLO, true, false);
    expect_send(12, LOAD_PHASE_OTHER, false, false);
    expect_send(15, LOAD_PHASE_OTHER, false, false);
    load_dialogues_close(&dialogues);
}

static void test_messages_are_counted(void **state)
{
    (void)state;
    open_text(
        "repeat 2-5\nC: DATA\nS: 354\nmessage\nS: 250\nend\nC: DATA\nS: 354\nmessage\nS: 250\n");
    assert_int_equal(dialogues.messages_max, 6);
    load_dialogues_close(&dialogues);
    open_text("C: DATA\nS: 354\nrepeat 10\nC: line {i}\npause 10ms\nend\nC: .\nS: 250\n");
    assert_int_equal(dialogues.messages_max, 1); /* numbers begin at it all the same */
    expect_send(6, LOAD_PHASE_DOT, true, true);
    load_dialogues_close(&dialogues);
}

static bool accepts(const char *written, uint32_t code, const char *text)
{
    char file[100];
    (void)snprintf(file, sizeof file, "C: x\nS: %s\n", written);
    open_text(file);
    bool does = load_step_accepts(&dialogues.steps[1], code, bytes_from_text(text));
    load_dialogues_close(&dialogues);
    return does;
}

static void test_what_is_accepted(void **state)
{
    (void)state;
    assert_true(accepts("250", 250, "Ok"));
    assert_false(accepts("250", 251, "Ok"));
    assert_true(accepts("25", 251, "Ok"));
    assert_false(accepts("25", 260, "Ok"));
    assert_true(accepts("2", 299, ""));
    assert_true(accepts("250|451|5", 554, ""));
    assert_true(accepts("250|451|5", 451, ""));
    assert_false(accepts("250|451|5", 452, ""));
    assert_true(accepts("250 2.1.0", 250, "2.1.0 Ok"));
    assert_false(accepts("250 2.1.0", 250, "2.1"));
    assert_false(accepts("250 2.1.0", 250, "2.0.0 Ok"));
}

static void test_several_by_weight(void **state)
{
    uint32_t counts[3] = {0};

    (void)state;
    open_text("# three\r\n\r\nsession a weight 3\r\nC: x\r\n session b\nS: 220 \nC: y\nclose\n"
              "session c weight 0.5\nC: z\nreset\n");
    assert_int_equal(dialogues.count, 3);
    assert_string_equal(dialogues.dialogues[1].name, "b");
    assert_int_equal(dialogues.dialogues[1].first_step, 1);
    assert_int_equal(dialogues.dialogues[1].step_count, 2);
    for (uint64_t number = 1; number <= 9000; number++)
        counts[load_dialogues_choose(&dialogues, number) - dialogues.dialogues]++;
    assert_in_range(counts[0], 5800, 6200);
    assert_in_range(counts[1], 1850, 2150);
    assert_in_range(counts[2], 850, 1150);
    load_dialogues_close(&dialogues);
}

static void test_repetitions(void **state)
{
    uint32_t counts[6] = {0};

    (void)state;
    open_text("repeat 2-5\nC: x\nend\nrepeat 7\nC: x\nend\n");
    for (uint64_t number = 1; number <= 8000; number++) {
        uint32_t count = load_dialogues_repetitions(&dialogues, &dialogues.steps[0], number);
        assert_in_range(count, 2, 5);
        counts[count]++;
        assert_int_equal(load_dialogues_repetitions(&dialogues, &dialogues.steps[3], number), 7);
    }
    for (uint32_t count = 2; count <= 5; count++)
        assert_in_range(counts[count], 1800, 2200);
    load_dialogues_close(&dialogues);
}

static void test_files_that_are_none(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } wrong[] = {
        {"", "no step"},
        {"# nothing\n", "no step"},
        {"C: a\nsession b\nC: c\n", "behind a session"},
        {"session\nC: a\n", "line 1: session NAME"},
        {"session a b\nC: a\n", "line 1: session NAME"},
        {"session a weight\nC: a\n", "session NAME"},
        {"session a weight -1\nC: a\n", "weight '-1'"},
        {"session a weight nan\nC: a\n", "weight 'nan'"},
        {"session a/b\nC: a\n", "letters"},
        {"session a\nC: a\nsession a\nC: a\n", "line 3: there is"},
        {"session a\nsession b\nC: a\n", "a has no steps"},
        {"session a\nC: a\nsession b\n", "b has no steps"},
        {"hello\n", "line 1: 'hello' is no step"},
        {"\x01\xff\n", "'\\x01\\xff' is no step"},
        {"S: 554\nC: a\n", "has to be 220"},
        {"S: 220 mx\nC: a\n", "behind what it answers"},
        {"pause 1s\nS: 220\nC: a\n", "behind what it answers"},
        {"C: a\nS: abc\n", "line 2: S: takes a code"},
        {"C: a\nS: 1\n", "S: takes a code"},
        {"C: a\nS: 600\n", "S: takes a code"},
        {"C: a\nS: 2500\n", "S: takes a code"},
        {"C: a\nS:\n", "S: takes a code"},
        {"C: a\nS: 250|\n", "S: takes a code"},
        {"C: a\nS: 1|2|3|4|5\n", "S: takes a code"},
        {"C: a\nS: 250-SIZE\n", "whole reply"},
        {"C: {x}\n", "{ stands before"},
        {"C: {i}\n", "stands in a repeat"},
        {"C: \\c\n", "sends nothing"},
        {"message\n", "behind DATA"},
        {"C: DATA\nS: 354\nC: x\nmessage\n", "line 4: message stands behind"},
        {"C: DATA\nS: 250\nmessage\n", "line 3: message stands behind"},
        {"C: DATA\nS: 354\nmessage x\n", "message stands alone"},
        {"repeat 100000\nC: DATA\nS: 354\nmessage\nS: 250\nC: DATA\nS: 354\nmessage\nend\n",
         "messages a session"},
        {"pause\n", "pause ''"},
        {"pause 5x\n", "pause '5x'"},
        {"repeat 3\nC: a\n", "lacks its end"},
        {"repeat 3\nrepeat 3\nC: a\nend\nend\n", "within a repeat"},
        {"repeat 3\nend\n", "repeats nothing"},
        {"repeat 0\nC: a\nend\n", "repeat '0'"},
        {"repeat 5-2\nC: a\nend\n", "repeat '5-2'"},
        {"repeat 1000000\nC: a\nend\n", "repeat '1000000'"},
        {"end\n", "without a repeat"},
        {"repeat 2\nC: DATA\nS: 354\nend\n", "content begins or ends"},
        {"C: DATA\nS: 354\nrepeat 2\nmessage\nS: 250\nend\n", "content begins or ends"},
        {"C: BDAT 4\nrepeat 2\nC: \\r\\n\\c\nend\n", "content begins or ends"},
        {"repeat 2\nC: a\\c\nend\n", "a line begins or ends"},
        {"repeat 2\nC: a\nclose\nend\n", "end in a repeat"},
        {"C: a\nclose\nC: b\n", "behind the session's end"},
        {"C: a\nreset now\n", "stand alone"},
        {"C: BDAT 5\nC: {n}\n", "of no known length"},
        {"C: BDAT 5\nC: abcde\n", "beyond its BDAT by 2"},
        {"C: BDAT 5\nC: abc\\c\n", "longer than what follows"},
    };
    (void)state;
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        char error[LOAD_DIALOGUE_ERROR_MAX] = "";
        if (load_dialogues_open(&dialogues, bytes_from_text(wrong[index].text), 1, error))
            fail_msg("was read: %s", wrong[index].text);
        if (strstr(error, wrong[index].error) == NULL)
            fail_msg("'%s' has no '%s'", error, wrong[index].error);
    }
}

static void test_bounds(void **state)
{
    static char text[LOAD_DIALOGUE_FILE_MAX + 2];
    char error[LOAD_DIALOGUE_ERROR_MAX] = "";

    (void)state;
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "C: ", 3);
    assert_false(load_dialogues_open(&dialogues, bytes_from_text(text), 1, error));
    assert_non_null(strstr(error, "longer than"));
    text[3 + LOAD_DIALOGUE_SENT_MAX - 1] = '\0';
    assert_false(load_dialogues_open(&dialogues, bytes_from_text(text), 1, error));
    assert_non_null(strstr(error, "at most 8192 a C:"));
    text[3 + LOAD_DIALOGUE_SENT_MAX - 2] = '\0';
    open_text(text);
    assert_int_equal(dialogues.sent_max, LOAD_DIALOGUE_SENT_MAX);
    load_dialogues_close(&dialogues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_and_content), cmocka_unit_test(test_chunks_and_parts),
        cmocka_unit_test(test_messages_are_counted), cmocka_unit_test(test_what_is_accepted),
        cmocka_unit_test(test_several_by_weight),    cmocka_unit_test(test_repetitions),
        cmocka_unit_test(test_files_that_are_none),  cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
