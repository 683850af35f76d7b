/*
 * ring -- one io_uring: typed submits, one enter a loop, completions to walk. The seam: no liburing
 * type leaks out, and tests link another ring.c under the same header.
 *
 * Owns:       the rings, the provided receive buffers.
 * Borrows:    memory given to ring_send(), ring_read() until its completion was seen.
 * Errors:     ring_open() tells why io_uring is refused; afterwards results are -errno per
 * completion. Bounds:     a full submission queue is flushed at once, so a submit never fails.
 * Thread:     the one that called ring_open().
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "ring/ring_token.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct ring; /* about one page of state; from ring_open() */

struct ring_options {
    uint32_t submissions;  /* entries of the submission queue */
    uint32_t completions;  /* entries of the completion queue, clamped by the kernel */
    uint32_t buffer_count; /* provided receive buffers, a power of two; 0: none */
    uint32_t buffer_size;
};

struct ring_completion {
    struct ring_token token;
    int32_t result;  /* >= 0 or -errno */
    bool is_last;    /* no further completion of this submit will come (no F_MORE) */
    bool has_buffer; /* a received buffer, to be given back by ring_give_back() */
    uint16_t buffer;
    struct bytes data; /* what was received; valid until ring_give_back() */
};

struct ring_counts {
    uint64_t enters;
    uint64_t completions;
    uint64_t overflows;  /* completions that went the kernel's slow way */
    uint64_t no_buffers; /* receives that ended because the buffers ran out */
};

/* A new ring, or NULL with *error = -errno (ring_probe_explain() turns it into words). */
struct ring *ring_open(const struct ring_options *options, int *error);
void ring_close(struct ring *ring);

/* Bytes of memory that a ring of these options maps. */
uint64_t ring_memory(const struct ring_options *options);

/* Multishot accept: each result is a descriptor. */
void ring_accept(struct ring *ring, int listener, struct ring_token token);
/* One accept: where several rings share a listener, a multishot gives one of them everything. */
void ring_accept_once(struct ring *ring, int listener, struct ring_token token);
/* Multishot receive into provided buffers; `poll_first` when the socket is known to be empty. */
void ring_receive(struct ring *ring, int socket, struct ring_token token, bool poll_first);
/* One send of all of `data`; the result may still be short. */
void ring_send(struct ring *ring, int socket, struct bytes data, struct ring_token token);
void ring_send_message(struct ring *ring, int socket, const struct msghdr *message,
                       struct ring_token token);
void ring_connect(struct ring *ring, int socket, const struct sockaddr *address, socklen_t size,
                  struct ring_token token);
void ring_close_socket(struct ring *ring, int socket, struct ring_token token);
/* Cancels the operation submitted with `target`; it still completes, as does the cancel. */
void ring_cancel(struct ring *ring, struct ring_token target, struct ring_token token);
/* fdatasync of a range; size 0: to the end of the file. */
void ring_sync_data(struct ring *ring, int file, uint64_t offset, uint32_t size,
                    struct ring_token token);
void ring_read(struct ring *ring, int file, void *into, uint32_t size, struct ring_token token);

/*
 * Submits, waits for at least one completion or `wait_ns`, runs task work: one system call.
 * 0, or -errno for what is not part of normal life (EBUSY, EINTR, ETIME are).
 */
MUST_USE int ring_enter(struct ring *ring, uint64_t wait_ns);

/* The next completion of this batch; false when there is none left. */
MUST_USE bool ring_next(struct ring *ring, struct ring_completion *completion);

/* Returns a received buffer; the kernel may fill it again from the next ring_enter() on. */
void ring_give_back(struct ring *ring, uint16_t buffer);

/* How many provided buffers are out: received and not given back. */
uint32_t ring_buffers_out(const struct ring *ring);
struct ring_counts ring_counts(const struct ring *ring);
