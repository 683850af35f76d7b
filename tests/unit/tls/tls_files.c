#include "unit/tls/tls_files.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char folder[TLS_PATH_MAX];

void tls_files_open(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/tls-files-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

void tls_files_close(void)
{
    char command[2 * TLS_PATH_MAX];
    (void)snprintf(command, sizeof command, "rm -r -- %s", folder);
    CHECK(system(command) == 0); /* NOLINT(cert-env33-c): of a name of ours */
}

const char *tls_files_path(const char *name)
{
    static char paths[4][2 * TLS_PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static FILE *append_to(const char *name)
{
    mode_t before = umask(077);
    FILE *file = fopen(tls_files_path(name), "a");
    (void)umask(before);
    CHECK(file != NULL);
    return file;
}

void tls_files_put_text(const char *name, const char *text)
{
    FILE *file = append_to(name);
    CHECK(fputs(text, file) >= 0);
    CHECK(fclose(file) == 0);
}

void tls_files_put_certificate(const char *name, X509 *certificate)
{
    FILE *file = append_to(name);
    CHECK(PEM_write_X509(file, certificate) == 1);
    CHECK(fclose(file) == 0);
}

void tls_files_put_key(const char *name, EVP_PKEY *key, const char *password)
{
    FILE *file = append_to(name);
    const EVP_CIPHER *cipher = password != NULL ? EVP_aes_256_cbc() : NULL;
    int size = password != NULL ? (int)strlen(password) : 0;
    CHECK(PEM_write_PKCS8PrivateKey(file, key, cipher, password, size, NULL, NULL) == 1);
    CHECK(fclose(file) == 0);
}

void tls_files_set_mode(const char *name, mode_t mode)
{
    CHECK(chmod(tls_files_path(name), mode) == 0);
}

static void name_it(X509 *certificate, const char *common_name)
{
    CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                     (const unsigned char *)common_name, -1, -1, 0) == 1);
}

static void extend(X509 *certificate, int name, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, name, value);
    CHECK(extension != NULL);
    CHECK(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

X509 *tls_files_make(const char *common_name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                     int may_sign)
{
    static long serial;
    char names[TLS_PATH_MAX];
    X509 *certificate = X509_new();
    CHECK(certificate != NULL);
    CHECK(X509_set_version(certificate, X509_VERSION_3) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate), -60) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
    CHECK(X509_set_pubkey(certificate, key) == 1);
    name_it(certificate, common_name);
    CHECK(X509_set_issuer_name(certificate,
                               X509_get_subject_name(issuer != NULL ? issuer : certificate)) == 1);
    extend(certificate, NID_basic_constraints, may_sign ? "critical,CA:TRUE" : "critical,CA:FALSE");
    (void)snprintf(names, sizeof names, "DNS:%s", common_name);
    extend(certificate, NID_subject_alt_name, names);
    CHECK(X509_sign(certificate, issuer != NULL ? issuer_key : key, EVP_sha256()) > 0);
    return certificate;
}
