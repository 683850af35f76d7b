/* What peers send that is no TLS, is none of ours, or is TLS that was tampered with. */
#include "tls/tls_stream.h"

#include "tls/tls_credentials_inside.h"
#include "tls/tls_memory.h"
#include "tls/tls_self_signed.h"
#include "unit/tls/tls_raw.h"
#include "unit/tls/tls_shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define ALERT_RECORD    21
#define ALERT_FATAL     2
#define ALERT_VERSION   70
#define ALERT_HANDSHAKE 40

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define VERSIONS (sizeof versions / sizeof versions[0])

static struct tls_raw raw;

static void open_raw(int version)
{
    struct tls_server_options server = tls_shared_server();
    tls_raw_open(&raw, &server, version);
}

static void establish(int version)
{
    open_raw(version);
    assert_true(tls_raw_handshake(&raw));
    assert_int_equal(SSL_version(raw.ssl), version);
}

/* It goes on failing, takes nothing, and names the reason. */
static void assert_failed(const char *failure)
{
    struct bytes more = BYTES("more");
    assert_int_equal(raw.last, TLS_FAILED);
    assert_int_equal(tls_stream_step(raw.server, &more), TLS_FAILED);
    assert_int_equal(more.size, 4);
    if (failure != NULL) assert_string_equal(tls_stream_failure(raw.server), failure);
    assert_true(strlen(tls_stream_failure(raw.server)) > 3);
}

/* What is to be sent is one fatal alert in plain. */
static void assert_says_alert(uint8_t description)
{
    struct bytes record = tls_stream_sendable(raw.server);
    assert_int_equal(record.size, 7);
    assert_int_equal(record.data[0], ALERT_RECORD);
    assert_int_equal(record.data[5], ALERT_FATAL);
    assert_int_equal(record.data[6], description);
}

static void old_versions_are_told(void **state)
{
    static const int old[] = {TLS1_VERSION, TLS1_1_VERSION};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        open_raw(old[i]);
        assert_int_equal(SSL_do_handshake(raw.ssl), -1);
        (void)tls_raw_deliver(&raw);
        assert_failed("no common version: the peer has none from 1.2 on");
        assert_says_alert(ALERT_VERSION);
        tls_raw_close(&raw);
    }
}

/* Without forward secrecy, with CBC, with anonymous servers: nothing in common. */
static const char *const weak_ciphers[] = {
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES128-CCM",
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES128-CCM8",
    "AECDH-AES256-SHA:ADH-AES256-GCM-SHA384",
    "DHE-RSA-AES256-GCM-SHA384",
    "NULL-SHA256:ECDHE-ECDSA-NULL-SHA:ECDHE-RSA-NULL-SHA",
};

static void assert_weak_ciphers_fail(const struct tls_server_options *server)
{
    for (unsigned i = 0; i < sizeof weak_ciphers / sizeof weak_ciphers[0]; i++) {
        tls_raw_open(&raw, server, TLS1_2_VERSION);
        SSL_set_security_level(raw.ssl, 0);
        assert_int_equal(SSL_set_cipher_list(raw.ssl, weak_ciphers[i]), 1);
        assert_int_equal(SSL_do_handshake(raw.ssl), -1);
        (void)tls_raw_deliver(&raw);
        assert_failed("no common cipher");
        assert_says_alert(ALERT_HANDSHAKE);
        tls_raw_close(&raw);
    }
}

/* Whatever the key could do. */
static void weak_ciphers_are_refused(void **state)
{
    struct tls_server_options server = tls_shared_server();
    EVP_PKEY *key = EVP_RSA_gen(2048);
    struct tls_credentials rsa = {
        .key = key,
        .certificate = tls_self_signed_certificate(key, TLS_SHARED_NAME, tls_shared_now_s())};
    (void)state;
    assert_weak_ciphers_fail(&server);
    server.credentials = &rsa;
    assert_weak_ciphers_fail(&server);
    tls_raw_open(&raw, &server, TLS1_2_VERSION);
    assert_true(tls_raw_handshake(&raw));
    assert_string_equal(tls_stream_cipher(raw.server), "ECDHE-RSA-AES256-GCM-SHA384");
    tls_raw_close(&raw);
    X509_free(rsa.certificate);
    EVP_PKEY_free(key);
}

static void other_groups_are_refused(void **state)
{
    (void)state;
    open_raw(TLS1_3_VERSION);
    assert_int_equal(SSL_set1_groups_list(raw.ssl, "P-521"), 1);
    assert_int_equal(SSL_do_handshake(raw.ssl), -1);
    (void)tls_raw_deliver(&raw);
    assert_failed("no common group for the key exchange");
    assert_says_alert(ALERT_HANDSHAKE);
    tls_raw_close(&raw);
}

