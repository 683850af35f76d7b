#include "loadgen/load_null.h"

#include "base/clock.h"
#include "tls/tls_stream.h"

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
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_SIZE 65536u
#define REPLY_SIZE   16384u
#define EVENTS       256
#define BACKLOG      4096

static const char greeting[] = "220 null.test\r\n";
static const char end_of_data[] = "\r\n.\r\n";
#define END_SIZE 5u

struct load_null_connection {
    int socket; /* -1: nobody's */
    bool is_in_data;
    uint32_t matched; /* of end_of_data */
    uint32_t recipients;
    uint32_t line_size;
    char verb[4];           /* the line's first octets */
    struct tls_stream *tls; /* NULL: in plain          */
};

struct replies {
    uint32_t size;
    char text[REPLY_SIZE];
};

/* False: the peer is gone, or takes nothing any more. */
static bool send_all(const struct load_null_connection *connection, const void *octets,
                     uint64_t size)
{
    if (size == 0) return true;
    return send(connection->socket, octets, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool send_ciphertext(const struct load_null_connection *connection)
{
    struct bytes sendable = tls_stream_sendable(connection->tls);
    if (!send_all(connection, sendable.data, sendable.size)) return false;
    tls_stream_sent(connection->tls, (uint32_t)sendable.size);
    return true;
}

static bool flush(const struct load_null_connection *connection, struct replies *replies)
{
    struct bytes text = bytes_make(replies->text, replies->size);
    replies->size = 0;
    if (connection->tls == NULL) return send_all(connection, text.data, text.size);
    while (text.size > 0)
        if (!tls_stream_write(connection->tls, &text) || !send_ciphertext(connection)) return false;
    return true;
}

static bool put(const struct load_null_connection *connection, struct replies *replies,
                const char *text)
{
    size_t size = strlen(text);
    if (replies->size + size > REPLY_SIZE && !flush(connection, replies)) return false;
    memcpy(replies->text + replies->size, text, size);
    replies->size += (uint32_t)size;
    return true;
}

/* LMTP answers the content for each recipient (RFC 2033 4.2). */
static bool end_message(const struct load_null *null, struct load_null_connection *connection,
                        struct replies *replies)
{
    uint32_t count = null->recipe.is_lmtp ? connection->recipients : 1;
    connection->is_in_data = false;
    connection->recipients = 0;
    for (; count > 0; count--)
        if (!put(connection, replies, "250 2.0.0 Ok\r\n")) return false;
    return true;
}

/* Octets up to the end of the content or of the view; how many. */
static size_t skip_content(struct load_null_connection *connection, const char *data, size_t size)
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

/* What is offered depends on whether TLS is still to come. */
static const char *choose_reply(const struct load_null *null,
                                const struct load_null_connection *connection)
{
    static const struct {
        const char *verb;
        const char *reply;
    } rows[] = {
        {"EHLO", "250-null.test\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"},
        {"LHLO", "250-null.test\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"},
        {"STAR", "220 2.0.0 go\r\n"},
        {"AUTH", "235 2.7.0 Ok\r\n"},
        {"DATA", "354 go\r\n"},
        {"QUIT", "221 2.0.0 Bye\r\n"},
    };
    bool offers_tls = null->recipe.tls == LOAD_TLS_STARTTLS && connection->tls == NULL;

    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        if (strncasecmp(connection->verb, rows[index].verb, sizeof connection->verb) != 0) continue;
        return offers_tls && index < 2 ? "250-null.test\r\n250 STARTTLS\r\n" : rows[index].reply;
    }
    return "250 2.0.0 Ok\r\n";
}

static bool starts_with(const char *reply, const char *code)
{
    return strncmp(reply, code, strlen(code)) == 0;
}

static void say_goodbye(const struct load_null_connection *connection, struct replies *replies)
{
    if (!flush(connection, replies) || connection->tls == NULL) return;
    tls_stream_end(connection->tls);
    (void)send_ciphertext(connection);
}

static bool obey(const struct load_null_thread *thread, struct load_null_connection *connection,
                 struct replies *replies)
{
    const char *reply = choose_reply(thread->null, connection);

    if (strncasecmp(connection->verb, "RCPT", sizeof connection->verb) == 0)
        connection->recipients++;
    connection->is_in_data = reply[0] == '3';
    connection->matched = 2; /* the command's own line end counts */
    connection->line_size = 0;
    if (!put(connection, replies, reply)) return false;
    if (starts_with(reply, "221")) {
        say_goodbye(connection, replies);
        return false;
    }
    if (!starts_with(reply, "220")) return true;
    if (!flush(connection, replies)) return false;
    connection->tls = tls_stream_open(thread->tls);
    return connection->tls != NULL;
}

static size_t skip_line(struct load_null_connection *connection, const char *data, size_t size)
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

/* Lines and content in plain, whether they came so or not. */
static bool take(const struct load_null_thread *thread, struct load_null_connection *connection,
                 const char *data, size_t size, struct replies *replies)
{
    const struct tls_stream *before = connection->tls;

    while (size > 0) {
        size_t step;
        if (connection->is_in_data) {
            step = skip_content(connection, data, size);
            if (connection->matched == END_SIZE && !end_message(thread->null, connection, replies))
                return false;
        } else {
            step = skip_line(connection, data, size);
            if (data[step - 1] == '\n' && !obey(thread, connection, replies)) return false;
        }
        data += step;
        size -= step;
        if (connection->tls != before) return size == 0; /* nothing may stand behind STARTTLS */
    }
    return flush(connection, replies);
}

/* False: the connection is over. */
static bool take_ciphertext(const struct load_null_thread *thread,
                            struct load_null_connection *connection, struct bytes ciphertext,
                            struct replies *replies)
{
    for (;;) {
        enum tls_event event = tls_stream_step(connection->tls, &ciphertext);
        struct bytes *plaintext = tls_stream_plaintext(connection->tls);
        bool is_greeted = thread->null->recipe.tls == LOAD_TLS_STARTTLS;

        if (event == TLS_ESTABLISHED && !is_greeted && !put(connection, replies, greeting))
            return false;
        if (event == TLS_ESTABLISHED && !flush(connection, replies)) return false;
        if (event == TLS_PLAINTEXT &&
            !take(thread, connection, (const char *)plaintext->data, plaintext->size, replies))
            return false;
        *plaintext = bytes_make(NULL, 0);
        if (!send_ciphertext(connection) || event == TLS_ENDED || event == TLS_FAILED) return false;
        if (event == TLS_WANT_INPUT) return true;
    }
}

static struct load_null_connection *find_free(const struct load_null_thread *thread)
{
    for (uint32_t index = 0; index < thread->null->recipe.connections; index++)
        if (thread->connections[index].socket < 0) return &thread->connections[index];
    return NULL;
}

static void drop(struct load_null_connection *connection)
{
    if (connection->socket < 0) return;
    if (connection->tls != NULL) tls_stream_close(connection->tls);
    (void)close(connection->socket);
    *connection = (struct load_null_connection){.socket = -1};
}

/* False: there is no TLS for it, or the peer is gone. */
static bool greet(const struct load_null_thread *thread, struct load_null_connection *connection)
{
    if (thread->null->recipe.tls != LOAD_TLS_IMPLICIT)
        return send_all(connection, greeting, sizeof greeting - 1);
    connection->tls = tls_stream_open(thread->tls);
    return connection->tls != NULL;
}

static void accept_all(const struct load_null_thread *thread, int poll)
{
    static const int one = 1;
    for (;;) {
        struct load_null_connection *connection = find_free(thread);
        int socket = accept4(thread->null->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket < 0) return;
        if (connection == NULL) {
            (void)close(socket);
            continue;
        }
        connection->socket = socket;
        (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (!greet(thread, connection) || epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) != 0)
            drop(connection);
    }
}

/* Closed by QUIT or by the peer. */
static void serve(const struct load_null_thread *thread, struct load_null_connection *connection,
                  char *room, struct replies *replies)
{
    bool is_secure = connection->tls != NULL;
    ssize_t size = recv(connection->socket, room, RECEIVE_SIZE, 0);

    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    bool goes_on = size > 0;
    if (goes_on && is_secure)
        goes_on = take_ciphertext(thread, connection, bytes_make(room, (uint64_t)size), replies);
    else if (goes_on)
        goes_on = take(thread, connection, room, (size_t)size, replies);
    replies->size = 0;
    if (!goes_on) drop(connection);
}

static void *run(void *argument)
{
    const struct load_null_thread *thread = argument;
    const struct load_null *null = thread->null;
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
                accept_all(thread, poll);
            else
                serve(thread, mark, room, &replies);
        }
    }
    for (uint32_t index = 0; index < null->recipe.connections; index++)
        drop(&thread->connections[index]);
    free(room);
    (void)close(poll);
    return NULL;
}

