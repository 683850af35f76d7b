/*
 * listener -- one worker's listening sockets, and the reserve that answers when no descriptor is
 * left.
 *
 * Owns:       the sockets, the reserve descriptor.
 * Invariants: every worker has a socket on every address; the kernel spreads clients over them.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "server/config.h"

#include <stdint.h>

struct listener {
    int sockets[CONFIG_ADDRESSES_MAX];
    uint32_t count;
    int reserve;
};

/*
 * Makes sure that nobody else has the addresses, then keeps those of them that can be bound: a
 * default one that can't is a warning. Exits with 75 where one is in use.
 */
void listener_check(struct config *config);

/* One more set of sockets bound to the addresses, while the process may bind them. 0 or -errno. */
MUST_USE int listener_open(struct listener *listener, const struct config *config);

/* From now on clients connect. 0 or -errno. */
MUST_USE int listener_start(struct listener *listener, int backlog);
void listener_close(struct listener *listener);

/* Sends `text` as far as it goes without waiting, and closes. */
void listener_refuse(int socket, struct bytes text);

/* No descriptor is left: accepts one client on the reserve, refuses it. False if there was none. */
bool listener_refuse_on_reserve(struct listener *listener, uint32_t index, struct bytes text);
