/*
 * load_standing -- how a client stands: ready, down, or not settled yet; and when a worker gives
 * up.
 *
 * Owns:       the counts `settled`, `up`, `down` and `gave_up` of a worker's clients.
 * Invariants: a client is settled once, counted down at most once at a time.
 */
#pragma once

#include "loadgen/load_clients.h"

/* It was ready, or failed as often as it may, for the first time. */
void load_standing_settle(struct load_clients *clients, struct load_client *client);

/* A failure: the next connect waits, and the population lacks one. */
void load_standing_mark_down(struct load_clients *clients, struct load_client *client);

/* Its session is greeted. */
void load_standing_mark_ready(struct load_clients *clients, struct load_client *client);

/* How long it waits until it connects again, behind failures in a row. */
uint64_t load_standing_pause_ns(struct load_clients *clients, const struct load_client *client);

/* No connection can be had, because of errno `number`. */
void load_standing_give_up(struct load_clients *clients, int number);

/* Before anything ever answered, a failed connect moves on to the target's next address, or ends
 * the run. */
void load_standing_judge_connect(struct load_clients *clients, const struct load_client *client,
                                 int number);

/* A failure of TLS ends the run, unless a session was ever ready. */
void load_standing_judge_tls(struct load_clients *clients, const struct load_client *client);
