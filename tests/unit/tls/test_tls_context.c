#include "tls/tls_context.h"

#include "tls/tls_context_inside.h"
#include "tls/tls_credentials_inside.h"
#include "tls/tls_memory.h"
#include "tls/tls_stream.h"
#include "unit/tls/tls_files.h"
#include "unit/tls/tls_pair.h"
#include "unit/tls/tls_shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define VERSIONS (sizeof versions / sizeof versions[0])

static struct tls_pair pair;
static uint8_t other_keys[TLS_TICKET_KEYS_SIZE] = "other keys";

static void open_resuming(int version)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    client.resumes = true;
    tls_pair_open(&pair, &server, &client);
    tls_pair_limit_version(&pair, version);
}

static void converse(void)
{
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    tls_pair_say(&pair.client, &pair.server, BYTES("EHLO a\r\n"));
    tls_pair_say(&pair.server, &pair.client, BYTES("250 sink\r\n"));
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    assert_true(tls_pair_has_received(&pair.server, BYTES("EHLO a\r\n")));
    assert_true(tls_pair_has_received(&pair.client, BYTES("250 sink\r\n")));
}

static void assert_resumed(bool is_resumed)
{
    assert_int_equal(tls_stream_was_resumed(pair.client.stream), is_resumed);
    assert_int_equal(tls_stream_was_resumed(pair.server.stream), is_resumed);
}

/* As a worker has it that did not make the ticket. */
static void renew_server_context(const uint8_t *keys)
{
    char error[TLS_ERROR_MAX];
    struct tls_server_options server = tls_shared_server();
    if (keys != NULL) server.ticket_keys = keys;
    tls_pair_close_streams(&pair);
    tls_context_close(pair.server_context);
    pair.server_context = tls_context_open_server(&server, error);
    assert_non_null(pair.server_context);
    tls_pair_open_streams(&pair);
}

static void contexts_with_the_same_keys_resume(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_resuming(versions[i]);
        converse();
        assert_resumed(false);
        for (unsigned again = 0; again < 3; again++) {
            renew_server_context(NULL);
            converse();
            assert_resumed(true);
        }
        tls_pair_close(&pair);
    }
}

static void contexts_with_other_keys_do_not(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_resuming(versions[i]);
        converse();
        renew_server_context(other_keys);
        converse();
        assert_resumed(false);
        renew_server_context(other_keys);
        converse();
        assert_resumed(true);
        tls_pair_close(&pair);
    }
}

/* However the connection of the ticket ended: several may begin with it, ended by neither side. */
static void a_ticket_serves_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_resuming(versions[i]);
        converse();
        struct tls_stream *first_client = pair.client.stream;
        struct tls_stream *first_server = pair.server.stream;
        for (unsigned again = 0; again < 3; again++) {
            tls_pair_open_streams(&pair);
            converse();
            assert_resumed(true);
            tls_pair_close_streams(&pair);
        }
        tls_stream_close(first_client);
        tls_stream_close(first_server);
        tls_pair_open_streams(&pair);
        converse();
        assert_resumed(true);
        tls_pair_close(&pair);
    }
}

/* A connection has used the newest ticket, and its own new one is still on its way. */
static void a_ticket_serves_the_next_at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_resuming(versions[i]);
        converse();
        tls_pair_close_streams(&pair);
        tls_pair_open_streams(&pair);
        tls_pair_take(&pair.client, TLS_ALL_AT_ONCE);
        tls_pair_send(&pair.client, &pair.server, TLS_ALL_AT_ONCE);
        tls_pair_take(&pair.server, TLS_ALL_AT_ONCE);
        tls_pair_send(&pair.server, &pair.client, TLS_ALL_AT_ONCE);
        tls_pair_take(&pair.client, TLS_ALL_AT_ONCE);
        assert_true(tls_stream_is_established(pair.client.stream));
        struct tls_stream *first_client = pair.client.stream;
        struct tls_stream *first_server = pair.server.stream;
        tls_pair_open_streams(&pair);
        converse();
        assert_resumed(true);
        tls_stream_close(first_client);
        tls_stream_close(first_server);
        tls_pair_close(&pair);
    }
}

static uint32_t tickets_seen;

static int count_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    (void)session;
    tickets_seen++;
    return 0;
}

/* More would cost each connection time for nothing. */
static void there_is_one_ticket(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_resuming(versions[i]);
        SSL_CTX_sess_set_new_cb(pair.client_context->library, count_ticket);
        tickets_seen = 0;
        converse();
        assert_int_equal(tickets_seen, 1);
        tls_pair_close(&pair);
    }
}

