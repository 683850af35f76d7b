/*
 * tls_raw -- a client that is OpenSSL alone, for what our own client never does; and a server's
 * stream that it speaks with.
 *
 * Owns:       its library context and object, the server's context and stream.
 */
#pragma once

#include "base/bytes.h"
#include "tls/tls_context.h"
#include "tls/tls_stream.h"

#include <openssl/ssl.h>

#define TLS_RAW_MAX 1048576u

struct tls_raw {
    SSL_CTX *library;
    SSL *ssl;
    BIO *incoming; /* what the server has sent */
    BIO *outgoing; /* what the client has sent */
    struct tls_context *server_context;
    struct tls_stream *server;
    enum tls_event last; /* of the server's steps */
    uint8_t received[TLS_RAW_MAX];
    uint64_t received_size;
    uint8_t record[20000];
};

/* A client of at most that version; it knows what is broken, too. */
void tls_raw_open(struct tls_raw *raw, const struct tls_server_options *server, int version);
void tls_raw_close(struct tls_raw *raw);

/* The server takes these octets, until it wants more, wants to flush, or fails. */
void tls_raw_feed(struct tls_raw *raw, struct bytes octets);

/* The server takes what the client has sent: the last event, and how much was not taken. */
uint64_t tls_raw_deliver(struct tls_raw *raw);

/* The client gets what the server has to send. */
void tls_raw_reply(struct tls_raw *raw);

/* Lets both speak until the client's handshake ends; true: well, and the server's too. */
bool tls_raw_handshake(struct tls_raw *raw);

/* The client's next record, with these octets in it; of memory that the next one takes. */
struct bytes tls_raw_record(struct tls_raw *raw, struct bytes plaintext);
