#include "sim_socket.h"

#include "sim_client.h"
#include "sim_world.h"

#include "base/check.h"
#include "ring/net.h"
#include "server/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTENER_BASE 900

struct sim_socket sim_sockets[SIM_SOCKETS_MAX];

void sim_pipe_put(struct sim_pipe *pipe, const void *octets, uint64_t size)
{
    if (pipe->head == pipe->size) pipe->head = pipe->size = 0;
    if (pipe->size + size > pipe->capacity && pipe->head > 0) {
        memmove(pipe->data, pipe->data + pipe->head, pipe->size - pipe->head);
        pipe->size -= pipe->head;
        pipe->head = 0;
    }
    if (pipe->size + size > pipe->capacity) {
        pipe->capacity = (pipe->size + size) * 2;
        pipe->data = realloc(pipe->data, pipe->capacity);
        CHECK(pipe->data != NULL);
    }
    if (size > 0) memcpy(pipe->data + pipe->size, octets, size);
    pipe->size += size;
}

void sim_pipe_drop(struct sim_pipe *pipe, uint64_t size)
{
    CHECK(size <= sim_pipe_left(pipe));
    pipe->head += size;
}

void sim_pipe_close(struct sim_pipe *pipe)
{
    free(pipe->data);
    *pipe = (struct sim_pipe){0};
}

uint32_t sim_socket_connect(uint32_t client)
{
    static const uint32_t windows[] = {40, 600, 4096, 65536};
    for (uint32_t i = 0; i < SIM_SOCKETS_MAX; i++) {
        if (sim_sockets[i].state != SIM_SOCKET_FREE) continue;
        sim_sockets[i] = (struct sim_socket){
            .state = SIM_SOCKET_WAITING, .client = client, .window = windows[sim_below(4)]};
        return i;
    }
    return SIM_SOCKETS_MAX;
}

bool sim_socket_has_waiting(void)
{
    for (uint32_t i = 0; i < SIM_SOCKETS_MAX; i++)
        if (sim_sockets[i].state == SIM_SOCKET_WAITING) return true;
    return false;
}

int sim_socket_accept(void)
{
    for (uint32_t i = 0; i < SIM_SOCKETS_MAX; i++) {
        if (sim_sockets[i].state != SIM_SOCKET_WAITING) continue;
        sim_sockets[i].state = SIM_SOCKET_OPEN;
        return SIM_SOCKET_BASE + (int)i;
    }
    return -1;
}

struct sim_socket *sim_socket_of(int number)
{
    if (number >= SIM_SOCKET_BASE && number < SIM_SOCKET_BASE + SIM_SOCKETS_MAX &&
        sim_sockets[number - SIM_SOCKET_BASE].state == SIM_SOCKET_OPEN)
        return &sim_sockets[number - SIM_SOCKET_BASE];
    sim_violation("socket %d is used, and not open", number);
    return NULL;
}

static void socket_free(struct sim_socket *socket)
{
    sim_pipe_close(&socket->to_server);
    sim_pipe_close(&socket->to_client);
    *socket = (struct sim_socket){0};
}

void sim_socket_close(struct sim_socket *socket)
{
    socket->state = SIM_SOCKET_CLOSED;
    if (socket->is_left)
        socket_free(socket);
    else
        sim_client_rouse(socket->client);
}

void sim_socket_leave(struct sim_socket *socket)
{
    socket->is_left = true;
    socket->has_shut = true;
    if (socket->state == SIM_SOCKET_CLOSED) socket_free(socket);
}

void sim_socket_close_all(void)
{
    for (uint32_t i = 0; i < SIM_SOCKETS_MAX; i++)
        socket_free(&sim_sockets[i]);
}

uint32_t sim_socket_open_count(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < SIM_SOCKETS_MAX; i++)
        count += sim_sockets[i].state == SIM_SOCKET_OPEN;
    return count;
}

/* ---- ring/net.h, as far as a worker needs it ---- */

bool net_format_peer(char *out, int number)
{
    sim_point(SIM_POINT_TIME);
    const struct sim_socket *socket = sim_socket_of(number);
    if (socket == NULL || socket->is_reset) return false;
    (void)snprintf(out, NET_TEXT_MAX, "127.0.0.1:%u", 10000 + socket->client);
    return true;
}

bool net_has_input(int number)
{
    const struct sim_socket *socket = sim_socket_of(number);
    return socket != NULL && sim_pipe_left(&socket->to_server) > 0;
}

/* ---- server/listener.h ---- */

int listener_open(struct listener *listener, const struct config *config,
                  const struct unix_listeners *shared)
{
    (void)config;
    (void)shared;
    *listener = (struct listener){.count = 1, .reserve = 1};
    listener->sockets[0] = LISTENER_BASE;
    listener->is_shared[0] = sim.settings.is_shared_listener;
    return 0;
}

int listener_start(struct listener *listener, int backlog)
{
    (void)listener;
    (void)backlog;
    return 0;
}

void listener_close(struct listener *listener)
{
    listener->count = 0;
}

void listener_refuse(int number, struct bytes text)
{
    struct sim_socket *socket = sim_socket_of(number);
    if (socket == NULL) return;
    if (!socket->is_reset && !sim.is_dead) sim_pipe_put(&socket->to_client, text.data, text.size);
    sim_socket_close(socket);
    SIM_COUNT(turned_away);
}

bool listener_refuse_on_reserve(struct listener *listener, uint32_t index, struct bytes text)
{
    (void)listener;
    (void)index;
    int number = sim.is_dead ? -1 : sim_socket_accept();
    if (number < 0) return false;
    listener_refuse(number, text);
    return true;
}
