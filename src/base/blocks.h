/*
 * blocks -- a bounded pool of equal blocks of memory, last given back first taken.
 *
 * Owns:       its memory: mapped once, touched only as far as blocks were ever used.
 * Bounds:     `capacity` blocks, stated at open. Not for several threads.
 */
#pragma once

#include "base/check.h"

#include <stdint.h>

struct blocks {
    uint8_t *memory;
    void *free_head; /* a free block's first word is the next free block */
    uint64_t block_size;
    uint32_t capacity;
    uint32_t touched_end;
    uint32_t taken_count;
};

/* Maps room for `capacity` blocks of `block_size` bytes (a multiple of 64). 0, or -errno. */
MUST_USE int blocks_open(struct blocks *blocks, uint32_t capacity, uint64_t block_size);
void blocks_close(struct blocks *blocks);

/* A block whose content is unspecified, or NULL when all are taken. */
void *blocks_take(struct blocks *blocks);
void blocks_give_back(struct blocks *blocks, void *block);
