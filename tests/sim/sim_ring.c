/*
 * sim_ring -- ring/ring.h without a kernel: completions late, reordered, short, failed.
 *
 * Owns:       received buffers: exactly as large as what was received, spoiled when given back.
 * Invariants: completions of one multishot come in order; memory that is lent must stay as it is.
 */
#include "sim_ring.h"
#include "sim_client.h"
#include "sim_disk.h"
#include "sim_life.h"
#include "sim_socket.h"
#include "sim_world.h"

#include "base/clock.h"
#include "ring/ring.h"
#include "ring/ring_probe.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define OPERATIONS_MAX  128
#define COMPLETIONS_MAX 1024
#define BUFFERS_MAX     1024
/* Enters without a completion that one simulated second may have. */
#define EMPTY_ENTERS_MAX 5000
#define SPOILED          0xdb

enum kind {
    KIND_ACCEPT,
    KIND_ACCEPT_ONCE,
    KIND_RECEIVE,
    KIND_SEND,
    KIND_CLOSE,
    KIND_CANCEL,
    KIND_SYNC,
    KIND_READ,
};

struct operation {
    bool is_used;
    bool is_cancelled; /* it will complete with ECANCELED */
    enum kind kind;
    struct ring_token token;
    struct ring_token target;
    int file; /* or socket */
    uint64_t ready_ns;
    struct bytes data;
    uint64_t hash;
    void *into;
    uint32_t into_size;
    int result;
};

struct buffer {
    uint8_t *memory;
    uint32_t size;
    bool is_out;
};

struct ring {
    struct ring_options options;
    struct operation operations[OPERATIONS_MAX];
    struct ring_completion completions[COMPLETIONS_MAX];
    uint32_t completion_head;
    uint32_t completion_count;
    struct buffer buffers[BUFFERS_MAX];
    uint32_t buffers_out;
    uint32_t syncs;
    struct ring_counts counts;
    uint64_t empty_enters;
    uint64_t empty_since_ns;
};

/* ---- opening ---- */

uint32_t ring_probe_kernel(void)
{
    return 6018;
}

uint64_t ring_memory(const struct ring_options *options)
{
    (void)options;
    return 0;
}

struct ring *ring_open(const struct ring_options *options, int *error)
{
    struct ring *ring = calloc(1, sizeof *ring);
    CHECK(ring != NULL);
    CHECK(options->buffer_count <= BUFFERS_MAX);
    *error = 0;
    ring->options = *options;
    return ring;
}

void ring_close(struct ring *ring)
{
    for (uint32_t i = 0; i < BUFFERS_MAX; i++)
        free(ring->buffers[i].memory);
    free(ring);
}

struct ring_counts ring_counts(const struct ring *ring)
{
    return ring->counts;
}

uint32_t ring_buffers_out(const struct ring *ring)
{
    return ring->buffers_out;
}

/* ---- submits ---- */

static struct operation *operation_new(struct ring *ring, enum kind kind, struct ring_token token,
                                       uint64_t delay_ns)
{
    (void)ring_token_pack(token);
    for (uint32_t i = 0; i < OPERATIONS_MAX; i++) {
        struct operation *operation = &ring->operations[i];
        if (operation->is_used) continue;
        *operation = (struct operation){
            .is_used = true, .kind = kind, .token = token, .ready_ns = sim.now_ns + delay_ns};
        return operation;
    }
    CHECK(false); /* a world has far fewer */
    return NULL;
}

static uint64_t usual_delay(void)
{
    return sim_delay(sim.settings.completion_ns);
}

static void submit_accept(struct ring *ring, enum kind kind, int listener, struct ring_token token)
{
    sim_point(SIM_POINT_RING);
    if (sim.is_dead) return;
    operation_new(ring, kind, token, usual_delay())->file = listener;
}

void ring_accept(struct ring *ring, int listener, struct ring_token token)
{
    submit_accept(ring, KIND_ACCEPT, listener, token);
}

void ring_accept_once(struct ring *ring, int listener, struct ring_token token)
{
    submit_accept(ring, KIND_ACCEPT_ONCE, listener, token);
}

