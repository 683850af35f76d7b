/* tls_credentials_inside -- what the files of this folder know of a certificate chain and its key.
 */
#pragma once

#include <stdint.h>

#define TLS_CHAIN_MAX 32

struct evp_pkey_st;
struct x509_st;

struct tls_credentials {
    struct evp_pkey_st *key;
    struct x509_st *certificate;
    struct x509_st *chain[TLS_CHAIN_MAX]; /* the issuers, in the file's order */
    uint32_t chain_count;
};
