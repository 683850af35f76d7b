#include "tls/tls_credentials.h"

#include "tls/tls_credentials_inside.h"
#include "unit/tls/tls_files.h"
#include "unit/tls/tls_pair.h"
#include "unit/tls/tls_shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define DAY_S 86400

static struct tls_pair pair;

static void assert_loads(const char *certificate, const char *key)
{
    char error[TLS_ERROR_MAX] = "";
    struct tls_credentials *credentials =
        tls_credentials_load(tls_files_path(certificate), tls_files_path(key), error);
    assert_string_equal(error, "");
    assert_non_null(credentials);
    tls_credentials_close(credentials);
}

/* The sentence names the file and holds `part`. */
static void assert_refused(const char *certificate, const char *key, const char *culprit,
                           const char *part)
{
    char error[TLS_ERROR_MAX] = "";
    assert_null(tls_credentials_load(tls_files_path(certificate), tls_files_path(key), error));
    assert_non_null(strstr(error, tls_files_path(culprit)));
    if (strstr(error, part) == NULL) fail_msg("\"%s\" lacks \"%s\"", error, part);
}

/* "cert.pem" and "key.pem", which belong together, and "other.pem", which is another key. */
static void put_files(void)
{
    const struct tls_credentials *made = tls_shared_credentials();
    EVP_PKEY *other = EVP_EC_gen("P-256");
    tls_files_open();
    tls_files_put_certificate("cert.pem", made->certificate);
    tls_files_put_key("key.pem", made->key, NULL);
    tls_files_put_key("other.pem", other, NULL);
    EVP_PKEY_free(other);
}

static void a_pair_is_loaded(void **state)
{
    char error[TLS_ERROR_MAX];
    char loaded_print[TLS_FINGERPRINT_MAX];
    char made_print[TLS_FINGERPRINT_MAX];
    (void)state;
    put_files();
    struct tls_credentials *credentials =
        tls_credentials_load(tls_files_path("cert.pem"), tls_files_path("key.pem"), error);
    assert_non_null(credentials);
    tls_credentials_fingerprint(credentials, loaded_print);
    tls_credentials_fingerprint(tls_shared_credentials(), made_print);
    assert_string_equal(loaded_print, made_print);
    tls_credentials_close(credentials);
    tls_files_close();
}

static void others_must_not_read_the_key(void **state)
{
    static const mode_t good[] = {0600, 0400, 0700};
    static const mode_t bad[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666};
    (void)state;
    put_files();
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        tls_files_set_mode("key.pem", good[i]);
        assert_loads("cert.pem", "key.pem");
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char command[2 * TLS_PATH_MAX];
        tls_files_set_mode("key.pem", bad[i]);
        (void)snprintf(command, sizeof command, "chmod 600 %s", tls_files_path("key.pem"));
        assert_refused("cert.pem", "key.pem", "key.pem", command);
    }
    tls_files_set_mode("key.pem", 0600);
    tls_files_set_mode("cert.pem", 0644);
    assert_loads("cert.pem", "key.pem");
    tls_files_close();
}

/* The file that a link leads to is what counts. */
static void a_link_to_the_key_is_followed(void **state)
{
    (void)state;
    put_files();
    assert_int_equal(symlink("key.pem", tls_files_path("link.pem")), 0);
    assert_loads("cert.pem", "link.pem");
    tls_files_set_mode("key.pem", 0644);
    assert_refused("cert.pem", "link.pem", "link.pem", "chmod 600");
    tls_files_close();
}

static void a_key_of_another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    put_files();
    assert_int_equal(chown(tls_files_path("key.pem"), 12345, 12345), 0);
    assert_refused("cert.pem", "key.pem", "key.pem", "another user");
    tls_files_close();
}

static void what_is_no_file_is_named(void **state)
{
    (void)state;
    put_files();
    assert_int_equal(mkdir(tls_files_path("folder"), 0700), 0);
    assert_int_equal(mkfifo(tls_files_path("fifo"), 0600), 0);
    assert_refused("missing.pem", "key.pem", "missing.pem", "No such file");
    assert_refused("cert.pem", "missing.pem", "missing.pem", "No such file");
    assert_refused("folder", "key.pem", "folder", "no regular file");
    assert_refused("cert.pem", "folder", "folder", "no regular file");
    assert_refused("fifo", "key.pem", "fifo", "no regular file");
    assert_refused("cert.pem", "fifo", "fifo", "no regular file");
    tls_files_close();
}

static void what_is_no_pem_is_named(void **state)
{
    (void)state;
    put_files();
    tls_files_put_text("empty.pem", "");
    tls_files_put_text("torn.pem", "-----BEGIN PRIVATE KEY-----\nMIGH\n");
    tls_files_put_certificate("second_torn.pem", tls_shared_credentials()->certificate);
    tls_files_put_text("second_torn.pem", "-----BEGIN CERTIFICATE-----\nMIGH\n");
    assert_refused("empty.pem", "key.pem", "empty.pem", "no certificate");
    assert_refused("key.pem", "key.pem", "key.pem", "no certificate");
    assert_refused("second_torn.pem", "key.pem", "second_torn.pem", "certificate 2");
    assert_refused("cert.pem", "empty.pem", "empty.pem", "no private key");
    assert_refused("cert.pem", "cert.pem", "cert.pem", "no private key");
    assert_refused("cert.pem", "torn.pem", "torn.pem", "no private key");
    tls_files_close();
}

