/*
 * sim_socket -- what lies between a simulated client and the server: a number, and two streams of
 * octets on their way.
 *
 * Bounds:     SIM_SOCKETS_MAX at a time; the server's octets wait up to the client's window.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIM_SOCKETS_MAX 64
#define SIM_SOCKET_BASE 100

struct sim_pipe {
    uint8_t *data;
    uint64_t head;
    uint64_t size; /* end of what is in it */
    uint64_t capacity;
};

enum sim_socket_state {
    SIM_SOCKET_FREE,
    SIM_SOCKET_WAITING, /* connected, not accepted */
    SIM_SOCKET_OPEN,
    SIM_SOCKET_CLOSED, /* by the server; the client may still read */
};

struct sim_socket {
    enum sim_socket_state state;
    bool is_left;     /* the client has closed its end */
    bool is_reset;    /* the client has gone: what is sent fails */
    bool has_shut;    /* the client will send nothing more */
    bool was_faulted; /* an error was injected: anything may be missing */
    uint32_t client;
    uint32_t window;
    struct sim_pipe to_server;
    struct sim_pipe to_client;
    uint64_t received;    /* octets that the server has got */
    uint64_t received_ns; /* when it got the last, of the real clock */
};

extern struct sim_socket sim_sockets[SIM_SOCKETS_MAX];

void sim_pipe_put(struct sim_pipe *pipe, const void *octets, uint64_t size);
static inline uint64_t sim_pipe_left(const struct sim_pipe *pipe)
{
    return pipe->size - pipe->head;
}
static inline const uint8_t *sim_pipe_front(const struct sim_pipe *pipe)
{
    return pipe->data + pipe->head;
}
void sim_pipe_drop(struct sim_pipe *pipe, uint64_t size);
void sim_pipe_close(struct sim_pipe *pipe);

/* A new connection that waits to be accepted: its index, or SIM_SOCKETS_MAX if there is none. */
uint32_t sim_socket_connect(uint32_t client);
/* The next that waits, now open: its number; -1 if none does. */
int sim_socket_accept(void);
bool sim_socket_has_waiting(void);
/* The server's socket of that number; a violation and NULL if it has none. */
struct sim_socket *sim_socket_of(int number);
/* The server closes it. */
void sim_socket_close(struct sim_socket *socket);
/* The client is done with it. */
void sim_socket_leave(struct sim_socket *socket);
/* All of them. */
void sim_socket_close_all(void);
uint32_t sim_socket_open_count(void);
