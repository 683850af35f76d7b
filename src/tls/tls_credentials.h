/*
 * tls_credentials -- a server's certificate chain and key: from files, or made in memory.
 *
 * Owns:       both, until tls_credentials_close().
 * Errors:     NULL, with a sentence in `error` that names file, cause and remedy.
 * Thread:     made by one, read by all.
 */
#pragma once

#include "base/check.h"

#include <stdint.h>

#define TLS_FINGERPRINT_MAX 96u /* SHA-256: 32 pairs of hexadecimal digits with colons, and 0 */

struct tls_credentials;

/*
 * Reads a PEM chain and its key. The key file must belong to us or root and nobody else may read
 * it (0600 or less); key and certificate must belong together. `error`: TLS_ERROR_MAX octets.
 */
struct tls_credentials *tls_credentials_load(const char *certificate_file, const char *key_file,
                                             char *error);

/*
 * A P-256 key and a certificate for `host_name` that it signed itself, valid from an hour before
 * `now_s` (seconds since 1970) for 90 days. No file is written.
 */
struct tls_credentials *tls_credentials_make(const char *host_name, int64_t now_s, char *error);
void tls_credentials_close(struct tls_credentials *credentials);

/*
 * Why at `now_s` clients that verify refuse the certificate, whatever they trust: "has expired",
 * "is not valid yet"; or NULL.
 */
const char *tls_credentials_doubt(const struct tls_credentials *credentials, int64_t now_s);

/* SHA-256 over the certificate, "AB:CD:..." */
void tls_credentials_fingerprint(const struct tls_credentials *credentials,
                                 char text[TLS_FINGERPRINT_MAX]);
