/*
 * load_parting -- how a client's connection ends: by QUIT, FIN or RST, and what TLS says last.
 *
 * Bounds:     LOAD_GOODBYE_NS for the reply to QUIT, for the server's FIN, and for what is still to
 *             leave.
 * Invariants: the socket is closed only when none of its operations is in flight.
 */
#pragma once

#include "base/clock.h"
#include "loadgen/load_clients.h"

#include <stdint.h>

#define LOAD_GOODBYE_NS (2 * CLOCK_NS_PER_S)

/* How a connection is left. */
enum load_parting {
    LOAD_PARTING_AT_ONCE, /* both directions are shut, which ends what is in flight        */
    LOAD_PARTING_TOLD,    /* the same, once TLS has said its last                          */
    LOAD_PARTING_LAST,    /* the server closes first, which leaves it the TIME_WAIT, too   */
    LOAD_PARTING_RESET,   /* what is in flight was cancelled                               */
};

/* Nothing more is said on this connection, but by TLS. */
void load_parting_leave(struct load_clients *clients, struct load_client *client,
                        enum load_parting parting);

/* The session is over. Behind a QUIT the server closes (RFC 5321 4.1.1.10). */
void load_parting_end(struct load_clients *clients, struct load_client *client, bool said_goodbye);

/* RST. */
void load_parting_reset(struct load_clients *clients, struct load_client *client);

/* The session has nothing more to do. */
void load_parting_quit(struct load_clients *clients, struct load_client *client);

/* A send has completed on a connection that is being left. */
void load_parting_take_send(struct load_clients *clients, struct load_client *client,
                            int32_t result);

/* Closes the socket of a connection that is being left, if nothing of it is in flight. */
void load_parting_close(struct load_clients *clients, struct load_client *client);
