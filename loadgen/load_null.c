#include "loadgen/load_null.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_SIZE 65536u
#define REPLY_SIZE   16384u
#define EVENTS       256
#define BACKLOG      4096

static const char end_of_data[] = "\r\n.\r\n";
#define END_SIZE 5u

struct connection {
    int socket;
    bool is_in_data;
    uint32_t matched; /* of end_of_data */
    uint32_t recipients;
    uint32_t line_size;
    char verb[4]; /* the line's first octets */
};

struct replies {
    uint32_t size;
    char text[REPLY_SIZE];
};

/* False: the peer is gone, or takes nothing any more. */
static bool flush(const struct connection *connection, struct replies *replies)
{
    uint32_t size = replies->size;
    replies->size = 0;
    if (size == 0) return true;
    return send(connection->socket, replies->text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool put(const struct connection *connection, struct replies *replies, const char *text)
{
    size_t size = strlen(text);
    if (replies->size + size > REPLY_SIZE && !flush(connection, replies)) return false;
    memcpy(replies->text + replies->size, text, size);
    replies->size += (uint32_t)size;
    return true;
}

/* LMTP answers the content for each recipient (RFC 2033 4.2). */
static bool end_message(const struct load_null *null, struct connection *connection,
                        struct replies *replies)
{
    uint32_t count = null->is_lmtp ? connection->recipients : 1;
    connection->is_in_data = false;
    connection->recipients = 0;
    for (; count > 0; count--)
        if (!put(connection, replies, "250 2.0.0 Ok\r\n")) return false;
    return true;
}

/* Octets up to the end of the content or of the view; how many. */
static size_t skip_content(struct connection *connection, const char *data, size_t size)
{
    size_t at = 0;
    while (at < size && connection->matched < END_SIZE) {
        if (connection->matched == 0) {
            const char *found = memchr(data + at, '\r', size - at);
            if (found == NULL) return size;
            at = (size_t)(found - data);
        }
        char octet = data[at++];
        if (octet == end_of_data[connection->matched])
            connection->matched++;
        else
            connection->matched = octet == '\r' ? 1 : 0;
    }
    return at;
}

static bool obey(struct connection *connection, struct replies *replies)
{
    static const struct {
        const char *verb;
        const char *reply;
    } rows[] = {
        {"EHLO", "250-null.test\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"},
        {"LHLO", "250-null.test\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"},
        {"AUTH", "235 2.7.0 Ok\r\n"},
        {"DATA", "354 go\r\n"},
        {"QUIT", "221 2.0.0 Bye\r\n"},
    };
    const char *reply = "250 2.0.0 Ok\r\n";

    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++)
        if (strncasecmp(connection->verb, rows[index].verb, sizeof connection->verb) == 0)
            reply = rows[index].reply;
    if (strncasecmp(connection->verb, "RCPT", sizeof connection->verb) == 0)
        connection->recipients++;
    connection->is_in_data = reply[0] == '3';
    connection->matched = 2; /* the command's own line end counts */
    connection->line_size = 0;
    if (!put(connection, replies, reply)) return false;
    if (reply[0] == '2' && reply[1] == '2' && reply[2] == '1') {
        (void)flush(connection, replies);
        return false;
    }
    return true;
}

static size_t skip_line(struct connection *connection, const char *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        char octet = data[at++];
        if (connection->line_size < sizeof connection->verb)
            connection->verb[connection->line_size] = octet;
        connection->line_size++;
        if (octet == '\n') break;
    }
    return at;
}

static bool take(const struct load_null *null, struct connection *connection, const char *data,
                 size_t size, struct replies *replies)
{
    while (size > 0) {
        size_t step;
        if (connection->is_in_data) {
            step = skip_content(connection, data, size);
            if (connection->matched == END_SIZE && !end_message(null, connection, replies))
                return false;
        } else {
            step = skip_line(connection, data, size);
            if (data[step - 1] == '\n' && !obey(connection, replies)) return false;
        }
        data += step;
        size -= step;
    }
    return flush(connection, replies);
}

static void accept_all(const struct load_null *null, int poll)
{
    static const int one = 1;
    for (;;) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the last connection is the poll's to keep */
        int socket = accept4(null->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket < 0) return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (connection == NULL) {
            (void)close(socket);
            return;
        }
        connection->socket = socket;
        (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)!send(socket, "220 null.test\r\n", 15, MSG_NOSIGNAL);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) == 0) continue;
        (void)close(socket);
        free(connection);
        return;
    }
}

/* Closed by QUIT or by the peer. Whoever calibrates closes all of its connections at the end. */
static void serve(const struct load_null *null, struct connection *connection, char *room,
                  struct replies *replies)
{
    ssize_t size = recv(connection->socket, room, RECEIVE_SIZE, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size > 0 && take(null, connection, room, (size_t)size, replies)) return;
    (void)close(connection->socket);
    free(connection);
}

static void *run(void *argument)
{
    const struct load_null *null = argument;
    static char listener_mark;
    struct epoll_event events[EVENTS];
    struct epoll_event listening = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &listener_mark};
    struct epoll_event stopping = {.events = EPOLLIN, .data.ptr = NULL};
    struct replies replies = {0};
    int poll = epoll_create1(EPOLL_CLOEXEC);
    char *room = malloc(RECEIVE_SIZE);

    CHECK(poll >= 0);
    CHECK(room != NULL);
    CHECK(epoll_ctl(poll, EPOLL_CTL_ADD, null->listener, &listening) == 0);
    CHECK(epoll_ctl(poll, EPOLL_CTL_ADD, null->stop, &stopping) == 0);
    for (bool is_over = false; !is_over;) {
        int count = epoll_wait(poll, events, EVENTS, -1);
        for (int index = 0; index < count; index++) {
            void *mark = events[index].data.ptr;
            if (mark == NULL)
                is_over = true;
            else if (mark == &listener_mark)
                accept_all(null, poll);
            else
                serve(null, mark, room, &replies);
        }
    }
    free(room);
    (void)close(poll);
    return NULL;
}

static int listen_anywhere(struct load_null *null)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    void *storage = &address;

    null->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (null->listener < 0) return -errno;
    if (bind(null->listener, storage, size) < 0 || listen(null->listener, BACKLOG) < 0 ||
        getsockname(null->listener, storage, &size) < 0) {
        int error = -errno;
        (void)close(null->listener);
        return error;
    }
    null->port = ntohs(address.sin_port);
    return 0;
}

int load_null_open(struct load_null *null, uint32_t threads, bool is_lmtp)
{
    CHECK(threads > 0);
    *null = (struct load_null){.is_lmtp = is_lmtp};
    int error = listen_anywhere(null);
    if (error < 0) return error;
    null->stop = eventfd(0, EFD_CLOEXEC);
    CHECK(null->stop >= 0);
    while (null->count < threads && null->count < LOAD_NULL_THREADS_MAX) {
        if (pthread_create(&null->threads[null->count], NULL, run, null) != 0) break;
        null->count++;
    }
    if (null->count > 0) return 0;
    (void)close(null->stop);
    (void)close(null->listener);
    return -EAGAIN;
}

void load_null_close(struct load_null *null)
{
    uint64_t one = 1;
    CHECK(write(null->stop, &one, sizeof one) == sizeof one);
    for (uint32_t index = 0; index < null->count; index++)
        CHECK(pthread_join(null->threads[index], NULL) == 0);
    (void)close(null->stop);
    (void)close(null->listener);
}
