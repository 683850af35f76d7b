#include "tls/tls_failure.h"

#include "base/check.h"

#include <stdbool.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

struct failure {
    int reason;
    const char *text;
};

/* OpenSSL tells an alert's number behind an offset; errors of all its libraries are far beyond. */
#define ALERTS_END (SSL_AD_REASON_OFFSET + 256)

/* RFC 8446 6.2, RFC 5246 7.2.2. */
static const struct failure alerts[] = {
    {10, "the peer says: unexpected message"},
    {20, "the peer says: bad record"},
    {21, "the peer says: decryption failed"},
    {22, "the peer says: record overflow"},
    {40, "the peer says: handshake failure"},
    {42, "the peer says: bad certificate"},
    {43, "the peer says: unsupported certificate"},
    {44, "the peer says: certificate revoked"},
    {45, "the peer says: certificate expired"},
    {46, "the peer says: certificate unknown"},
    {47, "the peer says: illegal parameter"},
    {48, "the peer says: unknown certificate authority"},
    {49, "the peer says: access denied"},
    {50, "the peer says: decode error"},
    {51, "the peer says: decrypt error"},
    {70, "the peer says: no such protocol version"},
    {71, "the peer says: insufficient security"},
    {80, "the peer says: internal error"},
    {86, "the peer says: inappropriate fallback"},
    {90, "the peer says: cancelled by its user"},
    {100, "the peer says: no renegotiation"},
    {109, "the peer says: missing extension"},
    {110, "the peer says: unsupported extension"},
    {112, "the peer says: unrecognized name"},
    {113, "the peer says: bad certificate status"},
    {115, "the peer says: unknown pre-shared key"},
    {116, "the peer says: certificate required"},
    {120, "the peer says: no application protocol"},
};

static const struct failure reasons[] = {
    {SSL_R_HTTP_REQUEST, "not TLS: a request of HTTP"},
    {SSL_R_HTTPS_PROXY_REQUEST, "not TLS: a request of HTTP"},
    {SSL_R_WRONG_VERSION_NUMBER, "not TLS"},
    {SSL_R_UNKNOWN_PROTOCOL, "not TLS"},
    {SSL_R_BAD_PACKET_LENGTH, "not TLS"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "no common version: the peer has none from 1.2 on"},
    {SSL_R_WRONG_SSL_VERSION, "no common version: the peer has none from 1.2 on"},
    {SSL_R_VERSION_TOO_LOW, "no common version: the peer has none from 1.2 on"},
    {SSL_R_NO_SHARED_CIPHER, "no common cipher"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "no common group for the key exchange"},
    {SSL_R_NO_SHARED_GROUPS, "no common group for the key exchange"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "no common signature algorithm"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "bad record: it was changed on its way"},
    {SSL_R_ENCRYPTED_LENGTH_TOO_LONG, "bad record: too long"},
    {SSL_R_DATA_LENGTH_TOO_LONG, "bad record: too long"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "bad record: too long"},
    {SSL_R_BAD_RECORD_TYPE, "bad record: no such type"},
    {SSL_R_RECORD_TOO_SMALL, "bad record: too short"},
    {SSL_R_LENGTH_TOO_SHORT, "bad record: too short"},
    {SSL_R_UNEXPECTED_MESSAGE, "a message that has no place there"},
    {SSL_R_UNEXPECTED_RECORD, "a message that has no place there"},
    {SSL_R_TOO_MANY_WARN_ALERTS, "too many warnings"},
    {SSL_R_TOO_MANY_KEY_UPDATES, "too many changes of key"},
    {SSL_R_RECORD_LENGTH_MISMATCH, "bad record: its length is wrong"},
    {ERR_R_MALLOC_FAILURE, "no memory"},
};

static const char *find(const struct failure *table, uint32_t count, int reason)
{
    for (uint32_t i = 0; i < count; i++)
        if (table[i].reason == reason) return table[i].text;
    return NULL;
}

const char *tls_failure_of_error(uint64_t error)
{
    int reason = ERR_GET_REASON(error);
    const char *text = find(reasons, sizeof reasons / sizeof reasons[0], reason);

    if (error == 0) return "OpenSSL does not say why";
    bool is_alert =
        ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET && reason < ALERTS_END;
    if (is_alert) {
        text = find(alerts, sizeof alerts / sizeof alerts[0], reason - SSL_AD_REASON_OFFSET);
        return text != NULL ? text : "the peer says: an alert without a name";
    }
    if (text == NULL) text = ERR_reason_error_string(error);
    return text != NULL ? text : "OpenSSL has no words for it";
}

const char *tls_failure_of_certificate(long verdict)
{
    CHECK(verdict != X509_V_OK);
    return X509_verify_cert_error_string(verdict);
}
