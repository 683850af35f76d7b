#include "fuzz/fuzz_dialogue.h"

/* With user "user" and password "secret": what the seeds say. */
static const struct smtp_credential credential = {
    .user = {(const uint8_t *)"user", 4},
    .password = {(const uint8_t *)"secret", 6},
};

static enum smtp_bare_newline choose_bare_newline(uint8_t octet)
{
    if ((octet & 3) == 1) return SMTP_BARE_REJECT;
    return (octet & 3) == 2 ? SMTP_BARE_NORMALIZE : SMTP_BARE_KEEP;
}

static void choose_tls(struct trace_setup *setup, uint8_t choice)
{
    setup->offers_tls = choice >= 1 && choice <= 4;
    setup->is_tls_required = choice == 2 || choice == 4;
    setup->is_auth_tls_required = choice == 3 || choice == 4;
    setup->is_secure = choice == 5;
    setup->is_out_of_service = choice == 7;
}

struct trace_setup fuzz_dialogue_choose(const uint8_t *choices)
{
    static const uint64_t size_limits[] = {0, 1, 7, 10, 64, 1000, 4096, 1u << 20};
    static const uint32_t recipients[] = {1000, 1, 2, 3, 5, 8, 20, 100};
    static const uint32_t bad_commands[] = {20, 1,  2,  3,  4,  5,  6,   8,
                                            10, 15, 30, 40, 50, 60, 100, 1000};
    struct trace_setup setup = {
        .size_limit = size_limits[choices[1] >> 2 & 7],
        .recipients_max = recipients[choices[1] >> 5],
        .bad_commands_max = bad_commands[choices[3] >> 4],
        .offers_not = choices[2] | (choices[3] & 15u) << 8,
        .bare_newline = choose_bare_newline(choices[1]),
        .is_strict = (choices[0] & 1) != 0,
        .is_lmtp = (choices[0] & 2) != 0,
        .has_strict_lines = (choices[0] & 4) != 0,
        .is_auth_required = (choices[0] & 8) != 0,
        .refusals = choices[5] | (uint64_t)choices[6] << 8,
        .verdict_count = 4,
    };
    choose_tls(&setup, choices[0] >> 5);
    if ((choices[0] & 16) != 0) {
        setup.credentials = &credential;
        setup.credential_count = 1;
    }
    for (uint32_t i = 0; i < setup.verdict_count; i++)
        setup.verdicts[i] = (enum smtp_verdict)(choices[4] >> 2 * i & 3);
    return setup;
}

/* If the last line of `text` is a 554, as early talk or an injection earns, takes it off. */
static bool strip_early_talk(struct bytes *text)
{
    uint64_t start = text->size;
    if (start > 0) start--; /* its LF */
    while (start > 0 && text->data[start - 1] != '\n')
        start--;
    struct bytes line = bytes_make(text->data + start, text->size - start);
    text->size = start;
    return bytes_start_with(line, BYTES("554 "));
}

/* Octet by octet nobody talks early nor injects: up to the hang-up the two went the same way. */
static bool is_cut_short(const struct session_trace *cut, const struct session_trace *patient)
{
    struct bytes replies = trace_text_view(&cut->replies);
    return cut->state == SMTP_CLOSED && strip_early_talk(&replies) &&
           bytes_start_with(trace_text_view(&patient->replies), replies) &&
           bytes_start_with(trace_text_view(&patient->content), trace_text_view(&cut->content));
}

static void check_same(const struct session_trace *a, const struct session_trace *b)
{
    CHECK(bytes_equal(trace_text_view(&a->replies), trace_text_view(&b->replies)));
    CHECK(bytes_equal(trace_text_view(&a->events), trace_text_view(&b->events)));
    CHECK(bytes_equal(trace_text_view(&a->content), trace_text_view(&b->content)));
    CHECK(a->taken_size == b->taken_size);
    CHECK(a->stored_count == b->stored_count);
    CHECK(a->state == b->state);
}

static void check_cut(const struct session_trace *patient, const struct trace_setup *setup,
                      struct bytes input, const struct trace_cuts *cuts)
{
    struct session_trace cut;
    session_trace_run(&cut, setup, input, cuts);
    bool may_be_short = setup->is_strict || cut.is_injected;
    if (!may_be_short || !is_cut_short(&cut, patient)) check_same(&cut, patient);
    session_trace_close(&cut);
}

/* Whole, and in two of these ways: which ones, the input's size and its last octet say. */
void fuzz_dialogue_run(struct session_trace *trace, const struct trace_setup *setup,
                       struct bytes input)
{
    uint64_t last = input.size > 0 ? input.data[input.size - 1] : 0;
    struct trace_cuts cuts[] = {
        {.at = input.size / 2},
        {.at = input.size > 3 ? input.size - 3 : 0},
        {.every = 2},
        {.every = 13},
        {.seed = 1 + input.size, .replies_capacity = 65536},
        {.seed = 1 + last},
    };
    const uint64_t count = sizeof(cuts) / sizeof(cuts[0]);
    uint64_t first = input.size % count;
    uint64_t second = (first + 1 + last % (count - 1)) % count;
    session_trace_run(trace, setup, input, &(struct trace_cuts){.every = 1});
    check_cut(trace, setup, input, &(struct trace_cuts){.replies_capacity = 65536});
    cuts[first].handshake_at = trace->handshake_at;
    cuts[second].handshake_at = trace->handshake_at;
    check_cut(trace, setup, input, &cuts[first]);
    check_cut(trace, setup, input, &cuts[second]);
}
