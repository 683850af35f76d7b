#include "server/listener.h"

#include "base/exit_codes.h"
#include "base/log.h"
#include "ring/net_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_USE_TRIES    20
#define IN_USE_PAUSE_US 50000

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void die_of_unix(const char *text, int error)
{
    if (error == -EADDRINUSE)
        die(EXIT_CODE_IN_USE, "%s is in use by another server: stop it, or name another path",
            text);
    if (error == -ENOTSOCK)
        die(EXIT_CODE_USAGE, "%s: what is there is no socket, and stays: name another path", text);
    die(EXIT_CODE_FAILED, "%s cannot be made: %s; its directory must exist and be ours to write to",
        text, strerror(-error));
}

static void die_of_address(const struct config_listen *listen, int error)
{
    char text[NET_TEXT_MAX];
    (void)net_format(text, &listen->address);
    if (net_is_unix(&listen->address)) die_of_unix(text, error);
    if (error == -EADDRINUSE)
        die(EXIT_CODE_IN_USE,
            "%s is in use by another server: stop it, name another address, or share it on purpose "
            "with --reuseport",
            text);
    if (error == -EACCES)
        die(EXIT_CODE_FAILED,
            "%s: not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE: try :2525",
            text);
    die(EXIT_CODE_FAILED, "%s cannot be bound: %s; is it an address of this machine?", text,
        strerror(-error));
}

/*
 * 0 or -errno. A killed server's sockets outlive it by moments, until the kernel has undone its
 * ring: an address in use is looked at again before it is called so.
 */
static int check_free(const struct net_address *address, bool is_shared)
{
    int result = net_check_free(address);
    if (is_shared && !net_is_unix(address) && result == -EADDRINUSE) return 0;
    for (int tries = 0; tries < IN_USE_TRIES && result == -EADDRINUSE; tries++) {
        usleep(IN_USE_PAUSE_US);
        result = net_check_free(address);
    }
    return result;
}

void listener_check(struct config *config)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        struct config_listen *listen = &config->listens[i];
        int result = check_free(&listen->address, config->is_port_shared);
        bool is_absent = result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT;
        if (result < 0 && !(is_absent && listen->is_default)) die_of_address(listen, result);
        if (result < 0) {
            char text[NET_TEXT_MAX];
            log_warning("%s is left out: %s", net_format(text, &listen->address),
                        strerror(-result));
            continue;
        }
        config->listens[kept++] = *listen;
    }
    config->listen_count = kept;
    if (kept == 0) die(EXIT_CODE_FAILED, "no address is left to listen on: name one, e.g. :2525");
}

void listener_open_unix(struct unix_listeners *shared, const struct config *config)
{
    for (uint32_t i = 0; i < CONFIG_ADDRESSES_MAX; i++)
        shared->sockets[i] = -1;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        const struct config_listen *listen = &config->listens[i];
        if (!net_is_unix(&listen->address)) continue;
        shared->sockets[i] = net_unix_bind(&listen->address);
        if (shared->sockets[i] < 0) die_of_address(listen, shared->sockets[i]);
        shared->inodes[i] = net_unix_inode(&listen->address);
    }
}

void listener_remove_unix(const struct unix_listeners *shared, const struct config *config)
{
    for (uint32_t i = 0; i < config->listen_count; i++) {
        if (shared->sockets[i] < 0) continue;
        int result = net_unix_remove(&config->listens[i].address, shared->inodes[i]);
        if (result == 0) continue;
        char text[NET_TEXT_MAX];
        log_warning("%s can't be removed: %s", net_format(text, &config->listens[i].address),
                    strerror(-result));
    }
}

void listener_close_unix(struct unix_listeners *shared)
{
    for (uint32_t i = 0; i < CONFIG_ADDRESSES_MAX; i++) {
        if (shared->sockets[i] >= 0) close(shared->sockets[i]);
        shared->sockets[i] = -1;
    }
}

int listener_open(struct listener *listener, const struct config *config,
                  const struct unix_listeners *shared)
{
    *listener = (struct listener){.reserve = open_reserve()};
    for (uint32_t i = 0; i < config->listen_count; i++) {
        bool is_shared = shared->sockets[i] >= 0;
        int socket = is_shared ? shared->sockets[i] : net_bind(&config->listens[i].address);
        if (socket < 0) {
            listener_close(listener);
            return socket;
        }
        listener->is_shared[listener->count] = is_shared;
        listener->is_tls[listener->count] = config->listens[i].is_tls;
        listener->sockets[listener->count++] = socket;
    }
    return 0;
}

int listener_start(struct listener *listener, int backlog)
{
    for (uint32_t i = 0; i < listener->count; i++)
        if (listen(listener->sockets[i], backlog) != 0) return -errno;
    return 0;
}

void listener_close(struct listener *listener)
{
    for (uint32_t i = 0; i < listener->count; i++)
        if (!listener->is_shared[i]) close(listener->sockets[i]);
    if (listener->reserve >= 0) close(listener->reserve);
    *listener = (struct listener){.reserve = -1};
}

void listener_refuse(int socket, struct bytes text)
{
    (void)send(socket, text.data, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(socket);
}

bool listener_refuse_on_reserve(struct listener *listener, uint32_t index, struct bytes text)
{
    if (listener->reserve >= 0) close(listener->reserve);
    listener->reserve = -1;
    struct pollfd ready = {.fd = listener->sockets[index], .events = POLLIN};
    int socket = -1;
    if (poll(&ready, 1, 0) == 1) socket = accept4(ready.fd, NULL, NULL, SOCK_CLOEXEC);
    if (socket >= 0) listener_refuse(socket, text);
    listener->reserve = open_reserve();
    return socket >= 0;
}
