/*
 * Whatever a server replies, the client's dialogue stays in its bounds: it wants one thing at a
 * time, writes no more than it said, judges each message once, and the cuts of the input do not
 * show.
 *
 * The first two octets choose the script and what the client does; the rest is what the server
 * sends.
 */
#include "fuzz/fuzz.h"

#include "loadgen/load_session.h"
#include "unit/smtp/session_trace.h"

#include <stdlib.h>

#define CHOICES_SIZE 2

struct run {
    struct load_script script;
    struct load_session session;
    struct load_reply reply;
    struct trace_text trace;
    uint8_t *out;
    uint64_t sequence; /* of the message in progress */
    uint32_t begun;
    uint64_t oldest; /* BDAT: whose replies are awaited */
    uint32_t judged;
    uint32_t messages_max; /* then QUIT */
    uint32_t lines;
    uint32_t resets; /* BDAT: a bit for each message that left with RSET in front */
    bool is_late;    /* what is wanted leaves only behind the next line of a reply */
};

static void put_number(struct run *run, uint64_t number)
{
    uint8_t digits[20];
    trace_text_put(&run->trace, bytes_make(digits, bytes_put_number(digits, number)));
    trace_text_put(&run->trace, BYTES(" "));
}

static void put_octets(struct run *run, uint32_t size)
{
    CHECK(size > 2);
    CHECK(size <= load_script_group_max(&run->script));
    CHECK(run->out[size - 1] == '\n');
    trace_text_put(&run->trace, bytes_make(run->out, size));
}

static void send_content(struct run *run)
{
    trace_text_put(&run->trace, BYTES("CONTENT\n"));
    bool is_stream = run->session.mode == LOAD_PIPELINING_STREAM;
    if (!is_stream || run->session.next_begun || run->begun >= run->messages_max) return;
    run->begun++;
    put_octets(run, load_session_put_next(&run->session, &run->script, run->begun, run->out));
}

/* Replies to one message were all; those to the next may be on their way. */
static void follow(struct run *run)
{
    struct load_session *session = &run->session;
    if (session->mode != LOAD_PIPELINING_BDAT || session->state != LOAD_IDLE) return;
    run->oldest++;
    if (run->oldest > run->begun) return;
    bool has_reset = (run->resets >> run->oldest % 16 & 1) != 0;
    load_session_follow(session, &run->script, run->oldest, has_reset);
}

/* BDAT: another one leaves behind those that are awaited. */
static void add_wanted(struct run *run)
{
    struct load_session *session = &run->session;
    bool may_add = session->mode == LOAD_PIPELINING_BDAT && load_session_has_message(session) &&
                   session->wants == LOAD_WANTS_NOTHING;
    if (!may_add || run->begun >= run->messages_max) return;
    run->begun++;
    run->sequence = run->begun;
    load_session_add(session);
}

static void note_reset(struct run *run)
{
    if (run->session.wants != LOAD_WANTS_MESSAGE) return;
    uint32_t bit = 1u << run->sequence % 16;
    run->resets = run->session.needs_reset ? run->resets | bit : run->resets & ~bit;
}

static void send_wanted(struct run *run)
{
    struct load_session *session = &run->session;
    add_wanted(run);
    if (session->state == LOAD_IDLE && run->begun < run->messages_max) {
        run->begun++;
        run->sequence = run->begun;
        run->oldest = run->begun;
        load_session_begin(session, &run->script, run->sequence);
    } else if (session->state == LOAD_IDLE) {
        load_session_quit(session);
    }
    if (session->wants == LOAD_WANTS_NOTHING) return;
    if (session->wants == LOAD_WANTS_CONTENT)
        send_content(run);
    else
        put_octets(run, load_session_put(session, &run->script, run->sequence, run->out));
    note_reset(run);
    load_session_sent(session);
    CHECK(session->wants == LOAD_WANTS_NOTHING);
}

/* Every event in which a message ends. */
static bool is_judgement(enum load_session_event event)
{
    return event == LOAD_EVENT_ACCEPTED || event == LOAD_EVENT_TEMPFAIL ||
           event == LOAD_EVENT_REJECT;
}

