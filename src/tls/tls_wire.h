/*
 * tls_wire -- the ciphertext of one stream: what OpenSSL reads and writes instead of a socket.
 *
 * Owns:       a block of ciphertext while some of it is to be sent.
 * Borrows:    the block's pool; the caller's ciphertext, during a step.
 * Errors:     none: what does not fit, or is not there yet, OpenSSL is told to ask for again.
 * Bounds:     one block. Octets are read only while TLS_WIRE_ANSWER_MAX of it are free, so that
 *             what OpenSSL answers by itself (an alert, a KeyUpdate) is never cut.
 * Invariants: (1) 0 <= sent_end <= written_end <= block size. (2) What was written stays where it
 *             is until all of it was sent; then the block goes back to its pool.
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_WIRE_ANSWER_MAX 128u

struct bio_st;
struct bio_method_st;

struct tls_wire {
    struct bytes *input; /* lent for a step; NULL outside of one */
    struct blocks *pool;
    uint8_t *block; /* NULL while nothing is to be sent */
    uint32_t sent_end;
    uint32_t written_end;
    bool lacked_room; /* OpenSSL was put off for want of room in the block */
};

/* One for all wires of a context; NULL: no memory. */
struct bio_method_st *tls_wire_method_open(void);
void tls_wire_method_close(struct bio_method_st *method);

/* What OpenSSL calls a BIO, over `wire`, which stays where it is; NULL: no memory. */
struct bio_st *tls_wire_bio_open(const struct bio_method_st *method, struct tls_wire *wire);

void tls_wire_init(struct tls_wire *wire, struct blocks *pool);
void tls_wire_close(struct tls_wire *wire);

/* Octets that may still be written. */
uint32_t tls_wire_room(const struct tls_wire *wire);

/* What was written and not sent. */
struct bytes tls_wire_sendable(const struct tls_wire *wire);
void tls_wire_sent(struct tls_wire *wire, uint32_t size);
