#include "conformance/conformance_run.h"

#include "smtp/smtp_session.h"

#include <stdlib.h>

#define REPLIES_CAPACITY (4 * SMTP_REPLY_MAX)

/* The store of one session: the envelope and the content of the open transaction. */
struct driver {
    struct conformance_run *run;
    struct smtp_session session;
    struct smtp_replies replies;
    uint32_t replies_seen;
    struct trace_text envelope;
    struct trace_text content;
};

static void take_replies(struct driver *driver)
{
    struct smtp_replies *replies = &driver->replies;
    trace_text_put(&driver->run->replies, bytes_make(replies->data + driver->replies_seen,
                                                     replies->size - driver->replies_seen));
    driver->replies_seen = replies->size;
}

static void flush(struct driver *driver)
{
    driver->replies.size = 0;
    driver->replies_seen = 0;
}

static void forget(struct driver *driver)
{
    driver->envelope.size = 0;
    driver->content.size = 0;
}

static void store(struct driver *driver)
{
    if (!smtp_replies_have_room(&driver->replies, SMTP_REPLY_MAX)) flush(driver);
    smtp_session_verdict(&driver->session, &driver->replies, SMTP_STORED, BYTES("0.1.64"));
    trace_text_put(&driver->run->stored, trace_text_view(&driver->envelope));
    conformance_case_put_content(&driver->run->stored, trace_text_view(&driver->content));
    forget(driver);
}

/* TLS itself is left out: what comes next counts as decrypted. */
static void start_tls(struct driver *driver)
{
    if (!smtp_replies_have_room(&driver->replies, SMTP_REPLY_MAX)) flush(driver);
    forget(driver);
    smtp_session_start_tls(&driver->session, &driver->replies);
}

static void see(struct driver *driver, enum smtp_event event, const struct smtp_detail *detail)
{
    switch (event) {
    case SMTP_SENDER:
        forget(driver);
        conformance_case_put_path(&driver->envelope, 'F', detail->path);
        break;
    case SMTP_RECIPIENT:
        conformance_case_put_path(&driver->envelope, 'T', detail->path);
        break;
    case SMTP_BODY:
        trace_text_put(&driver->content, detail->body);
        break;
    case SMTP_WANT_VERDICT:
        store(driver);
        break;
    case SMTP_ABANDONED:
        forget(driver);
        break;
    case SMTP_WANT_FLUSH:
        flush(driver);
        break;
    case SMTP_WANT_STASH:
        smtp_session_lend_stash(&driver->session, malloc(SMTP_STASH_SIZE));
        break;
    case SMTP_STARTTLS:
        start_tls(driver);
        break;
    case SMTP_HANG_UP:
        driver->run->has_hung_up = true;
        break;
    case SMTP_DATA_BEGINS:
    case SMTP_WANT_INPUT:
        break;
    }
}

/* In memory of its own size, so that reading past its end is found. */
static void feed(struct driver *driver, struct bytes piece)
{
    uint8_t *copy = malloc(piece.size);
    enum smtp_event event;
    CHECK(copy != NULL);
    memcpy(copy, piece.data, piece.size);
    struct bytes rest = bytes_make(copy, piece.size);
    do {
        struct smtp_detail detail = {0};
        event = smtp_session_step(&driver->session, &rest, &driver->replies, &detail);
        take_replies(driver);
        see(driver, event, &detail);
        take_replies(driver);
        if (event != SMTP_WANT_STASH) free(smtp_session_reclaim_stash(&driver->session));
    } while (event != SMTP_WANT_INPUT && event != SMTP_HANG_UP);
    free(copy);
}

static uint64_t next_cut(const struct conformance_case *test_case,
                         const struct conformance_cuts *cuts, uint64_t position)
{
    uint64_t end = test_case->input.size;
    if (cuts->at > position && cuts->at < end) end = cuts->at;
    if (test_case->handshake_at > position && test_case->handshake_at < end)
        end = test_case->handshake_at;
    if (cuts->every > 0 && cuts->every < end - position) end = position + cuts->every;
    for (uint32_t i = 0; cuts->is_at_steps && i < test_case->step_count; i++) {
        uint64_t step_end = test_case->step_ends[i];
        if (step_end > position && step_end < end) end = step_end;
    }
    return end;
}

void conformance_run_open(struct conformance_run *run, const struct conformance_case *test_case,
                          const struct conformance_cuts *cuts)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    uint8_t replies[REPLIES_CAPACITY];
    struct smtp_config config = test_case->config;
    struct driver driver = {.run = run, .replies = {.data = replies, .capacity = sizeof(replies)}};
    uint64_t position = 0;

    *run = (struct conformance_run){0};
    smtp_config_prepare(&config, text);
    smtp_session_init(&driver.session, &config);
    smtp_session_greet(&driver.session, &driver.replies);
    take_replies(&driver);
    while (!run->has_hung_up && position < test_case->input.size) {
        uint64_t end = next_cut(test_case, cuts, position);
        feed(&driver, bytes_make(test_case->input.data + position, end - position));
        position = end;
    }
    free(driver.session.stash);
    trace_text_free(&driver.envelope);
    trace_text_free(&driver.content);
}

void conformance_run_close(struct conformance_run *run)
{
    trace_text_free(&run->replies);
    trace_text_free(&run->stored);
}