static bool fail(char *error, const char *what, int number)
{
    (void)snprintf(error, LOAD_NULL_ERROR_MAX, "%s: %s", what, strerror(number));
    return false;
}

static bool listen_anywhere(struct load_null *null, char *error)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    void *storage = &address;

    null->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (null->listener < 0) return fail(error, "no socket", errno);
    if (bind(null->listener, storage, size) < 0 || listen(null->listener, BACKLOG) < 0 ||
        getsockname(null->listener, storage, &size) < 0)
        return fail(error, "cannot listen on 127.0.0.1", errno);
    null->port = ntohs(address.sin_port);
    return true;
}

static bool make_credentials(struct load_null *null, char *error)
{
    int64_t now_s = (int64_t)(clock_realtime_ns() / CLOCK_NS_PER_S);
    if (null->recipe.tls == LOAD_TLS_OFF) return true;
    if (getrandom(null->ticket_keys, sizeof null->ticket_keys, 0) !=
        (ssize_t)sizeof null->ticket_keys)
        return fail(error, "no random octets", errno);
    null->credentials = tls_credentials_make("null.test", now_s, error);
    return null->credentials != NULL;
}

static bool open_tls(struct load_null_thread *thread, char *error)
{
    const struct load_null *null = thread->null;
    struct tls_server_options options = {
        .credentials = null->credentials,
        .ticket_keys = null->ticket_keys,
        .streams = null->recipe.connections,
    };
    if (null->recipe.tls == LOAD_TLS_OFF) return true;
    thread->tls = tls_context_open_server(&options, error);
    return thread->tls != NULL;
}

