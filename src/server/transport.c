#include "server/transport.h"

#include "ring/net.h"
#include "server/connection.h"

#include <string.h>

static struct ring_token token_of(struct connection_shared *shared, struct connection *connection,
                                  enum ring_op op)
{
    return (struct ring_token){
        .op = op,
        .slot = slots_index(&shared->connections, connection),
        .generation = connection->slot.generation,
    };
}

void transport_flush_later(struct connection_shared *shared, struct connection *connection)
{
    if (connection->is_flush_queued) return;
    connection->is_flush_queued = true;
    queue_push(&shared->to_flush, &connection->flush_link);
}

void transport_receive(struct connection_shared *shared, struct connection *connection,
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

void transport_stop_receiving(struct connection_shared *shared, struct connection *connection)
{
    if (!connection->is_receiving || connection->is_cancelling) return;
    connection->is_cancelling = true;
    cancel_operation(shared, connection, RING_OP_RECEIVE);
}

void transport_cancel_send(struct connection_shared *shared, struct connection *connection)
{
    if (connection->is_send_cancelled) return;
    connection->is_send_cancelled = true;
    cancel_operation(shared, connection, RING_OP_SEND);
}

void transport_close(struct connection_shared *shared, struct connection *connection)
{
    CHECK(!connection->is_closing_socket);
    connection->is_closing_socket = true;
    connection->operation_count++;
    ring_close_socket(shared->ring, connection->socket,
                      token_of(shared, connection, RING_OP_CLOSE));
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

/* Ciphertext to send: replies that may leave are encrypted as far as there is room. */
ASIDE static struct bytes encrypt(struct connection_shared *shared, struct connection *connection)
{
    struct channel *channel = connection->channel;
    struct bytes replies = outbox_sendable(&connection->outbox);
    uint64_t size = replies.size;
    if (channel->state == CHANNEL_UP && size > 0) {
        if (!tls_stream_write(channel->stream, &replies)) channel->state = CHANNEL_FAILED;
        if (replies.size < size) {
            outbox_sent(&connection->outbox, (uint32_t)(size - replies.size));
            deadline_touch(&connection->deadline, shared->now_ns);
        }
    }
    return tls_stream_sendable(channel->stream);
}

bool transport_send(struct connection_shared *shared, struct connection *connection)
{
    CHECK(!connection->is_sending);
    struct bytes outgoing = channel_is_plain(connection->channel)
                                ? outbox_sendable(&connection->outbox)
                                : encrypt(shared, connection);
    if (outgoing.size == 0) return false;
    watch_pipelining(shared, connection);
    connection->is_sending = true;
    connection->operation_count++;
    ring_send(shared->ring, connection->socket, outgoing,
              token_of(shared, connection, RING_OP_SEND));
    return true;
}

/* Of replies that leave as they are; behind the last of them all is encrypted. */
static bool sent_plain(struct connection *connection, uint32_t size)
{
    struct channel *channel = connection->channel;
    outbox_sent(&connection->outbox, size);
    if (outbox_sendable(&connection->outbox).size > 0) return false;
    if (channel == NULL || !channel->has_plain_left) return true;
    channel->has_plain_left = !outbox_is_empty(&connection->outbox);
    return channel->has_plain_left || tls_stream_sendable(channel->stream).size == 0;
}

bool transport_sent(struct connection *connection, uint32_t size)
{
    struct channel *channel = connection->channel;
    if (channel_is_plain(channel)) return sent_plain(connection, size);
    tls_stream_sent(channel->stream, size);
    return tls_stream_sendable(channel->stream).size == 0 &&
           outbox_sendable(&connection->outbox).size == 0;
}

RARE static void look_peer_up(struct connection *connection)
{
    char text[NET_TEXT_MAX];
    if (!net_format_peer(text, connection->socket)) return;
    size_t size = strlen(text);
    CHECK(size <= sizeof connection->peer);
    memcpy(connection->peer, text, size);
    connection->peer_size = (uint8_t)size;
}

struct bytes transport_peer(struct connection *connection)
{
    if (connection->peer_size == 0) look_peer_up(connection);
    return bytes_make(connection->peer, connection->peer_size);
}
