/*
 * load_clients -- the clients of one worker and what they share.
 *
 * Owns:       clients, send blocks, timers, tally; all memory is taken at open.
 * Borrows:    ring, TLS context, mail, script, config, ledger: the worker's or the run's.
 * Bounds:     connects and TLS handshakes in progress <= connecting_max.
 * Invariants: a message that started has exactly one outcome at the end, or was taken back.
 */
#pragma once

#include "base/blocks.h"
#include "base/random.h"
#include "loadgen/load_backlog.h"
#include "loadgen/load_client.h"
#include "loadgen/load_ledger.h"
#include "loadgen/load_plan.h"
#include "loadgen/load_samples.h"
#include "loadgen/load_schedule.h"
#include "loadgen/load_slices.h"
#include "loadgen/load_tally.h"

struct load_config;
struct load_mail;
struct tls_context;

#define LOAD_BANNER_KEPT 200u
#define LOAD_EHLO_KEPT   24u

struct load_clients {
    struct ring *ring;
    const struct load_config *config;
    const struct load_mail *mail;
    const struct load_script *script;
    struct tls_context *tls; /* or NULL */
    struct load_share share;
    struct load_tally tally;
    struct load_tally warmup;      /* of messages due before measure_ns */
    struct load_schedule schedule; /* open loop */
    struct load_slices slices;     /* the same second by second */
    struct load_backlog backlog;   /* open loop */
    struct queue idle;             /* open loop: sessions that wait for a message */
    struct load_ledger_buffer ledger;
    struct load_samples_buffer samples;
    uint16_t worker; /* its index */
    struct load_client *clients;
    struct load_flight *flights; /* flights_each a client */
    uint32_t flights_each;       /* a power of two        */
    uint32_t count;
    struct blocks blocks;
    struct wheel wheel;
    struct random random; /* spreads the pauses */
    struct queue to_connect;
    uint32_t connecting;
    uint32_t connecting_max;
    uint32_t first_connects; /* connections that were opened for the first time */
    uint64_t opened_ns;      /* when the first of them might be */
    uint32_t address_index;  /* of config->addresses: the one that answers */
    uint64_t source_next;    /* of config->sources */
    uint32_t sweep_next;     /* clients from here on are still to be told of a change */
    uint32_t up;             /* sessions that are ready */
    uint32_t down;
    uint32_t settled;
    uint32_t done;
    uint32_t kept_count;   /* messages that were taken back and are to start again */
    uint32_t in_flight;    /* messages */
    bool is_open;          /* messages start when they are due, else as soon as they can */
    bool has_begun;        /* messages may start */
    bool is_schedule_over; /* open loop: the idle were told that nothing will be due any more */
    bool is_copied;        /* a message is sent from one block, not gathered */
    uint64_t begin_ns;
    uint64_t measure_ns; /* begin of -d, behind the warm-up */
    uint64_t end_ns;     /* end of -d, or UINT64_MAX */
    uint64_t in_flight_since_ns;
    uint64_t in_flight_area_ns; /* messages in flight, summed over time */
    uint64_t spent_ns;          /* the same, as the messages' own times add up */
    uint64_t now_ns;
    uint64_t entered_ns;           /* just before the enter whose completions are looked at */
    int64_t clock_ns;              /* CLOCK_REALTIME minus CLOCK_MONOTONIC, for the ledger */
    uint64_t clock_read_ns;        /* when that was read; 0: not yet */
    int gave_up;                   /* errno of why no connection can be had, or 0 */
    char banner[LOAD_BANNER_KEPT]; /* of the first session, escaped */
    char ehlo[LOAD_EHLO_KEPT][LOAD_REPLY_TEXT_MAX + 1];
    uint32_t ehlo_count;
    bool has_ehlo;
};

/* Set by the caller before: ring, tls, config, mail, script, share, ledger, now_ns. 0 or -errno. */
MUST_USE int load_clients_open(struct load_clients *clients, uint32_t connecting_max);
/* The ring is closed: what the clients still hold is given back. */
void load_clients_close(struct load_clients *clients);

/* Bytes of memory that so many clients may come to hold. */
uint64_t load_clients_memory(const struct load_config *config, const struct load_mail *mail,
                             const struct load_script *script, uint64_t count);

/* When something has to happen on this client; LOAD_NEVER: nothing. */
void load_clients_set_deadline(struct load_clients *clients, struct load_client *client,
                               uint64_t due_ns);

/* Messages may start from now on. */
void load_clients_begin(struct load_clients *clients, const struct load_plan *plan);

/* Messages that have become due get a session each, or wait for one. Call often. */
void load_clients_arrive(struct load_clients *clients);

/* Open loop: an idle client waits for a message to become due; false if none will. */
bool load_clients_await_due(struct load_clients *clients, struct load_client *client);

/* When the next message is due, or UINT64_MAX. */
uint64_t load_clients_next_due(const struct load_clients *clients);

/* --ramp: when the next connection may be opened for the first time; UINT64_MAX: all were. */
uint64_t load_clients_next_connect(const struct load_clients *clients);

/* No message starts any more; sessions end when they have nothing in flight. */
void load_clients_stop(struct load_clients *clients);

/* The same, and what is due and has not started yet never will. */
void load_clients_abort(struct load_clients *clients);

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

/* Whether this is the measured time: neither warm-up nor drain. */
static inline bool load_clients_are_measured(const struct load_clients *clients)
{
    return clients->has_begun && clients->now_ns >= clients->measure_ns &&
           clients->now_ns < clients->end_ns;
}

/* It is connected, inside TLS if that is wanted, or gave up: the next one may connect. */
static inline void load_clients_give_place(struct load_clients *clients, struct load_client *client)
{
    if (client->has_place) clients->connecting--;
    client->has_place = false;
}

/* Time since `earlier_ns`; none if the clock was read later than that batch's. */
static inline uint64_t load_clients_since(const struct load_clients *clients, uint64_t earlier_ns)
{
    return clients->now_ns > earlier_ns ? clients->now_ns - earlier_ns : 0;
}

static inline bool load_clients_want_connection(const struct load_clients *clients)
{
    /* The schedule is over a moment before its time is: nobody connects again for that. */
    bool is_over = clients->is_open && clients->is_schedule_over;
    if (!clients->has_begun) return true;
    if (!is_over && load_share_may_start(&clients->share, clients->now_ns)) return true;
    return clients->is_open && (clients->backlog.count > 0 || clients->kept_count > 0);
}
