/*
 * floor_epoll -- the floor without io_uring: epoll, one receive and one send a turn, the same
 * canned dialogue. The two side by side say what the ring buys.
 *
 *   usage: floor_epoll [PORT]        127.0.0.1:2600 unless said
 *
 * Level-triggered: a receive that did not empty the socket is announced again, so no call is spent
 * on learning that nothing is left.
 */
#include "base/slots.h"
#include "canned.h"
#include "canned_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
/* Hot in the second-level cache; a larger one gained nothing at 1 MB a message. */
#define RECEIVE_SIZE (128 * 1024)

struct peer {
    struct slot slot;
    int socket;
    struct canned_dialogue dialogue;
    bool awaits_room; /* EPOLLOUT is asked for instead of EPOLLIN */
};

static int poll_file;
static struct slots peers;
static struct canned canned;
static uint8_t room[RECEIVE_SIZE];

static void watch(int how, int socket, struct peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    CHECK(epoll_ctl(poll_file, how, socket, &event) == 0);
}

static void dismiss(struct peer *peer)
{
    canned_drop(&canned, &peer->dialogue);
    close(peer->socket);
    slots_give_back(&peers, peer);
}

/* A client that reads no replies is not listened to until it does. */
static void set_awaits_room(struct peer *peer, bool awaits_room)
{
    if (peer->awaits_room == awaits_room) return;
    peer->awaits_room = awaits_room;
    watch(EPOLL_CTL_MOD, peer->socket, peer, awaits_room ? EPOLLOUT : EPOLLIN);
}

static void flush(struct peer *peer)
{
    struct bytes unsent = canned_unsent(&peer->dialogue);
    if (unsent.size > 0) {
        ssize_t sent = send(peer->socket, unsent.data, unsent.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            dismiss(peer);
            return;
        }
        if (sent > 0) canned_sent(&canned, &peer->dialogue, (uint32_t)sent);
    }
    bool is_sent = canned_unsent(&peer->dialogue).size == 0;
    if (is_sent && peer->dialogue.is_leaving)
        dismiss(peer);
    else
        set_awaits_room(peer, !is_sent);
}

static void admit_all(int listener)
{
    for (;;) {
        int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket < 0) return;
        struct peer *peer = slots_take(&peers);
        CHECK(peer != NULL);
        peer->socket = socket;
        watch(EPOLL_CTL_ADD, socket, peer, EPOLLIN);
        canned_greet(&canned, &peer->dialogue);
        flush(peer);
    }
}

static void receive(struct peer *peer)
{
    ssize_t size = recv(peer->socket, room, sizeof room, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        dismiss(peer);
        return;
    }
    canned_receive(&canned, &peer->dialogue, bytes_make(room, (uint64_t)size));
    flush(peer);
}

static void serve(int listener)
{
    struct epoll_event events[EVENTS_MAX];
    watch(EPOLL_CTL_ADD, listener, NULL, EPOLLIN);
    while (!canned_listener_must_stop) {
        int count = epoll_wait(poll_file, events, EVENTS_MAX, 1000);
        for (int index = 0; index < count; index++) {
            struct peer *peer = events[index].data.ptr;
            if (peer == NULL)
                admit_all(listener);
            else if (peer->awaits_room)
                flush(peer);
            else
                receive(peer);
        }
    }
}

int main(int argc, char **argv)
{
    int listener = canned_listener_open("floor_epoll", argc > 1 ? argv[1] : "2600");
    if (listener < 0) return 75;
    CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    poll_file = epoll_create1(EPOLL_CLOEXEC);
    if (poll_file < 0 || slots_open(&peers, CANNED_DIALOGUES_MAX, sizeof(struct peer)) < 0 ||
        canned_open(&canned) < 0) {
        (void)fprintf(stderr, "floor_epoll: no memory\n");
        return 1;
    }
    serve(listener);
    canned_listener_report("floor_epoll", &canned);
    return 0;
}
