#include "tls/tls_stream.h"

#include "tls/tls_context_inside.h"
#include "tls/tls_credentials_inside.h"
#include "unit/tls/tls_pair.h"
#include "unit/tls/tls_shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define VERSIONS (sizeof versions / sizeof versions[0])

static struct tls_pair pair;
static uint8_t letter[100000];

static void open_pair(int version)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    tls_pair_open(&pair, &server, &client);
    tls_pair_limit_version(&pair, version);
}

static void establish(int version)
{
    open_pair(version);
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    assert_true(tls_stream_is_established(pair.client.stream));
    assert_true(tls_stream_is_established(pair.server.stream));
}

static void say(struct tls_end *from, struct tls_end *to, const char *text)
{
    tls_pair_say(from, to, bytes_from_text(text));
}

/* Greeting, a command, a letter of several records, the end from both sides. */
static void converse(uint64_t size, struct bytes content)
{
    tls_pair_run(&pair, size);
    say(&pair.server, &pair.client, "220 sink\r\n");
    tls_pair_run(&pair, size);
    say(&pair.client, &pair.server, "DATA\r\n");
    tls_pair_say(&pair.client, &pair.server, content);
    tls_pair_run(&pair, size);
    say(&pair.server, &pair.client, "250 Ok\r\n");
    tls_stream_end(pair.client.stream);
    tls_pair_run(&pair, size);
    tls_stream_end(pair.server.stream);
    tls_pair_run(&pair, size);
}

static void assert_conversed(int version, struct bytes content)
{
    struct bytes received = bytes_make(pair.server.received, pair.server.received_size);
    assert_true(bytes_equal(bytes_take(&received, 6), BYTES("DATA\r\n")));
    assert_true(bytes_equal(received, content));
    assert_true(tls_pair_has_received(&pair.client, BYTES("220 sink\r\n250 Ok\r\n")));
    assert_int_equal(pair.server.last, TLS_ENDED);
    assert_int_equal(pair.client.last, TLS_ENDED);
    assert_int_equal(pair.server.established_count, 1);
    assert_int_equal(pair.client.established_count, 1);
    assert_string_equal(tls_stream_version(pair.server.stream),
                        version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    assert_non_null(strstr(tls_stream_cipher(pair.server.stream), "AES"));
    assert_false(tls_stream_was_resumed(pair.server.stream));
}

static void octet_by_octet(void **state)
{
    struct bytes content = bytes_make(letter, sizeof letter);
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_pair(versions[i]);
        converse(1, content);
        assert_conversed(versions[i], content);
        tls_pair_close(&pair);
    }
}

static void in_pieces_of_any_size(void **state)
{
    static const uint64_t sizes[] = {2, 3, 5, 6, 7, 64, 1000, 16384, 16406, 17408, 65536};
    struct bytes content = bytes_make(letter, sizeof letter);
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++)
        for (unsigned k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            open_pair(versions[i]);
            converse(sizes[k], content);
            assert_conversed(versions[i], content);
            tls_pair_close(&pair);
        }
}

/* Lengths vary by a few octets with the signatures: the last cuts may lie behind the end. */
static void cut_once(int version, struct tls_end *end, struct bytes content)
{
    uint64_t length = 1;
    for (uint64_t cut_at = 1; cut_at <= length; cut_at++) {
        tls_pair_close_streams(&pair);
        tls_pair_open_streams(&pair);
        end->incoming.cut_at = cut_at;
        converse(TLS_ALL_AT_ONCE, content);
        assert_conversed(version, content);
        length = end->incoming.sent_end;
    }
}

static void at_every_cut(void **state)
{
    struct bytes content = bytes_make(letter, 40);
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_pair(versions[i]);
        cut_once(versions[i], &pair.server, content);
        cut_once(versions[i], &pair.client, content);
        tls_pair_close(&pair);
    }
}

static void waiting_plaintext_is_told_again(void **state)
{
    (void)state;
    establish(TLS1_3_VERSION);
    say(&pair.client, &pair.server, "one");
    say(&pair.client, &pair.server, "two");
    struct tls_flight *flight = &pair.server.incoming;
    struct bytes ciphertext =
        bytes_make(flight->octets + flight->taken_end, flight->sent_end - flight->taken_end);
    struct bytes *plaintext = tls_stream_plaintext(pair.server.stream);

    assert_int_equal(tls_stream_step(pair.server.stream, &ciphertext), TLS_PLAINTEXT);
    uint64_t left = ciphertext.size;
    const uint8_t *place = plaintext->data;
    assert_true(left > 0);
    (void)bytes_take(plaintext, 2);
    assert_int_equal(tls_stream_step(pair.server.stream, &ciphertext), TLS_PLAINTEXT);
    assert_int_equal(ciphertext.size, left);
    assert_true(bytes_equal(*plaintext, BYTES("e")));
    assert_ptr_equal(plaintext->data, place + 2);
    (void)bytes_take(plaintext, 1);
    assert_int_equal(tls_stream_step(pair.server.stream, &ciphertext), TLS_PLAINTEXT);
    assert_true(bytes_equal(*plaintext, BYTES("two")));
    (void)bytes_take(plaintext, 3);
    assert_int_equal(tls_stream_step(pair.server.stream, &ciphertext), TLS_WANT_INPUT);
    assert_int_equal(ciphertext.size, 0);
    tls_pair_close(&pair);
}

