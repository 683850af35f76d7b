#include "server/identity.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "tls/tls_memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Of OpenSSL 3.0, rounded up: docs/ARCHITECTURE.md has what was measured. */
#define CONNECTION_BYTES (32ull * 1024)
#define HANDSHAKE_BYTES  (96ull * 1024)
#define COMMON_BYTES     (8ull * 1024 * 1024)

uint64_t identity_memory(const struct config *config)
{
    if (config->tls == CONFIG_TLS_OFF) return 0;
    if (config->tls_memory > 0) return config->tls_memory;
    return COMMON_BYTES + config->max_connections * CONNECTION_BYTES +
           config->tls_handshakes * HANDSHAKE_BYTES;
}

static struct tls_credentials *open_credentials(const struct config *config, char *error)
{
    int64_t now_s = (int64_t)(clock_realtime_ns() / CLOCK_NS_PER_S);
    if (config->certificate == NULL) return tls_credentials_make(config->hostname, now_s, error);
    struct tls_credentials *credentials =
        tls_credentials_load(config->certificate, config->key, error);
    const char *doubt = credentials != NULL ? tls_credentials_doubt(credentials, now_s) : NULL;
    if (doubt != NULL)
        log_warning("the certificate in %s %s: clients that verify will refuse it",
                    config->certificate, doubt);
    return credentials;
}

void identity_open(struct identity *identity, const struct config *config)
{
    char error[TLS_ERROR_MAX];
    if (config->tls == CONFIG_TLS_OFF) return;
    if (!tls_memory_watch()) log_warning("what OpenSSL allocates can't be counted");
    tls_memory_set_bound(identity_memory(config));
    identity->credentials = open_credentials(config, error);
    if (identity->credentials == NULL) die(EXIT_CODE_USAGE, "%s", error);
    ssize_t size = getrandom(identity->ticket_keys, sizeof identity->ticket_keys, 0);
    CHECK(size == (ssize_t)sizeof identity->ticket_keys); /* whole up to 256 octets */
}

void identity_close(struct identity *identity)
{
    if (identity->credentials != NULL) tls_credentials_close(identity->credentials);
    explicit_bzero(identity->ticket_keys, sizeof identity->ticket_keys);
    identity->credentials = NULL;
}

void identity_print(const struct identity *identity, const struct config *config)
{
    static const char *const modes[] = {"off", "by STARTTLS", "implicit",
                                        "by STARTTLS, and implicit where it says so"};
    char fingerprint[TLS_FINGERPRINT_MAX];
    if (identity->credentials == NULL) return;
    tls_credentials_fingerprint(identity->credentials, fingerprint);
    (void)fprintf(stderr, "TLS %s, %s, certificate %s\n  SHA-256 %s\n", modes[config->tls],
                  tls_library_version(),
                  config->certificate != NULL ? config->certificate : "self-signed, made at start",
                  fingerprint);
}
