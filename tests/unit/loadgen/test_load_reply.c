#include "loadgen/load_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define TRACE_MAX 70000u

/* What came of an input: one line an event, "250-text" or "250 text", or "! fault". */
struct trace {
    char text[TRACE_MAX];
    size_t size;
};

static void add_line(struct trace *trace, const struct load_reply_line *line, char mark)
{
    assert_non_null(line->text.data);
    int size = snprintf(trace->text + trace->size, TRACE_MAX - trace->size, "%u%c%.*s\n",
                        line->code, mark, (int)line->text.size, (const char *)line->text.data);
    assert_true(size > 0);
    trace->size += (size_t)size;
    assert_true(trace->size < TRACE_MAX);
}

/* Feeds one piece, from memory of just its size: an octet too far is a fault. */
static void feed(struct load_reply *reply, struct bytes piece, struct trace *trace)
{
    uint8_t *copy = malloc(piece.size > 0 ? piece.size : 1);
    struct load_reply_line line;

    assert_non_null(copy);
    if (piece.size > 0) memcpy(copy, piece.data, piece.size);
    struct bytes input = bytes_make(copy, piece.size);
    for (;;) {
        enum load_reply_event event = load_reply_step(reply, &input, &line);
        if (event == LOAD_REPLY_WANTS_INPUT) break;
        if (event == LOAD_REPLY_WRONG) {
            trace->size += (size_t)snprintf(trace->text + trace->size, TRACE_MAX - trace->size,
                                            "! %s\n", load_reply_explain(reply->fault));
            break;
        }
        add_line(trace, &line, event == LOAD_REPLY_LINE ? '-' : ' ');
    }
    free(copy);
}

/* The input in pieces of `step` octets, the first one of `first`. */
static void run(struct bytes input, uint64_t first, uint64_t step, struct trace *trace)
{
    struct load_reply reply;

    trace->size = 0;
    trace->text[0] = '\0';
    load_reply_init(&reply);
    while (input.size > 0 && reply.fault == LOAD_REPLY_FAULT_NONE) {
        uint64_t size = first < input.size ? first : input.size;
        feed(&reply, bytes_take(&input, size), trace);
        first = step;
    }
}

struct row {
    const char *input;
    const char *trace;
};

static const struct row rows[] = {
    {"250 Ok\r\n", "250 Ok\n"},
    {"250\r\n", "250 \n"},
    {"250 \r\n", "250 \n"},
    {"250-\r\n250 \r\n", "250-\n250 \n"},
    {"220 mx ESMTP\r\n250 a\r\n", "220 mx ESMTP\n250 a\n"},
    {"250-mx\r\n250-PIPELINING\r\n250 SIZE 10\r\n", "250-mx\n250-PIPELINING\n250 SIZE 10\n"},
    {"354 go\r\n451 4.3.0 no\r\n", "354 go\n451 4.3.0 no\n"},
    {"599 x\r\n200 y\r\n", "599 x\n200 y\n"},
    {"250-a\r\n250\r\n", "250-a\n250 \n"},
    {"250 a\rb\r\n", "250 a\rb\n"},
    {"250 a\r\r\n", "250 a\r\n"},
    {"250 unfinished", ""},
    {"250 unfinished\r", ""},
    /* wrong */
    {"199 x\r\n", "! a reply line that does not start with a code\n"},
    {"600 x\r\n", "! a reply line that does not start with a code\n"},
    {"25 x\r\n", "! a reply line that does not start with a code\n"},
    {"2500 x\r\n", "! a reply line that does not start with a code\n"},
    {"25x Ok\r\n", "! a reply line that does not start with a code\n"},
    {"250_Ok\r\n", "! a reply line that does not start with a code\n"},
    {"\r\n", "! a reply line that does not start with a code\n"},
    {" 250 Ok\r\n", "! a reply line that does not start with a code\n"},
    {"HTTP/1.1 400\r\n", "! a reply line that does not start with a code\n"},
    {"250-a\r\n251 b\r\n", "250-a\n! lines of one reply with different codes\n"},
    {"451-a\r\n250 b\r\n", "451-a\n! lines of one reply with different codes\n"},
    {"250 Ok\n", "! a reply line that ends in LF alone\n"},
    {"\n", "! a reply line that ends in LF alone\n"},
    {"250 a\r\n250 b\n250 c\r\n", "250 a\n! a reply line that ends in LF alone\n"},
};

static void test_table_at_every_cut(void **state)
{
    static struct trace trace;
    (void)state;

    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        struct bytes input = bytes_from_text(rows[index].input);
        for (uint64_t cut = 1; cut <= input.size; cut++) {
            run(input, cut, input.size, &trace);
            assert_string_equal(trace.text, rows[index].trace);
        }
        for (uint64_t step = 1; step < 5; step++) {
            run(input, step, step, &trace);
            assert_string_equal(trace.text, rows[index].trace);
        }
    }
}