static void see_event(struct run *run, enum load_session_event event, uint32_t code)
{
    struct load_session *session = &run->session;
    put_number(run, event);
    put_number(run, session->state);
    put_number(run, load_session_phase(session));
    if (is_judgement(event)) run->judged++;
    CHECK(run->judged <= run->begun);
    if (event == LOAD_EVENT_ACCEPTED && !run->script.is_lmtp) CHECK(code >= 200 && code < 300);
    if (event == LOAD_EVENT_ACCEPTED) CHECK(session->recipients_accepted > 0);
    if (event == LOAD_EVENT_TEMPFAIL) CHECK(session->failure_code / 100 == 4);
    if (event == LOAD_EVENT_REJECT) CHECK(session->failure_code / 100 == 5);
    if (event == LOAD_EVENT_PROTOCOL) CHECK(session->state == LOAD_OVER);
    if (code == 421) CHECK(session->state == LOAD_OVER);
    bool needs_tls = run->script.tls != LOAD_TLS_OFF;
    if (event == LOAD_EVENT_READY && needs_tls) CHECK(session->is_secure);
    if (needs_tls && !session->is_secure) CHECK(session->wants != LOAD_WANTS_AUTH);
    if (load_session_is_blamed(session)) CHECK(load_session_has_message(session));
    CHECK(session->recipients_answered <= run->script.recipients_max);
    CHECK(session->recipients_accepted <= session->recipients_answered);
    if (session->state == LOAD_AWAIT_DOT && session->wants == LOAD_WANTS_NOTHING)
        CHECK(session->dots_awaited > 0);
}

/* The handshake takes no time here: the next octets come by TLS. */
static void secure(struct run *run)
{
    CHECK(run->session.wants == LOAD_WANTS_NOTHING);
    CHECK(!run->session.is_secure);
    see_event(run, load_session_secure(&run->session, &run->script), 0);
    CHECK(run->session.is_secure);
}

/* False once the session is over. */
static bool take_chunk(struct run *run, struct bytes chunk)
{
    while (run->session.state != LOAD_OVER) {
        struct load_reply_line line;
        enum load_reply_event event = load_reply_step(&run->reply, &chunk, &line);
        if (event == LOAD_REPLY_WRONG) return false;
        if (event == LOAD_REPLY_WANTS_INPUT) return true;
        run->lines++;
        /* Nothing was asked for in IDLE: the caller has to see that line, too. */
        bool is_last = event == LOAD_REPLY_DONE;
        enum load_session_event told =
            load_session_reply(&run->session, &run->script, &line, is_last);
        see_event(run, told, is_last ? line.code : 0);
        if (is_judgement(told)) follow(run);
        if (run->session.state == LOAD_AWAIT_TLS) secure(run);
        if (!run->is_late || run->lines % 2 == 0) send_wanted(run);
    }
    CHECK(run->session.wants == LOAD_WANTS_NOTHING);
    return false;
}

static void run_session(struct run *run, const uint8_t *choices, struct bytes input,
                        uint64_t chunk_max)
{
    *run = (struct run){.messages_max = choices[1] & 15u, .is_late = (choices[1] & 16) != 0};
    enum load_pipelining pipelining = (enum load_pipelining)(choices[0] & 3);
    enum load_tls_mode tls = LOAD_TLS_OFF;
    if ((choices[1] & 32) != 0) {
        tls = (enum load_tls_mode)(pipelining % LOAD_TLS_COUNT);
        pipelining = LOAD_PIPELINING_BDAT;
    }
    uint32_t recipients = 1 + (choices[0] >> 2 & 3u);
    load_script_open(&run->script, "load.test", "a@b.test", "user@sink.test", recipients,
                     pipelining);
    if ((choices[1] & 64) != 0) load_script_set_8bit(&run->script);
    if ((choices[1] & 128) != 0) run->script.needs_utf8 = true;
    if ((choices[0] & 16) != 0) load_script_speak_lmtp(&run->script, "load.test");
    if ((choices[0] & 32) != 0) CHECK(load_script_authenticate(&run->script, "user:password"));
    if ((choices[0] & 64) != 0) load_script_vary_recipients(&run->script, recipients + 3, 1);
    if ((choices[0] & 128) != 0) CHECK(load_script_spread(&run->script, "a.test:2,b.test", 1));
    run->script.tls = tls;
    run->out = malloc(load_script_group_max(&run->script));
    CHECK(run->out != NULL);
    load_session_init(&run->session, &run->script);
    load_reply_init(&run->reply);
    if (run->session.state == LOAD_AWAIT_TLS) secure(run);
    while (input.size > 0) {
        uint64_t size = chunk_max == 0 || chunk_max > input.size ? input.size : chunk_max;
        if (!take_chunk(run, bytes_take(&input, size))) break;
    }
    free(run->out);
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t chunk_maxima[] = {1, 7, 64};
    if (size < CHOICES_SIZE) return 0;
    struct bytes input = bytes_make(data + CHOICES_SIZE, size - CHOICES_SIZE);
    struct run whole;
    run_session(&whole, data, input, 0);
    for (size_t i = 0; i < sizeof(chunk_maxima) / sizeof(chunk_maxima[0]); i++) {
        struct run cut;
        run_session(&cut, data, input, chunk_maxima[i]);
        CHECK(bytes_equal(trace_text_view(&cut.trace), trace_text_view(&whole.trace)));
        trace_text_free(&cut.trace);
    }
    trace_text_free(&whole.trace);
    return 0;
}
