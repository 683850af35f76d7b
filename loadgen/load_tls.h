/*
 * load_tls -- a client's TLS, between its session and the ring.
 *
 * What came goes through the stream before it is read as replies. What a session sends is encrypted
 * by load_send; what the stream says by itself leaves when nothing else is being sent.
 *
 * Owns:       the client's stream, from the beginning of the handshake until its socket is closed.
 * Borrows:    the worker's context.
 * Errors:     TLS_FAILED, and the text of load_tls_failure().
 * Bounds:     one stream a client; still one send in flight.
 */
#pragma once

#include "loadgen/load_clients.h"
#include "tls/tls_stream.h"

/* The handshake begins: ClientHello is on its way. False: no memory for a stream. */
MUST_USE bool load_tls_begin(struct load_clients *clients, struct load_client *client);

/* One step of the stream over what came. Where it is over, that is counted and timed. */
enum tls_event load_tls_step(struct load_clients *clients, struct load_client *client,
                             struct bytes *ciphertext);

/* Sends what the stream has to say, if nothing is being sent. */
void load_tls_flush(struct load_clients *clients, struct load_client *client);

/* The last is said: close_notify, or why the stream failed. True: it is on its way. */
bool load_tls_end(struct load_clients *clients, struct load_client *client);

/* FIN or RST came: without close_notify in front of it, that is noted. */
void load_tls_note_end(struct load_clients *clients, struct load_client *client);

/* Why TLS failed: a few words, static memory. */
const char *load_tls_failure(const struct load_client *client);

/* Gives the stream back, if there is one; no send of it is in flight. */
void load_tls_release(struct load_client *client);

/* Octets of ciphertext that a client may have on its way at once. */
uint32_t load_tls_block_size(const struct load_mail *mail);

/* Bytes that the streams of so many clients may come to use; OpenSSL takes more, which it counts.
 */
uint64_t load_tls_memory(const struct load_config *config, const struct load_mail *mail,
                         uint64_t count);

/* The context of a worker with so many clients, or NULL: `error` (TLS_ERROR_MAX) says why. */
struct tls_context *load_tls_open(const struct load_config *config, const struct load_mail *mail,
                                  uint32_t count, char *error);
