/*
 * hold -- input that came while none could be taken, in order.
 *
 * Owns:       the blocks it took from the pool.
 * Borrows:    the pool, which all connections of a worker share.
 * Bounds:     what hold_put() is told; the pool.
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/queue.h"

#include <stdbool.h>
#include <stdint.h>

#define HOLD_BLOCK_SIZE 65536

struct hold {
    struct queue blocks;
    uint32_t size; /* octets held, used up ones of the first block included */
};

static inline bool hold_is_empty(const struct hold *hold)
{
    return queue_is_empty(&hold->blocks);
}

/* Copies all of `data` behind what is held; false if `bound` octets or the pool's end is reached.
 */
MUST_USE bool hold_put(struct hold *hold, struct blocks *pool, struct bytes data, uint64_t bound);

/* What of the oldest block is not used up yet; empty if nothing is held. */
struct bytes hold_front(const struct hold *hold);

/* Only the last `left` octets of hold_front() are still to be used. The block stays: views into it
 * may live. */
void hold_use(struct hold *hold, uint64_t left);

/* Gives the oldest block back if it is used up. */
void hold_trim(struct hold *hold, struct blocks *pool);

/* Gives all blocks back. */
void hold_drop(struct hold *hold, struct blocks *pool);
