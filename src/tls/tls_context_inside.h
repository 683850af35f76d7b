/* tls_context_inside -- what the files of this folder know of a context. */
#pragma once

#include "base/blocks.h"

#include <stdbool.h>

#define TLS_SERVER_NAME_MAX 256u

struct bio_method_st;
struct ssl_ctx_st;
struct ssl_session_st;

struct tls_context {
    struct ssl_ctx_st *library;
    struct bio_method_st *wire_method;
    struct ssl_session_st *newest_session; /* of a client that resumes; or NULL */
    struct blocks streams;
    struct blocks plaintext;
    struct blocks ciphertext;
    char server_name[TLS_SERVER_NAME_MAX]; /* what is sent as SNI; or "" */
    bool is_client;
};
