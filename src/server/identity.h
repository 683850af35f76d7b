/*
 * identity -- what this server is to TLS clients: certificate, key, the keys of its tickets.
 *
 * Errors:     what can't be used ends the program with exit status 2 and what to do about it.
 * Thread:     main, before the workers start; they only read it.
 */
#pragma once

#include "base/check.h"
#include "server/config.h"
#include "tls/tls_context.h"
#include "tls/tls_credentials.h"

#include <stdint.h>

struct identity {
    struct tls_credentials *credentials; /* NULL: no TLS */
    uint8_t ticket_keys[TLS_TICKET_KEYS_SIZE];
};

/* Loads or makes it, if TLS is asked for; what OpenSSL takes is counted and bounded from here on.
 */
void identity_open(struct identity *identity, const struct config *config);
void identity_close(struct identity *identity);

/* Bytes that OpenSSL may hold. */
uint64_t identity_memory(const struct config *config);

/* One line for the banner: library, fingerprint, where the certificate comes from. */
void identity_print(const struct identity *identity, const struct config *config);