static void who_does_not_resume_does_not(void **state)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        tls_pair_open(&pair, &server, &client);
        tls_pair_limit_version(&pair, versions[i]);
        converse();
        tls_pair_close_streams(&pair);
        tls_pair_open_streams(&pair);
        converse();
        assert_resumed(false);
        tls_pair_close(&pair);
    }
}

/* The server's certificate is its own authority. */
static void verify(const char *server_name, const char *ca_file)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    client.server_name = server_name;
    client.ca_file = ca_file;
    client.verifies = true;
    tls_pair_open(&pair, &server, &client);
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
}

static void assert_not_believed(const char *client_failure, const char *server_failure)
{
    assert_int_equal(pair.client.last, TLS_FAILED);
    assert_string_equal(tls_stream_failure(pair.client.stream), client_failure);
    tls_pair_send(&pair.client, &pair.server, TLS_ALL_AT_ONCE);
    tls_pair_take(&pair.server, TLS_ALL_AT_ONCE);
    assert_int_equal(pair.server.last, TLS_FAILED);
    assert_string_equal(tls_stream_failure(pair.server.stream), server_failure);
    tls_pair_close(&pair);
}

/* The sentence names the file, and holds `part`: that is what was wrong with it. */
static void assert_not_read(const struct tls_client_options *client, const char *part)
{
    char error[TLS_ERROR_MAX] = "";
    assert_null(tls_context_open_client(client, error));
    assert_non_null(strstr(error, client->ca_file));
    if (strstr(error, part) == NULL) fail_msg("\"%s\" lacks \"%s\"", error, part);
}

static void certificates_are_verified(void **state)
{
    (void)state;
    tls_files_open();
    tls_files_put_certificate("ca.pem", tls_shared_credentials()->certificate);
    verify(TLS_SHARED_NAME, tls_files_path("ca.pem"));
    converse();
    tls_pair_close(&pair);
    verify("another.test", tls_files_path("ca.pem"));
    assert_not_believed("hostname mismatch", "the peer says: bad certificate");
    verify("127.0.0.1", tls_files_path("ca.pem"));
    assert_not_believed("IP address mismatch", "the peer says: bad certificate");
    verify(TLS_SHARED_NAME, NULL);
    assert_not_believed("self-signed certificate", "the peer says: unknown certificate authority");

    struct tls_client_options client = tls_shared_client();
    client.verifies = true;
    client.ca_file = tls_files_path("missing.pem");
    assert_not_read(&client, "No such file or directory");
    client.ca_file = tls_files_path("ca.pem/missing.pem");
    assert_not_read(&client, "Not a directory");
    tls_files_put_text("text.pem", "no certificate");
    client.ca_file = tls_files_path("text.pem");
    assert_not_read(&client, "give certificates in PEM");
    tls_files_close();
}

static void an_address_is_verified_too(void **state)
{
    char error[TLS_ERROR_MAX];
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    struct tls_credentials *credentials =
        tls_credentials_make("127.0.0.1", tls_shared_now_s(), error);
    (void)state;
    assert_non_null(credentials);
    tls_files_open();
    tls_files_put_certificate("ca.pem", credentials->certificate);
    server.credentials = credentials;
    client.server_name = "127.0.0.1";
    client.ca_file = tls_files_path("ca.pem");
    client.verifies = true;
    tls_pair_open(&pair, &server, &client);
    converse();
    tls_pair_close(&pair);
    tls_credentials_close(credentials);
    tls_files_close();
}

static void a_name_is_needed_to_verify(void **state)
{
    static char long_name[TLS_SERVER_NAME_MAX + 1];
    char error[TLS_ERROR_MAX];
    struct tls_client_options client = tls_shared_client();
    (void)state;
    client.server_name = NULL;
    client.verifies = true;
    assert_null(tls_context_open_client(&client, error));
    assert_non_null(strstr(error, "name"));
    memset(long_name, 'a', sizeof long_name - 1);
    client.server_name = long_name;
    client.verifies = false;
    assert_null(tls_context_open_client(&client, error));
    assert_non_null(strstr(error, "too long"));
}