static void a_certificate_in_der_gets_a_remedy(void **state)
{
    char command[2 * TLS_PATH_MAX];
    (void)state;
    put_files();
    FILE *file = fopen(tls_files_path("cert.der"), "we");
    assert_non_null(file);
    assert_int_equal(i2d_X509_fp(file, tls_shared_credentials()->certificate), 1);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(command, sizeof command, "DER: openssl x509 -inform der -in %s -out FILE",
                   tls_files_path("cert.der"));
    assert_refused("cert.der", "key.pem", "cert.der", command);
    tls_files_put_text("text.pem", "0 is the octet that DER begins with");
    assert_refused("text.pem", "key.pem", "text.pem", "no certificate in PEM: no start line");
    tls_files_close();
}

static void the_key_must_be_the_certificates(void **state)
{
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    (void)state;
    put_files();
    tls_files_put_key("rsa.pem", rsa, NULL);
    assert_refused("cert.pem", "other.pem", "other.pem", "not that of the first certificate");
    assert_refused("cert.pem", "rsa.pem", "rsa.pem", "not that of the first certificate");
    assert_refused("cert.pem", "rsa.pem", "cert.pem", "the server's own goes first there");
    EVP_PKEY_free(rsa);
    tls_files_close();
}

/* Without a terminal to ask on, and with one that would answer. */
static void an_encrypted_key_is_refused_unasked(void **state)
{
    (void)state;
    put_files();
    tls_files_put_key("secret.pem", tls_shared_credentials()->key, "password");
    assert_refused("cert.pem", "secret.pem", "secret.pem",
                   "encrypted: write it without a password");
    tls_files_close();
}

/* As `openssl ecparam -genkey` writes it, and with the certificate in the same file. */
static void a_key_may_stand_behind_other_things(void **state)
{
    (void)state;
    put_files();
    tls_files_put_text("all.pem", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                                  "-----END EC PARAMETERS-----\n");
    tls_files_put_key("all.pem", tls_shared_credentials()->key, NULL);
    tls_files_put_certificate("all.pem", tls_shared_credentials()->certificate);
    assert_loads("all.pem", "all.pem");
    tls_files_close();
}

/* What a client trusts is the root; server and intermediate come in the handshake. */
static void a_chain_is_loaded_and_sent(void **state)
{
    char error[TLS_ERROR_MAX] = "";
    EVP_PKEY *keys[3] = {EVP_EC_gen("P-256"), EVP_EC_gen("P-256"), EVP_RSA_gen(2048)};
    X509 *root = tls_files_make("root", keys[0], NULL, NULL, 1);
    X509 *middle = tls_files_make("middle", keys[1], root, keys[0], 1);
    X509 *leaf = tls_files_make(TLS_SHARED_NAME, keys[2], middle, keys[1], 0);
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    (void)state;
    tls_files_open();
    tls_files_put_certificate("chain.pem", leaf);
    tls_files_put_certificate("chain.pem", middle);
    tls_files_put_certificate("root.pem", root);
    tls_files_put_key("key.pem", keys[2], NULL);
    struct tls_credentials *credentials =
        tls_credentials_load(tls_files_path("chain.pem"), tls_files_path("key.pem"), error);
    assert_non_null(credentials);
    assert_int_equal(credentials->chain_count, 1);
    server.credentials = credentials;
    client.verifies = true;
    client.ca_file = tls_files_path("root.pem");
    tls_pair_open(&pair, &server, &client);
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    assert_true(tls_stream_is_established(pair.client.stream));
    tls_pair_close(&pair);
    tls_credentials_close(credentials);
    tls_files_close();
    X509_free(root);
    X509_free(middle);
    X509_free(leaf);
    for (unsigned i = 0; i < 3; i++)
        EVP_PKEY_free(keys[i]);
}

static void a_chain_has_a_bound(void **state)
{
    (void)state;
    put_files();
    for (unsigned i = 0; i < TLS_CHAIN_MAX + 1; i++)
        tls_files_put_certificate("long.pem", tls_shared_credentials()->certificate);
    assert_loads("long.pem", "key.pem");
    tls_files_put_certificate("long.pem", tls_shared_credentials()->certificate);
    assert_refused("long.pem", "key.pem", "long.pem", "at most 33");
    tls_files_close();
}

