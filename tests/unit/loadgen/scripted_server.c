#include "scripted_server.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 2048u

/* One connection. */
struct peer {
    struct scripted_server *server;
    FILE *input;
    int socket;
    uint32_t number;   /* of the session */
    uint32_t messages; /* begun in it    */
    bool is_over;
};

static void say(struct peer *peer, const char *text)
{
    size_t size = strlen(text);
    size_t step = peer->server->manners.sends_octet_by_octet ? 1 : size;
    for (size_t at = 0; at < size; at += step)
        if (send(peer->socket, text + at, step, MSG_NOSIGNAL) < 0) peer->is_over = true;
}

static bool hear(struct peer *peer, char *line)
{
    if (peer->is_over || fgets(line, LINE_MAX_OCTETS, peer->input) == NULL) return false;
    size_t size = strlen(line);
    return size >= 2 && line[size - 2] == '\r' && line[size - 1] == '\n';
}

static void break_off(struct peer *peer)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    CHECK(setsockopt(peer->socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    peer->is_over = true;
}

static void store(struct scripted_server *server, struct bytes message)
{
    CHECK(pthread_mutex_lock(&server->lock) == 0);
    CHECK(server->message_count < SCRIPTED_MESSAGES_MAX);
    server->messages[server->message_count++] = message;
    CHECK(pthread_mutex_unlock(&server->lock) == 0);
}

static bool is_turn(uint32_t number, uint32_t one_in)
{
    return one_in > 0 && number % one_in == 0;
}

static void answer_content(struct peer *peer, struct bytes message)
{
    const struct scripted_server_manners *manners = &peer->server->manners;
    uint32_t number = 1 + atomic_fetch_add(&peer->server->dot_count, 1);

    if (peer->messages == manners->silent_at_message) {
        free((void *)(uintptr_t)message.data);
        return;
    }
    if (peer->messages == manners->garbage_at_message ||
        is_turn(number, manners->deferred_message)) {
        free((void *)(uintptr_t)message.data);
        bool is_garbage = peer->messages == manners->garbage_at_message;
        say(peer, is_garbage ? "what?\r\n" : "451 4.3.0 try again\r\n");
        return;
    }
    store(peer->server, message);
    say(peer, "250 2.0.0 Ok: queued\r\n");
}

/* Takes lines up to the final dot, dots unstuffed. */
static void take_content(struct peer *peer)
{
    const struct scripted_server_manners *manners = &peer->server->manners;
    char line[LINE_MAX_OCTETS];
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool has_refused = false;

    CHECK(out != NULL);
    while (hear(peer, line) && strcmp(line, ".\r\n") != 0) {
        if (peer->messages == manners->reset_at_message) break_off(peer);
        if (peer->messages == manners->early_at_message && !has_refused) {
            say(peer, "452 4.3.1 full\r\n");
            has_refused = true;
        }
        if (manners->reads_slowly && line[0] == '.') (void)usleep(100);
        CHECK(fputs(line[0] == '.' ? line + 1 : line, out) >= 0);
    }
    CHECK(fclose(out) == 0);
    if (strcmp(line, ".\r\n") == 0 && !peer->is_over && !has_refused)
        answer_content(peer, bytes_make(text, size));
    else
        free(text);
}

static void greet(struct peer *peer)
{
    if (peer->server->manners.no_ehlo)
        say(peer, "502 5.5.2 not known\r\n");
    else if (peer->server->manners.no_pipelining)
        say(peer, "250-mx.test\r\n250 8BITMIME\r\n");
    else
        say(peer, "250-mx.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
}

/* A session may end before a MAIL, as servers do that have enough. */
static void take_mail(struct peer *peer)
{
    const struct scripted_server_manners *manners = &peer->server->manners;
    if (manners->messages_a_session > 0 && peer->messages == manners->messages_a_session) {
        if (manners->closes_politely) say(peer, "421 4.3.2 enough\r\n");
        peer->is_over = true;
        return;
    }
    peer->messages++;
    say(peer, "250 2.1.0 Ok\r\n");
}

static bool take_recipient(struct peer *peer)
{
    uint32_t number = 1 + atomic_fetch_add(&peer->server->rcpt_count, 1);
    bool is_refused = is_turn(number, peer->server->manners.refused_message);
    say(peer, is_refused ? "550 5.1.1 unknown\r\n" : "250 2.1.5 Ok\r\n");
    return !is_refused;
}

static void converse(struct peer *peer)
{
    char line[LINE_MAX_OCTETS];
    bool has_recipient = false;

    if (peer->number <= peer->server->manners.refused_session) {
        say(peer, "554 5.3.2 no service\r\n");
        return;
    }
    say(peer, "220-mx.test\r\n220 ESMTP\r\n");
    while (hear(peer, line)) {
        if (strncasecmp(line, "EHLO", 4) == 0) {
            greet(peer);
        } else if (strncasecmp(line, "HELO", 4) == 0 || strncasecmp(line, "RSET", 4) == 0) {
            say(peer, "250 Ok\r\n");
            has_recipient = false;
        } else if (strncasecmp(line, "MAIL", 4) == 0) {
            take_mail(peer);
            has_recipient = false;
        } else if (strncasecmp(line, "RCPT", 4) == 0) {
            has_recipient |= take_recipient(peer);
        } else if (strncasecmp(line, "DATA", 4) == 0 && !has_recipient) {
            say(peer, "554 5.5.1 no valid recipients\r\n");
        } else if (strncasecmp(line, "DATA", 4) == 0) {
            say(peer, "354 go on\r\n");
            take_content(peer);
            has_recipient = false;
        } else {
            peer->is_over = strncasecmp(line, "QUIT", 4) == 0;
            say(peer, peer->is_over ? "221 bye\r\n" : "500 what?\r\n");
            if (peer->is_over) peer->server->quit_count++;
        }
    }
}

static void *run_connection(void *argument)
{
    struct peer *peer = argument;
    peer->input = fdopen(dup(peer->socket), "r");
    CHECK(peer->input != NULL);
    converse(peer);
    (void)fclose(peer->input);
    (void)shutdown(peer->socket, SHUT_WR);
    (void)close(peer->socket);
    CHECK(pthread_mutex_lock(&peer->server->lock) == 0);
    peer->server->sockets[peer->number - 1] = -1;
    CHECK(pthread_mutex_unlock(&peer->server->lock) == 0);
    free(peer);
    return NULL;
}

static void start_connection(struct scripted_server *server, int socket)
{
    struct peer *peer = calloc(1, sizeof *peer);
    int on = 1;
    CHECK(peer != NULL);
    CHECK(setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    CHECK(server->connection_count < SCRIPTED_CONNECTIONS_MAX);
    CHECK(pthread_mutex_lock(&server->lock) == 0);
    uint32_t index = server->connection_count++;
    server->sockets[index] = socket;
    CHECK(pthread_mutex_unlock(&server->lock) == 0);
    *peer = (struct peer){.server = server, .socket = socket, .number = index + 1};
    CHECK(pthread_create(&server->connections[index], NULL, run_connection, peer) == 0);
}

static void *run_listener(void *argument)
{
    struct scripted_server *server = argument;
    for (;;) {
        int socket = accept(server->listener, NULL, NULL);
        if (socket < 0) return NULL; /* closed */
        start_connection(server, socket);
    }
}

void scripted_server_open(struct scripted_server *server,
                          const struct scripted_server_manners *manners)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int small = 4096;

    memset(server, 0, sizeof *server);
    server->manners = *manners;
    CHECK(pthread_mutex_init(&server->lock, NULL) == 0);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(server->listener >= 0);
    /* Little room, so that large messages do not leave in one send. */
    if (manners->reads_slowly)
        CHECK(setsockopt(server->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    CHECK(bind(server->listener, (struct sockaddr *)&address, size) == 0);
    CHECK(getsockname(server->listener, (struct sockaddr *)&address, &size) == 0);
    server->port = ntohs(address.sin_port);
    CHECK(listen(server->listener, 128) == 0);
    CHECK(pthread_create(&server->thread, NULL, run_listener, server) == 0);
}

void scripted_server_close(struct scripted_server *server)
{
    (void)shutdown(server->listener, SHUT_RDWR);
    CHECK(pthread_join(server->thread, NULL) == 0);
    (void)close(server->listener);
    CHECK(pthread_mutex_lock(&server->lock) == 0);
    for (uint32_t index = 0; index < server->connection_count; index++)
        if (server->sockets[index] >= 0) (void)shutdown(server->sockets[index], SHUT_RDWR);
    CHECK(pthread_mutex_unlock(&server->lock) == 0);
    for (uint32_t index = 0; index < server->connection_count; index++)
        CHECK(pthread_join(server->connections[index], NULL) == 0);
}

void scripted_server_free(struct scripted_server *server)
{
    for (uint32_t index = 0; index < server->message_count; index++)
        free((void *)(uintptr_t)server->messages[index].data);
    CHECK(pthread_mutex_destroy(&server->lock) == 0);
}
