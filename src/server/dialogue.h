/*
 * dialogue -- steps a connection's session with what was received, decrypted first where there is a
 * channel, and does what it asks for: of the spool, of the outbox, of TLS.
 *
 * Errors:     none: what ends the dialogue begins the connection's closing.
 * Invariants: no input is taken while replies have no room.
 * Thread:     one worker's.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

struct connection;
struct connection_shared;

/* What it stopped for. */
enum dialogue_stop {
    DIALOGUE_USED_UP,    /* all input                                              */
    DIALOGUE_NO_ROOM,    /* replies must leave first                               */
    DIALOGUE_NO_SEGMENT, /* the spool needs one; a slice of the input may wait for it */
    DIALOGUE_ENDED,      /* the connection is closing                              */
};

/* Writes the greeting. */
void dialogue_greet(struct connection_shared *shared, struct connection *connection);

/* Goes on with `input`, which shrinks by what was taken, and may be empty. */
MUST_USE enum dialogue_stop dialogue_advance(struct connection_shared *shared,
                                             struct connection *connection, struct bytes *input);

/* The peer said all it will: what it began is dropped, what it is owed is sent. */
void dialogue_end_of_input(struct connection_shared *shared, struct connection *connection);

/* A request begins now. */
void dialogue_begin_request(struct connection_shared *shared, struct connection *connection);

/* Gives an empty stash back. */
void dialogue_reclaim_stash(struct connection_shared *shared, struct connection *connection);

/* ---- TLS ---- */

/* The client wants to shake hands from now on. */
void dialogue_begin_handshake(struct connection_shared *shared, struct connection *connection);

/* It is over, or not to be: the client may be silent as long as any other. */
void dialogue_end_handshake(struct connection_shared *shared, struct connection *connection);

/* STARTTLS: its turn has come, the 220 is the last that leaves unencrypted (RFC 3207 4). */
void dialogue_promise_tls(struct connection_shared *shared, struct connection *connection);
void dialogue_forget_channel(struct connection_shared *shared, struct connection *connection);

/* Its stream failed: the alert leaves, then the connection is closed. */
void dialogue_channel_failed(struct connection_shared *shared, struct connection *connection);
