/*
 * tls_failure -- why a stream failed, in a few words for a log: static memory, and no octet of the
 * peer's in them.
 */
#pragma once

#include <stdint.h>

/* Of an error code of OpenSSL's (ERR_get_error()); 0: it did not say. */
const char *tls_failure_of_error(uint64_t error);

/* Of the peer's certificate (SSL_get_verify_result()). */
const char *tls_failure_of_certificate(long verdict);
