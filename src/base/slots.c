#include "base/slots.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int slots_open(struct slots *slots, uint32_t capacity, uint64_t item_size)
{
    CHECK(capacity > 0);
    CHECK(capacity < SLOTS_NONE);
    CHECK(item_size >= sizeof(struct slot));
    CHECK(item_size % _Alignof(struct slot) == 0);
    CHECK(item_size <= UINT64_MAX / capacity);

    /* Untouched pages of an anonymous mapping cost nothing, so the table may be sized generously.
     */
    void *memory = mmap(NULL, capacity * item_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return -errno;
    *slots = (struct slots){
        .memory = memory,
        .item_size = item_size,
        .capacity = capacity,
        .free_head = SLOTS_NONE,
    };
    return 0;
}

void slots_close(struct slots *slots)
{
    if (slots->memory != NULL)
        CHECK(munmap(slots->memory, slots->capacity * slots->item_size) == 0);
    *slots = (struct slots){.free_head = SLOTS_NONE};
}

static struct slot *slots_take_used(struct slots *slots)
{
    struct slot *slot = slots_at(slots, slots->free_head);

    CHECK(!slot->is_taken);
    slots->free_head = slot->next_free;
    memset(slot + 1, 0, slots->item_size - sizeof(*slot));
    return slot;
}

/* A slot in its first life: the mapping made it zero, so nothing but struct slot is touched. */
static struct slot *slots_take_fresh(struct slots *slots)
{
    slots->touched_end++;
    struct slot *slot = slots_at(slots, slots->touched_end - 1);

    CHECK(slot->generation == 0);
    slot->generation = 1;
    return slot;
}

void *slots_take(struct slots *slots)
{
    CHECK(slots->taken_count <= slots->capacity);
    if (slots->taken_count == slots->capacity) return NULL;

    struct slot *slot;
    if (slots->free_head != SLOTS_NONE)
        slot = slots_take_used(slots);
    else
        slot = slots_take_fresh(slots);
    slot->next_free = SLOTS_NONE;
    slot->is_taken = true;
    slots->taken_count++;
    return slot;
}

void slots_give_back(struct slots *slots, void *item)
{
    struct slot *slot = item;
    uint32_t index = slots_index(slots, item);

    CHECK(slots_at(slots, index) == item);
    CHECK(slot->is_taken);
    CHECK(slots->taken_count > 0);
    slot->is_taken = false;
    slot->generation++;
    if (slot->generation == 0) slot->generation = 1; /* 0 is what a forgotten token looks like */
    slot->next_free = slots->free_head;
    slots->free_head = index;
    slots->taken_count--;
}

void *slots_find(const struct slots *slots, uint32_t index, uint32_t generation)
{
    if (index >= slots->touched_end) return NULL;
    struct slot *slot = slots_at(slots, index);
    return slot->is_taken && slot->generation == generation ? slot : NULL;
}
