/*
 * connection -- one client's transport: where ring, dialogue and spool meet.
 *
 * Owns:       its socket, its blocks of replies, stash, held input and envelope.
 * Borrows:    received data during connection_receive(); all of struct connection_shared.
 * Errors:     none: every end of a connection is a close_reason.
 * Bounds:     one block of replies, one stash, one buffer ring's worth of held input.
 * Invariants: (1) at most one send is in flight.
 *             (2) The slot is given back only when no operation of it is in flight.
 *             (3) No input is taken while replies have no room.
 * Thread:     one worker's.
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/queue.h"
#include "base/slots.h"
#include "ring/ring.h"
#include "server/channel.h"
#include "server/counters.h"
#include "server/deadline.h"
#include "server/hold.h"
#include "server/outbox.h"
#include "server/transaction.h"
#include "smtp/smtp_session.h"

#define CONNECTION_HOLD_BLOCK_SIZE 65536
/* "[" 39 octets of IPv6 address "]:65535", or "unix:pid=4194304,uid=4294967295" */
#define CONNECTION_PEER_MAX 48

/* What all connections of one worker use. */
struct connection_shared {
    struct ring *ring;
    struct transaction_store store;
    struct wheel *wheel;
    struct counters *counters;
    const struct smtp_config *smtp;
    struct slots connections;
    struct blocks reply_blocks;
    struct blocks stashes;
    struct blocks holds;
    struct channels channels;
    struct queue to_flush;  /* have replies to send at the end of the batch       */
    struct queue to_resume; /* have held input and room for replies               */
    struct queue undecided; /* have replies that wait for the disk                */
    struct queue starved;   /* the buffers ran out on them: receive is to be armed */
    uint64_t now_ns;
    struct deadline_rules rules;
    uint64_t held_bytes_max;      /* of one connection */
    _Atomic uint32_t *open_count; /* process-wide */
    bool is_draining;
    bool is_watched;            /* a step is followed closely: traced, or `disk`  */
    bool is_stalled;            /* the spool lacks a segment: received data waits */
    bool has_told_bare_newline; /* nc without -C: said once a worker */
};

struct connection {
    struct slot slot;
    int socket;
    struct queue_link flush_link;
    struct queue_link resume_link;
    struct queue_link starved_link;
    struct deadline deadline;
    struct queue_link undecided_link;
    struct outbox outbox;
    struct hold held;        /* input that came while none was taken */
    struct channel *channel; /* TLS; NULL: octets are what they are */
    struct smtp_session session;
    struct transaction transaction;
    uint16_t operation_count;   /* in flight */
    uint16_t commands_answered; /* up to the last send; wraps */
    uint8_t close_reason;       /* enum close_reason; CLOSE_NONE while it is served */
    bool is_receiving : 1;      /* a multishot receive is in flight */
    bool is_sending : 1;
    bool is_flush_queued : 1;
    bool is_resume_queued : 1;
    bool is_undecided_queued : 1;
    bool is_step_owed : 1; /* the session stopped for want of room for replies */
    bool is_starved_queued : 1;
    bool is_cancelling : 1; /* the receive's cancel was submitted */
    bool is_closing_socket : 1;
    bool is_forced : 1;       /* replies that are left are not sent any more */
    bool has_peer_closed : 1; /* end of input seen, possibly behind held input */
    bool is_send_cancelled : 1;
    bool has_pipelined : 1;
    uint8_t peer_size; /* octets of `peer`; 0: not looked up yet */
    char peer[CONNECTION_PEER_MAX];
};

enum connection_outcome {
    CONNECTION_TOOK_ALL, /* the data was used, held or dropped: the buffer may go back */
    CONNECTION_STALLED,  /* the spool needs a segment: call again with what is left    */
};

static inline bool connection_is_closing(const struct connection *connection)
{
    return connection->close_reason != CLOSE_NONE;
}

/*
 * Takes the accepted socket: greets and arms the receive; with implicit TLS (RFC 8314) only once it
 * is its turn to shake hands.
 */
void connection_open(struct connection_shared *shared, struct connection *connection, int socket,
                     bool is_implicit_tls);

/* It is its turn to shake hands: channels_next() named it. */
void connection_secure(struct connection_shared *shared, struct connection *connection);

/* Data that was received, in order. `data` shrinks by what was taken. */
MUST_USE enum connection_outcome connection_receive(struct connection_shared *shared,
                                                    struct connection *connection,
                                                    struct bytes *data);

/* Does its transaction wait for a segment, whether or not data is left? */
bool connection_waits(const struct connection *connection);

/* The receive ended: 0 (the peer closed) or -errno. Comes after all data before it. */
void connection_receive_ended(struct connection_shared *shared, struct connection *connection,
                              int32_t result);

/* A send, cancel or close of this connection completed. May give the slot back. */
void connection_completed(struct connection_shared *shared, struct connection *connection,
                          enum ring_op op, int32_t result);

/* Takes up held input again. */
MUST_USE enum connection_outcome connection_resume(struct connection_shared *shared,
                                                   struct connection *connection);

/* Messages up to `serial` of this worker are durable: what waited for that may leave. */
void connection_decide(struct connection_shared *shared, struct connection *connection,
                       uint64_t serial);

/* No message that waits for the disk will be durable: 451 instead of 250. How many there were. */
uint32_t connection_revoke(struct connection_shared *shared, struct connection *connection);

/* Sends what replies there are, or goes on closing. */
void connection_flush(struct connection_shared *shared, struct connection *connection);

/* Arms the receive after the buffers had run out. */
void connection_feed(struct connection_shared *shared, struct connection *connection);

/*
 * Its timer fired: 421 and close if it was idle too long, or took too long over one command or
 * message; cut off if it does not even take that.
 */
void connection_timer(struct connection_shared *shared, struct connection *connection);

/* The server drains: 421 to an idle session, others may finish their message. */
void connection_drain(struct connection_shared *shared, struct connection *connection);

/* Closes without sending anything more. */
void connection_abort(struct connection_shared *shared, struct connection *connection,
                      enum close_reason reason);
