/*
 * floor_client -- the floor of a load generator: the same octets as loadgen's out of fixed buffers,
 * over the same ring layer; it counts replies and reads nothing of them but their first digit and
 * where they end. One thread, as loadgen -t 1.
 *
 *   usage: floor_client [-c CONNECTIONS] [-l LENGTH] [-d SECONDS] [-m off|group|stream|bdat]
 *                       [-w WINDOW] PORT
 *
 * Prints one JSON object. Messages in progress when the time is up are not counted.
 */
#include "base/clock.h"
#include "base/units.h"
#include "canned_script.h"
#include "ring/net.h"
#include "ring/ring.h"
#include "ring/ring_probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONNECTIONS_MAX 65536u
#define WINDOW_MAX      64u
#define CODE_SIZE       3u /* behind a reply's code stands a hyphen if more lines follow */
#define WAIT_NS         (100 * CLOCK_NS_PER_MS)

enum client_state {
    CLIENT_AWAITS_GREETING,
    CLIENT_AWAITS_EHLO,
    CLIENT_READY,   /* waits until all are                                  */
    CLIENT_OPENING, /* the first message's group is on its way (stream)     */
    CLIENT_BUSY,    /* goes through the script's steps, again and again     */
};

struct client {
    int socket;
    enum client_state state;
    uint32_t step;    /* the next to be sent                        */
    uint32_t owed;    /* replies to what was sent                   */
    uint64_t replies; /* to the steps                               */
    struct bytes unsent;
    bool is_sending;
    bool line_continues; /* the line in progress is not its reply's last */
    uint8_t column;      /* of it, up to CODE_SIZE + 1                 */
};

struct wish {
    uint64_t connections;
    uint64_t duration_ns;
    uint64_t window;
    const char *mode;
    const char *length;
    const char *port;
};

static struct ring *ring;
static struct canned_script script;
static struct client *clients;
static uint32_t client_count;
static uint32_t ready_count;
static uint32_t messages_ahead; /* how many may be unanswered when the next is sent */

static struct ring_token token(const struct client *client, enum ring_op op)
{
    return (struct ring_token){op, (uint32_t)(client - clients), 1};
}

static void send_step(struct client *client, const struct canned_step *step)
{
    client->owed += step->replies;
    client->unsent = step->octets;
    client->is_sending = true;
    ring_send(ring, client->socket, client->unsent, token(client, RING_OP_SEND));
}

/* Sends what its turn is, if it is one's turn. */
static void advance(struct client *client)
{
    if (client->is_sending) return;
    if (client->state == CLIENT_BUSY) {
        const struct canned_step *step = &script.steps[client->step];
        if (client->owed > messages_ahead * step->replies) return;
        client->step = (client->step + 1) % script.step_count;
        send_step(client, step);
    } else if (client->owed == 0 && client->state == CLIENT_AWAITS_GREETING) {
        client->state = CLIENT_AWAITS_EHLO;
        send_step(client, &script.ehlo);
    } else if (client->owed == 0 && client->state == CLIENT_AWAITS_EHLO) {
        client->state = CLIENT_READY;
        ready_count++;
    } else if (client->owed == 0 && client->state == CLIENT_OPENING) {
        client->state = CLIENT_BUSY;
        advance(client);
    }
}

static void begin(struct client *client)
{
    CHECK(client->state == CLIENT_READY);
    client->state = script.opening.replies > 0 ? CLIENT_OPENING : CLIENT_BUSY;
    if (script.opening.replies > 0)
        send_step(client, &script.opening);
    else
        advance(client);
}

static void give_up(const struct client *client, const char *why)
{
    (void)fprintf(stderr, "floor_client: connection %u: %s\n", (unsigned)(client - clients), why);
    exit(1);
}

/* How many replies end in these octets. */
static uint32_t count_replies(struct client *client, struct bytes data)
{
    uint32_t count = 0;
    while (data.size > 0) {
        uint64_t line_size = bytes_find(data, '\n');
        uint64_t code_left = CODE_SIZE - client->column;
        if (client->column == 0 && data.data[0] >= '4') give_up(client, "refused");
        if (client->column <= CODE_SIZE && line_size > code_left) {
            client->line_continues = data.data[code_left] == '-';
            client->column = CODE_SIZE + 1;
        } else if (client->column <= CODE_SIZE) {
            client->column = (uint8_t)(client->column + line_size);
        }
        if (line_size == data.size) return count;
        (void)bytes_take(&data, line_size + 1);
        count += client->line_continues ? 0 : 1;
        client->column = 0;
    }
    return count;
}

static void received(struct client *client, struct bytes data)
{
    uint32_t count = count_replies(client, data);
    if (count > client->owed) give_up(client, "more replies than were awaited");
    client->owed -= count;
    if (client->state == CLIENT_BUSY) client->replies += count;
    advance(client);
}

static void lost(const struct client *client, int32_t result)
{
    give_up(client, result == 0 ? "closed by the server" : strerror(-result));
}

