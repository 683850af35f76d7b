/*
 * ring_buffers -- the provided-buffer ring that receives fill.
 *
 * Owns:       the entry array and the buffers: two mappings, resident only as far as they were
 * filled. Invariants: a buffer is either the kernel's or out; what is given back becomes the
 * kernel's at ring_buffers_publish(), before the next enter.
 */
#pragma once

#include "base/check.h"

#include <stdint.h>

struct io_uring;
struct io_uring_buf_ring;

struct ring_buffers {
    struct io_uring_buf_ring *entries;
    uint8_t *memory;
    uint32_t count;
    uint32_t size;
    uint32_t out;     /* received and not given back */
    uint32_t pending; /* given back, not yet published */
};

#define RING_BUFFERS_GROUP 0

/* Registers `count` (a power of two) buffers of `size` bytes as group RING_BUFFERS_GROUP. 0 or
 * -errno. */
MUST_USE int ring_buffers_open(struct ring_buffers *buffers, struct io_uring *uring, uint32_t count,
                               uint32_t size);
void ring_buffers_close(struct ring_buffers *buffers);

/* The start of buffer `id`, now out. */
const uint8_t *ring_buffers_take(struct ring_buffers *buffers, uint16_t id);
void ring_buffers_give_back(struct ring_buffers *buffers, uint16_t id);
void ring_buffers_publish(struct ring_buffers *buffers);
