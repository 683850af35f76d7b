/*
 * fuzz_tls_end -- one end of a connection, held to the contract of tls_stream at each step.
 *
 * Owns:       its stream. The contexts are made once, with the same random octets in each input.
 */
#pragma once

#include "base/bytes.h"
#include "tls/tls_stream.h"

#include <stdbool.h>
#include <stdint.h>

struct fuzz_tls_end {
    struct tls_stream *stream;
    enum tls_event last;
    uint8_t pattern;   /* which octets it writes; the other end's is expected */
    uint64_t written;  /* octets of plaintext */
    uint64_t received; /* octets of plaintext, each of which is the other's pattern */
    bool has_said_end;
};

/* The first call makes what all inputs share; from each call on random octets are the same. */
void fuzz_tls_begin(void);

void fuzz_tls_open_server(struct fuzz_tls_end *end, bool is_old);
void fuzz_tls_open_client(struct fuzz_tls_end *end, bool is_old);
void fuzz_tls_close(struct fuzz_tls_end *end);

/* Steps until it waits, ends or fails. */
void fuzz_tls_take(struct fuzz_tls_end *end, struct bytes *ciphertext);

/* Writes what there is room for of `size` octets more of its pattern, if that may be. */
void fuzz_tls_write(struct fuzz_tls_end *end, uint64_t size);
void fuzz_tls_end(struct fuzz_tls_end *end);
