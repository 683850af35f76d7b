/*
 * net_unix -- unix sockets: a path as an address, the socket file, who is at the other end.
 *
 * Errors:     -errno; -ENOTSOCK where the path names what is no socket, which is never touched.
 * Bounds:     a path has at most NET_UNIX_PATH_MAX octets (what sockaddr_un holds, and a NUL).
 */
#pragma once

#include "base/check.h"
#include "ring/net.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#define NET_UNIX_PREFIX   "unix:"
#define NET_UNIX_PATH_MAX (sizeof((struct sockaddr_un *)0)->sun_path - 1)

/* Reads "unix:PATH". False with a sentence in `error` (NET_ERROR_MAX). */
MUST_USE bool net_unix_parse(const char *text, struct net_address *address, char *error);

/* The path of such an address. */
const char *net_unix_path(const struct net_address *address);

/*
 * Asks by a connect whether a server has the socket: 0 if not (no file, or a stale one), or -errno
 * (EADDRINUSE: it is served; ENOTSOCK, EACCES).
 */
MUST_USE int net_unix_check_free(const struct net_address *address);

/*
 * A socket bound to the path, to be listened on: a stale file is replaced. An accept that blocks on
 * it gives up after moments, with EAGAIN. Descriptor or -errno, as net_unix_check_free().
 */
MUST_USE int net_unix_bind(const struct net_address *address);

/* The socket file's inode; 0 if there is no such file. */
uint64_t net_unix_inode(const struct net_address *address);

/* Removes the socket file if it still has `inode`: another server's stays. 0 or -errno. */
MUST_USE int net_unix_remove(const struct net_address *address, uint64_t inode);

/* "unix:pid=1,uid=0" into `out` (NET_TEXT_MAX), as it was at the peer's connect. False if unknown.
 */
MUST_USE bool net_unix_format_peer(char *out, int socket);