static void close_thread(struct load_null_thread *thread)
{
    tls_context_close(thread->tls);
    free(thread->connections);
}

static bool start_thread(struct load_null *null, char *error)
{
    struct load_null_thread *thread = &null->threads[null->count];
    *thread = (struct load_null_thread){.null = null};
    thread->connections = calloc(null->recipe.connections, sizeof *thread->connections);
    if (thread->connections == NULL) return fail(error, "no memory for connections", ENOMEM);
    for (uint32_t index = 0; index < null->recipe.connections; index++)
        thread->connections[index].socket = -1;
    if (open_tls(thread, error)) {
        int number = pthread_create(&thread->thread, NULL, run, thread);
        if (number == 0) {
            null->count++;
            return true;
        }
        (void)fail(error, "no thread", number);
    }
    close_thread(thread);
    return false;
}

bool load_null_open(struct load_null *null, const struct load_null_recipe *recipe, char *error)
{
    CHECK(recipe->threads > 0);
    CHECK(recipe->connections > 0);
    *null = (struct load_null){.recipe = *recipe, .listener = -1};
    null->stop = eventfd(0, EFD_CLOEXEC);
    CHECK(null->stop >= 0);
    bool is_open = listen_anywhere(null, error) && make_credentials(null, error);
    while (is_open && null->count < recipe->threads && null->count < LOAD_NULL_THREADS_MAX)
        is_open = start_thread(null, error);
    if (!is_open) load_null_close(null);
    return is_open;
}

void load_null_close(struct load_null *null)
{
    uint64_t one = 1;
    CHECK(write(null->stop, &one, sizeof one) == sizeof one);
    for (uint32_t index = 0; index < null->count; index++) {
        CHECK(pthread_join(null->threads[index].thread, NULL) == 0);
        close_thread(&null->threads[index]);
    }
    if (null->credentials != NULL) tls_credentials_close(null->credentials);
    if (null->listener >= 0) (void)close(null->listener);
    (void)close(null->stop);
}
