/*
 * floor -- the physical limit on this machine: the same ring layer with canned replies and no
 * store.
 *
 *   usage: floor [PORT]        127.0.0.1:2600 unless said
 *
 * It looks at the first letter of each command line and nothing else, learns the length of a
 * message's octets from the first one it sees, and from then on skips that many octets after each
 * 354. A message of another length ends the run: a floor that guesses is none.
 */
#include "base/blocks.h"
#include "base/queue.h"
#include "base/slots.h"
#include "ring/net.h"
#include "ring/ring.h"
#include "ring/ring_probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_MAX  65536
#define REPLY_BLOCK_SIZE (64 * 1024)
#define BACKLOG          4096

struct peer {
    struct slot slot;
    int socket;
    struct queue_link link;
    uint8_t *replies;
    uint32_t size;
    uint32_t sent;
    uint64_t body_left; /* octets of content still to skip; 0: in commands */
    uint8_t verb;       /* first letter of the line in progress, 0 at its start */
    uint8_t tail[4];    /* the last octets of content while the length is learned */
    bool is_learning;
    bool is_sending;
    bool is_queued;
    bool is_leaving;
    bool is_receiving;
};

struct canned {
    const char *text;
    uint32_t size;
};

#define CANNED(literal)                                                                            \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct canned greeting = CANNED("220 floor ESMTP\r\n");
static const struct canned ehlo = CANNED("250-floor\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
static const struct canned sender = CANNED("250 2.1.0 Ok\r\n");
static const struct canned recipient = CANNED("250 2.1.5 Ok\r\n");
static const struct canned go_ahead = CANNED("354 End data with <CR><LF>.<CR><LF>\r\n");
static const struct canned queued = CANNED("250 2.0.0 Ok: queued as 0.1.4096\r\n");
static const struct canned bye = CANNED("221 2.0.0 Bye\r\n");
static const struct canned unknown = CANNED("500 5.5.2 Error: command not recognized\r\n");

static struct ring *ring;
static struct slots peers;
static struct blocks blocks;
static struct queue to_flush;
static uint64_t learned_size;
static volatile sig_atomic_t must_stop;

static void on_signal(int number)
{
    (void)number;
    must_stop = 1;
}

static struct ring_token token(const struct peer *peer, enum ring_op op)
{
    return (struct ring_token){op, slots_index(&peers, peer), peer->slot.generation};
}

static void reply(struct peer *peer, const struct canned *canned)
{
    if (peer->replies == NULL) peer->replies = blocks_take(&blocks);
    CHECK(peer->replies != NULL);
    CHECK(peer->size + canned->size <= REPLY_BLOCK_SIZE);
    memcpy(peer->replies + peer->size, canned->text, canned->size);
    peer->size += canned->size;
}

static void line_ended(struct peer *peer)
{
    switch (peer->verb | 0x20) {
    case 'e':
    case 'h':
        reply(peer, &ehlo);
        break;
    case 'm':
        reply(peer, &sender);
        break;
    case 'r':
        reply(peer, &recipient);
        break;
    case 'd':
        reply(peer, &go_ahead);
        peer->is_learning = learned_size == 0;
        peer->body_left = learned_size == 0 ? UINT64_MAX : learned_size;
        break;
    case 'q':
        reply(peer, &bye);
        peer->is_leaving = true;
        break;
    default:
        reply(peer, &unknown);
        break;
    }
    peer->verb = 0;
}

static void skip_command(struct peer *peer, struct bytes *data)
{
    if (peer->verb == 0) peer->verb = data->data[0];
    uint64_t end = bytes_find(*data, '\n');
    if (end == data->size) {
        data->size = 0;
        return;
    }
    (void)bytes_take(data, end + 1);
    line_ended(peer);
}

static void content_ended(struct peer *peer)
{
    peer->body_left = 0;
    reply(peer, &queued);
}

/* Octet by octet, for the first message only. */
static void learn(struct peer *peer, struct bytes *data)
{
    while (data->size > 0) {
        uint8_t octet = bytes_take(data, 1).data[0];
        bool is_end = octet == '\n' && memcmp(peer->tail, "\r\n.\r", 4) == 0;
        memmove(peer->tail, peer->tail + 1, 3);
        peer->tail[3] = octet;
        peer->body_left--;
        if (!is_end) continue;
        if (learned_size == 0) learned_size = UINT64_MAX - peer->body_left;
        peer->is_learning = false;
        content_ended(peer);
        return;
    }
}

static void skip_content(struct peer *peer, struct bytes *data)
{
    if (peer->is_learning) {
        learn(peer, data);
        return;
    }
    struct bytes part =
        bytes_take(data, data->size < peer->body_left ? data->size : peer->body_left);
    peer->body_left -= part.size;
    if (peer->body_left > 0) return;
    if (part.data[part.size - 1] != '\n' || (part.size > 1 && part.data[part.size - 2] != '\r')) {
        (void)fprintf(stderr, "floor: a message of another length than the first\n");
        exit(1);
    }
    content_ended(peer);
}

static void queue_flush(struct peer *peer)
{
    if (peer->is_queued) return;
    peer->is_queued = true;
    queue_push(&to_flush, &peer->link);
}

static void received(struct peer *peer, struct bytes data)
{
    while (data.size > 0 && !peer->is_leaving) {
        if (peer->body_left > 0)
            skip_content(peer, &data);
        else
            skip_command(peer, &data);
    }
    queue_flush(peer);
}

static void drop_replies(struct peer *peer)
{
    if (peer->replies != NULL) blocks_give_back(&blocks, peer->replies);
    peer->replies = NULL;
    peer->size = 0;
    peer->sent = 0;
}

static void flush(struct peer *peer)
{
    peer->is_queued = false;
    if (peer->is_sending) return;
    if (peer->size > peer->sent) {
        peer->is_sending = true;
        ring_send(ring, peer->socket,
                  bytes_make(peer->replies + peer->sent, peer->size - peer->sent),
                  token(peer, RING_OP_SEND));
        return;
    }
    drop_replies(peer);
    if (!peer->is_leaving) return;
    if (peer->is_receiving) {
        ring_cancel(ring, token(peer, RING_OP_RECEIVE), (struct ring_token){.op = RING_OP_CANCEL});
        return;
    }
    close(peer->socket);
    slots_give_back(&peers, peer);
}

static void admit(int socket)
{
    struct peer *peer = slots_take(&peers);
    CHECK(peer != NULL);
    peer->socket = socket;
    reply(peer, &greeting);
    peer->is_receiving = true;
    queue_flush(peer);
    ring_receive(ring, socket, token(peer, RING_OP_RECEIVE), true);
}

static void receive_completed(struct peer *peer, const struct ring_completion *completion)
{
    if (completion->data.size > 0) received(peer, completion->data);
    if (completion->has_buffer) ring_give_back(ring, completion->buffer);
    if (!completion->is_last) return;
    peer->is_receiving = false;
    if (completion->result == -ENOBUFS || completion->result > 0) {
        peer->is_receiving = true;
        ring_receive(ring, peer->socket, token(peer, RING_OP_RECEIVE), false);
        return;
    }
    peer->is_leaving = true;
    queue_flush(peer);
}

static void send_completed(struct peer *peer, int32_t result)
{
    peer->is_sending = false;
    if (result <= 0) {
        peer->sent = peer->size;
        peer->is_leaving = true;
    } else {
        peer->sent += (uint32_t)result;
    }
    if (peer->sent == peer->size) drop_replies(peer);
    queue_flush(peer);
}

static void dispatch(const struct ring_completion *completion, int listener)
{
    struct ring_token token_seen = completion->token;
    if (token_seen.op == RING_OP_CANCEL) return;
    if (token_seen.op == RING_OP_ACCEPT) {
        if (completion->result >= 0) admit(completion->result);
        if (completion->is_last)
            ring_accept(ring, listener, (struct ring_token){.op = RING_OP_ACCEPT});
        return;
    }
    struct peer *peer = slots_find(&peers, token_seen.slot, token_seen.generation);
    CHECK(peer != NULL);
    if (token_seen.op == RING_OP_RECEIVE)
        receive_completed(peer, completion);
    else
        send_completed(peer, completion->result);
}

static void serve(int listener)
{
    struct ring_completion completion;
    struct queue_link *link = NULL;
    ring_accept(ring, listener, (struct ring_token){.op = RING_OP_ACCEPT});
    while (!must_stop) {
        if (ring_enter(ring, 1000000000) < 0) return;
        while (ring_next(ring, &completion))
            dispatch(&completion, listener);
        while ((link = queue_pop(&to_flush)) != NULL)
            flush(QUEUE_OWNER(link, struct peer, link));
    }
}

int main(int argc, char **argv)
{
    char text[RING_PROBE_TEXT_MAX];
    char error_text[NET_ERROR_MAX];
    char address_text[NET_TEXT_MAX];
    struct net_address address;
    /* As large as the server's, so that the comparison is of the work and not of the buffers. */
    struct ring_options options = {4096, 65536, 256, 32768};
    int error = 0;
    (void)snprintf(address_text, sizeof address_text, "127.0.0.1:%s", argc > 1 ? argv[1] : "2600");
    (void)net_raise_descriptor_limit();
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGINT, on_signal);
    ring = ring_open(&options, &error);
    if (ring == NULL) {
        (void)fprintf(stderr, "floor: %s\n", ring_probe_explain(text, error));
        return 69;
    }
    if (net_resolve(address_text, 0, AF_INET, &address, 1, error_text) == 0 ||
        slots_open(&peers, CONNECTIONS_MAX, sizeof(struct peer)) < 0 ||
        blocks_open(&blocks, CONNECTIONS_MAX, REPLY_BLOCK_SIZE) < 0) {
        (void)fprintf(stderr, "floor: cannot be set up at %s\n", address_text);
        return 1;
    }
    int listener = net_listen(&address, BACKLOG);
    if (listener < 0) {
        (void)fprintf(stderr, "floor: %s: %s\n", address_text, strerror(-listener));
        return 75;
    }
    serve(listener);
    ring_close(ring);
    return 0;
}