/* Read and found to belong together, but none that OpenSSL would speak for. */
static void a_weak_key_is_refused(void **state)
{
    char error[TLS_ERROR_MAX];
    struct tls_server_options server = tls_shared_server();
    EVP_PKEY *key = EVP_RSA_gen(512);
    struct tls_credentials weak = {.key = key,
                                   .certificate = tls_files_make("weak.test", key, NULL, NULL, 0)};
    (void)state;
    server.credentials = &weak;
    assert_null(tls_context_open_server(&server, error));
    assert_string_equal(error, "OpenSSL refuses the certificate or its key: ee key too small");
    X509_free(weak.certificate);
    EVP_PKEY_free(key);
}

static const char *name_seen;

static int see_name(SSL *ssl, int *alert, void *argument)
{
    (void)alert;
    (void)argument;
    name_seen = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL ? "a name" : "none";
    return SSL_TLSEXT_ERR_OK;
}

static const char *name_sent_by(const char *server_name)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    client.server_name = server_name;
    name_seen = "not asked";
    tls_pair_open(&pair, &server, &client);
    SSL_CTX_set_tlsext_servername_callback(pair.server_context->library, see_name);
    converse();
    tls_pair_close(&pair);
    return name_seen;
}

static void names_are_sent_and_addresses_are_not(void **state)
{
    (void)state;
    assert_string_equal(name_sent_by("sink.test"), "a name");
    assert_string_equal(name_sent_by("127.0.0.1"), "none");
    assert_string_equal(name_sent_by("::1"), "none");
    assert_string_equal(name_sent_by(NULL), "none");
}

static void streams_are_bounded(void **state)
{
    struct tls_stream *streams[4];
    char error[TLS_ERROR_MAX];
    struct tls_server_options server = tls_shared_server();
    struct tls_context *context = tls_context_open_server(&server, error);
    (void)state;
    assert_int_equal(server.streams, 4);
    for (unsigned i = 0; i < 4; i++) {
        streams[i] = tls_stream_open(context);
        assert_non_null(streams[i]);
    }
    assert_null(tls_stream_open(context));
    tls_stream_close(streams[2]);
    streams[2] = tls_stream_open(context);
    assert_non_null(streams[2]);
    assert_null(tls_stream_open(context));
    for (unsigned i = 0; i < 4; i++)
        tls_stream_close(streams[i]);
    tls_context_close(context);
}

static void memory_is_bounded(void **state)
{
    char error[TLS_ERROR_MAX];
    struct tls_server_options server = tls_shared_server();
    struct tls_context *context = tls_context_open_server(&server, error);
    (void)state;
    tls_memory_set_bound(tls_memory_used() + 1);
    struct tls_stream *stream = tls_stream_open(context);
    assert_non_null(stream);
    assert_true(tls_memory_is_used_up());
    assert_null(tls_stream_open(context));
    tls_stream_close(stream);
    assert_false(tls_memory_is_used_up());
    tls_memory_set_bound(0);
    assert_false(tls_memory_is_used_up());
    stream = tls_stream_open(context);
    assert_non_null(stream);
    tls_stream_close(stream);
    tls_context_close(context);
}

static void the_sum_of_the_pools_is_stated(void **state)
{
    char error[TLS_ERROR_MAX];
    struct tls_server_options server = tls_shared_server();
    (void)state;
    server.ciphertext_size = 66560;
    struct tls_context *context = tls_context_open_server(&server, error);
    uint64_t a_stream = context->streams.block_size + context->plaintext.block_size +
                        context->ciphertext.block_size;
    assert_int_equal(tls_context_memory(1, 66560), a_stream);
    assert_int_equal(tls_context_memory(1000000, 66560), 1000000 * a_stream);
    assert_int_equal(tls_context_memory(1, 0), a_stream - 66560 + TLS_CIPHERTEXT_SIZE);
    tls_context_close(context);
    assert_int_equal(strncmp(tls_library_version(), "OpenSSL 3.", 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_with_the_same_keys_resume),
        cmocka_unit_test(contexts_with_other_keys_do_not),
        cmocka_unit_test(a_ticket_serves_many),
        cmocka_unit_test(a_ticket_serves_the_next_at_once),
        cmocka_unit_test(there_is_one_ticket),
        cmocka_unit_test(who_does_not_resume_does_not),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(an_address_is_verified_too),
        cmocka_unit_test(a_name_is_needed_to_verify),
        cmocka_unit_test(a_weak_key_is_refused),
        cmocka_unit_test(names_are_sent_and_addresses_are_not),
        cmocka_unit_test(streams_are_bounded),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(the_sum_of_the_pools_is_stated),
    };
    return cmocka_run_group_tests(tests, tls_shared_set_up, tls_shared_tear_down);
}