static void receive_completed(struct client *client, const struct ring_completion *completion)
{
    if (completion->data.size > 0) received(client, completion->data);
    if (completion->has_buffer) ring_give_back(ring, completion->buffer);
    if (!completion->is_last) return;
    if (completion->result != -ENOBUFS && completion->result <= 0) lost(client, completion->result);
    ring_receive(ring, client->socket, token(client, RING_OP_RECEIVE), false);
}

static void send_completed(struct client *client, int32_t result)
{
    if (result <= 0) lost(client, result);
    (void)bytes_take(&client->unsent, (uint64_t)result);
    if (client->unsent.size > 0) {
        ring_send(ring, client->socket, client->unsent, token(client, RING_OP_SEND));
        return;
    }
    client->is_sending = false;
    advance(client);
}

static void turn(void)
{
    struct ring_completion completion;
    CHECK(ring_enter(ring, WAIT_NS) == 0);
    while (ring_next(ring, &completion)) {
        struct client *client = &clients[completion.token.slot];
        if (completion.token.op == RING_OP_RECEIVE)
            receive_completed(client, &completion);
        else
            send_completed(client, completion.result);
    }
}

/* As loadgen's for so many connections. */
static struct ring_options ring_options(void)
{
    if (client_count > 1024) return (struct ring_options){4096, 65536, 4096, 512};
    return (struct ring_options){1024, 4096, 1024, 1024};
}

static void connect_all(const char *port)
{
    char error_text[NET_ERROR_MAX];
    char address_text[NET_TEXT_MAX];
    struct net_address address;

    (void)snprintf(address_text, sizeof address_text, "127.0.0.1:%s", port);
    if (net_resolve(address_text, 0, AF_INET, &address, 1, error_text) == 0) {
        (void)fprintf(stderr, "floor_client: %s\n", error_text);
        exit(2);
    }
    const void *storage = &address.storage;
    for (struct client *client = clients; client < clients + client_count; client++) {
        *client = (struct client){.socket = net_socket(&address), .owed = 1};
        if (client->socket < 0 || connect(client->socket, storage, address.size) != 0) {
            (void)fprintf(stderr, "floor_client: %s: %s\n", address_text, strerror(errno));
            exit(1);
        }
        ring_receive(ring, client->socket, token(client, RING_OP_RECEIVE), false);
    }
}

static void run(const struct wish *wish)
{
    uint64_t messages = 0;
    while (ready_count < client_count)
        turn();
    uint64_t start_ns = clock_now_ns();
    for (uint32_t index = 0; index < client_count; index++)
        begin(&clients[index]);
    while (clock_now_ns() - start_ns < wish->duration_ns)
        turn();
    double seconds = (double)(clock_now_ns() - start_ns) / (double)CLOCK_NS_PER_S;
    for (uint32_t index = 0; index < client_count; index++)
        messages += clients[index].replies / script.replies;
    printf("{\"connections\": %u, \"mode\": \"%s\", \"octets_per_message\": %" PRIu64
           ", \"seconds\": %.6f, \"messages\": %" PRIu64 ", \"messages_per_s\": %.1f}\n",
           client_count, wish->mode, script.message_size, seconds, messages,
           (double)messages / seconds);
}

static bool read_wish(struct wish *wish, int argc, char **argv)
{
    bool is_good = true;
    int letter = 0;
    *wish = (struct wish){200, 3 * CLOCK_NS_PER_S, 1, "stream", "1k", NULL};
    while ((letter = getopt(argc, argv, "c:l:d:m:w:")) != -1) {
        if (letter == 'c')
            is_good &= units_parse_count(optarg, &wish->connections);
        else if (letter == 'd')
            is_good &= units_parse_duration(optarg, &wish->duration_ns);
        else if (letter == 'w')
            is_good &= units_parse_count(optarg, &wish->window);
        else if (letter == 'l')
            wish->length = optarg;
        else if (letter == 'm')
            wish->mode = optarg;
        else
            is_good = false;
    }
    if (optind + 1 != argc) return false;
    wish->port = argv[optind];
    return is_good && wish->connections > 0 && wish->connections <= CONNECTIONS_MAX &&
           wish->window > 0 && wish->window <= WINDOW_MAX;
}

int main(int argc, char **argv)
{
    char text[RING_PROBE_TEXT_MAX];
    struct wish wish;
    int error = 0;

    if (!read_wish(&wish, argc, argv)) {
        (void)fprintf(stderr, "usage: floor_client [-c CONNECTIONS] [-l LENGTH] [-d SECONDS] "
                              "[-m off|group|stream|bdat] [-w WINDOW] PORT\n");
        return 2;
    }
    (void)net_raise_descriptor_limit();
    if (!canned_script_open(&script, wish.mode, wish.length)) return 2;
    messages_ahead = (uint32_t)wish.window - 1;
    client_count = (uint32_t)wish.connections;
    clients = calloc(client_count, sizeof *clients);
    CHECK(clients != NULL);
    struct ring_options options = ring_options();
    ring = ring_open(&options, &error);
    if (ring == NULL) {
        (void)fprintf(stderr, "floor_client: %s\n", ring_probe_explain(text, error));
        return 69;
    }
    connect_all(wish.port);
    run(&wish);
    ring_close(ring);
    free(clients);
    canned_script_close(&script);
    return 0;
}
