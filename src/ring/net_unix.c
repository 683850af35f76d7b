#include "ring/net_unix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* How long a blocking accept waits for a client that another worker was faster to take. */
#define ACCEPT_WAIT_US 10000

bool net_unix_parse(const char *text, struct net_address *address, char *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    CHECK(strncmp(text, NET_UNIX_PREFIX, strlen(NET_UNIX_PREFIX)) == 0);
    const char *path = text + strlen(NET_UNIX_PREFIX);
    size_t size = strlen(path);
    if (size == 0) {
        (void)snprintf(error, NET_ERROR_MAX, "'%s' names no socket: try unix:/path/of/socket",
                       text);
        return false;
    }
    if (size > NET_UNIX_PATH_MAX) {
        (void)snprintf(error, NET_ERROR_MAX,
                       "the path of a unix socket has at most %zu octets, this one has %zu: use a "
                       "shorter one, perhaps a relative one: %.160s",
                       NET_UNIX_PATH_MAX, size, path);
        return false;
    }
    memcpy(name.sun_path, path, size);
    *address = (struct net_address){.size = sizeof name};
    memcpy(&address->storage, &name, sizeof name);
    return true;
}

const char *net_unix_path(const struct net_address *address)
{
    const void *storage = &address->storage;
    const struct sockaddr_un *name = storage;
    CHECK(name->sun_family == AF_UNIX);
    return name->sun_path;
}

static int connect_once(const struct net_address *address)
{
    const void *storage = &address->storage;
    /* Does not wait for a server whose backlog is full. */
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (file < 0) return -errno;
    int result = connect(file, storage, address->size) == 0 ? 0 : -errno;
    close(file);
    return result;
}

int net_unix_check_free(const struct net_address *address)
{
    struct stat status;
    if (lstat(net_unix_path(address), &status) != 0) return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode)) return -ENOTSOCK;
    int result = connect_once(address);
    if (result == -ECONNREFUSED || result == -ENOENT) return 0;
    /* EAGAIN: its backlog is full; EPROTOTYPE: a socket of another type. */
    return result == 0 || result == -EAGAIN || result == -EPROTOTYPE ? -EADDRINUSE : result;
}

int net_unix_bind(const struct net_address *address)
{
    const void *storage = &address->storage;
    struct timeval wait = {.tv_usec = ACCEPT_WAIT_US};
    int result = net_unix_check_free(address);
    if (result < 0) return result;
    if (unlink(net_unix_path(address)) != 0 && errno != ENOENT) return -errno;
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) return -errno;
    (void)setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (bind(file, storage, address->size) == 0) return file;
    result = -errno;
    close(file);
    return result;
}

uint64_t net_unix_inode(const struct net_address *address)
{
    struct stat status;
    return lstat(net_unix_path(address), &status) == 0 ? status.st_ino : 0;
}

int net_unix_remove(const struct net_address *address, uint64_t inode)
{
    if (inode == 0 || net_unix_inode(address) != inode) return 0;
    return unlink(net_unix_path(address)) == 0 ? 0 : -errno;
}

bool net_unix_format_peer(char *out, int socket_file)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket_file, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    (void)snprintf(out, NET_TEXT_MAX, NET_UNIX_PREFIX "pid=%d,uid=%u", peer.pid, peer.uid);
    return true;
}
