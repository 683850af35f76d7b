/*
 * net -- addresses, TCP and unix, and their sockets.
 *
 * Errors:     a parse error is a sentence; a system error is -errno.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET_TEXT_MAX  128
#define NET_ERROR_MAX 512
#define NET_HOST_MAX  256

struct net_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/*
 * Reads "HOST:PORT", "[V6]:PORT", ":PORT" (all interfaces), "HOST", "PORT" (digits only, all
 * interfaces of the family) and resolves it, or "unix:PATH". Without a port `default_port` is
 * taken. Writes at most `capacity` addresses and returns how many; 0 with a sentence in `error`
 * (NET_ERROR_MAX).
 */
MUST_USE uint32_t net_resolve(const char *text, uint16_t default_port, int family,
                              struct net_address *addresses, uint32_t capacity, char *error);

/* The HOST or V6 of such a text into `out` (NET_HOST_MAX); false: it names none. */
MUST_USE bool net_host(char *out, const char *text);

/* "127.0.0.1:2525", "[::1]:2525" or "unix:/path" into `out` (NET_TEXT_MAX); returns it. */
const char *net_format(char *out, const struct net_address *address);

bool net_is_unix(const struct net_address *address);
/* True for a unix socket too: only this machine reaches it. */
bool net_is_loopback(const struct net_address *address);
/* The same address and port, or path. */
bool net_is_same(const struct net_address *a, const struct net_address *b);
/* 0 for a unix socket. */
uint16_t net_port(const struct net_address *address);

/*
 * The other end of a connected socket into `out` (NET_TEXT_MAX): "127.0.0.1:41234", or
 * "unix:pid=1,uid=0" as it was at its connect. False if it is gone already.
 */
MUST_USE bool net_format_peer(char *out, int socket);

/* Has the other end sent what is not yet received? */
bool net_has_input(int socket);

/*
 * Binds `address` once without SO_REUSEPORT and closes it again: 0, or -errno (EADDRINUSE: a
 * forgotten server has it; EADDRNOTAVAIL, EACCES). For a unix socket it is
 * net_unix_check_free().
 */
MUST_USE int net_check_free(const struct net_address *address);

/* A socket bound with SO_REUSEADDR, SO_REUSEPORT, TCP_NODELAY, to be listened on: descriptor or
 * -errno. */
MUST_USE int net_bind(const struct net_address *address);
/* The same, listening. */
MUST_USE int net_listen(const struct net_address *address, int backlog);

/* An unconnected socket of the address's family, TCP with TCP_NODELAY: descriptor or -errno. */
MUST_USE int net_socket(const struct net_address *address);

/* Raises the soft descriptor limit to the hard one and returns it. */
uint64_t net_raise_descriptor_limit(void);
