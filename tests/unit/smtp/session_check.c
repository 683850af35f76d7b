#include "unit/smtp/session_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

void session_check_text(const struct trace_text *found, struct bytes wanted)
{
    struct bytes view = trace_text_view(found);
    if (bytes_equal(view, wanted)) return;
    print_error("--- found\n%.*s\n--- wanted\n%.*s\n", (int)view.size, (const char *)view.data,
                (int)wanted.size, (const char *)wanted.data);
    fail();
}

void session_check_same(const struct session_trace *whole, const struct trace_setup *setup,
                        struct bytes input, const struct trace_cuts *cuts)
{
    struct session_trace cut;
    session_trace_run(&cut, setup, input, cuts);
    session_check_text(&cut.events, trace_text_view(&whole->events));
    session_check_text(&cut.replies, trace_text_view(&whole->replies));
    session_check_text(&cut.content, trace_text_view(&whole->content));
    assert_int_equal(cut.taken_size, whole->taken_size);
    assert_int_equal(cut.state, whole->state);
    session_trace_close(&cut);
}

/*
 * Invariant 1: whole, at every cut, octet by octet, at random, with little and much room, and in
 * any case where the handshake is, if there is one.
 */
static void check_cuts(const struct trace_setup *setup, struct bytes input, uint64_t handshake_at,
                       const struct session_trace *whole)
{
    struct trace_cuts cuts = {.handshake_at = handshake_at};
    for (cuts.at = 1; cuts.at < input.size; cuts.at++)
        session_check_same(whole, setup, input, &cuts);
    cuts.at = 0;
    for (cuts.every = 1; cuts.every < 8; cuts.every++)
        session_check_same(whole, setup, input, &cuts);
    cuts.every = 0;
    for (cuts.seed = 1; cuts.seed < 8; cuts.seed++)
        session_check_same(whole, setup, input, &cuts);
    cuts.seed = 0;
    cuts.replies_capacity = 65536;
    session_check_same(whole, setup, input, &cuts);
    cuts.every = 3;
    cuts.replies_capacity = 1100;
    session_check_same(whole, setup, input, &cuts);
}

static void run_whole(struct session_trace *whole, const struct trace_setup *setup,
                      struct bytes input)
{
    session_trace_run(whole, setup, input, &(struct trace_cuts){0});
}

/* Cut anywhere but at the handshake: of what is said in plain behind STARTTLS nothing is done. */
static void check_injected(const struct trace_setup *setup, struct bytes input,
                           uint64_t handshake_at)
{
    struct session_trace plain;
    run_whole(&plain, setup, bytes_make(input.data, handshake_at));
    for (uint64_t at = 0; at < input.size; at++) {
        struct session_trace trace;
        if (at == handshake_at) continue;
        session_trace_run(&trace, setup, input, &(struct trace_cuts){.at = at});
        assert_true(trace.is_injected);
        assert_int_equal(trace.stored_count, plain.stored_count);
        session_trace_close(&trace);
    }
    session_trace_close(&plain);
}

void session_check_tls(const struct trace_setup *setup, const char *plain, const char *inside,
                       const char *wanted)
{
    struct session_trace whole;
    struct trace_text input = {0};
    uint64_t handshake_at = strlen(plain);
    trace_text_put(&input, bytes_from_text(plain));
    trace_text_put(&input, bytes_from_text(inside));
    struct bytes view = trace_text_view(&input);
    session_trace_run(&whole, setup, view, &(struct trace_cuts){.handshake_at = handshake_at});
    session_check_text(&whole.events, bytes_from_text(wanted));
    check_cuts(setup, view, handshake_at, &whole);
    check_injected(setup, view, handshake_at);
    session_trace_close(&whole);
    trace_text_free(&input);
}

void session_check_replies(const struct trace_setup *setup, const char *input, const char *wanted)
{
    struct session_trace whole;
    struct bytes view = bytes_from_text(input);
    run_whole(&whole, setup, view);
    struct bytes replies = trace_text_view(&whole.replies);
    bytes_take(&replies, sizeof(GREETING) - 1);
    struct trace_text behind = {(uint8_t *)(uintptr_t)replies.data, replies.size, 0};
    session_check_text(&behind, bytes_from_text(wanted));
    check_cuts(setup, view, 0, &whole);
    session_trace_close(&whole);
}

void session_check_events(const struct trace_setup *setup, const char *input, const char *wanted)
{
    struct session_trace whole;
    struct bytes view = bytes_from_text(input);
    run_whole(&whole, setup, view);
    session_check_text(&whole.events, bytes_from_text(wanted));
    check_cuts(setup, view, 0, &whole);
    session_trace_close(&whole);
}

void session_check_rows(const struct trace_setup *setup, const struct reply_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        session_check_replies(setup, rows[i].input, rows[i].replies);
}

void session_check_way(const struct trace_setup *setup, const struct trace_cuts *cuts,
                       const char *input, const char *wanted)
{
    struct session_trace trace;
    session_trace_run(&trace, setup, bytes_from_text(input), cuts);
    session_check_text(&trace.events, bytes_from_text(wanted));
    session_trace_close(&trace);
}
