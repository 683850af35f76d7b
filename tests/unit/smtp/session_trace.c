#include "unit/smtp/session_trace.h"

#include "base/random.h"

#include <stdlib.h>

/* What a caller would know of the dialogue from the events alone. */
struct run {
    const struct trace_setup *setup;
    struct session_trace *trace;
    struct smtp_session session;
    struct smtp_replies replies;
    struct bytes chunk; /* the part of the input that is in memory now */
    struct trace_text body;
    uint64_t told; /* refusable events so far */
    uint32_t replies_seen;
    uint32_t message_count;
    bool is_open;
    bool is_in_data;
};

static void put_word(struct run *run, const char *word)
{
    trace_text_put(&run->trace->events, bytes_from_text(word));
}

static void put_number(struct run *run, uint64_t number)
{
    uint8_t digits[20];
    trace_text_put(&run->trace->events, bytes_make(digits, bytes_put_number(digits, number)));
}

static void put_view(struct run *run, struct bytes view)
{
    put_word(run, " <");
    trace_text_put(&run->trace->events, view);
    put_word(run, ">");
}

/* A view has to lie in the input or in the stash, nowhere else. */
static void check_view(const struct run *run, struct bytes view)
{
    if (view.size == 0) return;
    const uint8_t *stash = run->session.stash;
    bool is_in_input =
        view.data >= run->chunk.data && view.data + view.size <= run->chunk.data + run->chunk.size;
    bool is_in_stash =
        stash != NULL && view.data >= stash && view.data + view.size <= stash + SMTP_STASH_SIZE;
    CHECK(is_in_input || is_in_stash);
}

/* [2-5][0-9][0-9]([ -].*)?\r\n, printable, short enough. */
static void check_reply_lines(struct bytes replies)
{
    while (replies.size > 0) {
        uint64_t end = bytes_find(replies, '\n');
        CHECK(end < replies.size);
        struct bytes line = bytes_take(&replies, end + 1);
        CHECK(line.size <= SMTP_REPLY_LINE_MAX);
        CHECK(line.size >= 6);
        CHECK(line.data[0] >= '2' && line.data[0] <= '5');
        CHECK(line.data[1] >= '0' && line.data[1] <= '9');
        CHECK(line.data[2] >= '0' && line.data[2] <= '9');
        CHECK(line.data[3] == ' ' || line.data[3] == '-');
        CHECK(line.data[line.size - 2] == '\r');
        for (uint64_t i = 0; i + 2 < line.size; i++)
            CHECK(line.data[i] >= ' ' && line.data[i] <= '~');
    }
}

/* A reply ends the run of BODY events before it; none may stand between two of them. */
static void put_new_replies(struct run *run)
{
    struct bytes fresh =
        bytes_make(run->replies.data + run->replies_seen, run->replies.size - run->replies_seen);
    check_reply_lines(fresh);
    trace_text_put(&run->trace->events, fresh);
    trace_text_put(&run->trace->replies, fresh);
    run->replies_seen = run->replies.size;
}

static void put_body(struct run *run)
{
    put_word(run, "BODY");
    put_view(run, trace_text_view(&run->body));
    put_word(run, "\n");
}

static bool is_next_refused(struct run *run)
{
    uint64_t index = run->told++;
    return index < 64 && (run->setup->refusals >> index & 1) != 0;
}

static bool refuse_if_wanted(struct run *run)
{
    uint64_t index = run->told;
    if (!is_next_refused(run)) return false;
    smtp_session_refuse(&run->session, (enum smtp_verdict)(SMTP_NO_SPACE + index % 3));
    return true;
}

static void see_sender(struct run *run, const struct smtp_detail *detail)
{
    CHECK(!run->is_open);
    put_word(run, run->session.is_extended ? "SENDER esmtp" : "SENDER smtp");
    put_view(run, smtp_session_helo(&run->session));
    put_view(run, detail->path);
    put_view(run, detail->parameters);
    put_number(run, run->session.declared_size);
    put_word(run, "\n");
    CHECK(smtp_session_has_transaction(&run->session));
    run->is_open = !refuse_if_wanted(run);
}

static void see_recipient(struct run *run, const struct smtp_detail *detail)
{
    CHECK(run->is_open);
    CHECK(!run->is_in_data);
    CHECK(detail->path.size > 0);
    put_word(run, "RECIPIENT");
    put_view(run, detail->path);
    put_view(run, detail->parameters);
    put_word(run, "\n");
    refuse_if_wanted(run);
}

