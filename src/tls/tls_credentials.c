#include "tls/tls_credentials.h"

#include "tls/tls_context.h"
#include "tls/tls_credentials_inside.h"
#include "tls/tls_error.h"
#include "tls/tls_self_signed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define KEY_FILE_BUFFER_SIZE 4096
#define SECURITY_BITS_MIN    112 /* of OpenSSL's level 2, which is Debian's */

/* Instead of OpenSSL's own, which asks on the terminal. */
static int refuse_password(char *password, int size, int is_writing, void *was_asked)
{
    (void)password;
    (void)size;
    (void)is_writing;
    if (was_asked != NULL) *(bool *)was_asked = true;
    return -1;
}

/* A FIFO in place of the file must not make us wait: O_NONBLOCK. */
static FILE *open_file(const char *path, struct stat *status, char *error)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_regular = descriptor >= 0 && fstat(descriptor, status) == 0 && S_ISREG(status->st_mode);
    FILE *file = is_regular ? fdopen(descriptor, "r") : NULL;
    if (file != NULL) return file;
    if (descriptor >= 0 && !is_regular)
        (void)tls_error_put(error, "%s is no regular file: give the path of a PEM file", path);
    else
        (void)tls_error_put(error, "%s can't be opened: %s; give the path of a PEM file", path,
                            strerror(errno));
    if (descriptor >= 0) close(descriptor);
    return NULL;
}

/* A SEQUENCE whose length takes several octets: what a certificate or a key in DER begins with. */
static bool is_der(FILE *file)
{
    rewind(file);
    return fgetc(file) == 0x30 && fgetc(file) > 0x80;
}

