/*
 * floor -- the physical limit on this machine: the same ring layer with canned replies and no
 * store. floor_epoll says the same over epoll.
 *
 *   usage: floor [PORT]        127.0.0.1:2600 unless said
 */
#include "base/queue.h"
#include "base/slots.h"
#include "canned.h"
#include "canned_listener.h"
#include "ring/ring.h"
#include "ring/ring_probe.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct peer {
    struct slot slot;
    int socket;
    struct queue_link link;
    struct canned_dialogue dialogue;
    bool is_sending;
    bool is_queued;
    bool is_receiving;
};

static struct ring *ring;
static struct slots peers;
static struct canned canned;
static struct queue to_flush;

static struct ring_token token(const struct peer *peer, enum ring_op op)
{
    return (struct ring_token){op, slots_index(&peers, peer), peer->slot.generation};
}

static void queue_flush(struct peer *peer)
{
    if (peer->is_queued) return;
    peer->is_queued = true;
    queue_push(&to_flush, &peer->link);
}

static void flush(struct peer *peer)
{
    struct bytes unsent = canned_unsent(&peer->dialogue);
    peer->is_queued = false;
    if (peer->is_sending) return;
    if (unsent.size > 0) {
        peer->is_sending = true;
        ring_send(ring, peer->socket, unsent, token(peer, RING_OP_SEND));
        return;
    }
    if (!peer->dialogue.is_leaving) return;
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
    canned_greet(&canned, &peer->dialogue);
    peer->is_receiving = true;
    queue_flush(peer);
    ring_receive(ring, socket, token(peer, RING_OP_RECEIVE), true);
}

static void receive_completed(struct peer *peer, const struct ring_completion *completion)
{
    if (completion->data.size > 0) {
        canned_receive(&canned, &peer->dialogue, completion->data);
        queue_flush(peer);
    }
    if (completion->has_buffer) ring_give_back(ring, completion->buffer);
    if (!completion->is_last) return;
    peer->is_receiving = false;
    if (completion->result == -ENOBUFS || completion->result > 0) {
        peer->is_receiving = true;
        ring_receive(ring, peer->socket, token(peer, RING_OP_RECEIVE), false);
        return;
    }
    peer->dialogue.is_leaving = true;
    queue_flush(peer);
}

static void send_completed(struct peer *peer, int32_t result)
{
    peer->is_sending = false;
    if (result <= 0) {
        canned_drop(&canned, &peer->dialogue);
        peer->dialogue.is_leaving = true;
    } else {
        canned_sent(&canned, &peer->dialogue, (uint32_t)result);
    }
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
    while (!canned_listener_must_stop) {
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
    /* As large as the server's, so that the comparison is of the work and not of the buffers. */
    struct ring_options options = {4096, 65536, 256, 32768};
    int error = 0;
    int listener = canned_listener_open("floor", argc > 1 ? argv[1] : "2600");
    if (listener < 0) return 75;
    ring = ring_open(&options, &error);
    if (ring == NULL) {
        (void)fprintf(stderr, "floor: %s\n", ring_probe_explain(text, error));
        return 69;
    }
    if (slots_open(&peers, CANNED_DIALOGUES_MAX, sizeof(struct peer)) < 0 ||
        canned_open(&canned) < 0) {
        (void)fprintf(stderr, "floor: no memory\n");
        return 1;
    }
    serve(listener);
    canned_listener_report("floor", &canned);
    ring_close(ring);
    return 0;
}
