#include "server/hold.h"

struct hold_block {
    struct queue_link link;
    uint32_t offset; /* octets used up */
    uint32_t size;
    uint8_t data[];
};

#define HOLD_ROOM (HOLD_BLOCK_SIZE - sizeof(struct hold_block))

static struct hold_block *front(const struct hold *hold)
{
    CHECK(!hold_is_empty(hold));
    return QUEUE_OWNER(hold->blocks.head, struct hold_block, link);
}

static void drop_front(struct hold *hold, struct blocks *pool)
{
    struct hold_block *block = front(hold);
    CHECK(hold->size >= block->size);
    hold->size -= block->size;
    (void)queue_pop(&hold->blocks);
    blocks_give_back(pool, block);
}

/* The newest block if it is not full, else another one; NULL if the pool is used up. */
static struct hold_block *back_with_room(struct hold *hold, struct blocks *pool)
{
    if (!hold_is_empty(hold)) {
        struct hold_block *back = QUEUE_OWNER(hold->blocks.tail, struct hold_block, link);
        if (back->size < HOLD_ROOM) return back;
    }
    struct hold_block *block = blocks_take(pool);
    if (block == NULL) return NULL;
    block->offset = 0;
    block->size = 0;
    queue_push(&hold->blocks, &block->link);
    return block;
}

bool hold_put(struct hold *hold, struct blocks *pool, struct bytes data, uint64_t bound)
{
    if (hold->size + data.size > bound) return false;
    while (data.size > 0) {
        struct hold_block *block = back_with_room(hold, pool);
        if (block == NULL) return false;
        uint64_t room = HOLD_ROOM - block->size;
        struct bytes part = bytes_take(&data, data.size < room ? data.size : room);
        memcpy(block->data + block->size, part.data, part.size);
        block->size += (uint32_t)part.size;
        hold->size += (uint32_t)part.size;
    }
    return true;
}

struct bytes hold_front(const struct hold *hold)
{
    if (hold_is_empty(hold)) return bytes_make(NULL, 0);
    const struct hold_block *block = front(hold);
    return bytes_make(block->data + block->offset, block->size - block->offset);
}

void hold_use(struct hold *hold, uint64_t left)
{
    if (hold_is_empty(hold)) return;
    struct hold_block *block = front(hold);
    CHECK(left <= block->size - block->offset);
    block->offset = block->size - (uint32_t)left;
}

void hold_trim(struct hold *hold, struct blocks *pool)
{
    if (hold_is_empty(hold)) return;
    const struct hold_block *block = front(hold);
    if (block->offset == block->size) drop_front(hold, pool);
}

void hold_drop(struct hold *hold, struct blocks *pool)
{
    while (!hold_is_empty(hold))
        drop_front(hold, pool);
}
