#include "base/blocks.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* The sanitizer then sees whoever touches a block, or gives it back, that is not taken. */
#ifdef RINGSINK_SLOW_CHECKS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

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
    if (blocks->memory != NULL) {
        uint64_t size = blocks->capacity * blocks->block_size;
        ASAN_UNPOISON_MEMORY_REGION(blocks->memory, size);
        CHECK(munmap(blocks->memory, size) == 0);
    }
    *blocks = (struct blocks){0};
}

void *blocks_take(struct blocks *blocks)
{
    CHECK(blocks->taken_count <= blocks->capacity);
    if (blocks->taken_count == blocks->capacity) return NULL;

    void *block = blocks->free_head;
    if (block != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(block, blocks->block_size);
        memcpy(&blocks->free_head, block, sizeof(blocks->free_head));
    } else {
        block = blocks->memory + blocks->touched_end++ * blocks->block_size;
    }
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
    ASAN_POISON_MEMORY_REGION(block, blocks->block_size);
    blocks->free_head = block;
    blocks->taken_count--;
}
