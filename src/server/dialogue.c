#include "server/dialogue.h"

#include "base/log.h"
#include "server/closing.h"
#include "server/connection.h"
#include "server/trace.h"
#include "server/transport.h"

/* A step writes at most a reply that was pending and one more; a verdict may follow. */
#define STEP_ROOM (2 * SMTP_REPLY_MAX)

static_assert(STEP_ROOM < OUTBOX_BLOCK_SIZE / 2, "an empty block has room for a step");

ASIDE static void lend_stash(struct connection_shared *shared, struct connection *connection)
{
    uint8_t *stash = blocks_take(&shared->stashes);
    CHECK(stash != NULL); /* as many as connections */
    smtp_session_lend_stash(&connection->session, stash);
}

void dialogue_reclaim_stash(struct connection_shared *shared, struct connection *connection)
{
    uint8_t *stash = smtp_session_reclaim_stash(&connection->session);
    if (stash != NULL) blocks_give_back(&shared->stashes, stash);
}

/* ---- what the dialogue asks for ---- */

/* -v: the replies from offset `from` on. */
static void trace_answer(struct connection_shared *shared, struct connection *connection,
                         uint32_t from)
{
    const struct smtp_replies *replies = &connection->outbox.replies;
    if (shared->smtp->is_traced)
        trace_replies(transport_peer(connection),
                      bytes_make(replies->data + from, replies->size - from));
}

/* The reply from offset `from` on leaves when the message that was committed last is durable. */
static void wait_for_disk(struct connection_shared *shared, struct connection *connection,
                          uint32_t from)
{
    outbox_wait(&connection->outbox, from, shared->store.writer->committed_count);
    if (connection->is_undecided_queued) return;
    connection->is_undecided_queued = true;
    queue_push(&shared->undecided, &connection->undecided_link);
}

/* Gives the store's verdict on a complete message. */
static void answer_message(struct connection_shared *shared, struct connection *connection,
                           const struct transaction_verdict *verdict)
{
    uint32_t from = connection->outbox.replies.size;
    smtp_session_verdict(&connection->session, &connection->outbox.replies, verdict->verdict,
                         bytes_make(verdict->id, verdict->id_size));
    trace_answer(shared, connection, from);
    if (shared->store.is_synced && verdict->verdict == SMTP_STORED)
        wait_for_disk(shared, connection, from);
}

/* False: the transaction waits for a segment. */
static bool is_settled(struct connection_shared *shared, struct connection *connection,
                       enum transaction_outcome outcome, const struct transaction_verdict *verdict)
{
    if (outcome == TRANSACTION_DECIDED) {
        bool was_chunked = smtp_session_was_chunked(&connection->session);
        if (was_chunked && verdict->verdict == SMTP_STORED)
            counter_add(&shared->counters->chunked, 1);
        answer_message(shared, connection, verdict);
    }
    return outcome != TRANSACTION_WAITS;
}

static enum close_reason hang_up_reason(const struct smtp_session *session)
{
    switch ((enum smtp_hang_up)session->hang_up_reason) {
    case SMTP_HANG_UP_QUIT:
        return CLOSE_QUIT;
    case SMTP_HANG_UP_TOO_MANY_BAD:
        return CLOSE_TOO_MANY_BAD;
    case SMTP_HANG_UP_WRONG_PROTOCOL:
        return CLOSE_WRONG_PROTOCOL;
    case SMTP_HANG_UP_LOST_SYNC:
        return CLOSE_LOST_SYNC;
    case SMTP_HANG_UP_TOO_MUCH:
        return CLOSE_TOO_MUCH;
    case SMTP_HANG_UP_EARLY_TALK:
        return CLOSE_EARLY_TALK;
    case SMTP_HANG_UP_INJECTED:
        return CLOSE_INJECTED;
    }
    CHECK(false); /* a reason that does not exist */
    return CLOSE_QUIT;
}

/*
 * Under `disk` further replies to the same message (LMTP) wait with the first. A trace tells what
 * the step took and said.
 */
RARE static enum smtp_event step_watched(struct connection_shared *shared,
                                         struct connection *connection, struct bytes *input,
                                         struct smtp_detail *detail)
{
    struct smtp_session *session = &connection->session;
    struct outbox *outbox = &connection->outbox;
    uint32_t start = outbox->replies.size;
    uint32_t left = smtp_session_queued_left(session);
    enum smtp_event event = smtp_session_step(session, input, &outbox->replies, detail);
    if (shared->store.is_synced)
        outbox_extend(outbox, start, left - smtp_session_queued_left(session));
    if (!shared->smtp->is_traced) return event;
    trace_command(transport_peer(connection), detail);
    trace_answer(shared, connection, start);
    return event;
}

static enum smtp_event step(struct connection_shared *shared, struct connection *connection,
                            struct bytes *input, struct smtp_detail *detail)
{
    if (shared->is_watched) return step_watched(shared, connection, input, detail);
    return smtp_session_step(&connection->session, input, &connection->outbox.replies, detail);
}

