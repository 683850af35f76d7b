#include "ring/net.h"

#include "ring/net_unix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What "HOST:PORT" was split into; `host` empty means all interfaces. */
struct endpoint {
    char host[NET_HOST_MAX];
    char port[8];
};

static bool is_digits(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static bool copy_text(char *out, size_t capacity, const char *text, size_t size)
{
    if (size >= capacity) return false;
    memcpy(out, text, size);
    out[size] = '\0';
    return true;
}

/* "[V6]", "[V6]:PORT" */
static bool split_bracketed(const char *text, struct endpoint *endpoint)
{
    const char *close_bracket = strchr(text, ']');
    if (close_bracket == NULL) return false;
    if (!copy_text(endpoint->host, sizeof endpoint->host, text + 1,
                   (size_t)(close_bracket - text - 1)))
        return false;
    if (close_bracket[1] == '\0') return true;
    if (close_bracket[1] != ':') return false;
    return copy_text(endpoint->port, sizeof endpoint->port, close_bracket + 2,
                     strlen(close_bracket + 2));
}

static bool split(const char *text, struct endpoint *endpoint)
{
    if (text[0] == '[') return split_bracketed(text, endpoint);
    if (is_digits(text))
        return copy_text(endpoint->port, sizeof endpoint->port, text, strlen(text));
    const char *colon = strchr(text, ':');
    /* More than one colon without brackets: a bare IPv6 address. */
    if (colon == NULL || strchr(colon + 1, ':') != NULL)
        return copy_text(endpoint->host, sizeof endpoint->host, text, strlen(text));
    return copy_text(endpoint->host, sizeof endpoint->host, text, (size_t)(colon - text)) &&
           copy_text(endpoint->port, sizeof endpoint->port, colon + 1, strlen(colon + 1));
}

static bool port_is_valid(const char *port)
{
    return is_digits(port) && strtoul(port, NULL, 10) >= 1 && strtoul(port, NULL, 10) <= 65535;
}

static uint32_t look_up(const struct endpoint *endpoint, int family, struct net_address *addresses,
                        uint32_t capacity, char *error)
{
    struct addrinfo hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int result = getaddrinfo(endpoint->host[0] == '\0' ? NULL : endpoint->host, endpoint->port,
                             &hints, &found);
    if (result != 0) {
        (void)snprintf(error, NET_ERROR_MAX, "cannot find the host '%s': %s", endpoint->host,
                       gai_strerror(result));
        return 0;
    }
    uint32_t count = 0;
    for (const struct addrinfo *item = found; item != NULL && count < capacity;
         item = item->ai_next) {
        memcpy(&addresses[count].storage, item->ai_addr, item->ai_addrlen);
        addresses[count].size = item->ai_addrlen;
        count++;
    }
    freeaddrinfo(found);
    return count;
}

uint32_t net_resolve(const char *text, uint16_t default_port, int family,
                     struct net_address *addresses, uint32_t capacity, char *error)
{
    struct endpoint endpoint = {{0}, {0}};
    if (strncmp(text, "inet:", 5) == 0) text += 5; /* as smtp-sink and smtp-source write it */
    if (strncmp(text, NET_UNIX_PREFIX, strlen(NET_UNIX_PREFIX)) == 0)
        return capacity > 0 && net_unix_parse(text, addresses, error) ? 1 : 0;
    if (text[0] == '\0' || !split(text, &endpoint)) {
        (void)snprintf(error, NET_ERROR_MAX,
                       "'%s' is no address: try HOST:PORT, [V6]:PORT or :PORT", text);
        return 0;
    }
    if (endpoint.port[0] == '\0' && default_port != 0)
        (void)snprintf(endpoint.port, sizeof endpoint.port, "%u", default_port);
    if (!port_is_valid(endpoint.port)) {
        (void)snprintf(error, NET_ERROR_MAX, "'%s' has no port between 1 and 65535: try HOST:2525",
                       text);
        return 0;
    }
    return look_up(&endpoint, family, addresses, capacity, error);
}

bool net_host(char *out, const char *text)
{
    struct endpoint endpoint = {{0}, {0}};
    if (strncmp(text, "inet:", 5) == 0) text += 5;
    if (strncmp(text, NET_UNIX_PREFIX, strlen(NET_UNIX_PREFIX)) == 0) return false;
    if (!split(text, &endpoint) || endpoint.host[0] == '\0') return false;
    memcpy(out, endpoint.host, sizeof endpoint.host);
    return true;
}

bool net_is_unix(const struct net_address *address)
{
    return address->storage.ss_family == AF_UNIX;
}

const char *net_format(char *out, const struct net_address *address)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const void *storage = &address->storage;
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = storage;
        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(out, NET_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (net_is_unix(address)) {
        (void)snprintf(out, NET_TEXT_MAX, NET_UNIX_PREFIX "%s", net_unix_path(address));
    } else {
        const struct sockaddr_in6 *in6 = storage;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        (void)snprintf(out, NET_TEXT_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
    }
    return out;
}

bool net_is_loopback(const struct net_address *address)
{
    const void *storage = &address->storage;
    if (net_is_unix(address)) return true;
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = storage;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = storage;
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

bool net_is_same(const struct net_address *a, const struct net_address *b)
{
    return a->size == b->size && memcmp(&a->storage, &b->storage, a->size) == 0;
}

uint16_t net_port(const struct net_address *address)
{
    const void *storage = &address->storage;
    const struct sockaddr_in *in = storage; /* the port stands at the same place in sockaddr_in6 */
    return net_is_unix(address) ? 0 : ntohs(in->sin_port);
}

bool net_format_peer(char *out, int socket_file)
{
    struct net_address address = {.size = sizeof address.storage};
    void *storage = &address.storage;
    if (getpeername(socket_file, storage, &address.size) != 0) return false;
    if (net_is_unix(&address)) return net_unix_format_peer(out, socket_file);
    (void)net_format(out, &address);
    return true;
}

bool net_has_input(int socket_file)
{
    char octet = 0;
    return recv(socket_file, &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void set_option(int socket_file, int level, int name)
{
    int on = 1;
    (void)setsockopt(socket_file, level, name, &on, sizeof on);
}

static int open_bound(const struct net_address *address, bool reuse_port)
{
    int file = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) return -errno;
    set_option(file, SOL_SOCKET, SO_REUSEADDR);
    if (reuse_port) set_option(file, SOL_SOCKET, SO_REUSEPORT);
    if (address->storage.ss_family == AF_INET6) set_option(file, IPPROTO_IPV6, IPV6_V6ONLY);
    const void *storage = &address->storage;
    if (bind(file, storage, address->size) == 0) return file;
    int error = errno;
    close(file);
    return -error;
}

int net_check_free(const struct net_address *address)
{
    if (net_is_unix(address)) return net_unix_check_free(address);
    int file = open_bound(address, false);
    if (file < 0) return file;
    close(file);
    return 0;
}

int net_bind(const struct net_address *address)
{
    int file = open_bound(address, true);
    /* Inherited by accepted sockets, so it costs no call a connection. */
    if (file >= 0) set_option(file, IPPROTO_TCP, TCP_NODELAY);
    return file;
}

int net_listen(const struct net_address *address, int backlog)
{
    int file = net_bind(address);
    if (file < 0) return file;
    if (listen(file, backlog) == 0) return file;
    int error = errno;
    close(file);
    return -error;
}

int net_socket(const struct net_address *address)
{
    int file = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) return -errno;
    if (!net_is_unix(address)) set_option(file, IPPROTO_TCP, TCP_NODELAY);
    return file;
}

uint64_t net_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 1024;
    }
    return limit.rlim_cur;
}