static void see_data(struct run *run)
{
    CHECK(run->is_open);
    put_word(run, "DATA\n");
    run->body.size = 0;
    run->is_in_data = !refuse_if_wanted(run);
}

static void see_body(struct run *run, const struct smtp_detail *detail)
{
    CHECK(run->is_in_data);
    CHECK(detail->body.size > 0);
    trace_text_put(&run->body, detail->body);
    if (run->setup->size_limit > 0) CHECK(run->body.size <= run->setup->size_limit);
    CHECK(run->session.message_size == run->body.size);
}

static void flush(struct run *run)
{
    run->replies.size = 0;
    run->replies_seen = 0;
}

static void see_end(struct run *run)
{
    const struct trace_setup *setup = run->setup;
    CHECK(run->is_in_data);
    put_body(run);
    put_word(run, "VERDICT\n");
    CHECK(smtp_session_has_transaction(&run->session));
    uint32_t index = run->message_count++;
    if (index >= setup->verdict_count) index = setup->verdict_count - 1;
    enum smtp_verdict verdict = setup->verdict_count == 0 ? SMTP_STORED : setup->verdicts[index];
    if (!smtp_replies_have_room(&run->replies, SMTP_REPLY_MAX)) flush(run);
    smtp_session_verdict(&run->session, &run->replies, verdict, BYTES("0.1.64"));
    if (verdict == SMTP_STORED) {
        trace_text_put(&run->trace->content, trace_text_view(&run->body));
        run->trace->stored_count++;
    }
    run->is_open = false;
    run->is_in_data = false;
}

static void see_starttls(struct run *run)
{
    put_word(run, "STARTTLS\n");
    CHECK(!run->session.is_secure);
    CHECK(smtp_session_has_transaction(&run->session) == run->is_open);
    if (is_next_refused(run)) {
        smtp_session_refuse(&run->session, SMTP_NO_TLS);
        return;
    }
    if (!smtp_replies_have_room(&run->replies, SMTP_REPLY_MAX)) flush(run);
    smtp_session_start_tls(&run->session, &run->replies);
    run->trace->handshake_at = run->trace->taken_size + run->chunk.size;
    CHECK(!smtp_session_has_transaction(&run->session));
    CHECK(smtp_session_helo(&run->session).size == 0);
    run->is_open = false;
}

static void see_abandoned(struct run *run)
{
    CHECK(run->is_open);
    if (run->is_in_data) put_body(run);
    put_word(run, "ABANDONED\n");
    run->is_open = false;
    run->is_in_data = false;
}

static void see_event(struct run *run, enum smtp_event event, const struct smtp_detail *detail)
{
    switch (event) {
    case SMTP_SENDER:
        see_sender(run, detail);
        break;
    case SMTP_RECIPIENT:
        see_recipient(run, detail);
        break;
    case SMTP_DATA_BEGINS:
        see_data(run);
        break;
    case SMTP_BODY:
        see_body(run, detail);
        break;
    case SMTP_WANT_VERDICT:
        see_end(run);
        break;
    case SMTP_ABANDONED:
        see_abandoned(run);
        break;
    case SMTP_WANT_FLUSH:
        CHECK(!smtp_replies_have_room(&run->replies, SMTP_REPLY_MAX));
        flush(run);
        break;
    case SMTP_STARTTLS:
        see_starttls(run);
        break;
    case SMTP_HANG_UP:
        CHECK(!run->is_open);
        put_word(run, "HANG UP ");
        put_number(run, run->session.hang_up_reason);
        put_word(run, "\n");
        break;
    case SMTP_WANT_STASH:
    case SMTP_WANT_INPUT:
        break;
    }
}

static enum smtp_event step(struct run *run, struct bytes *rest)
{
    struct smtp_detail detail = {0};
    uint64_t size_before = rest->size;
    enum smtp_event event = smtp_session_step(&run->session, rest, &run->replies, &detail);
    CHECK(rest->size <= size_before);
    if (event == SMTP_WANT_FLUSH) CHECK(run->replies.size > 0); /* or it would come for ever */
    put_new_replies(run);
    if (event == SMTP_SENDER || event == SMTP_RECIPIENT) {
        check_view(run, detail.path);
        check_view(run, detail.parameters);
    }
    see_event(run, event, &detail);
    put_new_replies(run);
    if (event == SMTP_WANT_STASH)
        smtp_session_lend_stash(&run->session, malloc(SMTP_STASH_SIZE));
    else /* at once, so that a stale view is found */
        free(smtp_session_reclaim_stash(&run->session));
    return event;
}