/* The server's own certificate stands first, its issuers follow (RFC 8446 4.4.2). */
static bool read_certificates(struct tls_credentials *credentials, FILE *file, const char *path,
                              char *error)
{
    X509 *next = NULL;

    credentials->certificate = PEM_read_X509(file, NULL, refuse_password, NULL);
    if (credentials->certificate == NULL && is_der(file))
        return tls_error_put(error,
                             "%s holds no certificate in PEM, but DER: "
                             "openssl x509 -inform der -in %s -out FILE",
                             path, path);
    if (credentials->certificate == NULL)
        return tls_error_put(error, "%s holds no certificate in PEM: %s", path, tls_error_reason());
    while ((next = PEM_read_X509(file, NULL, refuse_password, NULL)) != NULL) {
        if (credentials->chain_count == TLS_CHAIN_MAX) {
            X509_free(next);
            return tls_error_put(error, "%s holds too many certificates: at most %d", path,
                                 TLS_CHAIN_MAX + 1);
        }
        credentials->chain[credentials->chain_count++] = next;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return tls_error_put(error, "%s: certificate %u of it can't be read: %s", path,
                             credentials->chain_count + 2, tls_error_reason());
    ERR_clear_error();
    return true;
}

static bool load_certificates(struct tls_credentials *credentials, const char *path, char *error)
{
    struct stat status;
    FILE *file = open_file(path, &status, error);
    if (file == NULL) return false;
    bool is_read = read_certificates(credentials, file, path, error);
    (void)fclose(file);
    return is_read;
}

static bool check_key_file(const struct stat *status, const char *path, char *error)
{
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return tls_error_put(
            error, "%s belongs to another user: chown it, or make a key of your own", path);
    if ((status->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return tls_error_put(error, "others may read or write the key in %s: chmod 600 %s", path,
                             path);
    return true;
}

static bool load_key(struct tls_credentials *credentials, const char *path, char *error)
{
    struct stat status;
    bool was_asked = false;
    FILE *file = open_file(path, &status, error);
    if (file == NULL) return false;
    /* Ours instead of stdio's: no copy of the key is to stay behind in memory that was freed. */
    char buffer[KEY_FILE_BUFFER_SIZE];
    CHECK(setvbuf(file, buffer, _IOFBF, sizeof buffer) == 0);
    bool is_private = check_key_file(&status, path, error);
    if (is_private) credentials->key = PEM_read_PrivateKey(file, NULL, refuse_password, &was_asked);
    (void)fclose(file);
    explicit_bzero(buffer, sizeof buffer);
    if (!is_private) return false;
    if (was_asked)
        return tls_error_put(error,
                             "the key in %s is encrypted: write it without a password "
                             "(openssl pkey -in %s -out FILE; chmod 600 FILE)",
                             path, path);
    if (credentials->key == NULL)
        return tls_error_put(error, "%s holds no private key in PEM: %s", path, tls_error_reason());
    return true;
}

/* OpenSSL's own sentence comes only from the worker that is to use it. */
static bool check_strength(const struct tls_credentials *credentials, const char *path, char *error)
{
    int bits = EVP_PKEY_get_security_bits(credentials->key);
    if (bits >= SECURITY_BITS_MIN) return true;
    return tls_error_put(error,
                         "the key in %s is too weak, %d bits of security where TLS wants %d: make "
                         "one of P-256, or of RSA with 2048 bits or more",
                         path, bits, SECURITY_BITS_MIN);
}

static bool load(struct tls_credentials *credentials, const char *certificate_file,
                 const char *key_file, char *error)
{
    if (!load_certificates(credentials, certificate_file, error)) return false;
    if (!load_key(credentials, key_file, error)) return false;
    if (!check_strength(credentials, key_file, error)) return false;
    if (X509_check_private_key(credentials->certificate, credentials->key) == 1) return true;
    return tls_error_put(error,
                         "the key in %s is not that of the first certificate in %s: the server's "
                         "own goes first there, then the chain of its issuers",
                         key_file, certificate_file);
}

struct tls_credentials *tls_credentials_load(const char *certificate_file, const char *key_file,
                                             char *error)
{
    struct tls_credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials == NULL) {
        (void)tls_error_put(error, "no memory for the certificate in %s", certificate_file);
        return NULL;
    }
    ERR_clear_error();
    if (load(credentials, certificate_file, key_file, error)) return credentials;
    ERR_clear_error();
    tls_credentials_close(credentials);
    return NULL;
}

struct tls_credentials *tls_credentials_make(const char *host_name, int64_t now_s, char *error)
{
    struct tls_credentials *credentials = calloc(1, sizeof *credentials);
    if (credentials == NULL) {
        (void)tls_error_put(error, "no memory for a certificate");
        return NULL;
    }
    ERR_clear_error();
    credentials->key = tls_self_signed_key();
    if (credentials->key != NULL)
        credentials->certificate = tls_self_signed_certificate(credentials->key, host_name, now_s);
    if (credentials->certificate != NULL) return credentials;
    (void)tls_error_put(error, "no certificate could be made for %s: %s; give one by a file",
                        host_name, tls_error_reason());
    ERR_clear_error();
    tls_credentials_close(credentials);
    return NULL;
}

void tls_credentials_close(struct tls_credentials *credentials)
{
    if (credentials == NULL) return;
    EVP_PKEY_free(credentials->key);
    X509_free(credentials->certificate);
    for (uint32_t i = 0; i < credentials->chain_count; i++)
        X509_free(credentials->chain[i]);
    free(credentials);
}

const char *tls_credentials_doubt(const struct tls_credentials *credentials, int64_t now_s)
{
    time_t now = (time_t)now_s;
    if (X509_cmp_time(X509_get0_notAfter(credentials->certificate), &now) < 0) return "has expired";
    if (X509_cmp_time(X509_get0_notBefore(credentials->certificate), &now) > 0)
        return "is not valid yet";
    return NULL;
}

void tls_credentials_fingerprint(const struct tls_credentials *credentials,
                                 char text[TLS_FINGERPRINT_MAX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    CHECK(X509_digest(credentials->certificate, EVP_sha256(), digest, &size) == 1);
    CHECK(3 * size <= TLS_FINGERPRINT_MAX);
    for (unsigned i = 0; i < size; i++)
        (void)snprintf(text + (uint64_t)3 * i, 4, i + 1 < size ? "%02X:" : "%02X", digest[i]);
}
