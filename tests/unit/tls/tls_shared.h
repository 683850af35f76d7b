/*
 * tls_shared -- what the tests of a program share: OpenSSL's memory watched, credentials and ticket
 * keys made once.
 */
#pragma once

#include "tls/tls_context.h"
#include "tls/tls_credentials.h"

#define TLS_SHARED_NAME "sink.test"

/* For cmocka's group. */
int tls_shared_set_up(void **state);
int tls_shared_tear_down(void **state);

/* The same, but OpenSSL's memory is not watched. */
void tls_shared_make(void);

/* Seconds since 1970. */
int64_t tls_shared_now_s(void);

const struct tls_credentials *tls_shared_credentials(void);

/* With the shared credentials and keys; a client of TLS_SHARED_NAME that verifies nothing. */
struct tls_server_options tls_shared_server(void);
struct tls_client_options tls_shared_client(void);
