/*
 * tls_pair -- a client's and a server's stream back to back in memory.
 *
 * Owns:       both contexts, both streams, and what each has sent and the other not taken.
 */
#pragma once

#include "base/bytes.h"
#include "tls/tls_context.h"
#include "tls/tls_stream.h"

#define TLS_FLIGHT_MAX  1048576u
#define TLS_ALL_AT_ONCE UINT64_MAX

/* Octets on their way in one direction. */
struct tls_flight {
    uint8_t octets[TLS_FLIGHT_MAX]; /* all that ever went this way */
    uint64_t taken_end;
    uint64_t sent_end;
    uint64_t cut_at; /* no step takes octets from both sides of it; 0: none */
};

/* One end, and what it was told. */
struct tls_end {
    struct tls_stream *stream;
    struct tls_flight incoming;
    uint8_t received[TLS_FLIGHT_MAX];
    uint64_t received_size;
    enum tls_event last;
    uint32_t established_count;
    uint32_t flush_count;
};

struct tls_pair {
    struct tls_context *server_context;
    struct tls_context *client_context;
    struct tls_end server;
    struct tls_end client;
};

/* Opens both contexts and a stream of each; contexts that are there already are kept. */
void tls_pair_open(struct tls_pair *pair, const struct tls_server_options *server,
                   const struct tls_client_options *client);
void tls_pair_open_streams(struct tls_pair *pair);

/* The client offers nothing beyond this, as TLS1_2_VERSION. */
void tls_pair_limit_version(struct tls_pair *pair, int version);

void tls_pair_close_streams(struct tls_pair *pair);
void tls_pair_close(struct tls_pair *pair);

/* At most `size` octets of what `from` has to send go on their way. */
void tls_pair_send(struct tls_end *from, struct tls_end *to, uint64_t size);

/* Steps an end over at most `size` octets that wait for it, until it wants more or fails. */
void tls_pair_take(struct tls_end *end, uint64_t size);

/* Sends all and takes `size` octets at a time, until neither side has anything to say. */
void tls_pair_run(struct tls_pair *pair, uint64_t size);

/* Writes all of it, sending as often as needed; `from` must not fail. */
void tls_pair_say(struct tls_end *from, struct tls_end *to, struct bytes plaintext);

/* Exactly these octets came out at that end so far. */
bool tls_pair_has_received(const struct tls_end *end, struct bytes octets);
