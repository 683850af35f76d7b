/*
 * transport -- a connection's socket: what is in flight on it, and what leaves by it, encrypted
 * first where there is a channel.
 *
 * Invariants: at most one send and one receive are in flight.
 * Thread:     one worker's.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "ring/ring_token.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct connection_shared;

/* When the batch is over it is looked at: for what may leave, or for a step of its end. */
void transport_flush_later(struct connection_shared *shared, struct connection *connection);

/* Arms the multishot receive; `poll_first` when the socket is known to be empty. */
void transport_receive(struct connection_shared *shared, struct connection *connection,
                       bool poll_first);

/* Cancels it, if it is armed; its last completion is still to come. */
void transport_stop_receiving(struct connection_shared *shared, struct connection *connection);

/* Sends what may leave. False: there is nothing. None may be in flight. */
MUST_USE bool transport_send(struct connection_shared *shared, struct connection *connection);

/* So much of it was sent. False: there is more of what could leave when it was begun. */
MUST_USE bool transport_sent(struct connection *connection, uint32_t size);

void transport_cancel_send(struct connection_shared *shared, struct connection *connection);
void transport_close(struct connection_shared *shared, struct connection *connection);

/* Who is at the other end, as text; empty if that can't be told any more. */
struct bytes transport_peer(struct connection *connection);
