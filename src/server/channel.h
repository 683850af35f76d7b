/*
 * channel -- TLS of one connection, and whose turn it is to shake hands.
 *
 * A handshake costs more than many messages: so many are in progress at most. The others wait, in
 * order, and hold no TLS object meanwhile.
 *
 * Owns:       its stream, from its turn to channel_close().
 * Borrows:    the connection that it belongs to, the worker's counters.
 * Errors:     none: what TLS says is an event.
 * Bounds:     shaking_max handshakes of one worker; tls_memory's bound.
 * Thread:     one worker's.
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/queue.h"
#include "server/counters.h"
#include "tls/tls_context.h"
#include "tls/tls_stream.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;

enum channel_state {
    CHANNEL_WAITING, /* for its turn: it has no stream */
    CHANNEL_SHAKING, /* hands                          */
    CHANNEL_UP,      /* replies can be encrypted       */
    CHANNEL_FAILED,  /* an alert may be left to send   */
};

struct channel {
    struct queue_link turn_link;
    struct connection *connection; /* NULL: it gave up waiting */
    struct tls_stream *stream;
    uint8_t state; /* enum channel_state */
    bool is_queued;
    bool is_asked_for;   /* by STARTTLS, whose 220 leaves when its turn comes    */
    bool has_plain_left; /* that 220, and what stands before it, leave unencrypted */
    bool has_said_goodbye;
};

/* Those of one worker. */
struct channels {
    struct tls_context *context; /* NULL: this server speaks no TLS */
    struct counters *counters;
    struct blocks pool;
    struct queue waiting;
    uint32_t shaking_count;
    uint32_t shaking_max;
};

enum channel_outcome {
    CHANNEL_BEGUN,   /* its turn: the handshake may begin */
    CHANNEL_QUEUED,  /* channels_next() will name it      */
    CHANNEL_REFUSED, /* memory for TLS is used up         */
};

/* Bytes that the channels and streams of so many connections may come to use, without OpenSSL's. */
uint64_t channels_memory(uint32_t connections);

/* Takes the context, which may be NULL. 0 or -errno. */
MUST_USE int channels_open(struct channels *channels, struct tls_context *context,
                           struct counters *counters, uint32_t connections, uint32_t shaking_max);
void channels_close(struct channels *channels);

/* A channel for the connection; NULL: there are too many. */
struct channel *channel_open(struct channels *channels, struct connection *connection);

/* Asks for its turn, or takes it where channels_next() named it. */
MUST_USE enum channel_outcome channel_begin(struct channels *channels, struct channel *channel);

/* The next that waits and may begin now, out of the queue; NULL: none. */
struct channel *channels_next(struct channels *channels);

/* Are as many handshakes in progress as may be? */
static inline bool channels_are_full(const struct channels *channels)
{
    return channels->shaking_count >= channels->shaking_max;
}

/* May there be a next one? */
static inline bool channels_have_turn(const struct channels *channels)
{
    return !channels_are_full(channels) && !queue_is_empty(&channels->waiting);
}

/* tls_stream_step(), and what follows from it for the channel. */
enum tls_event channel_step(struct channels *channels, struct channel *channel,
                            struct bytes *ciphertext);

/* Nothing of its stream may be in flight. */
void channel_close(struct channels *channels, struct channel *channel);

/* Do replies leave as they are? */
static inline bool channel_is_plain(const struct channel *channel)
{
    return channel == NULL || channel->state == CHANNEL_WAITING || channel->has_plain_left;
}

/* Is it still to become one? */
static inline bool channel_is_pending(const struct channel *channel)
{
    return channel != NULL && channel->state <= CHANNEL_SHAKING;
}