void ring_receive(struct ring *ring, int socket, struct ring_token token, bool poll_first)
{
    (void)poll_first;
    sim_point(SIM_POINT_RING);
    if (sim.is_dead || sim_socket_of(socket) == NULL) return;
    for (uint32_t i = 0; i < OPERATIONS_MAX; i++)
        if (ring->operations[i].is_used && ring->operations[i].kind == KIND_RECEIVE &&
            ring->operations[i].file == socket)
            sim_violation("two receives on one socket");
    operation_new(ring, KIND_RECEIVE, token, usual_delay())->file = socket;
}

static bool is_promise(struct bytes data)
{
    return memmem(data.data, data.size, "queued as", 9) != NULL;
}

void ring_send(struct ring *ring, int socket, struct bytes data, struct ring_token token)
{
    sim_point(SIM_POINT_RING);
    if (sim.is_dead || sim_socket_of(socket) == NULL) return;
    CHECK(data.size > 0);
    struct operation *operation = operation_new(ring, KIND_SEND, token, usual_delay());
    operation->file = socket;
    operation->data = data;
    operation->hash = XXH3_64bits(data.data, data.size);
    sim_trace("send of %llu octets on %d", (unsigned long long)data.size, socket);
    if (is_promise(data)) sim_point(SIM_POINT_PROMISE);
}

void ring_send_message(struct ring *ring, int socket, const struct msghdr *message,
                       struct ring_token token)
{
    (void)ring;
    (void)socket;
    (void)message;
    (void)token;
    CHECK(false); /* the server has no use for it */
}

void ring_connect(struct ring *ring, int socket, const struct sockaddr *address, socklen_t size,
                  struct ring_token token)
{
    (void)ring;
    (void)socket;
    (void)address;
    (void)size;
    (void)token;
    CHECK(false); /* the server has no use for it */
}

void ring_close_socket(struct ring *ring, int socket, struct ring_token token)
{
    sim_point(SIM_POINT_RING);
    if (sim.is_dead || sim_socket_of(socket) == NULL) return;
    for (uint32_t i = 0; i < OPERATIONS_MAX; i++) {
        const struct operation *other = &ring->operations[i];
        if (other->is_used && other->file == socket &&
            (other->kind == KIND_RECEIVE || other->kind == KIND_SEND))
            sim_violation("a socket is closed with an operation in flight");
    }
    operation_new(ring, KIND_CLOSE, token, usual_delay())->file = socket;
}

void ring_cancel(struct ring *ring, struct ring_token target, struct ring_token token)
{
    sim_point(SIM_POINT_RING);
    if (sim.is_dead) return;
    operation_new(ring, KIND_CANCEL, token, usual_delay())->target = target;
}

void ring_sync_data(struct ring *ring, int file, uint64_t offset, uint32_t size,
                    struct ring_token token)
{
    sim_point(SIM_POINT_RING);
    if (sim.is_dead) return;
    sim_trace("sync of file %d, %llu + %u", file, (unsigned long long)offset, size);
    struct operation *operation =
        operation_new(ring, KIND_SYNC, token, sim_delay(sim.settings.sync_ns));
    operation->file = file;
    ring->syncs++;
    SIM_COUNT(syncs);
    if (ring->syncs == sim.settings.failing_sync) operation->result = sim.settings.sync_error;
    sim_disk_sync_begin(file, offset, size);
    sim_point(SIM_POINT_SYNC_BEGUN);
}

void ring_read(struct ring *ring, int file, void *into, uint32_t size, struct ring_token token)
{
    sim_point(SIM_POINT_RING);
    if (sim.is_dead) return;
    struct operation *operation = operation_new(ring, KIND_READ, token, 0);
    operation->file = file;
    operation->into = into;
    operation->into_size = size;
}

/* ---- completions ---- */

static struct ring_completion *complete(struct ring *ring, struct operation *operation,
                                        int32_t result, bool is_last)
{
    CHECK(ring->completion_count < COMPLETIONS_MAX);
    uint32_t place = (ring->completion_head + ring->completion_count++) % COMPLETIONS_MAX;
    ring->completions[place] =
        (struct ring_completion){.token = operation->token, .result = result, .is_last = is_last};
    operation->is_used = !is_last;
    ring->counts.completions++;
    return &ring->completions[place];
}

