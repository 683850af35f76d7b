/*
 * tls_files -- certificates and keys in files of a folder of their own, for what reads them.
 *
 * Owns:       the folder, until tls_files_close().
 */
#pragma once

#include <sys/stat.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define TLS_PATH_MAX 128

/* Makes the folder; there is one at a time. */
void tls_files_open(void);
void tls_files_close(void);

/* Where a file of that name is or would be: static memory, overwritten after four more calls. */
const char *tls_files_path(const char *name);

/* Appends, or begins a file that only we may read. */
void tls_files_put_text(const char *name, const char *text);
void tls_files_put_certificate(const char *name, X509 *certificate);
void tls_files_put_key(const char *name, EVP_PKEY *key, const char *password);
void tls_files_set_mode(const char *name, mode_t mode);

/* A certificate that `issuer` signs, or for NULL that signs itself; `may_sign` others. */
X509 *tls_files_make(const char *common_name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                     int may_sign);
