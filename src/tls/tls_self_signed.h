/*
 * tls_self_signed -- a key and a certificate that it signed itself, made in memory.
 *
 * Owns:       nothing: the caller frees both.
 */
#pragma once

#include <stdint.h>

struct evp_pkey_st;
struct x509_st;

/* On P-256; NULL: OpenSSL's errors say why. */
struct evp_pkey_st *tls_self_signed_key(void);

/*
 * For a server of that name or address, valid from an hour before `now_s` for 90 days. NULL:
 * OpenSSL's errors say why.
 */
struct x509_st *tls_self_signed_certificate(struct evp_pkey_st *key, const char *host_name,
                                            int64_t now_s);
