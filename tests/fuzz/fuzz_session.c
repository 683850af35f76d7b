/*
 * Any octets, cut in any way, make the same events and replies as the same octets at once; what the
 * trace checks of every step (views, reply lines, order of events) holds.
 *
 * The first three octets choose what the server and its store do; the rest is what the client says.
 */
#include "unit/smtp/session_trace.h"

#include <stddef.h>

#define CHOICES_SIZE 3

/* libFuzzer chose the name. NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct trace_setup choose_setup(const uint8_t *choices)
{
    static const uint64_t size_limits[] = {0, 1, 7, 64, 1000, 1u << 20};
    struct trace_setup setup = {
        .size_limit = size_limits[(choices[0] >> 1) % 6],
        .recipients_max = 1 + (choices[0] >> 4),
        .bad_commands_max = 1 + (choices[1] & 63u),
        .is_strict = (choices[0] & 1) != 0,
        .refusals = choices[2],
        .verdict_count = 4,
    };
    for (uint32_t i = 0; i < setup.verdict_count; i++)
        setup.verdicts[i] = (enum smtp_verdict)(choices[2] >> 2 * i & 3);
    if ((choices[1] & 64) != 0) setup.refusals = 0;
    if ((choices[1] & 128) != 0) setup.verdict_count = 0;
    return setup;
}

static bool is_same(const struct trace_text *a, const struct trace_text *b)
{
    return bytes_equal(trace_text_view(a), trace_text_view(b));
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CHOICES_SIZE) return 0;
    struct trace_setup setup = choose_setup(data);
    struct bytes input = bytes_make(data + CHOICES_SIZE, size - CHOICES_SIZE);
    struct trace_cuts cuts[] = {
        {.every = 1},
        {.seed = 1 + size, .replies_capacity = 65536},
        {.seed = 1 + data[0] + 256u * data[1]},
        {.at = input.size / 2},
    };
    struct session_trace whole;
    session_trace_run(&whole, &setup, input, &(struct trace_cuts){0});
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct session_trace cut;
        session_trace_run(&cut, &setup, input, &cuts[i]);
        CHECK(is_same(&cut.events, &whole.events));
        CHECK(is_same(&cut.replies, &whole.replies));
        CHECK(is_same(&cut.content, &whole.content));
        CHECK(cut.taken_size == whole.taken_size);
        CHECK(cut.state == whole.state);
        session_trace_close(&cut);
    }
    session_trace_close(&whole);
    return 0;
}
