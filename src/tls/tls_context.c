#include "tls/tls_context.h"

#include "tls/tls_context_inside.h"
#include "tls/tls_credentials_inside.h"
#include "tls/tls_error.h"
#include "tls/tls_stream_inside.h"
#include "tls/tls_wire.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Authenticated encryption and forward secrecy (RFC 9325 4.2); stated in full, so that no file of
 * the system's can weaken it. Whose order counts? The client's: it knows its processor. */
#define CIPHERS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define CIPHERS_1_3 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
#define GROUPS      "X25519:P-256"

/* RFC 5077 3.4, RFC 5246 F.1.4: the same in all contexts, or a ticket of one fails in another. */
static const unsigned char session_id_context[] = "ringsink";

static uint64_t block_size_of(uint32_t ciphertext_size)
{
    return ciphertext_size == 0 ? TLS_CIPHERTEXT_SIZE : ciphertext_size;
}

static bool open_pools(struct tls_context *context, uint32_t streams, uint32_t ciphertext_size)
{
    CHECK(ciphertext_size == 0 || ciphertext_size >= TLS_CIPHERTEXT_SIZE);
    return blocks_open(&context->streams, streams, TLS_STREAM_SIZE) == 0 &&
           blocks_open(&context->plaintext, streams, TLS_PLAINTEXT_SIZE) == 0 &&
           blocks_open(&context->ciphertext, streams, block_size_of(ciphertext_size)) == 0;
}

