/*
 * closing -- how a connection ends: last replies leave, then close_notify, the receive is
 * cancelled, the socket closed, the slot given back.
 *
 * Invariants: (1) a connection is closed for one reason, the first.
 *             (2) The slot is given back only when no operation of it is in flight.
 * Thread:     one worker's.
 */
#pragma once

#include "server/counters.h"
#include "smtp/smtp_reply.h"

#include <stdbool.h>

struct connection;
struct connection_shared;

/* The dialogue is over. Forced: what replies are left are not sent any more. */
void closing_begin(struct connection_shared *shared, struct connection *connection,
                   enum close_reason reason, bool is_forced);

/* The server ends the dialogue: `reply`, if there still is room for it, is the last. */
void closing_dismiss(struct connection_shared *shared, struct connection *connection,
                     enum smtp_reply reply, enum close_reason reason);

/* It still waits for the disk, or was slow to close: from here on the timer guards the close. */
void closing_watch(struct connection_shared *shared, struct connection *connection);

/* One step towards the end; each waits for the completion of the one before. */
void closing_step(struct connection_shared *shared, struct connection *connection);