/* OpenSSL's own program says the same. */
static void the_fingerprint_is_openssls(void **state)
{
    char command[2 * TLS_PATH_MAX];
    char said[256] = "";
    char expected[256];
    char fingerprint[TLS_FINGERPRINT_MAX];
    (void)state;
    put_files();
    (void)snprintf(command, sizeof command, "openssl x509 -noout -fingerprint -sha256 -in %s",
                   tls_files_path("cert.pem"));
    FILE *program = popen(command, "r"); /* NOLINT(cert-env33-c): of a name of ours */
    assert_non_null(program);
    assert_non_null(fgets(said, sizeof said, program));
    assert_int_equal(pclose(program), 0);
    tls_credentials_fingerprint(tls_shared_credentials(), fingerprint);
    (void)snprintf(expected, sizeof expected, "sha256 Fingerprint=%s\n", fingerprint);
    assert_string_equal(said, expected);
    tls_files_close();
}

static struct tls_credentials *made_for(const char *name)
{
    char error[TLS_ERROR_MAX] = "";
    struct tls_credentials *credentials = tls_credentials_make(name, tls_shared_now_s(), error);
    if (credentials == NULL) fail_msg("%s", error);
    return credentials;
}

static void what_is_made_is_for_its_name(void **state)
{
    static const char long_name[] = "a-label-of-some-length.a-label-of-some-length."
                                    "a-label-of-some-length.example.org";
    static const char *const names[] = {"sink.test", "localhost", long_name, "a,IP:127.0.0.2"};
    static const char *const addresses[] = {"127.0.0.1", "::1", "2001:db8::25"};
    (void)state;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tls_credentials *credentials = made_for(names[i]);
        assert_int_equal(X509_check_host(credentials->certificate, names[i], 0, 0, NULL), 1);
        assert_int_equal(X509_check_host(credentials->certificate, "b.test", 0, 0, NULL), 0);
        assert_int_equal(X509_check_ip_asc(credentials->certificate, "127.0.0.2", 0), 0);
        tls_credentials_close(credentials);
    }
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct tls_credentials *credentials = made_for(addresses[i]);
        assert_int_equal(X509_check_ip_asc(credentials->certificate, addresses[i], 0), 1);
        assert_int_equal(X509_check_ip_asc(credentials->certificate, "127.0.0.9", 0), 0);
        tls_credentials_close(credentials);
    }
}

static void what_is_made_is_fresh_and_signed(void **state)
{
    char group[32] = "";
    time_t first_s = (time_t)tls_shared_now_s() - 3600;
    time_t last_s = first_s + (time_t)90 * DAY_S;
    (void)state;
    struct tls_credentials *one = made_for("sink.test");
    struct tls_credentials *two = made_for("sink.test");
    X509 *certificate = one->certificate;
    assert_int_equal(X509_verify(certificate, one->key), 1);
    assert_int_equal(EVP_PKEY_get_group_name(one->key, group, sizeof group, NULL), 1);
    assert_string_equal(group, "prime256v1");
    assert_int_equal(X509_get_signature_nid(certificate), NID_ecdsa_with_SHA256);
    /* Within the second that may have passed. */
    time_t soon_s = first_s - 3;
    time_t later_s = first_s + 3;
    assert_true(X509_cmp_time(X509_get0_notBefore(certificate), &later_s) < 0);
    assert_true(X509_cmp_time(X509_get0_notBefore(certificate), &soon_s) > 0);
    soon_s = last_s - 3;
    later_s = last_s + 3;
    assert_true(X509_cmp_time(X509_get0_notAfter(certificate), &later_s) < 0);
    assert_true(X509_cmp_time(X509_get0_notAfter(certificate), &soon_s) > 0);
    assert_null(tls_credentials_doubt(one, tls_shared_now_s()));
    assert_string_equal(tls_credentials_doubt(one, first_s - 3), "is not valid yet");
    assert_string_equal(tls_credentials_doubt(one, last_s + 3), "has expired");
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(certificate),
                                          X509_get0_serialNumber(two->certificate)),
                         0);
    assert_int_equal(EVP_PKEY_eq(one->key, two->key), 0);
    assert_int_equal(X509_check_ca(certificate), 0);
    tls_credentials_close(one);
    tls_credentials_close(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_loaded),
        cmocka_unit_test(others_must_not_read_the_key),
        cmocka_unit_test(a_link_to_the_key_is_followed),
        cmocka_unit_test(a_key_of_another_user_is_refused),
        cmocka_unit_test(what_is_no_file_is_named),
        cmocka_unit_test(what_is_no_pem_is_named),
        cmocka_unit_test(a_certificate_in_der_gets_a_remedy),
        cmocka_unit_test(the_key_must_be_the_certificates),
        cmocka_unit_test(an_encrypted_key_is_refused_unasked),
        cmocka_unit_test(a_key_may_stand_behind_other_things),
        cmocka_unit_test(a_chain_is_loaded_and_sent),
        cmocka_unit_test(a_chain_has_a_bound),
        cmocka_unit_test(the_fingerprint_is_openssls),
        cmocka_unit_test(what_is_made_is_for_its_name),
        cmocka_unit_test(what_is_made_is_fresh_and_signed),
    };
    return cmocka_run_group_tests(tests, tls_shared_set_up, tls_shared_tear_down);
}
