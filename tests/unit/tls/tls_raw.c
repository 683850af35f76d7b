#include "unit/tls/tls_raw.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

static SSL_CTX *client_library(int version)
{
    SSL_CTX *library = SSL_CTX_new(TLS_client_method());
    CHECK(library != NULL);
    CHECK(SSL_CTX_set_min_proto_version(library, 0) == 1);
    CHECK(SSL_CTX_set_max_proto_version(library, version) == 1);
    CHECK(SSL_CTX_set_cipher_list(library, "ALL:@SECLEVEL=0") == 1);
    return library;
}

void tls_raw_open(struct tls_raw *raw, const struct tls_server_options *server, int version)
{
    char error[TLS_ERROR_MAX];
    raw->library = client_library(version);
    raw->ssl = SSL_new(raw->library);
    raw->incoming = BIO_new(BIO_s_mem());
    raw->outgoing = BIO_new(BIO_s_mem());
    CHECK(raw->ssl != NULL);
    SSL_set_bio(raw->ssl, raw->incoming, raw->outgoing);
    SSL_set_connect_state(raw->ssl);
    raw->server_context = tls_context_open_server(server, error);
    CHECK(raw->server_context != NULL);
    raw->server = tls_stream_open(raw->server_context);
    CHECK(raw->server != NULL);
    raw->last = TLS_WANT_INPUT;
    raw->received_size = 0;
}

void tls_raw_close(struct tls_raw *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->library);
    tls_stream_close(raw->server);
    tls_context_close(raw->server_context);
    ERR_clear_error();
}

static void receive(struct tls_raw *raw)
{
    struct bytes *plaintext = tls_stream_plaintext(raw->server);
    CHECK(plaintext->size <= TLS_RAW_MAX - raw->received_size);
    memcpy(raw->received + raw->received_size, plaintext->data, plaintext->size);
    raw->received_size += plaintext->size;
    (void)bytes_take(plaintext, plaintext->size);
}

static void step(struct tls_raw *raw, struct bytes *octets)
{
    do {
        raw->last = tls_stream_step(raw->server, octets);
        if (raw->last == TLS_PLAINTEXT) receive(raw);
    } while (raw->last == TLS_ESTABLISHED || raw->last == TLS_PLAINTEXT);
}

/* Of memory of its own, so that a sanitizer sees who reads too far. */
void tls_raw_feed(struct tls_raw *raw, struct bytes octets)
{
    uint8_t *copy = malloc(octets.size > 0 ? octets.size : 1);
    CHECK(copy != NULL);
    memcpy(copy, octets.data, octets.size);
    struct bytes ciphertext = bytes_make(copy, octets.size);
    step(raw, &ciphertext);
    free(copy);
}

uint64_t tls_raw_deliver(struct tls_raw *raw)
{
    char *data = NULL;
    long size = BIO_get_mem_data(raw->outgoing, &data);
    struct bytes ciphertext = bytes_make(data, (uint64_t)size);
    step(raw, &ciphertext);
    CHECK(BIO_reset(raw->outgoing) == 1);
    return ciphertext.size;
}

void tls_raw_reply(struct tls_raw *raw)
{
    struct bytes octets = tls_stream_sendable(raw->server);
    if (octets.size == 0) return;
    CHECK(BIO_write(raw->incoming, octets.data, (int)octets.size) == (int)octets.size);
    tls_stream_sent(raw->server, (uint32_t)octets.size);
}

bool tls_raw_handshake(struct tls_raw *raw)
{
    for (unsigned turns = 0; turns < 8; turns++) {
        int result = SSL_do_handshake(raw->ssl);
        int error = SSL_get_error(raw->ssl, result);
        (void)tls_raw_deliver(raw);
        tls_raw_reply(raw);
        if (result == 1) return tls_stream_is_established(raw->server);
        if (error != SSL_ERROR_WANT_READ) return false;
        if (raw->last == TLS_FAILED) return false;
    }
    return false;
}

struct bytes tls_raw_record(struct tls_raw *raw, struct bytes plaintext)
{
    CHECK(BIO_ctrl_pending(raw->outgoing) == 0);
    CHECK(SSL_write(raw->ssl, plaintext.data, (int)plaintext.size) == (int)plaintext.size);
    int size = BIO_read(raw->outgoing, raw->record, sizeof raw->record);
    CHECK(size > 0);
    CHECK(BIO_ctrl_pending(raw->outgoing) == 0);
    return bytes_make(raw->record, (uint64_t)size);
}