static void accept_step(struct ring *ring, struct operation *operation)
{
    static const int errors[] = {-ECONNABORTED, -EMFILE, -ENFILE};
    bool is_once = operation->kind == KIND_ACCEPT_ONCE;
    if (operation->is_cancelled) {
        (void)complete(ring, operation, -ECANCELED, true);
        return;
    }
    if (!sim_socket_has_waiting()) return;
    if (sim_fault(sim.settings.accept_fault_chance)) {
        int error = errors[sim_below(3)];
        if (error == -ECONNABORTED)
            SIM_COUNT(accept_faults);
        else
            SIM_COUNT(accept_no_descriptors);
        (void)complete(ring, operation, error, true);
        return;
    }
    bool is_last = is_once || sim_fault(sim.settings.end_chance);
    (void)complete(ring, operation, sim_socket_accept(), is_last);
    operation->ready_ns = sim.now_ns + usual_delay();
}

static void buffer_fill(struct ring *ring, struct ring_completion *completion,
                        struct sim_socket *socket, uint32_t size)
{
    uint32_t id = (uint32_t)sim_below(ring->options.buffer_count);
    while (ring->buffers[id].is_out)
        id = (id + 1) % ring->options.buffer_count;
    struct buffer *buffer = &ring->buffers[id];
    free(buffer->memory);
    *buffer = (struct buffer){.memory = malloc(size), .size = size, .is_out = true};
    CHECK(buffer->memory != NULL);
    memcpy(buffer->memory, sim_pipe_front(&socket->to_server), size);
    sim_pipe_drop(&socket->to_server, size);
    socket->received += size;
    socket->received_ns = sim.now_ns + sim.real_offset_ns;
    ring->buffers_out++;
    completion->has_buffer = true;
    completion->buffer = (uint16_t)id;
    completion->data = bytes_make(buffer->memory, size);
    sim_client_rouse(socket->client);
}

static void receive_fail(struct ring *ring, struct operation *operation, int error)
{
    struct sim_socket *socket = sim_socket_of(operation->file);
    socket->was_faulted = true;
    socket->is_reset = true;
    sim_client_rouse(socket->client);
    (void)complete(ring, operation, error, true);
}

/* Octets, the end of input, or a reason why it ends; nothing if none is there. */
static void receive_step(struct ring *ring, struct operation *operation)
{
    struct sim_socket *socket = sim_socket_of(operation->file);
    if (socket == NULL) return;
    uint64_t left = sim_pipe_left(&socket->to_server);
    if (operation->is_cancelled) {
        (void)complete(ring, operation, -ECANCELED, true);
    } else if (socket->is_reset) {
        (void)complete(ring, operation, -ECONNRESET, true);
    } else if (left == 0 && socket->has_shut) {
        (void)complete(ring, operation, 0, true);
    } else if (left == 0) {
        return;
    } else if (sim_fault(sim.settings.receive_fault_chance)) {
        SIM_COUNT(receive_faults);
        receive_fail(ring, operation, sim_chance(500) ? -ECONNRESET : -EIO);
    } else if (ring->buffers_out == ring->options.buffer_count ||
               sim_fault(sim.settings.no_buffers_chance)) {
        SIM_COUNT(no_buffers);
        ring->counts.no_buffers++;
        (void)complete(ring, operation, -ENOBUFS, true);
    } else {
        uint64_t size = left < ring->options.buffer_size ? left : ring->options.buffer_size;
        if (sim_chance(sim.settings.cut_chance)) {
            size = sim_delay(size) + 1;
            if (size > left) size = left;
            SIM_COUNT(receives_cut);
        }
        bool is_last = sim_fault(sim.settings.end_chance);
        if (is_last) SIM_COUNT(receives_ended);
        struct ring_completion *completion = complete(ring, operation, (int32_t)size, is_last);
        buffer_fill(ring, completion, socket, (uint32_t)size);
    }
    operation->ready_ns = sim.now_ns + usual_delay();
}

