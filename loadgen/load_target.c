#include "loadgen/load_target.h"

#include "loadgen/load_options.h"

#include <netinet/in.h>
#include <string.h>

#define TARGET_V6    "[::1]:2525"
#define DEFAULT_PORT 25

static bool is_private_v4(uint32_t address)
{
    static const struct {
        uint32_t network;
        uint32_t bits;
    } networks[] = {
        {0x7f000000, 8},  /* 127.0.0.0/8                */
        {0x0a000000, 8},  /* RFC 1918                   */
        {0xac100000, 12}, /* RFC 1918                   */
        {0xc0a80000, 16}, /* RFC 1918                   */
        {0xa9fe0000, 16}, /* link-local, RFC 3927       */
        {0x64400000, 10}, /* shared, RFC 6598           */
    };
    for (uint32_t index = 0; index < sizeof networks / sizeof networks[0]; index++)
        if ((address ^ networks[index].network) >> (32 - networks[index].bits) == 0) return true;
    return false;
}

bool load_target_is_private(const struct net_address *address)
{
    const void *storage = &address->storage;
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = storage;
        return is_private_v4(ntohl(in->sin_addr.s_addr));
    }
    const struct sockaddr_in6 *in6 = storage;
    const uint8_t *octets = in6->sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return is_private_v4((uint32_t)octets[12] << 24 | (uint32_t)octets[13] << 16 |
                             (uint32_t)octets[14] << 8 | octets[15]);
    if (IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)) return true;
    if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) return true;
    return (octets[0] & 0xfe) == 0xfc; /* unique local, RFC 4193 */
}

/* "PORT" and ":PORT" resolve to the unspecified address; a client means this host by it. */
static void replace_unspecified(struct net_address *address)
{
    void *storage = &address->storage;
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in *in = storage;
        if (in->sin_addr.s_addr == htonl(INADDR_ANY)) in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return;
    }
    struct sockaddr_in6 *in6 = storage;
    if (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)) in6->sin6_addr = in6addr_loopback;
}

static bool resolve(struct load_config *config, char *error)
{
    char reason[NET_ERROR_MAX];
    char text[NET_TEXT_MAX];
    int family = config->only_v4 ? AF_INET : config->only_v6 ? AF_INET6 : AF_UNSPEC;

    config->address_count = net_resolve(config->target, DEFAULT_PORT, family, config->addresses,
                                        LOAD_ADDRESSES_MAX, reason);
    if (config->address_count == 0) return load_config_fail(error, "%s", reason);
    for (uint32_t index = 0; index < config->address_count; index++) {
        struct net_address *address = &config->addresses[index];
        if (net_is_unix(address)) continue;
        replace_unspecified(address);
        if (config->allow_public || load_target_is_private(address)) continue;
        return load_config_fail(
            error,
            "%s is a public address; load tests belong on your own network: if this host "
            "is yours, say --allow-public",
            net_format(text, address));
    }
    return true;
}

/* The target's addresses of other families are left out: nothing could be connected to them. */
static void keep_family(struct load_config *config, int family)
{
    uint32_t kept = 0;
    for (uint32_t index = 0; index < config->address_count; index++)
        if (config->addresses[index].storage.ss_family == family)
            config->addresses[kept++] = config->addresses[index];
    config->address_count = kept;
}

static bool check_sources(struct load_config *config, char *error)
{
    char text[NET_TEXT_MAX];
    uint32_t wrong = 0;

    if (config->source_text == NULL) return true;
    if (!load_sources_parse(&config->sources, config->source_text))
        return load_config_fail(error,
                                "--source '%s': try 127.0.0.2,127.0.1.0/28; at most %u addresses",
                                config->source_text, LOAD_SOURCES_MAX);
    int family = config->sources.addresses[0].storage.ss_family;
    keep_family(config, family);
    if (config->address_count == 0)
        return load_config_fail(error, "--source '%s' is of another address family than %s",
                                config->source_text, config->target);
    int number = load_sources_check(&config->sources, family, &wrong);
    if (number == 0) return true;
    return load_config_fail(error, "--source: can't connect from %s: %s",
                            net_format(text, &config->sources.addresses[wrong]), strerror(-number));
}

/* What a certificate has to be for: the target as it was named, or the address it stands for. */
static bool choose_name(struct load_config *config, char *error)
{
    char text[NET_TEXT_MAX];
    bool has_host = net_host(config->host, config->target) ||
                    net_host(config->host, net_format(text, &config->addresses[0]));

    if (config->tls == LOAD_TLS_OFF || config->tls_name != NULL) return true;
    if (has_host) config->tls_name = config->host;
    if (has_host || !config->tls_verifies) return true;
    return load_config_fail(
        error, "--tls-verify: a unix socket has no name that a certificate could be for: say "
               "--tls-name NAME");
}

bool load_target_read(struct load_config *config, int argc, char **argv, int first, char *error)
{
    config->target = config->only_v6 ? TARGET_V6 : LOAD_OPTIONS_TARGET;
    if (first < argc) config->target = argv[first];
    if (first + 1 < argc)
        return load_config_fail(error, "one target, please: '%s' is left over (see --help)",
                                argv[first + 1]);
    return resolve(config, error) && check_sources(config, error) && choose_name(config, error);
}