static void test_a_nul_and_high_octets_are_text(void **state)
{
    static const char input[] = "250 a\0b\xff\r\n";
    struct bytes whole = bytes_make(input, sizeof input - 1);
    struct load_reply_line line;
    struct load_reply reply;
    (void)state;

    load_reply_init(&reply);
    assert_int_equal(load_reply_step(&reply, &whole, &line), LOAD_REPLY_DONE);
    assert_int_equal(line.text.size, 4);
    assert_memory_equal(line.text.data, "a\0b\xff", 4);
}

/* A line of `size` octets with its CR LF. */
static struct bytes make_line(uint8_t *room, uint64_t size)
{
    memset(room, 'x', size);
    memcpy(room, "250 ", 4);
    memcpy(room + size - 2, "\r\n", 2);
    return bytes_make(room, size);
}

static void test_long_lines_up_to_the_bound(void **state)
{
    static uint8_t room[LOAD_REPLY_LINE_MAX + 2];
    static struct trace whole;
    static struct trace cut;
    (void)state;

    for (uint64_t size = 90; size <= LOAD_REPLY_LINE_MAX + 1; size += size < 120 ? 1 : 83) {
        struct bytes input = make_line(room, size);
        run(input, size, size, &whole);
        run(input, size - 1, size, &cut);
        assert_string_equal(whole.text, cut.text);
        run(input, 1, 1, &cut);
        assert_string_equal(whole.text, cut.text);
        assert_memory_equal(whole.text, "250 x", 5);
        assert_true(whole.size <= 4 + LOAD_REPLY_TEXT_MAX + 1);
        assert_int_equal(whole.size, (size < 102 ? size - 6 : LOAD_REPLY_TEXT_MAX) + 5);
    }
    run(make_line(room, LOAD_REPLY_LINE_MAX), 4000, 4000, &whole);
    assert_memory_equal(whole.text, "250 x", 5);
    for (uint64_t step = 1; step < 5000; step += 499) {
        run(make_line(room, LOAD_REPLY_LINE_MAX + 1), step, step, &whole);
        assert_string_equal(whole.text, "! a reply line that is too long\n");
    }
}

static void test_octets_without_an_end_are_bounded(void **state)
{
    static uint8_t room[LOAD_REPLY_LINE_MAX];
    static struct trace trace;
    (void)state;

    memset(room, '2', sizeof room);
    run(bytes_make(room, sizeof room), 100, 100, &trace);
    assert_string_equal(trace.text, "! a reply line that is too long\n");
    run(bytes_make(room, sizeof room - 1), 100, 100, &trace);
    assert_string_equal(trace.text, "");
}

static void test_lines_of_a_reply_are_bounded(void **state)
{
    static struct trace trace;
    static char input[8 * (LOAD_REPLY_LINES_MAX + 2)];
    size_t size = 0;
    (void)state;

    for (uint32_t line = 0; line < LOAD_REPLY_LINES_MAX; line++)
        size += (size_t)snprintf(input + size, sizeof input - size, "250-a\r\n");
    (void)snprintf(input + size, sizeof input - size, "250 b\r\n");
    run(bytes_from_text(input), 11, 11, &trace);
    assert_string_equal(trace.text + trace.size - strlen("! a reply of too many lines\n"),
                        "! a reply of too many lines\n");
    /* One fewer is a whole reply. */
    run(bytes_from_text(input + 7), 11, 11, &trace);
    assert_string_equal(trace.text + trace.size - strlen("250-a\n250 b\n"), "250-a\n250 b\n");
}

static void test_after_a_fault_nothing_is_taken(void **state)
{
    struct bytes wrong = BYTES("no reply\r\n250 Ok\r\n");
    struct load_reply_line line;
    struct load_reply reply;
    (void)state;

    load_reply_init(&reply);
    assert_int_equal(load_reply_step(&reply, &wrong, &line), LOAD_REPLY_WRONG);
    assert_int_equal(load_reply_step(&reply, &wrong, &line), LOAD_REPLY_WRONG);
    assert_int_equal(reply.fault, LOAD_REPLY_FAULT_CODE);
}

static void test_between_replies(void **state)
{
    static const char *const texts[] = {"",           "220 a\r\n",  "220-a\r\n220 b\r\n",
                                        "2",          "220 a\r",    "220-a\r\n",
                                        "220 a\r\n2", "220-a\r\n22"};
    struct load_reply_line line;
    (void)state;

    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        struct bytes input = bytes_from_text(texts[index]);
        struct load_reply reply;
        load_reply_init(&reply);
        while (load_reply_step(&reply, &input, &line) != LOAD_REPLY_WANTS_INPUT)
            assert_int_equal(reply.fault, LOAD_REPLY_FAULT_NONE);
        assert_int_equal(load_reply_is_between(&reply), index < 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_at_every_cut),
        cmocka_unit_test(test_a_nul_and_high_octets_are_text),
        cmocka_unit_test(test_long_lines_up_to_the_bound),
        cmocka_unit_test(test_octets_without_an_end_are_bounded),
        cmocka_unit_test(test_lines_of_a_reply_are_bounded),
        cmocka_unit_test(test_after_a_fault_nothing_is_taken),
        cmocka_unit_test(test_between_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