/* False once the session has hung up. */
static bool run_chunk(struct run *run, struct bytes input)
{
    uint8_t *copy = malloc(input.size == 0 ? 1 : input.size);
    CHECK(copy != NULL);
    if (input.size > 0) memcpy(copy, input.data, input.size);
    run->chunk = bytes_make(copy, input.size);
    struct bytes rest = run->chunk;
    enum smtp_event event;
    do
        event = step(run, &rest);
    while (event != SMTP_WANT_INPUT && event != SMTP_HANG_UP);
    if (event == SMTP_WANT_INPUT) CHECK(rest.size == 0);
    run->trace->taken_size += input.size - rest.size;
    free(copy);
    return event == SMTP_WANT_INPUT;
}

static uint64_t next_chunk_size(const struct trace_cuts *cuts, struct random *random,
                                uint64_t position, uint64_t left)
{
    uint64_t size = left;
    if (cuts->at > position && cuts->at - position < size) size = cuts->at - position;
    if (cuts->handshake_at > position && cuts->handshake_at - position < size)
        size = cuts->handshake_at - position;
    if (cuts->every > 0 && cuts->every < size) size = cuts->every;
    if (cuts->seed > 0 && size > 1) size = 1 + random_below(random, size < 64 ? size : 64);
    return size;
}

void session_trace_run(struct session_trace *trace, const struct trace_setup *setup,
                       struct bytes input, const struct trace_cuts *cuts)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    struct smtp_config config = {
        .hostname = setup->hostname.size > 0 ? setup->hostname : BYTES("sink.example"),
        .size_limit = setup->size_limit,
        .recipients_max = setup->recipients_max > 0 ? setup->recipients_max : 1000,
        .bad_commands_max = setup->bad_commands_max,
        .offers = SMTP_OFFERS_EVERY & ~setup->offers_not &
                  ~(setup->offers_tls ? 0 : SMTP_OFFER(STARTTLS)),
        .credentials = setup->credentials,
        .credential_count = setup->credential_count,
        .bare_newline = setup->bare_newline,
        .is_strict = setup->is_strict,
        .has_strict_lines = setup->has_strict_lines,
        .is_lmtp = setup->is_lmtp,
        .is_auth_required = setup->is_auth_required,
        .is_out_of_service = setup->is_out_of_service,
        .is_tls_required = setup->is_tls_required,
        .is_auth_tls_required = setup->is_auth_tls_required,
    };
    struct random random;
    struct run run = {.setup = setup, .trace = trace};
    uint64_t position = 0;
    bool is_alive = true;

    *trace = (struct session_trace){0};
    random_init(&random, cuts->seed, 0);
    smtp_config_prepare(&config, text);
    run.replies.capacity = cuts->replies_capacity > 0 ? cuts->replies_capacity : SMTP_REPLY_MAX;
    run.replies.data = malloc(run.replies.capacity);
    smtp_session_init(&run.session, &config);
    if (setup->is_secure) smtp_session_set_secure(&run.session);
    smtp_session_greet(&run.session, &run.replies);
    put_new_replies(&run);
    while (is_alive && position < input.size) {
        uint64_t size = next_chunk_size(cuts, &random, position, input.size - position);
        is_alive = run_chunk(&run, bytes_make(input.data + position, size));
        position += size;
    }
    if (run.is_in_data) put_body(&run); /* cut off in content: what was told is still the same */
    CHECK(smtp_session_has_transaction(&run.session) == run.is_open);
    trace->state = run.session.state;
    trace->is_injected =
        run.session.state == SMTP_CLOSED && run.session.hang_up_reason == SMTP_HANG_UP_INJECTED;
    free(run.session.stash);
    free(run.replies.data);
    trace_text_free(&run.body);
}

void session_trace_close(struct session_trace *trace)
{
    trace_text_free(&trace->events);
    trace_text_free(&trace->replies);
    trace_text_free(&trace->content);
}
