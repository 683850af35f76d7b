/*
 * States of a connection, by close_reason and what is in flight:
 *
 *   served (CLOSE_NONE) -> last replies leave -> receive cancelled -> socket closed -> slot given
 * back
 *
 *   served -> closing          [close_for: QUIT, peer gone, idle, limit, drain]
 *   closing -> ... -> gone     [closing_step: one step a call, from connection_flush()]
 */
#include "server/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "ring/net.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* How long a client may take to read its last replies. */
#define CLOSE_GRACE_NS (10 * CLOCK_NS_PER_S)
/* A step writes at most a reply that was pending and one more; a verdict may follow. */
#define STEP_ROOM (2 * SMTP_REPLY_MAX)
#define TRACE_MAX 600

static_assert(sizeof(struct connection) <= 512, "an idle connection costs at most 512 bytes");
static_assert(STEP_ROOM < OUTBOX_BLOCK_SIZE / 2, "an empty block has room for a step");

/* What the step loop stopped for. */
enum stop { STOP_USED_UP, STOP_NO_ROOM, STOP_NO_SEGMENT, STOP_ENDED };

static bool is_closing(const struct connection *connection)
{
    return connection->close_reason != CLOSE_NONE;
}

/* Does it owe the client something that it can do without further input? Then none is taken. */
static bool has_backlog(const struct connection *connection)
{
    return connection->is_step_owed || !hold_is_empty(&connection->held);
}

static struct ring_token token_of(struct connection_shared *shared, struct connection *connection,
                                  enum ring_op op)
{
    return (struct ring_token){
        .op = op,
        .slot = slots_index(&shared->connections, connection),
        .generation = connection->slot.generation,
    };
}

/* ---- queues of the worker ---- */

static void queue_flush(struct connection_shared *shared, struct connection *connection)
{
    if (connection->is_flush_queued) return;
    connection->is_flush_queued = true;
    queue_push(&shared->to_flush, &connection->flush_link);
}

static void queue_resume(struct connection_shared *shared, struct connection *connection)
{
    if (connection->is_resume_queued) return;
    connection->is_resume_queued = true;
    queue_push(&shared->to_resume, &connection->resume_link);
}

/* ---- blocks ---- */

ASIDE static void lend_stash(struct connection_shared *shared, struct connection *connection)
{
    uint8_t *stash = blocks_take(&shared->stashes);
    CHECK(stash != NULL); /* as many as connections */
    smtp_session_lend_stash(&connection->session, stash);
}

static void reclaim_stash(struct connection_shared *shared, struct connection *connection)
{
    uint8_t *stash = smtp_session_reclaim_stash(&connection->session);
    if (stash != NULL) blocks_give_back(&shared->stashes, stash);
}

/* ---- operations ---- */

static void arm_receive(struct connection_shared *shared, struct connection *connection,
                        bool poll_first)
{
    CHECK(!connection->is_receiving);
    connection->is_receiving = true;
    connection->operation_count++;
    ring_receive(shared->ring, connection->socket, token_of(shared, connection, RING_OP_RECEIVE),
                 poll_first);
}

static void cancel_operation(struct connection_shared *shared, struct connection *connection,
                             enum ring_op op)
{
    connection->operation_count++;
    ring_cancel(shared->ring, token_of(shared, connection, op),
                token_of(shared, connection, RING_OP_CANCEL));
}

static void cancel_receive(struct connection_shared *shared, struct connection *connection)
{
    if (!connection->is_receiving || connection->is_cancelling) return;
    connection->is_cancelling = true;
    cancel_operation(shared, connection, RING_OP_RECEIVE);
}

/* A client that waits for each reply never gets those to two commands in one send. */
static void watch_pipelining(struct connection_shared *shared, struct connection *connection)
{
    uint16_t commands = (uint16_t)connection->session.command_count;
    bool is_pipelining = (uint16_t)(commands - connection->commands_answered) > 1;
    connection->commands_answered = commands;
    if (!is_pipelining || connection->has_pipelined) return;
    connection->has_pipelined = true;
    counter_add(&shared->counters->pipelined, 1);
}

