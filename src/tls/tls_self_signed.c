#include "tls/tls_self_signed.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define HOUR_S          3600
#define DAY_S           86400
#define VALID_DAYS      90
#define SERIAL_BITS     127 /* RFC 5280 4.1.2.2: positive, at most 20 octets */
#define COMMON_NAME_MAX 64  /* RFC 5280 appendix A: ub-common-name           */

struct evp_pkey_st *tls_self_signed_key(void)
{
    return EVP_EC_gen("P-256");
}

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool is_set = number != NULL && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, 0) == 1 &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_set;
}

static bool set_times(X509 *certificate, int64_t now_s)
{
    int64_t first_s = now_s - HOUR_S;
    return ASN1_TIME_set(X509_getm_notBefore(certificate), first_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), first_s + VALID_DAYS * DAY_S) != NULL;
}

/* Nobody compares the common name where there is a subjectAltName (RFC 6125 6.4.4); people read it.
 */
static bool set_names(X509 *certificate, const char *host_name)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    const char *common = strlen(host_name) <= COMMON_NAME_MAX ? host_name : "ringsink";
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)common, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1;
}

static bool add_extension(X509 *certificate, int name, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, name, value);
    bool is_added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static ASN1_STRING *dns_name(const char *host_name)
{
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    if (text == NULL || ASN1_STRING_set(text, host_name, -1) == 1) return text;
    ASN1_IA5STRING_free(text);
    return NULL;
}

/* Built of parts, not of OpenSSL's "DNS:a,IP:b" notation: the name could hold a comma. */
static bool add_alternative_name(X509 *certificate, const char *host_name)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = a2i_IPADDRESS(host_name);
    int type = value != NULL ? GEN_IPADD : GEN_DNS;
    if (value == NULL) value = dns_name(host_name);
    bool is_added = false;
    if (names != NULL && name != NULL && value != NULL && sk_GENERAL_NAME_push(names, name) > 0) {
        GENERAL_NAME_set0_value(name, type, value);
        is_added = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
        name = NULL;
        value = NULL;
    }
    ASN1_STRING_free(value);
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    return is_added;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *host_name, int64_t now_s)
{
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           set_times(certificate, now_s) && set_names(certificate, host_name) &&
           X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, NID_subject_key_identifier, "hash") &&
           add_alternative_name(certificate, host_name);
}

struct x509_st *tls_self_signed_certificate(struct evp_pkey_st *key, const char *host_name,
                                            int64_t now_s)
{
    X509 *certificate = X509_new();
    if (certificate == NULL) return NULL;
    if (fill(certificate, key, host_name, now_s) && X509_sign(certificate, key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}
