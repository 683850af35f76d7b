/*
 * Any octets as a client's ciphertext: each event is one that may be, no handshake comes to its
 * end, what is to be said fits, and what OpenSSL took comes back.
 *
 * The first octet chooses how the rest is cut.
 */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_tls_end.h"

#include "tls/tls_memory.h"

#include <stdlib.h>

#define SLACK 65536u /* of OpenSSL's memory: what the first of all inputs makes it keep */

static void feed(struct fuzz_tls_end *server, struct bytes octets)
{
    uint8_t *copy = malloc(octets.size > 0 ? octets.size : 1);
    CHECK(copy != NULL);
    memcpy(copy, octets.data, octets.size);
    struct bytes ciphertext = bytes_make(copy, octets.size);
    fuzz_tls_take(server, &ciphertext);
    uint64_t sendable = tls_stream_sendable(server->stream).size;
    if (sendable > 0) tls_stream_sent(server->stream, (uint32_t)sendable);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_tls_end server;
    struct bytes octets = bytes_make(data, size);
    if (size == 0) return 0;
    fuzz_tls_begin();
    uint64_t before = tls_memory_used();
    uint64_t piece = *bytes_take(&octets, 1).data;
    if (piece == 0) piece = size;
    fuzz_tls_open_server(&server, false);
    while (octets.size > 0 && server.last != TLS_FAILED)
        feed(&server, bytes_take(&octets, piece < octets.size ? piece : octets.size));
    CHECK(!tls_stream_is_established(server.stream));
    fuzz_tls_close(&server);
    CHECK(tls_memory_used() < before + SLACK);
    return 0;
}