static void what_is_no_tls_is_named(void **state)
{
    const struct {
        struct bytes octets;
        const char *failure;
    } cases[] = {
        {BYTES("EHLO client.example.org\r\n"), "not TLS"},
        {BYTES("QUIT\r\nQUIT\r\n"), "not TLS"},
        {BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "not TLS: a request of HTTP"},
        {BYTES("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), "not TLS: a request of HTTP"},
        {BYTES("CONNECT a:25 HTTP/1.1\r\n\r\n"), "not TLS: a request of HTTP"},
        {BYTES("\0\0\0\0\0\0\0\0\0\0\0\0"), "not TLS"},
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "not TLS"},
        {BYTES("SSH-2.0-OpenSSH_9.2\r\n"), "not TLS"},
        {BYTES("\x80\x1c\x01\x00\x02\x00\x03\x00\x00\x00\x10\x01\x00\x80"
               "0123456789abcdef"),
         "not TLS"}, /* SSL 2.0 */
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_raw(TLS1_3_VERSION);
        tls_raw_feed(&raw, cases[i].octets);
        assert_failed(cases[i].failure);
        tls_raw_close(&raw);
    }
}

/* Nothing of it is a message until the last octet is there. */
static void a_truncated_record_is_waited_for(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        establish(versions[i]);
        struct bytes record = tls_raw_record(&raw, BYTES("DATA\r\n"));
        struct bytes head = bytes_take(&record, record.size - 1);
        tls_raw_feed(&raw, head);
        assert_int_equal(raw.last, TLS_WANT_INPUT);
        assert_int_equal(raw.received_size, 0);
        tls_raw_feed(&raw, record);
        assert_int_equal(raw.received_size, 6);
        tls_raw_close(&raw);
    }
}

/* A record that says it is shorter or longer than it is. */
static void a_wrong_length_fails(void **state)
{
    static const int differences[] = {-30, -17, -1, 1};
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++)
        for (unsigned k = 0; k < 4; k++) {
            uint8_t twisted[256];
            establish(versions[i]);
            struct bytes record = tls_raw_record(&raw, BYTES("DATA for long enough\r\n"));
            memcpy(twisted, record.data, record.size);
            twisted[4] = (uint8_t)(twisted[4] + differences[k]);
            tls_raw_feed(&raw, bytes_make(twisted, record.size));
            tls_raw_feed(&raw, bytes_make(twisted, record.size));
            assert_failed(NULL);
            assert_int_equal(raw.received_size, 0);
            tls_raw_close(&raw);
        }
}

static void a_record_beyond_the_limit_fails(void **state)
{
    static const uint8_t head[] = {23, 3, 3, 0x48, 0x01};
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        establish(versions[i]);
        tls_raw_feed(&raw, bytes_make(head, sizeof head));
        assert_failed("bad record: too long");
        tls_raw_close(&raw);
    }
}

/* Each bit of a record in turn; what waits for a longer one never gives it away either. */
static void a_flipped_bit_never_passes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        uint64_t size = 1;
        for (uint64_t bit = 0; bit < 8 * size; bit++) {
            uint8_t flipped[256];
            establish(versions[i]);
            struct bytes record = tls_raw_record(&raw, BYTES("RSET\r\n"));
            size = record.size;
            memcpy(flipped, record.data, size);
            flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
            tls_raw_feed(&raw, bytes_make(flipped, size));
            assert_true(raw.last == TLS_FAILED || raw.last == TLS_WANT_INPUT);
            assert_int_equal(raw.received_size, 0);
            if (bit / 8 > 4) assert_failed("bad record: it was changed on its way");
            tls_raw_close(&raw);
        }
    }
}

/* A record again, and one before its turn. */
static void replayed_and_swapped_records_fail(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        uint8_t first[256];
        establish(versions[i]);
        struct bytes record = tls_raw_record(&raw, BYTES("one"));
        memcpy(first, record.data, record.size);
        tls_raw_feed(&raw, record);
        tls_raw_feed(&raw, bytes_make(first, record.size));
        assert_failed("bad record: it was changed on its way");
        tls_raw_close(&raw);

        establish(versions[i]);
        (void)tls_raw_record(&raw, BYTES("one"));
        tls_raw_feed(&raw, tls_raw_record(&raw, BYTES("two")));
        assert_failed("bad record: it was changed on its way");
        assert_int_equal(raw.received_size, 0);
        tls_raw_close(&raw);
    }
}

/* The client gets nonsense and says so by a fatal alert. */
static void an_alert_of_the_peer_is_named(void **state)
{
    static const uint8_t nonsense[] = {23, 3, 3, 0, 40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
                                       1,  2, 3, 4, 5,  6, 7, 8, 9, 0, 1, 2, 3, 4, 5,
                                       6,  7, 8, 9, 0,  1, 2, 3, 4, 5, 6, 7, 8, 9, 0};
    char octet = 0;
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        establish(versions[i]);
        assert_int_equal(BIO_write(raw.incoming, nonsense, sizeof nonsense), sizeof nonsense);
        assert_int_equal(SSL_read(raw.ssl, &octet, 1), -1);
        (void)tls_raw_deliver(&raw);
        assert_failed("the peer says: bad record");
        struct bytes reply = BYTES("250 Ok\r\n");
        assert_false(tls_stream_write(raw.server, &reply));
        assert_int_equal(reply.size, 8);
        tls_stream_end(raw.server);
        tls_raw_close(&raw);
    }
}