/* The octets as they are now: whoever changed them since the submit is found out. */
static void send_octets(struct operation *operation, struct sim_socket *socket, uint64_t size)
{
    if (XXH3_64bits(operation->data.data, operation->data.size) != operation->hash)
        sim_violation("replies were changed while they were being sent");
    sim_pipe_put(&socket->to_client, operation->data.data, size);
    sim_client_rouse(socket->client);
}

static void send_step(struct ring *ring, struct operation *operation)
{
    struct sim_socket *socket = sim_socket_of(operation->file);
    if (socket == NULL) return;
    uint64_t waiting = sim_pipe_left(&socket->to_client);
    uint64_t room = socket->window > waiting ? socket->window - waiting : 0;
    if (socket->is_reset || sim_fault(sim.settings.send_fault_chance)) {
        SIM_COUNT(send_faults);
        socket->was_faulted = true;
        socket->is_reset = true;
        sim_client_rouse(socket->client);
        (void)complete(ring, operation, sim_chance(500) ? -EPIPE : -ECONNRESET, true);
        return;
    }
    if (operation->is_cancelled) {
        uint64_t part = operation->data.size < room ? operation->data.size : room;
        if (part > 0) send_octets(operation, socket, part);
        (void)complete(ring, operation, part > 0 ? (int32_t)part : -ECANCELED, true);
        return;
    }
    /* Someone who left without a reset takes what is sent, and nobody reads it. */
    if (socket->is_left) room = operation->data.size;
    uint64_t size = operation->data.size;
    if (size > room && room < socket->window) return;
    if (size > room) size = room;
    if (size > 1 && sim_fault(sim.settings.short_chance)) size = 1 + sim_below(size - 1);
    if (size < operation->data.size) SIM_COUNT(short_sends);
    send_octets(operation, socket, size);
    (void)complete(ring, operation, (int32_t)size, true);
}

static bool is_same(struct ring_token a, struct ring_token b)
{
    return a.op == b.op && a.slot == b.slot && a.generation == b.generation;
}

static void cancel_step(struct ring *ring, struct operation *operation)
{
    struct operation *target = NULL;
    for (uint32_t i = 0; i < OPERATIONS_MAX; i++)
        if (ring->operations[i].is_used && ring->operations[i].kind != KIND_CANCEL &&
            is_same(ring->operations[i].token, operation->target))
            target = &ring->operations[i];
    if (target == NULL) {
        SIM_COUNT(cancels_of_nothing);
        (void)complete(ring, operation, -ENOENT, true);
        return;
    }
    bool is_late = sim_chance(200);
    target->is_cancelled = true;
    target->ready_ns = is_late ? sim.now_ns + usual_delay() : sim.now_ns;
    if (is_late)
        SIM_COUNT(cancels_too_late);
    else
        SIM_COUNT(cancels_done);
    (void)complete(ring, operation, is_late ? -EALREADY : 0, true);
}

static void sync_step(struct ring *ring, struct operation *operation)
{
    sim_disk_sync_end(operation->file, operation->result);
    if (operation->result != 0) SIM_COUNT(sync_faults);
    if (operation->result != 0) sim.has_sync_failed = sim.has_ever_failed = true;
    sim_trace("sync of file %d is back: %d", operation->file, operation->result);
    (void)complete(ring, operation, operation->result, true);
    sim_point(operation->result == 0 ? SIM_POINT_SYNC_DONE : SIM_POINT_SYNC_FAILED);
}

static void read_step(struct ring *ring, struct operation *operation)
{
    struct pollfd waiting = {.fd = operation->file, .events = POLLIN};
    if (poll(&waiting, 1, 0) != 1) return;
    ssize_t size = read(operation->file, operation->into, operation->into_size);
    (void)complete(ring, operation, (int32_t)size, true);
}