static bool has_room(const struct connection *connection)
{
    return smtp_replies_have_room(&connection->outbox.replies, STEP_ROOM) &&
           !outbox_is_undecided_full(&connection->outbox);
}

/* What waited for a segment is tried again. False: it still waits. */
ASIDE static bool go_on(struct connection_shared *shared, struct connection *connection)
{
    struct transaction_verdict verdict;
    return is_settled(shared, connection,
                      transaction_go_on(&shared->store, &connection->transaction, &verdict),
                      &verdict);
}

/* ---- TLS ---- */

void dialogue_begin_handshake(struct connection_shared *shared, struct connection *connection)
{
    deadline_begin_handshake(&connection->deadline, &shared->rules, shared->wheel, shared->now_ns);
}

void dialogue_end_handshake(struct connection_shared *shared, struct connection *connection)
{
    deadline_begin(&connection->deadline, &shared->rules, shared->wheel, shared->now_ns);
    dialogue_begin_request(shared, connection);
}

/* STARTTLS: its turn has come, the 220 is the last that leaves unencrypted (RFC 3207 4). */
void dialogue_promise_tls(struct connection_shared *shared, struct connection *connection)
{
    uint32_t from = connection->outbox.replies.size;
    if (smtp_session_has_transaction(&connection->session)) {
        counter_add(&shared->counters->aborted, 1);
        transaction_drop(&shared->store, &connection->transaction);
    }
    smtp_session_start_tls(&connection->session, &connection->outbox.replies);
    trace_answer(shared, connection, from);
    connection->channel->has_plain_left = true;
}

void dialogue_forget_channel(struct connection_shared *shared, struct connection *connection)
{
    channel_close(&shared->channels, connection->channel);
    connection->channel = NULL;
}

/* STARTTLS. False: it is refused, the next step says so. */
RARE static bool ask_for_channel(struct connection_shared *shared, struct connection *connection)
{
    connection->channel = channel_open(&shared->channels, connection);
    if (connection->channel != NULL) {
        connection->channel->is_asked_for = true;
        switch (channel_begin(&shared->channels, connection->channel)) {
        case CHANNEL_BEGUN:
            dialogue_begin_handshake(shared, connection);
            dialogue_promise_tls(shared, connection);
            return true;
        case CHANNEL_QUEUED:
            dialogue_begin_handshake(shared, connection);
            return true;
        case CHANNEL_REFUSED:
            dialogue_forget_channel(shared, connection);
            break;
        }
    }
    smtp_session_refuse(&connection->session, SMTP_NO_TLS);
    return false;
}

/* ---- the dialogue ---- */

/*
 * The only loop where network, dialogue and store meet. `input` shrinks by what was taken; a slice
 * of it that the spool can't take yet waits in the transaction.
 */
FLAT static enum dialogue_stop advance(struct connection_shared *shared,
                                       struct connection *connection, struct bytes *input)
{
    struct smtp_detail detail;
    struct transaction_verdict verdict;
    struct transaction_store *store = &shared->store;
    struct transaction *transaction = &connection->transaction;
    enum smtp_verdict refusal = SMTP_STORED;

    outbox_hold(&connection->outbox, &shared->reply_blocks);
    if (connection_waits(connection) && !go_on(shared, connection)) return DIALOGUE_NO_SEGMENT;
    for (;;) {
        if (!has_room(connection)) return DIALOGUE_NO_ROOM;
        switch (step(shared, connection, input, &detail)) {
        case SMTP_WANT_INPUT:
            CHECK(input->size == 0 || shared->smtp->is_traced);
            if (input->size == 0) return DIALOGUE_USED_UP;
            break; /* traced line by line */
        case SMTP_WANT_STASH:
            lend_stash(shared, connection);
            break;
        case SMTP_WANT_FLUSH:
            return DIALOGUE_NO_ROOM;
        case SMTP_SENDER:
            refusal = transaction_begin(store, transaction, transport_peer(connection),
                                        &connection->session, &detail);
            if (refusal != SMTP_STORED) smtp_session_refuse(&connection->session, refusal);
            break;
        case SMTP_RECIPIENT:
            refusal = transaction_add_recipient(store, transaction, &detail);
            if (refusal != SMTP_STORED) smtp_session_refuse(&connection->session, refusal);
            break;
        case SMTP_DATA_BEGINS: /* the first slice or the verdict begins the message */
            break;
        case SMTP_BODY: /* a view into input: no octet has moved yet */
            if (transaction_append(store, transaction, detail.body) == TRANSACTION_WAITS)
                return DIALOGUE_NO_SEGMENT;
            break;
        case SMTP_WANT_VERDICT:
            if (!is_settled(shared, connection, transaction_commit(store, transaction, &verdict),
                            &verdict))
                return DIALOGUE_NO_SEGMENT;
            break;
        case SMTP_ABANDONED:
            counter_add(&shared->counters->aborted, 1);
            transaction_drop(store, transaction);
            break;
        case SMTP_STARTTLS:
            if (ask_for_channel(shared, connection))
                return DIALOGUE_USED_UP; /* nothing is behind it */
            break;
        case SMTP_HANG_UP:
            closing_begin(shared, connection, hang_up_reason(&connection->session), false);
            return DIALOGUE_ENDED;
        }
    }
}