static void send_replies(struct connection_shared *shared, struct connection *connection)
{
    CHECK(!connection->is_sending);
    watch_pipelining(shared, connection);
    connection->is_sending = true;
    connection->operation_count++;
    ring_send(shared->ring, connection->socket, outbox_sendable(&connection->outbox),
              token_of(shared, connection, RING_OP_SEND));
}

/* ---- the end of a connection ---- */

/* From here on the timer guards the close. */
static void watch_closing(struct connection_shared *shared, struct connection *connection)
{
    wheel_arm(shared->wheel, &connection->deadline.timer, shared->now_ns + CLOSE_GRACE_NS);
}

ASIDE static void close_for(struct connection_shared *shared, struct connection *connection,
                            enum close_reason reason, bool is_forced)
{
    connection->is_forced |= is_forced;
    queue_flush(shared, connection);
    if (is_closing(connection)) return;
    connection->close_reason = (uint8_t)reason;
    if (smtp_session_has_transaction(&connection->session))
        counter_add(&shared->counters->aborted, 1);
    transaction_drop(&shared->store, &connection->transaction);
    hold_drop(&connection->held, &shared->holds);
    watch_closing(shared, connection);
}

static void give_slot_back(struct connection_shared *shared, struct connection *connection)
{
    CHECK(connection->operation_count == 0);
    CHECK(!connection->is_flush_queued);
    counter_add(&shared->counters->closed, 1);
    counter_add(&shared->counters->close_reasons[connection->close_reason], 1);
    counter_add(&shared->counters->run_ons, connection->session.run_on_count);
    if (log_is_on(LOG_LEVEL_DEBUG))
        log_debug("%.*s closed: %s", (int)connection->peer_size, connection->peer,
                  close_reason_sentence(connection->close_reason));
    if (connection->session.stash != NULL)
        blocks_give_back(&shared->stashes, connection->session.stash);
    wheel_disarm(shared->wheel, &connection->deadline.timer);
    atomic_fetch_sub_explicit(shared->open_count, 1, memory_order_relaxed);
    slots_give_back(&shared->connections, connection);
}

/* One step towards the end; each waits for the completion of the one before. */
static void closing_step(struct connection_shared *shared, struct connection *connection)
{
    if (connection->is_sending) {
        if (connection->is_forced && !connection->is_send_cancelled) {
            connection->is_send_cancelled = true;
            cancel_operation(shared, connection, RING_OP_SEND);
        }
        return;
    }
    if (!outbox_is_empty(&connection->outbox) && !connection->is_forced) {
        /* What is left waits for the disk, if nothing of it may be sent. */
        if (outbox_sendable(&connection->outbox).size > 0) send_replies(shared, connection);
        return;
    }
    outbox_release(&connection->outbox, &shared->reply_blocks);
    if (connection->is_receiving) {
        cancel_receive(shared, connection);
        return;
    }
    if (!connection->is_closing_socket) {
        connection->is_closing_socket = true;
        connection->operation_count++;
        ring_close_socket(shared->ring, connection->socket,
                          token_of(shared, connection, RING_OP_CLOSE));
        return;
    }
    if (connection->operation_count > 0) return;
    /* While one of the worker's queues names it, it stays; its turn there leads back here. */
    if (connection->is_resume_queued || connection->is_starved_queued) return;
    if (connection->is_undecided_queued) return;
    give_slot_back(shared, connection);
}

/* Ends the dialogue with a 421, if there still is room for it. */
static void dismiss(struct connection_shared *shared, struct connection *connection,
                    enum smtp_reply reply, enum close_reason reason)
{
    outbox_hold(&connection->outbox, &shared->reply_blocks);
    bool has_room = smtp_replies_have_room(&connection->outbox.replies, SMTP_REPLY_MAX);
    bool had_transaction = smtp_session_has_transaction(&connection->session);
    if (has_room) smtp_session_dismiss(&connection->session, &connection->outbox.replies, reply);
    if (had_transaction && has_room) counter_add(&shared->counters->aborted, 1);
    close_for(shared, connection, reason, !has_room);
}

/* ---- what the dialogue asks for ---- */

