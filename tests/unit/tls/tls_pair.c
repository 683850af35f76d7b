#include "unit/tls/tls_pair.h"

#include <stdio.h>
#include <stdlib.h>

void tls_pair_open(struct tls_pair *pair, const struct tls_server_options *server,
                   const struct tls_client_options *client)
{
    char error[TLS_ERROR_MAX] = "";
    memset(pair, 0, sizeof *pair);
    pair->server_context = tls_context_open_server(server, error);
    if (pair->server_context != NULL) pair->client_context = tls_context_open_client(client, error);
    if (error[0] != '\0') (void)fprintf(stderr, "%s\n", error);
    CHECK(pair->client_context != NULL);
    pair->server.stream = tls_stream_open(pair->server_context);
    pair->client.stream = tls_stream_open(pair->client_context);
    CHECK(pair->server.stream != NULL);
    CHECK(pair->client.stream != NULL);
}

void tls_pair_close(struct tls_pair *pair)
{
    tls_stream_close(pair->server.stream);
    tls_stream_close(pair->client.stream);
    tls_context_close(pair->server_context);
    tls_context_close(pair->client_context);
}

void tls_pair_send(struct tls_end *from, struct tls_end *to)
{
    struct bytes octets = tls_stream_sendable(from->stream);
    struct tls_flight *flight = &to->incoming;
    if (octets.size == 0) return;
    CHECK(octets.size <= TLS_FLIGHT_MAX - flight->sent_end);
    memcpy(flight->octets + flight->sent_end, octets.data, octets.size);
    flight->sent_end += octets.size;
    flight->total += octets.size;
    tls_stream_sent(from->stream, (uint32_t)octets.size);
}

static void receive(struct tls_end *end)
{
    struct bytes *plaintext = tls_stream_plaintext(end->stream);
    CHECK(plaintext->size > 0);
    CHECK(plaintext->size <= TLS_FLIGHT_MAX - end->received_size);
    memcpy(end->received + end->received_size, plaintext->data, plaintext->size);
    end->received_size += plaintext->size;
    (void)bytes_take(plaintext, plaintext->size);
}

void tls_pair_take(struct tls_end *end, uint64_t size)
{
    struct tls_flight *flight = &end->incoming;
    uint64_t waiting = flight->sent_end - flight->taken_end;
    /* Of its own memory, so that a sanitizer sees who reads too far. */
    uint64_t offered = size < waiting ? size : waiting;
    uint8_t *copy = malloc(offered);
    struct bytes ciphertext = bytes_make(copy, offered);
    CHECK(offered == 0 || copy != NULL);
    if (offered > 0) memcpy(copy, flight->octets + flight->taken_end, offered);
    do {
        end->last = tls_stream_step(end->stream, &ciphertext);
        if (end->last == TLS_ESTABLISHED) end->established_count++;
        if (end->last == TLS_PLAINTEXT) receive(end);
    } while (end->last == TLS_ESTABLISHED || end->last == TLS_PLAINTEXT);
    CHECK(end->last != TLS_WANT_INPUT || ciphertext.size == 0);
    flight->taken_end += offered - ciphertext.size;
    if (flight->taken_end == flight->sent_end) flight->taken_end = flight->sent_end = 0;
    free(copy);
}

static bool takes_more(const struct tls_end *end)
{
    return end->last != TLS_ENDED && end->last != TLS_FAILED &&
           end->incoming.taken_end < end->incoming.sent_end;
}

void tls_pair_run(struct tls_pair *pair, uint64_t size)
{
    do {
        tls_pair_take(&pair->client, size);
        tls_pair_send(&pair->client, &pair->server);
        tls_pair_take(&pair->server, size);
        tls_pair_send(&pair->server, &pair->client);
    } while (takes_more(&pair->client) || takes_more(&pair->server) ||
             tls_stream_sendable(pair->client.stream).size > 0);
}