static void operation_step(struct ring *ring, struct operation *operation)
{
    switch (operation->kind) {
    case KIND_ACCEPT:
    case KIND_ACCEPT_ONCE:
        accept_step(ring, operation);
        break;
    case KIND_RECEIVE:
        receive_step(ring, operation);
        break;
    case KIND_SEND:
        send_step(ring, operation);
        break;
    case KIND_CLOSE:
        sim_socket_close(sim_socket_of(operation->file));
        (void)complete(ring, operation, 0, true);
        break;
    case KIND_CANCEL:
        cancel_step(ring, operation);
        break;
    case KIND_SYNC:
        sync_step(ring, operation);
        break;
    case KIND_READ:
        read_step(ring, operation);
        break;
    }
}

/* Those whose time has come, beginning anywhere: any order is possible. */
static void operations_step(struct ring *ring)
{
    uint32_t first = (uint32_t)sim_below(OPERATIONS_MAX);
    for (uint32_t i = 0; i < OPERATIONS_MAX && !sim.is_dead; i++) {
        struct operation *operation = &ring->operations[(first + i) % OPERATIONS_MAX];
        if (operation->is_used && operation->ready_ns <= sim.now_ns)
            operation_step(ring, operation);
    }
}

static uint64_t operations_next_ns(const struct ring *ring)
{
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < OPERATIONS_MAX; i++) {
        const struct operation *operation = &ring->operations[i];
        if (!operation->is_used || operation->ready_ns <= sim.now_ns) continue;
        if (operation->ready_ns < next_ns) next_ns = operation->ready_ns;
    }
    return next_ns;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A loop that turns without anything to do would burn a core. */
static void watch_spinning(struct ring *ring)
{
    if (sim.now_ns - ring->empty_since_ns > CLOCK_NS_PER_S) {
        ring->empty_since_ns = sim.now_ns;
        ring->empty_enters = 0;
    }
    if (++ring->empty_enters == EMPTY_ENTERS_MAX)
        sim_violation("the loop spins: %u enters without a completion in a second",
                      EMPTY_ENTERS_MAX);
}

int ring_enter(struct ring *ring, uint64_t wait_ns)
{
    ring->counts.enters++;
    SIM_COUNT(enters);
    sim_point(SIM_POINT_RING);
    uint64_t deadline_ns = sim.now_ns + wait_ns;
    while (!sim.is_dead) {
        sim_life_step();
        sim_client_step_all();
        operations_step(ring);
        if (sim.is_dead) break;
        if (ring->completion_count > 0 && !sim_chance(300)) return 0;
        if (sim.now_ns >= deadline_ns) {
            if (ring->completion_count == 0) watch_spinning(ring);
            return 0;
        }
        uint64_t next_ns = least(operations_next_ns(ring), sim_client_next_ns());
        next_ns = least(least(next_ns, sim_life_next_ns()), deadline_ns);
        sim.now_ns = next_ns > sim.now_ns ? next_ns : sim.now_ns + 1;
        if (sim_chance(sim.settings.write_back_chance)) sim_disk_write_back();
    }
    /* Some of what was being sent may have left. */
    ring->completion_count = 0;
    return -EIO;
}

bool ring_next(struct ring *ring, struct ring_completion *completion)
{
    if (sim.is_dead || ring->completion_count == 0) return false;
    *completion = ring->completions[ring->completion_head];
    ring->completion_head = (ring->completion_head + 1) % COMPLETIONS_MAX;
    ring->completion_count--;
    return true;
}

void ring_give_back(struct ring *ring, uint16_t id)
{
    CHECK(id < ring->options.buffer_count);
    struct buffer *buffer = &ring->buffers[id];
    if (!buffer->is_out) {
        sim_violation("buffer %u is given back, and is not out", id);
        return;
    }
    memset(buffer->memory, SPOILED, buffer->size);
    buffer->is_out = false;
    ring->buffers_out--;
}

/* The crash: octets that are being sent may have left, or not. */
void sim_ring_crash(struct ring *ring)
{
    for (uint32_t i = 0; i < OPERATIONS_MAX; i++) {
        struct operation *operation = &ring->operations[i];
        if (!operation->is_used || operation->kind != KIND_SEND || sim_chance(400)) continue;
        struct sim_socket *socket = sim_socket_of(operation->file);
        if (socket == NULL || socket->is_reset) continue;
        send_octets(operation, socket, operation->data.size);
    }
}
