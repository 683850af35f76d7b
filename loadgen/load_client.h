/*
 * load_client -- one connection of the generator over a ring, opened again as long as it is wanted.
 *
 * Its messages stand in a ring: first those in flight, oldest first, whose replies are awaited in
 * that order; behind them those that were taken back and are to start again.
 *
 * Owns:       its socket; its TLS stream; a send block while it sends; its timer; its part of the
 *             flights.
 * Borrows:    everything else from the clients of its worker.
 * Errors:     what fails on a connection is tallied, and the connection opened again after a pause.
 * Bounds:     one connect, one send, one multishot receive in flight; flights <= flight_mask + 1.
 * Invariants: its socket is closed only when none of its operations is in flight.
 */
#pragma once

#include "base/queue.h"
#include "base/wheel.h"
#include "loadgen/load_session.h"
#include "ring/ring.h"

#include <stdbool.h>
#include <stdint.h>

struct load_clients;
struct load_block;
struct tls_stream;

#define LOAD_NEVER UINT64_MAX

enum load_client_state {
    LOAD_CLIENT_RESTING,    /* no socket; waits in the queue to connect, or for its timer  */
    LOAD_CLIENT_CONNECTING, /* its connect is in flight                                    */
    LOAD_CLIENT_UP,         /* connected; its session goes on                              */
    LOAD_CLIENT_CLOSING,    /* waits for its operations to end; then the socket is closed  */
    LOAD_CLIENT_DONE,       /* no socket, and none will be opened                          */
};

/* One message on its way. */
struct load_flight {
    uint64_t sequence;
    uint64_t hash;
    uint64_t stored_size; /* header section and body, once its content is sent */
    uint64_t length;      /* of the body */
    uint64_t due_ns;      /* open loop: when it was to start; closed: when it did */
    uint64_t started_ns;
    uint64_t sent_ns; /* last octet taken by the kernel, at the latest; 0: not yet */
    bool is_warm;     /* due before the measured time                              */
    bool has_reset;   /* BDAT: it left with RSET in front                          */
    /* --session: a flight is a session, which may bring several messages, one after the other. */
    bool is_unjudged;     /* the content of one left, and has no verdict yet           */
    uint64_t mail;        /* the number of that one; else `sequence`                   */
    uint64_t kept_length; /* of those that were accepted                               */
};

#define LOAD_WINDOW_MAX 64u /* messages in flight on a connection */

struct load_client {
    enum load_client_state state;
    uint32_t index;
    uint32_t generation;    /* of its connection: grows with each */
    int socket;             /* -1: none */
    uint32_t operations;    /* in flight */
    uint32_t address_index; /* of its connection */
    uint32_t failures;      /* in a row, for the pause before the next connect */
    uint64_t served;        /* messages begun on this connection */
    uint64_t serves;        /* so many at most                   */
    bool is_sending;
    bool is_sending_content; /* of the flight `sending` */
    bool is_down;            /* lost or refused, and not ready again since */
    bool is_settled;         /* was ready, or failed, once */
    bool was_reached;
    bool was_connected;
    bool is_queued;              /* in the queue to connect */
    bool has_place;              /* among those that connect, or shake hands */
    bool is_thinking;            /* until its deadline */
    bool is_idle_queued;         /* among those that wait for a message to become due */
    bool has_tls_end;            /* close_notify came, or is not waited for any more  */
    bool is_telling;             /* closing: shut once the last has left              */
    struct load_flight *flights; /* a ring of flight_mask + 1 */
    uint32_t first_flight;       /* where the oldest is       */
    uint32_t flight_count;       /* in flight; in stream the second one's group has left only */
    uint32_t kept_count;         /* behind them: taken back, start before any new one        */
    uint32_t flight_mask;
    uint32_t sending; /* whose content is being sent, counted from the oldest */
    uint64_t thinks_until_ns;
    uint64_t asked_ns;     /* when what the server owes us a reply to left */
    uint64_t deadline_ns;  /* UINT64_MAX: none */
    struct bytes outgoing; /* what is left of one piece; data NULL: block->message tells it */
    struct load_block *block;
    struct tls_stream *tls; /* NULL: in plain, so far */
    const char *tls_failure;
    struct load_session session;
    struct load_reply reply;
    struct wheel_timer timer;
    struct queue_link link;
    struct queue_link idle_link;
};

static inline struct ring_token load_client_token(const struct load_client *client, enum ring_op op)
{
    return (struct ring_token){.op = op, .slot = client->index, .generation = client->generation};
}

/* The index-th of its messages, the oldest first. */
static inline struct load_flight *load_client_flight(const struct load_client *client,
                                                     uint32_t index)
{
    return &client->flights[(client->first_flight + index) & client->flight_mask];
}

/* Whether a message more may be sent while the replies to others are awaited (BDAT). */
bool load_client_has_room(const struct load_clients *clients, const struct load_client *client);

void load_client_connect(struct load_clients *clients, struct load_client *client);

/* Sends what the session wants, if nothing is being sent; idle, begins a message or says QUIT. */
void load_client_act(struct load_clients *clients, struct load_client *client);

/* A completion of this life of the client. */
void load_client_complete(struct load_clients *clients, struct load_client *client,
                          const struct ring_completion *completion);

/* Its deadline has passed. */
void load_client_expire(struct load_clients *clients, struct load_client *client);

/* The run is over whatever it is doing: its messages are unfinished. */
void load_client_cut(struct load_clients *clients, struct load_client *client);

/* It rests, and no connection is wanted any more. */
void load_client_finish(struct load_clients *clients, struct load_client *client);
