/*
 * tls_memory -- counts what OpenSSL has allocated, and says when that is enough.
 *
 * TLS sessions are the one exception to "nothing allocates after start": OpenSSL takes and gives
 * memory as connections come and go. The bound is looked at when a stream is to be opened, not in
 * the middle of one.
 *
 * Thread:     all: each keeps its difference to itself until that is worth telling.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

/* Before anything else of OpenSSL is called. False: OpenSSL has allocated already. */
MUST_USE bool tls_memory_watch(void);

/* Bytes that OpenSSL holds now, in all threads, to within 64 KiB a thread. */
uint64_t tls_memory_used(void);

/* From here on tls_stream_open() fails beyond so many; 0: no bound. */
void tls_memory_set_bound(uint64_t bytes);
bool tls_memory_is_used_up(void);
