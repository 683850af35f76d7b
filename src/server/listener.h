/*
 * listener -- one worker's listening sockets, and the reserve that answers when no descriptor is
 * left.
 *
 * Owns:       the sockets, the reserve descriptor.
 * Borrows:    unix sockets, which all workers share.
 * Invariants: every worker has a socket of its own on every TCP address, and the kernel spreads
 *             clients over them; a unix socket can be bound once only.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "server/config.h"

#include <stdint.h>

/* The unix sockets of the whole server, by the address's index. */
struct unix_listeners {
    int sockets[CONFIG_ADDRESSES_MAX]; /* -1 where the address is no unix socket */
    uint64_t inodes[CONFIG_ADDRESSES_MAX];
};

struct listener {
    int sockets[CONFIG_ADDRESSES_MAX];
    bool
        is_shared[CONFIG_ADDRESSES_MAX]; /* a unix socket: one-shot accepts, closed by the server */
    bool is_tls[CONFIG_ADDRESSES_MAX];   /* the handshake comes first */
    uint32_t count;
    int reserve;
};

/*
 * Makes sure that nobody else has the addresses, then keeps those of them that can be bound: a
 * default one that can't is a warning. Exits with 75 where one is in use.
 */
void listener_check(struct config *config);

/* Binds the unix sockets, once a process. Exits with 75 where one is in use. */
void listener_open_unix(struct unix_listeners *shared, const struct config *config);
/* No new client finds them. */
void listener_remove_unix(const struct unix_listeners *shared, const struct config *config);
void listener_close_unix(struct unix_listeners *shared);

/* One more set of sockets bound to the addresses, while the process may bind them. 0 or -errno. */
MUST_USE int listener_open(struct listener *listener, const struct config *config,
                           const struct unix_listeners *shared);

/* From now on clients connect. 0 or -errno. */
MUST_USE int listener_start(struct listener *listener, int backlog);
void listener_close(struct listener *listener);

/* Sends `text` as far as it goes without waiting, and closes. */
void listener_refuse(int socket, struct bytes text);

/* No descriptor is left: accepts one client on the reserve, refuses it. False if there was none. */
bool listener_refuse_on_reserve(struct listener *listener, uint32_t index, struct bytes text);
