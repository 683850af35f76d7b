#include "server/closing.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/connection.h"
#include "server/transport.h"

/* How long a client may take to read its last replies. */
#define CLOSE_GRACE_NS (10 * CLOCK_NS_PER_S)

void closing_watch(struct connection_shared *shared, struct connection *connection)
{
    wheel_arm(shared->wheel, &connection->deadline.timer, shared->now_ns + CLOSE_GRACE_NS);
}

ASIDE void closing_begin(struct connection_shared *shared, struct connection *connection,
                         enum close_reason reason, bool is_forced)
{
    connection->is_forced |= is_forced;
    transport_flush_later(shared, connection);
    if (connection_is_closing(connection)) return;
    connection->close_reason = (uint8_t)reason;
    if (log_is_on(LOG_LEVEL_DEBUG)) (void)transport_peer(connection); /* to be named at its end */
    if (smtp_session_has_transaction(&connection->session))
        counter_add(&shared->counters->aborted, 1);
    transaction_drop(&shared->store, &connection->transaction);
    hold_drop(&connection->held, &shared->holds);
    closing_watch(shared, connection);
}

void closing_dismiss(struct connection_shared *shared, struct connection *connection,
                     enum smtp_reply reply, enum close_reason reason)
{
    if (channel_is_pending(connection->channel)) { /* no reply can be read */
        closing_begin(shared, connection, reason, true);
        return;
    }
    outbox_hold(&connection->outbox, &shared->reply_blocks);
    bool has_room = smtp_replies_have_room(&connection->outbox.replies, SMTP_REPLY_MAX);
    bool had_transaction = smtp_session_has_transaction(&connection->session);
    if (has_room) smtp_session_dismiss(&connection->session, &connection->outbox.replies, reply);
    if (had_transaction && has_room) counter_add(&shared->counters->aborted, 1);
    closing_begin(shared, connection, reason, !has_room);
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
    if (connection->channel != NULL) channel_close(&shared->channels, connection->channel);
    wheel_disarm(shared->wheel, &connection->deadline.timer);
    atomic_fetch_sub_explicit(shared->open_count, 1, memory_order_relaxed);
    slots_give_back(&shared->connections, connection);
}

/* Are there replies that wait for the disk, or ciphertext, and can they still be read? */
static bool has_more_to_say(const struct connection *connection)
{
    const struct channel *channel = connection->channel;
    if (outbox_is_empty(&connection->outbox)) return false;
    return channel_is_plain(channel) || channel->state == CHANNEL_UP;
}

/* False: it is said, or nobody would hear it. */
static bool say_goodbye(struct connection_shared *shared, struct connection *connection)
{
    struct channel *channel = connection->channel;
    if (channel == NULL || channel->state != CHANNEL_UP || channel->has_said_goodbye) return false;
    channel->has_said_goodbye = true;
    tls_stream_end(channel->stream);
    return transport_send(shared, connection);
}

void closing_step(struct connection_shared *shared, struct connection *connection)
{
    if (connection->is_sending) {
        if (connection->is_forced) transport_cancel_send(shared, connection);
        return;
    }
    if (!connection->is_forced) {
        if (transport_send(shared, connection) || has_more_to_say(connection)) return;
        if (say_goodbye(shared, connection)) return;
    }
    outbox_release(&connection->outbox, &shared->reply_blocks);
    if (connection->is_receiving) {
        transport_stop_receiving(shared, connection);
        return;
    }
    if (!connection->is_closing_socket) {
        transport_close(shared, connection);
        return;
    }
    if (connection->operation_count > 0) return;
    /* While one of the worker's queues names it, it stays; its turn there leads back here. */
    if (connection->is_resume_queued || connection->is_starved_queued) return;
    if (connection->is_undecided_queued) return;
    give_slot_back(shared, connection);
}
