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

#define TLS_PLAINTEXT_SIZE   16384u
#define TLS_ERROR_MAX        256u
#define TLS_TICKET_KEYS_SIZE 80u

struct tls_context;

struct tls_server_options {
    const struct tls_credentials *credentials;
    const uint8_t *ticket_keys; /* TLS_TICKET_KEYS_SIZE random octets, the same for all contexts */
    uint32_t streams;
};

struct tls_client_options {
    const char
        *server_name;    /* sent as SNI and compared by `verifies`; NULL: an address, not sent */
    const char *ca_file; /* NULL: the system's                                                  */
    uint32_t streams;
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

/* Bytes that the pools of so many streams may come to use; what OpenSSL takes is not in it. */
uint64_t tls_context_memory(uint32_t streams);

/* "OpenSSL 3.0.17": static memory. */
const char *tls_library_version(void);
