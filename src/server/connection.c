/*
 * States of a connection, by close_reason and what is in flight:
 *
 *   served (CLOSE_NONE) -> closing   [closing_begin: QUIT, peer gone, idle, limit, drain]
 *   closing -> ... -> gone           [closing_step: one step a call, from connection_flush()]
 *
 * and, where there is TLS, by its channel: waiting for its turn -> shaking hands -> up, or failed.
 */
#include "server/connection.h"

#include "base/log.h"
#include "ring/net.h"
#include "server/closing.h"
#include "server/dialogue.h"
#include "server/trace.h"
#include "server/transport.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static_assert(sizeof(struct connection) <= 512, "an idle connection costs at most 512 bytes");

/* Does it owe the client something that it can do without further input? Then none is taken. */
static bool has_backlog(const struct connection *connection)
{
    return connection->is_step_owed || !hold_is_empty(&connection->held);
}

/* ---- queues of the worker ---- */

static void queue_resume(struct connection_shared *shared, struct connection *connection)
{
    if (connection->is_resume_queued) return;
    connection->is_resume_queued = true;
    queue_push(&shared->to_resume, &connection->resume_link);
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

/* Puts what can't be taken now aside, and stops receiving. */
static void pause_input(struct connection_shared *shared, struct connection *connection,
                        struct bytes *rest)
{
    if (hold_is_empty(&connection->held)) counter_add(&shared->counters->input_pauses, 1);
    struct bytes data = bytes_take(rest, rest->size);
    if (!hold_put(&connection->held, &shared->holds, data, shared->held_bytes_max)) {
        closing_begin(shared, connection, CLOSE_HELD_TOO_MUCH, true);
        return;
    }
    transport_stop_receiving(shared, connection);
}

/*
 * Content that ends in a line with nothing but a dot, by LF alone: a person at nc, who now waits
 * for a reply that never comes.
 */
static void watch_bare_newline(struct connection_shared *shared, struct connection *connection,
                               struct bytes received)
{
    if (connection->channel != NULL) return; /* that is ciphertext */
    if (connection->session.state != SMTP_IN_DATA || received.size < 2) return;
    const uint8_t *end = received.data + received.size;
    if (end[-1] != '\n' || end[-2] != '.' || (received.size > 2 && end[-3] != '\n')) return;
    char peer[CONNECTION_PEER_MAX * 4];
    bytes_escape(transport_peer(connection), peer, sizeof peer);
    shared->has_told_bare_newline = true;
    log_warning("%s: the client sends LF only, so its message has no end yet: use nc -C", peer);
}

/* No TLS for it after all: 454 to STARTTLS; what began with TLS is closed. */
RARE static void refuse_channel(struct connection_shared *shared, struct connection *connection)
{
    if (!connection->channel->is_asked_for) {
        closing_begin(shared, connection, CLOSE_NO_TLS, true);
        return;
    }
    dialogue_forget_channel(shared, connection);
    dialogue_end_handshake(shared, connection);
    smtp_session_refuse(&connection->session, SMTP_NO_TLS);
    connection->is_step_owed = true; /* the 454 */
    queue_resume(shared, connection);
}

/* ---- what the worker calls ---- */

/* Implicit TLS (RFC 8314): before its turn nothing is received, and so nothing is held of it. */
RARE static void open_secured(struct connection_shared *shared, struct connection *connection)
{
    smtp_session_set_secure(&connection->session);
    dialogue_begin_handshake(shared, connection);
    connection->channel = channel_open(&shared->channels, connection);
    if (connection->channel != NULL)
        connection_secure(shared, connection);
    else
        closing_begin(shared, connection, CLOSE_NO_TLS, true);
}

void connection_open(struct connection_shared *shared, struct connection *connection, int socket,
                     bool is_implicit_tls)
{
    connection->socket = socket;
    smtp_session_init(&connection->session, shared->smtp);
    transaction_init(&connection->transaction, &shared->store);
    counter_add(&shared->counters->accepted, 1);
    deadline_begin(&connection->deadline, &shared->rules, shared->wheel, shared->now_ns);
    if (is_implicit_tls) {
        open_secured(shared, connection);
        return;
    }
    transport_flush_later(shared, connection);
    transport_receive(shared, connection, true);
    /* RFC 5321 4.3.1. What came is received all the same: unread, it would make the close a reset.
     */
    if (shared->smtp->is_strict && net_has_input(socket)) {
        closing_dismiss(shared, connection, SMTP_REPLY_EARLY_TALK, CLOSE_EARLY_TALK);
        return;
    }
    dialogue_greet(shared, connection);
}

void connection_secure(struct connection_shared *shared, struct connection *connection)
{
    if (connection_is_closing(connection)) return;
    transport_flush_later(shared, connection);
    switch (channel_begin(&shared->channels, connection->channel)) {
    case CHANNEL_BEGUN:
        break;
    case CHANNEL_QUEUED:
        return;
    case CHANNEL_REFUSED:
        refuse_channel(shared, connection);
        return;
    }
    if (connection->channel->is_asked_for) {
        outbox_hold(&connection->outbox, &shared->reply_blocks);
        dialogue_promise_tls(shared, connection);
    } else {
        transport_receive(shared, connection, false);
    }
}

bool connection_waits(const struct connection *connection)
{
    return connection->transaction.waiting != TRANSACTION_WAITS_FOR_NOTHING;
}

enum connection_outcome connection_receive(struct connection_shared *shared,
                                           struct connection *connection, struct bytes *data)
{
    if (connection_is_closing(connection)) return CONNECTION_TOOK_ALL;
    /* A record may come slowly; in content min_data_rate is the bound. */
    if (connection->channel == NULL || smtp_session_is_in_content(&connection->session))
        deadline_touch(&connection->deadline, shared->now_ns);
    transport_flush_later(shared, connection);
    if (has_backlog(connection)) {
        pause_input(shared, connection, data);
        return CONNECTION_TOOK_ALL;
    }
    struct bytes received = *data;
    switch (dialogue_advance(shared, connection, data)) {
    case DIALOGUE_USED_UP:
        dialogue_reclaim_stash(shared, connection);
        if (!shared->has_told_bare_newline) watch_bare_newline(shared, connection, received);
        return CONNECTION_TOOK_ALL;
    case DIALOGUE_NO_ROOM:
        connection->is_step_owed = true;
        if (data->size > 0) pause_input(shared, connection, data);
        return CONNECTION_TOOK_ALL;
    case DIALOGUE_NO_SEGMENT:
        return CONNECTION_STALLED;
    case DIALOGUE_ENDED:
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
    transport_flush_later(shared, connection);
    if (connection_is_closing(connection)) return;
    if (result == 0) {
        connection->has_peer_closed = true;
        if (!has_backlog(connection)) dialogue_end_of_input(shared, connection);
    } else if (result == -ENOBUFS) {
        counter_add(&shared->counters->no_buffers, 1);
        connection->is_starved_queued = true;
        queue_push(&shared->starved, &connection->starved_link);
    } else if (is_normal_end(result)) {
        if (!has_backlog(connection)) transport_receive(shared, connection, false);
    } else {
        bool is_reset = result == -ECONNRESET || result == -EPIPE || result == -ETIMEDOUT;
        closing_begin(shared, connection, is_reset ? CLOSE_PEER_GONE : CLOSE_RECEIVE_FAILED, true);
    }
}

static void send_completed(struct connection_shared *shared, struct connection *connection,
                           int32_t result)
{
    CHECK(connection->is_sending);
    connection->is_sending = false;
    if (result <= 0) {
        closing_begin(
            shared, connection,
            result == -EPIPE || result == -ECONNRESET ? CLOSE_PEER_GONE : CLOSE_SEND_FAILED, true);
        return;
    }
    if (channel_is_plain(connection->channel))
        deadline_touch(&connection->deadline, shared->now_ns);
    if (!transport_sent(connection, (uint32_t)result)) {
        counter_add(&shared->counters->short_sends, 1);
        transport_flush_later(shared, connection);
        return;
    }
    if (outbox_is_empty(&connection->outbox))
        outbox_release(&connection->outbox, &shared->reply_blocks);
    if (has_backlog(connection)) queue_resume(shared, connection);
    /* One that is served has nothing to do before something comes. */
    if (connection_is_closing(connection) || shared->is_draining)
        transport_flush_later(shared, connection);
}

void connection_completed(struct connection_shared *shared, struct connection *connection,
                          enum ring_op op, int32_t result)
{
    CHECK(connection->operation_count > 0);
    connection->operation_count--;
    if (op == RING_OP_SEND)
        send_completed(shared, connection, result);
    else
        transport_flush_later(shared,
                              connection); /* a cancel or the close: the next step may come */
}

enum connection_outcome connection_resume(struct connection_shared *shared,
                                          struct connection *connection)
{
    connection->is_resume_queued = false;
    transport_flush_later(shared, connection);
    while (!connection_is_closing(connection) && has_backlog(connection)) {
        struct bytes input = hold_front(&connection->held);
        enum dialogue_stop stop = dialogue_advance(shared, connection, &input);
        if (stop == DIALOGUE_ENDED) break; /* closing dropped what was held */
        connection->is_step_owed = stop != DIALOGUE_USED_UP;
        hold_use(&connection->held, input.size);
        if (stop == DIALOGUE_NO_SEGMENT) { /* a slice that waits is a view into the block */
            queue_resume(shared, connection);
            return CONNECTION_STALLED;
        }
        hold_trim(&connection->held, &shared->holds);
        if (stop == DIALOGUE_NO_ROOM) return CONNECTION_TOOK_ALL;
    }
    if (connection_is_closing(connection)) return CONNECTION_TOOK_ALL;
    dialogue_begin_request(shared, connection); /* it was not the client's turn */
    dialogue_reclaim_stash(shared, connection);
    if (connection->has_peer_closed)
        dialogue_end_of_input(shared, connection);
    else if (!connection->is_receiving && !connection->is_starved_queued)
        transport_receive(shared, connection, false);
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
    if (connection_is_closing(connection)) {
        closing_step(shared, connection);
        return;
    }
    if (connection->is_sending) return;
    if (!transport_send(shared, connection) && outbox_is_empty(&connection->outbox))
        outbox_release(&connection->outbox, &shared->reply_blocks);
    if (connection->channel != NULL && connection->channel->state == CHANNEL_FAILED)
        dialogue_channel_failed(shared, connection);
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
    transport_flush_later(shared, connection);
}

uint32_t connection_revoke(struct connection_shared *shared, struct connection *connection)
{
    connection->is_undecided_queued = false;
    transport_flush_later(shared, connection);
    if (!outbox_has_undecided(&connection->outbox)) return 0;
    smtp_session_revoke(&connection->session); /* LMTP: what had no room yet */
    return outbox_revoke(&connection->outbox, SMTP_REPLY_STORE_FAILED, shared->smtp->is_enhanced);
}

void connection_feed(struct connection_shared *shared, struct connection *connection)
{
    connection->is_starved_queued = false;
    transport_flush_later(shared, connection);
    if (connection_is_closing(connection) || has_backlog(connection)) return;
    transport_receive(shared, connection, false);
}

static void hurry_handshake(struct connection_shared *shared, struct connection *connection)
{
    if (!deadline_handshake_is_over(&connection->deadline, &shared->rules, shared->wheel,
                                    shared->now_ns))
        return;
    if (shared->smtp->is_traced)
        trace_tls_failure(transport_peer(connection), "the handshake was not over in time");
    if (connection->channel->state == CHANNEL_WAITING && connection->channel->is_asked_for)
        refuse_channel(shared, connection);
    else
        closing_begin(shared, connection, CLOSE_TLS_SLOW, true);
}

void connection_timer(struct connection_shared *shared, struct connection *connection)
{
    if (connection_is_closing(connection)) {
        bool is_slow_disk = outbox_has_undecided(&connection->outbox) && !connection->is_forced;
        if (is_slow_disk)
            closing_watch(shared, connection);
        else
            closing_begin(shared, connection, connection->close_reason, true);
        return;
    }
    if (channel_is_pending(connection->channel)) {
        hurry_handshake(shared, connection);
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
        closing_dismiss(shared, connection, SMTP_REPLY_IDLE_TOO_LONG, CLOSE_IDLE);
        return;
    case DEADLINE_SLOW:
        closing_dismiss(shared, connection, SMTP_REPLY_TOO_SLOW, CLOSE_TOO_SLOW);
        return;
    }
}

void connection_drain(struct connection_shared *shared, struct connection *connection)
{
    if (connection_is_closing(connection) || !may_be_dismissed(connection)) return;
    closing_dismiss(shared, connection, SMTP_REPLY_SHUTTING_DOWN, CLOSE_SHUTDOWN);
}

void connection_abort(struct connection_shared *shared, struct connection *connection,
                      enum close_reason reason)
{
    closing_begin(shared, connection, reason, true);
}
