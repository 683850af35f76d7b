/*
 * load_flight -- a client's messages: begun, ended with one outcome, or taken back.
 *
 * Invariants: a message that was begun ends once, in the tally and in the ledger, or is taken back
 *             and begins again.
 */
#pragma once

#include "loadgen/load_clients.h"

/* Where what concerns a client's current message is counted: warm-up is kept apart. */
static inline struct load_tally *load_flight_tally(struct load_clients *clients,
                                                   const struct load_client *client)
{
    return client->has_current && client->current.is_warm ? &clients->warmup : &clients->tally;
}

/* Whether this client may begin a message now: plan, time, and messages a connection. */
bool load_flight_may_start(const struct load_clients *clients, const struct load_client *client);

/* Begins a message, the one that was taken back first, in `flight`: current or next. */
void load_flight_start(struct load_clients *clients, struct load_client *client,
                       struct load_flight *flight);

/* The current message has its outcome; the next one of stream, if any, becomes current. */
void load_flight_end(struct load_clients *clients, struct load_client *client,
                     enum load_outcome outcome);

/* A message that was taken back will not begin again: it is unfinished (open loop). */
void load_flight_forget(struct load_clients *clients, struct load_client *client);

/* A message that was due will never begin (open loop). */
void load_flight_miss(struct load_clients *clients, uint64_t due_ns);

/* The session is over: the current message ends as `outcome` or, not to blame, is taken back. */
void load_flight_drop(struct load_clients *clients, struct load_client *client,
                      enum load_outcome outcome, bool is_blamed);