/* ---- how long a client may take ---- */

void dialogue_begin_request(struct connection_shared *shared, struct connection *connection)
{
    deadline_begin_request(&connection->deadline, &shared->rules, shared->now_ns);
}

/* advance(), and where in it one request ended and the next began. */
static enum dialogue_stop advance_request(struct connection_shared *shared,
                                          struct connection *connection, struct bytes *input)
{
    const struct smtp_session *session = &connection->session;
    uint32_t commands = session->command_count;
    bool was_in_content = smtp_session_is_in_content(session);
    if (smtp_session_is_at_rest(session)) dialogue_begin_request(shared, connection);
    enum dialogue_stop stop = advance(shared, connection, input);
    if (session->command_count != commands || was_in_content != smtp_session_is_in_content(session))
        dialogue_begin_request(shared, connection);
    return stop;
}

/* ---- the dialogue inside TLS ---- */

/* The peer said all it will: what it began is dropped, what it is owed is sent. */
void dialogue_end_of_input(struct connection_shared *shared, struct connection *connection)
{
    enum close_reason reason = CLOSE_PEER_CLOSED;
    if (smtp_session_has_transaction(&connection->session)) reason = CLOSE_PEER_GONE;
    if (channel_is_pending(connection->channel)) {
        reason = CLOSE_TLS_FAILED;
        if (shared->smtp->is_traced)
            trace_tls_failure(transport_peer(connection), "the client left in mid-handshake");
    }
    closing_begin(shared, connection, reason, false);
}

/* The handshake is over: with implicit TLS the greeting was left till now. */
RARE static void channel_is_up(struct connection_shared *shared, struct connection *connection)
{
    const struct tls_stream *stream = connection->channel->stream;
    if (shared->smtp->is_traced) {
        struct bytes peer = transport_peer(connection);
        log_info("%.*s TLS: %s %s%s", (int)peer.size, (const char *)peer.data,
                 tls_stream_version(stream), tls_stream_cipher(stream),
                 tls_stream_was_resumed(stream) ? ", resumed" : "");
    }
    dialogue_end_handshake(shared, connection);
    if (!connection->channel->is_asked_for) dialogue_greet(shared, connection);
}

RARE void dialogue_channel_failed(struct connection_shared *shared, struct connection *connection)
{
    if (shared->smtp->is_traced)
        trace_tls_failure(transport_peer(connection),
                          tls_stream_failure(connection->channel->stream));
    closing_begin(shared, connection, CLOSE_TLS_FAILED, false); /* the alert leaves */
}

/* Is there something that the dialogue can take, or is to be told, before more is decrypted? */
static bool has_step(const struct connection *connection, const struct bytes *plaintext)
{
    return plaintext->size > 0 || connection->is_step_owed || connection_waits(connection);
}

/* `input` is ciphertext. What the dialogue can't take of its plaintext yet stays in the stream. */
static enum dialogue_stop advance_secured(struct connection_shared *shared,
                                          struct connection *connection, struct bytes *input)
{
    struct channel *channel = connection->channel;
    if (channel->state == CHANNEL_WAITING) { /* it had to wait for our 220 */
        closing_begin(shared, connection, CLOSE_INJECTED, true);
        return DIALOGUE_ENDED;
    }
    outbox_hold(&connection->outbox, &shared->reply_blocks);
    struct bytes *plaintext = tls_stream_plaintext(channel->stream);
    for (;;) {
        if (has_step(connection, plaintext)) {
            enum dialogue_stop stop = advance_request(shared, connection, plaintext);
            if (stop != DIALOGUE_USED_UP) return stop;
            connection->is_step_owed = false;
        }
        switch (channel_step(&shared->channels, channel, input)) {
        case TLS_WANT_INPUT:
            return DIALOGUE_USED_UP;
        case TLS_WANT_FLUSH:
            return DIALOGUE_NO_ROOM;
        case TLS_ESTABLISHED:
            channel_is_up(shared, connection);
            break;
        case TLS_PLAINTEXT: /* pieces of records and keys that change keep nobody busy */
            deadline_touch(&connection->deadline, shared->now_ns);
            break;
        case TLS_ENDED:
            dialogue_end_of_input(shared, connection);
            return DIALOGUE_ENDED;
        case TLS_FAILED:
            dialogue_channel_failed(shared, connection);
            return DIALOGUE_ENDED;
        }
    }
}

void dialogue_greet(struct connection_shared *shared, struct connection *connection)
{
    outbox_hold(&connection->outbox, &shared->reply_blocks);
    uint32_t from = connection->outbox.replies.size;
    smtp_session_greet(&connection->session, &connection->outbox.replies);
    trace_answer(shared, connection, from);
}

enum dialogue_stop dialogue_advance(struct connection_shared *shared, struct connection *connection,
                                    struct bytes *input)
{
    return connection->channel == NULL ? advance_request(shared, connection, input)
                                       : advance_secured(shared, connection, input);
}