/* RFC 9325 3.5: no renegotiation; the connection goes on, or ends, but nothing is negotiated. */
static void renegotiation_is_refused(void **state)
{
    (void)state;
    establish(TLS1_2_VERSION);
    assert_int_equal(SSL_renegotiate(raw.ssl), 1);
    (void)SSL_do_handshake(raw.ssl);
    (void)tls_raw_deliver(&raw);
    assert_int_equal(raw.last, TLS_WANT_INPUT);
    struct bytes answer = tls_stream_sendable(raw.server);
    assert_int_equal(answer.data[0], ALERT_RECORD);
    assert_true(answer.size < 40);
    tls_raw_reply(&raw);
    assert_int_equal(SSL_do_handshake(raw.ssl), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    tls_raw_close(&raw);
}

/* The client says a KeyUpdate that wants one back, again and again, and reads none. */
static void floods_of_key_updates_are_bounded(void **state)
{
    uint64_t before = 0;
    uint64_t flushes = 0;
    (void)state;
    establish(TLS1_3_VERSION);
    tls_raw_feed(&raw, tls_raw_record(&raw, BYTES("NOOP\r\n")));
    for (uint32_t i = 0; i < 20000 && raw.last != TLS_FAILED; i++) {
        if (i == 100) before = tls_memory_used();
        assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(raw.ssl), 1);
        uint64_t left = tls_raw_deliver(&raw);
        if (raw.last != TLS_WANT_FLUSH) continue;
        /* Full: nothing of this one was taken. The answers are sent, and read by nobody. */
        assert_true(left > 0);
        uint64_t answers = tls_stream_sendable(raw.server).size;
        assert_true(answers > TLS_CIPHERTEXT_SIZE - 200);
        tls_stream_sent(raw.server, (uint32_t)answers);
        flushes++;
        break;
    }
    assert_int_equal(flushes, 1);
    assert_true(before > 0);
    assert_true(tls_memory_used() < before + 4096);
    tls_raw_close(&raw);
}

/* The answer is still owed when the end is said. */
static void the_end_may_follow_a_key_update(void **state)
{
    char octet = 0;
    (void)state;
    establish(TLS1_3_VERSION);
    assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(raw.ssl), 1);
    assert_int_equal(tls_raw_deliver(&raw), 0);
    tls_stream_end(raw.server);
    tls_raw_reply(&raw);
    assert_int_equal(SSL_read(raw.ssl, &octet, 1), 0);
    assert_int_equal(SSL_get_error(raw.ssl, 0), SSL_ERROR_ZERO_RETURN);
    tls_raw_close(&raw);
}

/* Each is answered, and data between them is read. */
static void key_updates_are_answered(void **state)
{
    char reply[64];
    (void)state;
    establish(TLS1_3_VERSION);
    for (uint32_t i = 0; i < 2000; i++) {
        assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(raw.ssl, "NOOP\r\n", 6), 6);
        assert_int_equal(tls_raw_deliver(&raw), 0);
        assert_int_equal(raw.received_size, 6 * (i + 1));
        struct bytes octets = BYTES("250 Ok\r\n");
        assert_true(tls_stream_write(raw.server, &octets));
        assert_int_equal(octets.size, 0);
        tls_raw_reply(&raw);
        assert_int_equal(SSL_read(raw.ssl, reply, sizeof reply), 8);
    }
    tls_raw_close(&raw);
}

/* A second ClientHello in the middle of 1.3, in plain. */
static void a_plain_record_in_the_middle_fails(void **state)
{
    static const uint8_t hello[] = {22, 3, 1, 0, 5, 1, 0, 0, 1, 0};
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        establish(versions[i]);
        tls_raw_feed(&raw, bytes_make(hello, sizeof hello));
        assert_failed(NULL);
        tls_raw_close(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_versions_are_told),
        cmocka_unit_test(weak_ciphers_are_refused),
        cmocka_unit_test(other_groups_are_refused),
        cmocka_unit_test(what_is_no_tls_is_named),
        cmocka_unit_test(a_truncated_record_is_waited_for),
        cmocka_unit_test(a_wrong_length_fails),
        cmocka_unit_test(a_record_beyond_the_limit_fails),
        cmocka_unit_test(a_flipped_bit_never_passes),
        cmocka_unit_test(replayed_and_swapped_records_fail),
        cmocka_unit_test(an_alert_of_the_peer_is_named),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(floods_of_key_updates_are_bounded),
        cmocka_unit_test(key_updates_are_answered),
        cmocka_unit_test(the_end_may_follow_a_key_update),
        cmocka_unit_test(a_plain_record_in_the_middle_fails),
    };
    return cmocka_run_group_tests(tests, tls_shared_set_up, tls_shared_tear_down);
}