/* RELEASE_BUFFERS: a silent connection keeps no record buffers. */
static bool set_up_library(SSL_CTX *library)
{
    SSL_CTX_set_mode(library, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(library, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(library, 0);
    return SSL_CTX_set_min_proto_version(library, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(library, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(library, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(library, CIPHERS_1_3) == 1 &&
           SSL_CTX_set1_groups_list(library, GROUPS) == 1;
}

/* What both sides have; on failure the caller closes. */
static bool set_up(struct tls_context *context, uint32_t streams, uint32_t ciphertext_size,
                   char *error)
{
    ERR_clear_error();
    if (!open_pools(context, streams, ciphertext_size))
        return tls_error_put(error, "no memory for %u TLS connections: allow fewer", streams);
    context->library = SSL_CTX_new(context->is_client ? TLS_client_method() : TLS_server_method());
    context->wire_method = tls_wire_method_open();
    if (context->library == NULL || context->wire_method == NULL)
        return tls_error_put(error, "OpenSSL can't start: %s", tls_error_reason());
    SSL_CTX_set_app_data(context->library, context);
    if (!set_up_library(context->library))
        return tls_error_put(error, "this OpenSSL (%s) lacks what is needed: %s",
                             tls_library_version(), tls_error_reason());
    return true;
}

static bool use_credentials(SSL_CTX *library, const struct tls_credentials *credentials,
                            char *error)
{
    if (SSL_CTX_use_certificate(library, credentials->certificate) != 1 ||
        SSL_CTX_use_PrivateKey(library, credentials->key) != 1)
        return tls_error_put(error, "OpenSSL refuses the certificate or its key: %s",
                             tls_error_reason());
    for (uint32_t i = 0; i < credentials->chain_count; i++)
        if (SSL_CTX_add1_chain_cert(library, credentials->chain[i]) != 1)
            return tls_error_put(error, "OpenSSL refuses issuer %u of the certificate chain: %s",
                                 i + 1, tls_error_reason());
    return true;
}

/* Tickets only: what a client may resume is kept by the client. One: more would cost each
 * connection time for nothing. */
static bool set_up_server(struct tls_context *context, const struct tls_server_options *options,
                          char *error)
{
    SSL_CTX *library = context->library;
    uint8_t ticket_keys[TLS_TICKET_KEYS_SIZE];

    if (!use_credentials(library, options->credentials, error)) return false;
    SSL_CTX_set_session_cache_mode(library, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(library, SSL_VERIFY_NONE, NULL);
    memcpy(ticket_keys, options->ticket_keys, sizeof ticket_keys);
    bool is_set = SSL_CTX_set_num_tickets(library, 1) == 1 &&
                  SSL_CTX_set_max_early_data(library, 0) == 1 &&
                  SSL_CTX_set_session_id_context(library, session_id_context,
                                                 sizeof session_id_context - 1) == 1 &&
                  SSL_CTX_set_tlsext_ticket_keys(library, ticket_keys, sizeof ticket_keys) == 1;
    explicit_bzero(ticket_keys, sizeof ticket_keys);
    return is_set ||
           tls_error_put(error, "OpenSSL refuses to make tickets: %s", tls_error_reason());
}

struct tls_context *tls_context_open_server(const struct tls_server_options *options,
                                            char error[TLS_ERROR_MAX])
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        (void)tls_error_put(error, "no memory for TLS");
        return NULL;
    }
    if (set_up(context, options->streams, options->ciphertext_size, error) &&
        set_up_server(context, options, error))
        return context;
    ERR_clear_error();
    tls_context_close(context);
    return NULL;
}

/* OpenSSL calls it when a ticket came; 1: the session is ours now. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(context->newest_session);
    context->newest_session = session;
    return 1;
}

static bool is_address(const char *name)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    ASN1_OCTET_STRING_free(address);
    return address != NULL;
}

static bool load_authorities(SSL_CTX *library, const char *ca_file, char *error)
{
    if (ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(library) == 1) return true;
        return tls_error_put(error, "the system's certificate authorities can't be read: %s",
                             tls_error_reason());
    }
    if (SSL_CTX_load_verify_file(library, ca_file) == 1) return true;
    if (tls_error_system() != 0)
        return tls_error_put(error, "%s can't be read: %s", ca_file, strerror(tls_error_system()));
    return tls_error_put(error, "%s can't be read: %s; give certificates in PEM", ca_file,
                         tls_error_reason());
}

static bool set_up_verification(struct tls_context *context,
                                const struct tls_client_options *options, char *error)
{
    X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context->library);
    const char *name = options->server_name;

    SSL_CTX_set_verify(context->library, SSL_VERIFY_NONE, NULL);
    if (!options->verifies) return true;
    if (name == NULL)
        return tls_error_put(error,
                             "a certificate can't be verified without the server's name: give it");
    SSL_CTX_set_verify(context->library, SSL_VERIFY_PEER, NULL);
    bool is_set = is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1
                                   : X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1;
    if (!is_set) return tls_error_put(error, "%s can't be compared with a certificate", name);
    return load_authorities(context->library, options->ca_file, error);
}

/* RFC 6066 3: a name, never an address. */
static bool set_up_name(struct tls_context *context, const char *name, char *error)
{
    if (name == NULL || is_address(name)) return true;
    if (strlen(name) >= TLS_SERVER_NAME_MAX)
        return tls_error_put(error, "the server's name is too long: at most %u octets",
                             TLS_SERVER_NAME_MAX - 1);
    memcpy(context->server_name, name, strlen(name) + 1);
    return true;
}

struct tls_context *tls_context_open_client(const struct tls_client_options *options,
                                            char error[TLS_ERROR_MAX])
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        (void)tls_error_put(error, "no memory for TLS");
        return NULL;
    }
    context->is_client = true;
    if (set_up(context, options->streams, options->ciphertext_size, error) &&
        set_up_name(context, options->server_name, error) &&
        set_up_verification(context, options, error)) {
        SSL_CTX_set_session_cache_mode(
            context->library, options->resumes ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                               : SSL_SESS_CACHE_OFF);
        if (options->resumes) SSL_CTX_sess_set_new_cb(context->library, keep_session);
        return context;
    }
    ERR_clear_error();
    tls_context_close(context);
    return NULL;
}

void tls_context_close(struct tls_context *context)
{
    if (context == NULL) return;
    CHECK(context->streams.taken_count == 0);
    SSL_SESSION_free(context->newest_session);
    SSL_CTX_free(context->library);
    tls_wire_method_close(context->wire_method);
    blocks_close(&context->streams);
    blocks_close(&context->plaintext);
    blocks_close(&context->ciphertext);
    free(context);
}

uint64_t tls_context_memory(uint32_t streams, uint32_t ciphertext_size)
{
    return streams * (TLS_STREAM_SIZE + TLS_PLAINTEXT_SIZE + block_size_of(ciphertext_size));
}

const char *tls_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
