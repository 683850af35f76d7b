/*
 * load_source -- the local addresses that connections come from.
 *
 * One address has some 28,000 ports to one target; several have that many each.
 *
 * Errors:     load_sources_check() and load_source_bind(): -errno.
 * Bounds:     at most LOAD_SOURCES_MAX addresses.
 */
#pragma once

#include "base/check.h"
#include "ring/net.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_SOURCES_MAX 256u

struct load_sources {
    uint32_t count; /* 0: the kernel chooses */
    struct net_address addresses[LOAD_SOURCES_MAX];
};

/* "127.0.0.2,127.0.1.0/28,::1"; of a network all addresses. False: none, or too many. */
MUST_USE bool load_sources_parse(struct load_sources *sources, const char *text);

/* Whether each is of `family` and one of this host: 0, or -errno for `*index`. */
MUST_USE int load_sources_check(const struct load_sources *sources, int family, uint32_t *index);

/* The socket will connect from there; its port is chosen then, so that a port may serve many. */
MUST_USE int load_source_bind(int socket, const struct net_address *address);
