#include "loadgen/load_source.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ITEM_MAX 64u
#define V4_BITS  32u

static bool add_v4(struct load_sources *sources, uint32_t address)
{
    if (sources->count == LOAD_SOURCES_MAX) return false;
    struct net_address *added = &sources->addresses[sources->count++];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    memcpy(&added->storage, &in, sizeof in);
    added->size = sizeof in;
    return true;
}

static bool add_v6(struct load_sources *sources, const char *text)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1) return false;
    if (sources->count == LOAD_SOURCES_MAX) return false;
    struct net_address *added = &sources->addresses[sources->count++];
    memcpy(&added->storage, &in6, sizeof in6);
    added->size = sizeof in6;
    return true;
}

/* All addresses of "A.B.C.D/BITS". */
static bool add_network(struct load_sources *sources, const char *text, const char *bits_text)
{
    struct in_addr in;
    char *end;
    unsigned long bits = strtoul(bits_text, &end, 10);
    if (end == bits_text || *end != '\0' || bits == 0 || bits > V4_BITS) return false;
    if (inet_pton(AF_INET, text, &in) != 1) return false;
    uint64_t count = 1ull << (V4_BITS - bits);
    if (count > LOAD_SOURCES_MAX) return false;
    uint32_t first = ntohl(in.s_addr) & ~(uint32_t)(count - 1);
    for (uint32_t index = 0; index < count; index++)
        if (!add_v4(sources, first + index)) return false;
    return true;
}

static bool add_item(struct load_sources *sources, const char *text, size_t size)
{
    char item[ITEM_MAX];
    struct in_addr in;

    if (size == 0 || size >= sizeof item) return false;
    memcpy(item, text, size);
    item[size] = '\0';
    char *slash = strchr(item, '/');
    if (slash != NULL) {
        *slash = '\0';
        return add_network(sources, item, slash + 1);
    }
    if (inet_pton(AF_INET, item, &in) == 1) return add_v4(sources, ntohl(in.s_addr));
    return add_v6(sources, item);
}

bool load_sources_parse(struct load_sources *sources, const char *text)
{
    sources->count = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        if (!add_item(sources, text, size)) return false;
        if (text[size] == '\0') return true;
        text += size + 1;
    }
}

int load_source_bind(int socket, const struct net_address *address)
{
    int one = 1;
    const void *storage = &address->storage;
    if (setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) != 0)
        return -errno;
    return bind(socket, storage, address->size) == 0 ? 0 : -errno;
}

int load_sources_check(const struct load_sources *sources, int family, uint32_t *index)
{
    for (*index = 0; *index < sources->count; ++*index) {
        const struct net_address *address = &sources->addresses[*index];
        if (address->storage.ss_family != family) return -EAFNOSUPPORT;
        int file = net_socket(address);
        if (file < 0) return file;
        int error = load_source_bind(file, address);
        (void)close(file);
        if (error < 0) return error;
    }
    return 0;
}
