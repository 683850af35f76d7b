#include "unit/tls/tls_pair.h"

#include "tls/tls_context_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/ssl.h>

static void empty(struct tls_end *end)
{
    end->incoming.taken_end = 0;
    end->incoming.sent_end = 0;
    end->incoming.cut_at = 0;
    end->received_size = 0;
    end->last = TLS_WANT_INPUT;
    end->established_count = 0;
    end->flush_count = 0;
}

void tls_pair_open_streams(struct tls_pair *pair)
{
    empty(&pair->server);
    empty(&pair->client);
    pair->server.stream = tls_stream_open(pair->server_context);
    pair->client.stream = tls_stream_open(pair->client_context);
    CHECK(pair->server.stream != NULL);
    CHECK(pair->client.stream != NULL);
}

void tls_pair_open(struct tls_pair *pair, const struct tls_server_options *server,
                   const struct tls_client_options *client)
{
    char error[TLS_ERROR_MAX] = "";
    pair->server_context = tls_context_open_server(server, error);
    if (error[0] == '\0') pair->client_context = tls_context_open_client(client, error);
    if (error[0] != '\0') (void)fprintf(stderr, "%s\n", error);
    CHECK(error[0] == '\0');
    tls_pair_open_streams(pair);
}

void tls_pair_limit_version(struct tls_pair *pair, int version)
{
    CHECK(SSL_CTX_set_max_proto_version(pair->client_context->library, version) == 1);
    tls_pair_close_streams(pair);
    tls_pair_open_streams(pair);
}

void tls_pair_close_streams(struct tls_pair *pair)
{
    tls_stream_close(pair->server.stream);
    tls_stream_close(pair->client.stream);
}

void tls_pair_close(struct tls_pair *pair)
{
    tls_pair_close_streams(pair);
    tls_context_close(pair->server_context);
    tls_context_close(pair->client_context);
}

void tls_pair_send(struct tls_end *from, struct tls_end *to, uint64_t size)
{
    struct bytes octets = tls_stream_sendable(from->stream);
    struct tls_flight *flight = &to->incoming;
    uint64_t sent = size < octets.size ? size : octets.size;
    if (sent == 0) return;
    CHECK(sent <= TLS_FLIGHT_MAX - flight->sent_end);
    memcpy(flight->octets + flight->sent_end, octets.data, sent);
    flight->sent_end += sent;
    tls_stream_sent(from->stream, (uint32_t)sent);
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

static uint64_t offered_now(const struct tls_flight *flight, uint64_t size)
{
    uint64_t offered = flight->sent_end - flight->taken_end;
    if (size < offered) offered = size;
    bool is_ahead = flight->cut_at > flight->taken_end;
    if (is_ahead && flight->cut_at - flight->taken_end < offered)
        offered = flight->cut_at - flight->taken_end;
    return offered;
}

void tls_pair_take(struct tls_end *end, uint64_t size)
{
    struct tls_flight *flight = &end->incoming;
    uint64_t offered = offered_now(flight, size);
    /* Memory of its own, so that a sanitizer sees who reads too far. */
    uint8_t *copy = malloc(offered > 0 ? offered : 1);
    struct bytes ciphertext = bytes_make(copy, offered);
    CHECK(copy != NULL);
    memcpy(copy, flight->octets + flight->taken_end, offered);
    do {
        end->last = tls_stream_step(end->stream, &ciphertext);
        if (end->last == TLS_ESTABLISHED) end->established_count++;
        if (end->last == TLS_WANT_FLUSH) end->flush_count++;
        if (end->last == TLS_PLAINTEXT) receive(end);
    } while (end->last == TLS_ESTABLISHED || end->last == TLS_PLAINTEXT);
    CHECK(end->last != TLS_WANT_INPUT || ciphertext.size == 0);
    flight->taken_end += offered - ciphertext.size;
    free(copy);
}

static bool may_go_on(const struct tls_end *end)
{
    if (end->last == TLS_ENDED || end->last == TLS_FAILED) return false;
    return end->last == TLS_WANT_FLUSH || end->incoming.taken_end < end->incoming.sent_end;
}

void tls_pair_run(struct tls_pair *pair, uint64_t size)
{
    do {
        tls_pair_take(&pair->client, size);
        tls_pair_send(&pair->client, &pair->server, TLS_ALL_AT_ONCE);
        tls_pair_take(&pair->server, size);
        tls_pair_send(&pair->server, &pair->client, TLS_ALL_AT_ONCE);
    } while (may_go_on(&pair->client) || may_go_on(&pair->server));
}

void tls_pair_say(struct tls_end *from, struct tls_end *to, struct bytes plaintext)
{
    while (plaintext.size > 0) {
        CHECK(tls_stream_write(from->stream, &plaintext));
        tls_pair_send(from, to, TLS_ALL_AT_ONCE);
    }
}

bool tls_pair_has_received(const struct tls_end *end, struct bytes octets)
{
    return bytes_equal(bytes_make(end->received, end->received_size), octets);
}