/* Blocks are held only while something is in them. */
static void silent_streams_hold_no_blocks(void **state)
{
    (void)state;
    establish(TLS1_3_VERSION);
    say(&pair.client, &pair.server, "EHLO a\r\n");
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    assert_int_equal(pair.server.received_size, 8);
    assert_int_equal(pair.server_context->plaintext.taken_count, 0);
    assert_int_equal(pair.server_context->ciphertext.taken_count, 0);
    assert_int_equal(pair.server_context->streams.taken_count, 1);
    struct bytes reply = BYTES("250 Ok\r\n");
    assert_true(tls_stream_write(pair.server.stream, &reply));
    assert_int_equal(pair.server_context->ciphertext.taken_count, 1);
    uint64_t size = tls_stream_sendable(pair.server.stream).size;
    tls_stream_sent(pair.server.stream, (uint32_t)size - 1);
    assert_int_equal(tls_stream_sendable(pair.server.stream).size, 1);
    assert_int_equal(pair.server_context->ciphertext.taken_count, 1);
    tls_stream_sent(pair.server.stream, 1);
    assert_int_equal(pair.server_context->ciphertext.taken_count, 0);
    tls_pair_close(&pair);
}

/* A certificate whose extension makes it larger than a block of ciphertext takes twice. */
static X509 *large_issuer(void)
{
    static char comment[15000];
    X509 *certificate = X509_dup(tls_shared_credentials()->certificate);
    memset(comment, 'x', sizeof comment - 1);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_netscape_comment, comment);
    assert_non_null(certificate);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    assert_true(X509_sign(certificate, tls_shared_credentials()->key, EVP_sha256()) > 0);
    X509_EXTENSION_free(extension);
    return certificate;
}

/* The server's block is sent in pieces of `size`, and only when it says that it must be. */
static void run_until_flushed(uint64_t size)
{
    tls_pair_take(&pair.client, TLS_ALL_AT_ONCE);
    tls_pair_send(&pair.client, &pair.server, TLS_ALL_AT_ONCE);
    tls_pair_take(&pair.server, TLS_ALL_AT_ONCE);
    while (pair.server.last == TLS_WANT_FLUSH) {
        tls_pair_send(&pair.server, &pair.client, size);
        tls_pair_take(&pair.server, TLS_ALL_AT_ONCE);
    }
}

static void a_chain_larger_than_the_block_goes_in_parts(void **state)
{
    struct tls_credentials large = *tls_shared_credentials();
    (void)state;
    large.chain[0] = large.chain[1] = large.chain[2] = large_issuer();
    large.chain_count = 3;
    for (unsigned i = 0; i < VERSIONS; i++) {
        struct tls_server_options server = tls_shared_server();
        struct tls_client_options client = tls_shared_client();
        server.credentials = &large;
        tls_pair_open(&pair, &server, &client);
        tls_pair_limit_version(&pair, versions[i]);
        run_until_flushed(1000);
        assert_true(pair.server.flush_count > 30);
        tls_pair_send(&pair.server, &pair.client, TLS_ALL_AT_ONCE);
        converse(TLS_ALL_AT_ONCE, BYTES("x"));
        assert_conversed(versions[i], BYTES("x"));
        tls_pair_close(&pair);
    }
    X509_free(large.chain[0]);
}

/* What was to be sent neither moves nor changes while more is written. */
static void what_is_sendable_stays(void **state)
{
    static uint8_t before[TLS_CIPHERTEXT_SIZE];
    (void)state;
    establish(TLS1_3_VERSION);
    struct bytes first = BYTES("first");
    assert_true(tls_stream_write(pair.client.stream, &first));
    struct bytes in_flight = tls_stream_sendable(pair.client.stream);
    memcpy(before, in_flight.data, in_flight.size);
    struct bytes content = bytes_make(letter, 5000);
    assert_true(tls_stream_write(pair.client.stream, &content));
    assert_int_equal(content.size, 0);
    assert_true(bytes_equal(in_flight, bytes_make(before, in_flight.size)));
    assert_ptr_equal(tls_stream_sendable(pair.client.stream).data, in_flight.data);
    tls_stream_sent(pair.client.stream, 3);
    assert_ptr_equal(tls_stream_sendable(pair.client.stream).data, in_flight.data + 3);
    tls_pair_close(&pair);
}

static void a_record_that_does_not_fit_is_not_begun(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        establish(versions[i]);
        struct bytes content = bytes_make(letter, sizeof letter);
        assert_true(tls_stream_write(pair.client.stream, &content));
        assert_int_equal(sizeof letter - content.size, TLS_PLAINTEXT_SIZE);
        uint64_t written = tls_stream_sendable(pair.client.stream).size;
        assert_true(tls_stream_write(pair.client.stream, &content));
        assert_int_equal(sizeof letter - content.size, TLS_PLAINTEXT_SIZE);
        assert_int_equal(tls_stream_sendable(pair.client.stream).size, written);

        tls_pair_say(&pair.client, &pair.server, content);
        tls_pair_run(&pair, TLS_ALL_AT_ONCE);
        assert_true(tls_pair_has_received(&pair.server, bytes_make(letter, sizeof letter)));
        tls_pair_close(&pair);
    }
}