RARE static void look_peer_up(struct connection *connection)
{
    char text[NET_TEXT_MAX];
    if (!net_format_peer(text, connection->socket)) return;
    size_t size = strlen(text);
    CHECK(size <= sizeof connection->peer);
    memcpy(connection->peer, text, size);
    connection->peer_size = (uint8_t)size;
}

static struct bytes peer_of(struct connection *connection)
{
    if (connection->peer_size == 0) look_peer_up(connection);
    return bytes_make(connection->peer, connection->peer_size);
}

/* The mechanism is no secret; all else of an AUTH command or response may be. */
static struct bytes censor(struct bytes line)
{
    static const char *const shown[] = {"AUTH PLAIN", "AUTH LOGIN"};
    for (uint32_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        struct bytes head = bytes_from_text(shown[i]);
        if (line.size >= head.size &&
            bytes_equal_ignoring_case(bytes_make(line.data, head.size), head))
            return i == 0 ? BYTES("AUTH PLAIN *") : BYTES("AUTH LOGIN *");
    }
    return BYTES("*");
}

/* -v: one escaped line for what was taken and one for what was answered. */
static void trace(struct connection *connection, const char *who, struct bytes text)
{
    char line[TRACE_MAX];
    while (text.size > 0 && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    if (text.size == 0) return;
    bytes_escape(text, line, sizeof line);
    struct bytes peer = peer_of(connection);
    log_info("%.*s %s %s", (int)peer.size, (const char *)peer.data, who, line);
}

static void trace_replies(struct connection_shared *shared, struct connection *connection,
                          uint32_t from)
{
    if (shared->smtp->is_traced)
        trace(connection, "S:",
              bytes_make(connection->outbox.replies.data + from,
                         connection->outbox.replies.size - from));
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
    trace_replies(shared, connection, from);
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
    trace(connection, "C:", detail->is_line_secret ? censor(detail->line) : detail->line);
    trace_replies(shared, connection, start);
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

/*
 * The only loop where network, dialogue and store meet. `input` shrinks by what was taken; a slice
 * of it that the spool can't take yet waits in the transaction.
 */
FLAT static enum stop advance(struct connection_shared *shared, struct connection *connection,
                              struct bytes *input)
{
    struct smtp_detail detail;
    struct transaction_verdict verdict;
    struct transaction_store *store = &shared->store;
    struct transaction *transaction = &connection->transaction;
    enum smtp_verdict refusal = SMTP_STORED;

    outbox_hold(&connection->outbox, &shared->reply_blocks);
    if (connection_waits(connection) && !go_on(shared, connection)) return STOP_NO_SEGMENT;
    for (;;) {
        if (!has_room(connection)) return STOP_NO_ROOM;
        switch (step(shared, connection, input, &detail)) {
        case SMTP_WANT_INPUT:
            CHECK(input->size == 0 || shared->smtp->is_traced);
            if (input->size == 0) return STOP_USED_UP;
            break; /* traced line by line */
        case SMTP_WANT_STASH:
            lend_stash(shared, connection);
            break;
        case SMTP_WANT_FLUSH:
            return STOP_NO_ROOM;
        case SMTP_SENDER:
            refusal = transaction_begin(store, transaction, peer_of(connection),
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
                return STOP_NO_SEGMENT;
            break;
        case SMTP_WANT_VERDICT:
            if (!is_settled(shared, connection, transaction_commit(store, transaction, &verdict),
                            &verdict))
                return STOP_NO_SEGMENT;
            break;
        case SMTP_ABANDONED:
            counter_add(&shared->counters->aborted, 1);
            transaction_drop(store, transaction);
            break;
        case SMTP_STARTTLS: /* not offered as yet */
            smtp_session_refuse(&connection->session, SMTP_NO_TLS);
            break;
        case SMTP_HANG_UP:
            close_for(shared, connection, hang_up_reason(&connection->session), false);
            return STOP_ENDED;
        }
    }
}

/* ---- how long a client may take ---- */

static void begin_request(struct connection_shared *shared, struct connection *connection)
{
    deadline_begin_request(&connection->deadline, &shared->rules, shared->now_ns);
}

/* advance(), and where in it one request ended and the next began. */
static enum stop advance_request(struct connection_shared *shared, struct connection *connection,
                                 struct bytes *input)
{
    const struct smtp_session *session = &connection->session;
    uint32_t commands = session->command_count;
    bool was_in_content = smtp_session_is_in_content(session);
    if (smtp_session_is_at_rest(session)) begin_request(shared, connection);
    enum stop stop = advance(shared, connection, input);
    if (session->command_count != commands || was_in_content != smtp_session_is_in_content(session))
        begin_request(shared, connection);
    return stop;
}

/* Does the client wait for us, not we for it? */
static bool is_ours_to_move(const struct connection_shared *shared,
                            const struct connection *connection)
{
    return shared->is_stalled || connection->is_starved_queued ||
           connection->transaction.waiting != TRANSACTION_WAITS_FOR_NOTHING ||
           outbox_has_undecided(&connection->outbox);
}

/* ---- the client's end ---- */

/* The peer said all it will: what it began is dropped, what it is owed is sent. */
static void end_of_input(struct connection_shared *shared, struct connection *connection)
{
    bool is_mid_transaction = smtp_session_has_transaction(&connection->session);
    close_for(shared, connection, is_mid_transaction ? CLOSE_PEER_GONE : CLOSE_PEER_CLOSED, false);
}

/* Puts what can't be taken now aside, and stops receiving. */
static void pause_input(struct connection_shared *shared, struct connection *connection,
                        struct bytes *rest)
{
    if (hold_is_empty(&connection->held)) counter_add(&shared->counters->input_pauses, 1);
    struct bytes data = bytes_take(rest, rest->size);
    if (!hold_put(&connection->held, &shared->holds, data, shared->held_bytes_max)) {
        close_for(shared, connection, CLOSE_HELD_TOO_MUCH, true);
        return;
    }
    cancel_receive(shared, connection);
}

/*
 * Content that ends in a line with nothing but a dot, by LF alone: a person at nc, who now waits
 * for a reply that never comes.
 */
static void watch_bare_newline(struct connection_shared *shared, struct connection *connection,
                               struct bytes received)
{
    if (connection->session.state != SMTP_IN_DATA || received.size < 2) return;
    const uint8_t *end = received.data + received.size;
    if (end[-1] != '\n' || end[-2] != '.' || (received.size > 2 && end[-3] != '\n')) return;
    char peer[CONNECTION_PEER_MAX * 4];
    bytes_escape(peer_of(connection), peer, sizeof peer);
    shared->has_told_bare_newline = true;
    log_warning("%s: the client sends LF only, so its message has no end yet: use nc -C", peer);
}

/* ---- what the worker calls ---- */

void connection_open(struct connection_shared *shared, struct connection *connection, int socket)
{
    connection->socket = socket;
    smtp_session_init(&connection->session, shared->smtp);
    transaction_init(&connection->transaction, &shared->store);
    counter_add(&shared->counters->accepted, 1);
    deadline_begin(&connection->deadline, &shared->rules, shared->wheel, shared->now_ns);
    outbox_hold(&connection->outbox, &shared->reply_blocks);
    queue_flush(shared, connection);
    arm_receive(shared, connection, true);
    /* RFC 5321 4.3.1. What came is received all the same: unread, it would make the close a reset.
     */
    if (shared->smtp->is_strict && net_has_input(socket)) {
        dismiss(shared, connection, SMTP_REPLY_EARLY_TALK, CLOSE_EARLY_TALK);
        return;
    }
    smtp_session_greet(&connection->session, &connection->outbox.replies);
    trace_replies(shared, connection, 0);
}

bool connection_waits(const struct connection *connection)
{
    return connection->transaction.waiting != TRANSACTION_WAITS_FOR_NOTHING;
}

enum connection_outcome connection_receive(struct connection_shared *shared,
                                           struct connection *connection, struct bytes *data)
{
    if (is_closing(connection)) return CONNECTION_TOOK_ALL;
    deadline_touch(&connection->deadline, shared->now_ns);
    queue_flush(shared, connection);
    if (has_backlog(connection)) {
        pause_input(shared, connection, data);
        return CONNECTION_TOOK_ALL;
    }
    struct bytes received = *data;
    switch (advance_request(shared, connection, data)) {
    case STOP_USED_UP:
        reclaim_stash(shared, connection);
        if (!shared->has_told_bare_newline) watch_bare_newline(shared, connection, received);
        return CONNECTION_TOOK_ALL;
    case STOP_NO_ROOM:
        connection->is_step_owed = true;
        if (data->size > 0) pause_input(shared, connection, data);
        return CONNECTION_TOOK_ALL;
    case STOP_NO_SEGMENT:
        return CONNECTION_STALLED;
    case STOP_ENDED:
        return CONNECTION_TOOK_ALL;
    }
    CHECK(false); /* a stop that does not exist */
    return CONNECTION_TOOK_ALL;
}

static bool is_normal_end(int32_t result)
{
    return result > 0 || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
}

void connection_receive_ended(struct connection_shared *shared, struct connection *connection,
                              int32_t result)
{
    CHECK(connection->is_receiving);
    connection->is_receiving = false;
    connection->is_cancelling = false;
    connection->operation_count--;
    queue_flush(shared, connection);
    if (is_closing(connection)) return;
    if (result == 0) {
        connection->has_peer_closed = true;
        if (!has_backlog(connection)) end_of_input(shared, connection);
    } else if (result == -ENOBUFS) {
        counter_add(&shared->counters->no_buffers, 1);
        connection->is_starved_queued = true;
        queue_push(&shared->starved, &connection->starved_link);
    } else if (is_normal_end(result)) {
        if (!has_backlog(connection)) arm_receive(shared, connection, false);
    } else {
        bool is_reset = result == -ECONNRESET || result == -EPIPE || result == -ETIMEDOUT;
        close_for(shared, connection, is_reset ? CLOSE_PEER_GONE : CLOSE_RECEIVE_FAILED, true);
    }
}

static void send_completed(struct connection_shared *shared, struct connection *connection,
                           int32_t result)
{
    CHECK(connection->is_sending);
    connection->is_sending = false;
    if (result <= 0) {
        close_for(shared, connection,
                  result == -EPIPE || result == -ECONNRESET ? CLOSE_PEER_GONE : CLOSE_SEND_FAILED,
                  true);
        return;
    }
    outbox_sent(&connection->outbox, (uint32_t)result);
    deadline_touch(&connection->deadline, shared->now_ns);
    if (outbox_sendable(&connection->outbox).size > 0) {
        counter_add(&shared->counters->short_sends, 1);
        queue_flush(shared, connection);
        return;
    }
    if (outbox_is_empty(&connection->outbox))
        outbox_release(&connection->outbox, &shared->reply_blocks);
    if (has_backlog(connection)) queue_resume(shared, connection);
    /* One that is served has nothing to do before something comes. */
    if (is_closing(connection) || shared->is_draining) queue_flush(shared, connection);
}

void connection_completed(struct connection_shared *shared, struct connection *connection,
                          enum ring_op op, int32_t result)
{
    CHECK(connection->operation_count > 0);
    connection->operation_count--;
    if (op == RING_OP_SEND)
        send_completed(shared, connection, result);
    else
        queue_flush(shared, connection); /* a cancel or the close: the next step may come */
}

enum connection_outcome connection_resume(struct connection_shared *shared,
                                          struct connection *connection)
{
    connection->is_resume_queued = false;
    queue_flush(shared, connection);
    while (!is_closing(connection) && has_backlog(connection)) {
        struct bytes input = hold_front(&connection->held);
        enum stop stop = advance(shared, connection, &input);
        if (stop == STOP_ENDED) break; /* closing dropped what was held */
        connection->is_step_owed = stop != STOP_USED_UP;
        hold_use(&connection->held, input.size);
        if (stop == STOP_NO_SEGMENT) { /* a slice that waits is a view into the block */
            queue_resume(shared, connection);
            return CONNECTION_STALLED;
        }
        hold_trim(&connection->held, &shared->holds);
        if (stop == STOP_NO_ROOM) return CONNECTION_TOOK_ALL;
    }
    if (is_closing(connection)) return CONNECTION_TOOK_ALL;
    begin_request(shared, connection); /* it was not the client's turn */
    reclaim_stash(shared, connection);
    if (connection->has_peer_closed)
        end_of_input(shared, connection);
    else if (!connection->is_receiving && !connection->is_starved_queued)
        arm_receive(shared, connection, false);
    return CONNECTION_TOOK_ALL;
}

static bool may_be_dismissed(const struct connection *connection)
{
    return !smtp_session_has_transaction(&connection->session) && !has_backlog(connection) &&
           connection->transaction.waiting == TRANSACTION_WAITS_FOR_NOTHING;
}

void connection_flush(struct connection_shared *shared, struct connection *connection)
{
    /* Still marked as queued, so that a dismissal does not queue it again. */
    if (shared->is_draining) connection_drain(shared, connection);
    connection->is_flush_queued = false;
    if (is_closing(connection)) {
        closing_step(shared, connection);
        return;
    }
    if (connection->is_sending) return;
    if (outbox_sendable(&connection->outbox).size > 0)
        send_replies(shared, connection);
    else if (outbox_is_empty(&connection->outbox))
        outbox_release(&connection->outbox, &shared->reply_blocks);
}

void connection_decide(struct connection_shared *shared, struct connection *connection,
                       uint64_t serial)
{
    outbox_decide(&connection->outbox, serial);
    connection->is_undecided_queued = outbox_has_undecided(&connection->outbox);
    if (connection->is_undecided_queued)
        queue_push(&shared->undecided, &connection->undecided_link);
    if (has_backlog(connection) && !connection->is_sending &&
        outbox_sendable(&connection->outbox).size == 0)
        queue_resume(shared, connection);
    queue_flush(shared, connection);
}

uint32_t connection_revoke(struct connection_shared *shared, struct connection *connection)
{
    connection->is_undecided_queued = false;
    queue_flush(shared, connection);
    if (!outbox_has_undecided(&connection->outbox)) return 0;
    smtp_session_revoke(&connection->session); /* LMTP: what had no room yet */
    return outbox_revoke(&connection->outbox, SMTP_REPLY_STORE_FAILED, shared->smtp->is_enhanced);
}

void connection_feed(struct connection_shared *shared, struct connection *connection)
{
    connection->is_starved_queued = false;
    queue_flush(shared, connection);
    if (is_closing(connection) || has_backlog(connection)) return;
    arm_receive(shared, connection, false);
}

void connection_timer(struct connection_shared *shared, struct connection *connection)
{
    if (is_closing(connection)) {
        bool is_slow_disk = outbox_has_undecided(&connection->outbox) && !connection->is_forced;
        if (is_slow_disk)
            watch_closing(shared, connection);
        else
            close_for(shared, connection, connection->close_reason, true);
        return;
    }
    bool is_ours = is_ours_to_move(shared, connection);
    if (is_ours) deadline_touch(&connection->deadline, shared->now_ns);
    bool is_request_due = !is_ours && !has_backlog(connection); /* what is held came in time */
    switch (deadline_fired(&connection->deadline, &shared->rules, shared->wheel,
                           &connection->session, is_request_due, shared->now_ns)) {
    case DEADLINE_KEPT:
        return;
    case DEADLINE_IDLE:
        dismiss(shared, connection, SMTP_REPLY_IDLE_TOO_LONG, CLOSE_IDLE);
        return;
    case DEADLINE_SLOW:
        dismiss(shared, connection, SMTP_REPLY_TOO_SLOW, CLOSE_TOO_SLOW);
        return;
    }
}

void connection_drain(struct connection_shared *shared, struct connection *connection)
{
    if (is_closing(connection) || !may_be_dismissed(connection)) return;
    dismiss(shared, connection, SMTP_REPLY_SHUTTING_DOWN, CLOSE_SHUTDOWN);
}

void connection_abort(struct connection_shared *shared, struct connection *connection,
                      enum close_reason reason)
{
    close_for(shared, connection, reason, true);
}
