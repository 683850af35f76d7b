/*
 * tls_stream -- one TLS connection (RFC 8446, RFC 5246) over memory: ciphertext in, views of
 * plaintext out, and back.
 *
 * Pulled like the dialogue: a step takes ciphertext and returns one event. It knows no socket and
 * reads no clock.
 *
 * Owns:       its OpenSSL object; a block of plaintext while some of it is not taken; a block of
 *             ciphertext while some of it is to be sent.
 * Borrows:    the context and its pools; ciphertext during a step.
 * Errors:     TLS_FAILED; tls_stream_failure() names it.
 * Bounds:     one block each; what OpenSSL takes is counted by tls_memory.
 * Invariants: (1) Cutting the ciphertext differently changes neither plaintext nor its end.
 *             (2) No ciphertext is taken while plaintext waits.
 *             (3) What tls_stream_sendable() returned stays where it is until it was sent.
 * Thread:     that of its context.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct tls_context;
struct tls_stream;

enum tls_event {
    TLS_WANT_INPUT,  /* all ciphertext is used                                           */
    TLS_WANT_FLUSH,  /* no room for what is to be said: send what is sendable, step again */
    TLS_ESTABLISHED, /* the handshake is over: told once, before any plaintext            */
    TLS_PLAINTEXT,   /* tls_stream_plaintext() has octets                                 */
    TLS_ENDED,       /* close_notify: the peer says no more, what follows is not taken    */
    TLS_FAILED,      /* a lie, an alert, no common version: send what is sendable, close  */
};

/* A stream of the context's side, or NULL: pool or memory bound are used up. */
struct tls_stream *tls_stream_open(struct tls_context *context);

/* Forgets everything and gives the blocks back; nothing sendable may be in flight. */
void tls_stream_close(struct tls_stream *stream);

/*
 * Takes ciphertext, which shrinks by what was taken, and returns one event. A client's first step
 * needs none. While plaintext waits it returns TLS_PLAINTEXT and takes nothing; behind TLS_ENDED or
 * TLS_FAILED it returns that again.
 */
enum tls_event tls_stream_step(struct tls_stream *stream, struct bytes *ciphertext);

/*
 * Plaintext that was not taken yet; the caller shrinks it. Its octets stay where they are until it
 * is empty and the next step comes.
 */
struct bytes *tls_stream_plaintext(struct tls_stream *stream);

/*
 * Behind TLS_ESTABLISHED, and behind TLS_ENDED too: encrypts as much of `plaintext` as there is
 * room for, and shrinks it by that. A record is not begun without room for all of it; there is
 * always room for one of TLS_PLAINTEXT_SIZE once all that was sendable is sent. False: the stream
 * has failed.
 */
MUST_USE bool tls_stream_write(struct tls_stream *stream, struct bytes *plaintext);

/*
 * Says close_notify, if there is room for it and the handshake is over; nothing may be written
 * behind that, but the peer's plaintext still comes.
 */
void tls_stream_end(struct tls_stream *stream);

/* Ciphertext to be sent, or empty; never empty behind TLS_WANT_FLUSH. */
struct bytes tls_stream_sendable(const struct tls_stream *stream);

/* The first `size` octets of that were sent. */
void tls_stream_sent(struct tls_stream *stream, uint32_t size);

bool tls_stream_is_established(const struct tls_stream *stream);
bool tls_stream_was_resumed(const struct tls_stream *stream);

/* "TLSv1.3", "TLS_AES_256_GCM_SHA384": static memory; behind TLS_ESTABLISHED. */
const char *tls_stream_version(const struct tls_stream *stream);
const char *tls_stream_cipher(const struct tls_stream *stream);

/* What failed, in a few words for a log: no octet of the peer's is in them. Static memory. */
const char *tls_stream_failure(const struct tls_stream *stream);
