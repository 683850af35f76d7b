/*
 * What a server sends, cut in any way, makes the same reply lines, and they are what a line-based
 * reading of RFC 5321 4.2 makes of it.
 */
#include "fuzz/fuzz.h"

#include "loadgen/load_reply.h"
#include "unit/smtp/session_trace.h"

#include <stdlib.h>

static void put_number(struct trace_text *text, uint64_t number)
{
    uint8_t digits[20];
    trace_text_put(text, bytes_make(digits, bytes_put_number(digits, number)));
}

static void put_line(struct trace_text *trace, bool is_last, uint32_t code, struct bytes text)
{
    trace_text_put(trace, is_last ? BYTES("DONE ") : BYTES("LINE "));
    put_number(trace, code);
    trace_text_put(trace, BYTES(" <"));
    trace_text_put(trace, text);
    trace_text_put(trace, BYTES(">\n"));
}

static void put_fault(struct trace_text *trace, enum load_reply_fault fault)
{
    trace_text_put(trace, BYTES("WRONG "));
    put_number(trace, fault);
}

/* False once a reply was wrong. */
static bool read_chunk(struct load_reply *reply, struct bytes chunk, struct trace_text *trace)
{
    uint8_t *copy = malloc(chunk.size);
    CHECK(copy != NULL);
    memcpy(copy, chunk.data, chunk.size);
    struct bytes rest = bytes_make(copy, chunk.size);
    enum load_reply_event event;
    for (;;) {
        struct load_reply_line line;
        uint64_t size_before = rest.size;
        event = load_reply_step(reply, &rest, &line);
        if (event != LOAD_REPLY_LINE && event != LOAD_REPLY_DONE) break;
        CHECK(rest.size < size_before);
        put_line(trace, event == LOAD_REPLY_DONE, line.code, line.text);
    }
    if (event == LOAD_REPLY_WANTS_INPUT) CHECK(rest.size == 0);
    if (event == LOAD_REPLY_WRONG) put_fault(trace, reply->fault);
    free(copy);
    return event == LOAD_REPLY_WANTS_INPUT;
}

/* Chunks of 1 to `chunk_max` octets; 0: whole. */
static void read_replies(struct bytes input, uint64_t chunk_max, struct trace_text *trace)
{
    struct load_reply reply;
    uint64_t seed = input.size + chunk_max;
    *trace = (struct trace_text){0};
    load_reply_init(&reply);
    while (input.size > 0) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t size = chunk_max == 0 ? input.size : 1 + (seed >> 33) % chunk_max;
        if (!read_chunk(&reply, bytes_take(&input, size < input.size ? size : input.size), trace))
            return;
    }
}

static enum load_reply_fault fault_of(struct bytes line, uint32_t code_before, uint32_t line_count,
                                      uint32_t *code)
{
    if (line.size > LOAD_REPLY_LINE_MAX) return LOAD_REPLY_FAULT_LONG_LINE;
    if (line.size < 2 || line.data[line.size - 2] != '\r') return LOAD_REPLY_FAULT_BARE_LF;
    if (line.size < 5) return LOAD_REPLY_FAULT_CODE;
    for (uint32_t i = 0; i < 3; i++)
        if (line.data[i] < '0' || line.data[i] > '9') return LOAD_REPLY_FAULT_CODE;
    *code = (uint32_t)(line.data[0] * 100 + line.data[1] * 10 + line.data[2] - '0' * 111);
    if (*code < 200 || *code > 599) return LOAD_REPLY_FAULT_CODE;
    if (line.size > 5 && line.data[3] != ' ' && line.data[3] != '-') return LOAD_REPLY_FAULT_CODE;
    if (code_before != 0 && code_before != *code) return LOAD_REPLY_FAULT_CHANGED;
    return line_count >= LOAD_REPLY_LINES_MAX ? LOAD_REPLY_FAULT_ENDLESS : LOAD_REPLY_FAULT_NONE;
}

static void read_by_lines(struct bytes input, struct trace_text *trace)
{
    uint32_t code_before = 0;
    uint32_t line_count = 0;
    *trace = (struct trace_text){0};
    for (;;) {
        uint64_t end = bytes_find(input, '\n');
        if (end == input.size) break;
        struct bytes line = bytes_take(&input, end + 1);
        uint32_t code = 0;
        enum load_reply_fault fault = fault_of(line, code_before, line_count, &code);
        if (fault != LOAD_REPLY_FAULT_NONE) {
            put_fault(trace, fault);
            return;
        }
        bool is_last = line.data[3] != '-';
        uint64_t size = line.size > 6 ? line.size - 6 : 0;
        if (size > LOAD_REPLY_TEXT_MAX) size = LOAD_REPLY_TEXT_MAX;
        put_line(trace, is_last, code, bytes_make(line.data + 4, size));
        code_before = is_last ? 0 : code;
        line_count = is_last ? 0 : line_count + 1;
    }
    if (input.size >= LOAD_REPLY_LINE_MAX) put_fault(trace, LOAD_REPLY_FAULT_LONG_LINE);
}

static void check_same(const struct trace_text *a, const struct trace_text *b)
{
    CHECK(bytes_equal(trace_text_view(a), trace_text_view(b)));
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t chunk_maxima[] = {0, 1, 2, 5, 100, 1000};
    struct trace_text plain;
    read_by_lines(bytes_make(data, size), &plain);
    for (size_t i = 0; i < sizeof(chunk_maxima) / sizeof(chunk_maxima[0]); i++) {
        struct trace_text cut;
        read_replies(bytes_make(data, size), chunk_maxima[i], &cut);
        check_same(&cut, &plain);
        trace_text_free(&cut);
    }
    trace_text_free(&plain);
    return 0;
}
