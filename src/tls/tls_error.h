/* tls_error -- the sentence in which opening something tells why it can't. */
#pragma once

#include <stdbool.h>

/* Into `error` (TLS_ERROR_MAX octets). False, for `return tls_error_put(...)`. */
__attribute__((format(printf, 2, 3))) bool tls_error_put(char *error, const char *format, ...);

/* What OpenSSL says of its latest error: static memory. */
const char *tls_error_reason(void);

/* The errno of the system's call that OpenSSL's errors, all of them, began with; 0: none. */
int tls_error_system(void);
