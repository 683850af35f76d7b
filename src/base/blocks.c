#include "base/blocks.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS_ALIGNMENT 64

int blocks_open(struct blocks *blocks, uint32_t capacity, uint64_t block_size)
{
    CHECK(capacity > 0);
    CHECK(block_size > 0);
    CHECK(block_size % BLOCKS_ALIGNMENT == 0);
    CHECK(block_size <= UINT64_MAX / capacity);

    void *memory = mmap(NULL, capacity * block_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return -errno;
    *blocks = (struct blocks){.memory = memory, .block_size = block_size, .capacity = capacity};
    return 0;
}

void blocks_close(struct blocks *blocks)
{
    if (blocks->memory != NULL)
        CHECK(munmap(blocks->memory, blocks->capacity * blocks->block_size) == 0);
    *blocks = (struct blocks){0};
}

void *blocks_take(struct blocks *blocks)
{
    CHECK(blocks->taken_count <= blocks->capacity);
    if (blocks->taken_count == blocks->capacity) return NULL;

    void *block = blocks->free_head;
    if (block != NULL)
        memcpy(&blocks->free_head, block, sizeof(blocks->free_head));
    else
        block = blocks->memory + blocks->touched_end++ * blocks->block_size;
    blocks->taken_count++;
    return block;
}

void blocks_give_back(struct blocks *blocks, void *block)
{
    uint64_t offset = (uint64_t)((uint8_t *)block - blocks->memory);

    CHECK(offset % blocks->block_size == 0);
    CHECK(offset / blocks->block_size < blocks->touched_end);
    CHECK(blocks->taken_count > 0);
    memcpy(block, &blocks->free_head, sizeof(blocks->free_head));
    blocks->free_head = block;
    blocks->taken_count--;
}
