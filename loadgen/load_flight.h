/*
 * load_flight -- a client's messages: begun, ended with one outcome, or taken back.
 *
 * Invariants: a message that was begun ends once, in the tally and in the ledger, or is taken back
 *             and begins again.
 */
#pragma once

#include "loadgen/load_clients.h"

/* Where what concerns a client's oldest message is counted: warm-up is kept apart. */
static inline struct load_tally *load_flight_tally(struct load_clients *clients,
                                                   const struct load_client *client)
{
    bool is_warm = client->flight_count > 0 && load_client_flight(client, 0)->is_warm;
    return is_warm ? &clients->warmup : &clients->tally;
}

/* Whether this client may begin a message now: plan, time, and messages a connection. */
bool load_flight_may_start(const struct load_clients *clients, const struct load_client *client);

/* Begins a message behind those in flight; what was taken back comes first. */
struct load_flight *load_flight_start(struct load_clients *clients, struct load_client *client);

/* Whether the server may hold content of a message in flight that it has not begun to answer. */
static inline bool load_flight_has_content(const struct load_client *client)
{
    return client->session.mode == LOAD_PIPELINING_BDAT && client->flight_count > 0;
}

/* The oldest message has its outcome; the next one, if any, becomes the oldest. */
void load_flight_end(struct load_clients *clients, struct load_client *client,
                     enum load_outcome outcome);

/* --session: the message that the oldest flight brought has its verdict; the session goes on. */
void load_flight_judge(struct load_clients *clients, struct load_client *client, bool is_kept);

/* Messages that were taken back will not begin again: they are unfinished (open loop). */
void load_flight_forget(struct load_clients *clients, struct load_client *client);

/* A message that was due will never begin (open loop). */
void load_flight_miss(struct load_clients *clients, uint64_t due_ns);

/*
 * The session is over: the oldest message ends as `outcome` or, not to blame, is taken back. Those
 * behind it are taken back, unless their content may have reached the server (BDAT): then they end
 * with it.
 */
void load_flight_drop(struct load_clients *clients, struct load_client *client,
                      enum load_outcome outcome, bool is_blamed);
