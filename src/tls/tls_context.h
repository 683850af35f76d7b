/*
 * tls_context -- what the TLS streams of one thread share: side, certificate, tickets, pools.
 *
 * Owns:       its SSL_CTX; the pools of streams, plaintext and ciphertext blocks.
 * Borrows:    credentials and ticket keys, which all contexts of a server share.
 * Errors:     NULL, with a sentence in `error` that names cause and remedy.
 * Bounds:     `streams` streams, with a block of plaintext and of ciphertext each at most; mapped
 *             once, touched only as far as used.
 * Thread:     one.
 */
#pragma once

#include "base/check.h"
#include "tls/tls_credentials.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_PLAINTEXT_SIZE   16384u /* the most that a record holds (RFC 8446 5.1) */
#define TLS_CIPHERTEXT_SIZE  17408u /* a record, and room for what OpenSSL answers by itself */
#define TLS_ERROR_MAX        512u
#define TLS_TICKET_KEYS_SIZE 80u

struct tls_context;

struct tls_server_options {
    const struct tls_credentials *credentials;
    const uint8_t *ticket_keys; /* TLS_TICKET_KEYS_SIZE random octets, the same for all contexts */
    uint32_t streams;
    uint32_t ciphertext_size; /* of a block: 0, or a multiple of 64 from TLS_CIPHERTEXT_SIZE on */
};

struct tls_client_options {
    const char *server_name; /* compared by `verifies`, and sent as SNI unless it is an address */
    const char *ca_file;     /* NULL: the system's                                              */
    uint32_t streams;
    uint32_t ciphertext_size; /* as above: what is sent at once                                 */
    bool verifies; /* a certificate that does not hold, or not for that name, fails the stream  */
    bool resumes;  /* each stream begins with the newest ticket that any stream of this got     */
};

/* TLS 1.2 and 1.3, ciphers with authenticated encryption and forward secrecy only; NULL: `error`.
 */
struct tls_context *tls_context_open_server(const struct tls_server_options *options,
                                            char error[TLS_ERROR_MAX]);
struct tls_context *tls_context_open_client(const struct tls_client_options *options,
                                            char error[TLS_ERROR_MAX]);

/* All its streams must be closed. */
void tls_context_close(struct tls_context *context);

/* Bytes that the pools may come to use; what OpenSSL takes is not in it. Sizes as in the options.
 */
uint64_t tls_context_memory(uint32_t streams, uint32_t ciphertext_size);

/* "OpenSSL 3.0.17 1 Jul 2025": static memory. */
const char *tls_library_version(void);