static void a_larger_block_takes_several_records(void **state)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    (void)state;
    client.ciphertext_size = 66560;
    tls_pair_open(&pair, &server, &client);
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    struct bytes content = bytes_make(letter, sizeof letter);
    assert_true(tls_stream_write(pair.client.stream, &content));
    assert_int_equal(sizeof letter - content.size, 4 * TLS_PLAINTEXT_SIZE);
    tls_pair_say(&pair.client, &pair.server, content);
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    assert_true(tls_pair_has_received(&pair.server, bytes_make(letter, sizeof letter)));
    tls_pair_close(&pair);
}

/* Or two ends whose output is not taken would wait for one another for ever. */
static void reading_goes_on_while_output_waits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        establish(versions[i]);
        for (uint64_t size = 16384; size > 0;) {
            struct bytes content = bytes_make(letter, size);
            assert_true(tls_stream_write(pair.server.stream, &content));
            if (content.size > 0) size /= 2;
        }
        say(&pair.client, &pair.server, "NOOP\r\n");
        tls_pair_take(&pair.server, TLS_ALL_AT_ONCE);
        assert_int_equal(pair.server.last, TLS_WANT_INPUT);
        assert_true(tls_pair_has_received(&pair.server, BYTES("NOOP\r\n")));
        tls_pair_close(&pair);
    }
}

static void behind_the_end_nothing_is_taken(void **state)
{
    static const uint8_t more[] = {23, 3, 3, 0, 20, 1, 2, 3};
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        establish(versions[i]);
        say(&pair.client, &pair.server, "QUIT\r\n");
        tls_stream_end(pair.client.stream);
        tls_pair_send(&pair.client, &pair.server, TLS_ALL_AT_ONCE);
        tls_pair_run(&pair, TLS_ALL_AT_ONCE);
        assert_true(tls_pair_has_received(&pair.server, BYTES("QUIT\r\n")));
        assert_int_equal(pair.server.last, TLS_ENDED);
        struct bytes ciphertext = bytes_make(more, sizeof more);
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(tls_stream_step(pair.server.stream, &ciphertext), TLS_ENDED);
        assert_int_equal(ciphertext.size, sizeof more);

        say(&pair.server, &pair.client, "221 Bye\r\n");
        tls_stream_end(pair.server.stream);
        tls_stream_end(pair.server.stream);
        tls_pair_run(&pair, TLS_ALL_AT_ONCE);
        assert_true(tls_pair_has_received(&pair.client, BYTES("221 Bye\r\n")));
        assert_int_equal(pair.client.last, TLS_ENDED);
        tls_pair_close(&pair);
    }
}

/* Before the handshake is over there is nothing to end. */
static void the_end_of_a_handshake_is_not_said(void **state)
{
    (void)state;
    open_pair(TLS1_3_VERSION);
    tls_stream_end(pair.server.stream);
    assert_int_equal(tls_stream_sendable(pair.server.stream).size, 0);
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    assert_true(tls_stream_is_established(pair.server.stream));
    tls_pair_close(&pair);
}

static void streams_may_be_closed_at_any_point(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++)
        for (uint64_t size = 1; size < 3000; size += 37) {
            open_pair(versions[i]);
            pair.server.incoming.cut_at = size;
            tls_pair_take(&pair.client, TLS_ALL_AT_ONCE);
            tls_pair_send(&pair.client, &pair.server, TLS_ALL_AT_ONCE);
            tls_pair_take(&pair.server, TLS_ALL_AT_ONCE);
            tls_pair_send(&pair.server, &pair.client, size);
            tls_pair_take(&pair.client, TLS_ALL_AT_ONCE);
            tls_pair_close(&pair);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(octet_by_octet),
        cmocka_unit_test(in_pieces_of_any_size),
        cmocka_unit_test(at_every_cut),
        cmocka_unit_test(waiting_plaintext_is_told_again),
        cmocka_unit_test(silent_streams_hold_no_blocks),
        cmocka_unit_test(a_chain_larger_than_the_block_goes_in_parts),
        cmocka_unit_test(what_is_sendable_stays),
        cmocka_unit_test(a_record_that_does_not_fit_is_not_begun),
        cmocka_unit_test(a_larger_block_takes_several_records),
        cmocka_unit_test(reading_goes_on_while_output_waits),
        cmocka_unit_test(behind_the_end_nothing_is_taken),
        cmocka_unit_test(the_end_of_a_handshake_is_not_said),
        cmocka_unit_test(streams_may_be_closed_at_any_point),
    };
    for (unsigned i = 0; i < sizeof letter; i++)
        letter[i] = (uint8_t)('a' + i % 26 + i / 1000 % 3);
    return cmocka_run_group_tests(tests, tls_shared_set_up, tls_shared_tear_down);
}
