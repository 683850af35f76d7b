/*
 * load_client -- one connection of the generator over a ring, and what a worker's clients share.
 *
 * Owns:       sockets, send blocks, timers of its clients; all memory is taken at open.
 * Borrows:    ring, mail, script, config, ledger: the worker's or the run's.
 * Errors:     what fails on a connection is tallied, and the connection opened again after a pause.
 * Bounds:     one connect, one send, one multishot receive in flight a client; connects in flight
 *             <= connecting_max; one send block a client.
 * Invariants: (1) a client's socket is closed only when none of its operations is in flight.
 *             (2) a message that started has exactly one outcome at the end, or was taken back.
 */
#pragma once

#include "base/blocks.h"
#include "base/check.h"
#include "base/queue.h"
#include "base/random.h"
#include "base/wheel.h"
#include "loadgen/load_config.h"
#include "loadgen/load_ledger.h"
#include "loadgen/load_mail.h"
#include "loadgen/load_plan.h"
#include "loadgen/load_session.h"
#include "loadgen/load_tally.h"
#include "ring/ring.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_BANNER_KEPT 200u
#define LOAD_EHLO_KEPT   24u

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
    uint64_t started_ns;
    uint64_t sent_ns;          /* last octet taken by the kernel, at the latest; 0: not yet */
    uint64_t sent_realtime_ns; /* the same on the wall clock, for the ledger                */
};

struct load_client {
    enum load_client_state state;
    uint32_t index;
    uint32_t generation;    /* of its connection: grows with each */
    int socket;             /* -1: none */
    uint32_t operations;    /* in flight */
    uint32_t address_index; /* of its connection */
    uint32_t failures;      /* in a row, for the pause before the next connect */
    uint64_t served;        /* messages begun on this connection */
    bool is_sending;
    bool is_sending_content; /* of `current` */
    bool is_down;            /* lost or refused, and not ready again since */
    bool is_settled;         /* was ready, or failed, once */
    bool was_reached;
    bool was_connected;
    bool has_current;
    bool has_next;  /* stream: its group left with the content of `current` */
    bool has_kept;  /* kept_sequence starts before any new one */
    bool is_queued; /* in the queue to connect */
    struct load_flight current;
    struct load_flight next;
    uint64_t kept_sequence;
    uint64_t asked_ns;     /* when what the server owes us a reply to left */
    uint64_t deadline_ns;  /* UINT64_MAX: none */
    struct bytes outgoing; /* what is left of a plain send; size 0: by block->message */
    struct load_block *block;
    struct load_session session;
    struct load_reply reply;
    struct wheel_timer timer;
    struct queue_link link;
};

struct load_clients {
    struct ring *ring;
    const struct load_config *config;
    const struct load_mail *mail;
    const struct load_script *script;
    struct load_share share;
    struct load_tally tally;
    struct load_ledger_buffer ledger;
    struct load_client *clients;
    uint32_t count;
    struct blocks blocks;
    struct wheel wheel;
    struct random random; /* spreads the pauses */
    struct queue to_connect;
    uint32_t connecting;
    uint32_t connecting_max;
    uint32_t address_index; /* of config->addresses: the one that answers */
    uint32_t sweep_next;    /* clients from here on are still to be told of a change */
    uint32_t up;            /* sessions that are ready */
    uint32_t down;
    uint32_t settled;
    uint32_t done;
    uint32_t sends_pending; /* submitted since the last enter */
    bool has_begun;         /* messages may start */
    bool is_copied;         /* a message is sent from one block, not gathered */
    uint64_t begin_ns;
    uint64_t end_ns; /* end of -d, or UINT64_MAX */
    uint64_t now_ns;
    uint64_t entered_ns;           /* just before the enter whose completions are looked at */
    uint64_t realtime_ns;          /* the same on the wall clock */
    int gave_up;                   /* errno of why no connection can be had, or 0 */
    char banner[LOAD_BANNER_KEPT]; /* of the first session, escaped */
    char ehlo[LOAD_EHLO_KEPT][LOAD_REPLY_TEXT_MAX + 1];
    uint32_t ehlo_count;
    bool has_ehlo;
};

/* Set by the caller before: ring, config, mail, script, share, ledger, now_ns. 0 or -errno. */
MUST_USE int load_clients_open(struct load_clients *clients, uint32_t connecting_max);
void load_clients_close(struct load_clients *clients);

/* Bytes of memory that so many clients may come to hold. */
uint64_t load_clients_memory(const struct load_mail *mail, const struct load_script *script,
                             uint64_t count);

/* Messages may start from now on. */
void load_clients_begin(struct load_clients *clients, const struct load_plan *plan);

/* No message starts any more; sessions end when they have nothing in flight. */
void load_clients_stop(struct load_clients *clients);

/* What is still in flight is given up: unfinished. */
void load_clients_cut(struct load_clients *clients);

/* Opens connections up to the bound, fires timers, tells some clients of a begin or a stop. */
void load_clients_advance(struct load_clients *clients);

/* One completion of the ring; its buffer is given back. */
void load_clients_complete(struct load_clients *clients, const struct ring_completion *completion);

static inline bool load_clients_are_done(const struct load_clients *clients)
{
    return clients->done == clients->count;
}
