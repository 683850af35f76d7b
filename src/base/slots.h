/*
 * slots -- a fixed table of equal items, each with an index and a generation.
 *
 * Owns:       its memory: mapped once, touched only as far as slots were ever used.
 * Bounds:     `capacity` items, stated at open.
 * Invariants: (1) an item starts with struct slot. (2) A slot's generation grows by one each time
 * it is given back, so an (index, generation) pair names one life of one slot.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define SLOTS_NONE UINT32_MAX

/* Must be the first member of every item. */
struct slot {
    uint32_t generation; /* never 0 once taken */
    uint32_t next_free;  /* index, or SLOTS_NONE */
    bool is_taken;
};

struct slots {
    uint8_t *memory;
    uint64_t item_size;
    uint32_t capacity;
    uint32_t touched_end; /* slots at and above were never taken */
    uint32_t free_head;
    uint32_t taken_count;
};

/* Maps room for `capacity` items of `item_size` bytes. 0, or -errno. */
MUST_USE int slots_open(struct slots *slots, uint32_t capacity, uint64_t item_size);
void slots_close(struct slots *slots);

/* An item that nobody has, zeroed but for its struct slot; NULL when all are taken. */
void *slots_take(struct slots *slots);
void slots_give_back(struct slots *slots, void *item);

static inline void *slots_at(const struct slots *slots, uint32_t index)
{
    CHECK(index < slots->touched_end);
    return slots->memory + (uint64_t)index * slots->item_size;
}

static inline uint32_t slots_index(const struct slots *slots, const void *item)
{
    return (uint32_t)((uint64_t)((const uint8_t *)item - slots->memory) / slots->item_size);
}

/* The item at `index` if it is taken and in its life `generation`, else NULL. */
void *slots_find(const struct slots *slots, uint32_t index, uint32_t generation);
