#include "spool/spool_envelope.h"

#include <assert.h>
#include <string.h>

struct envelope_block {
    struct envelope_block *next;
    uint8_t octets[SPOOL_ENVELOPE_BLOCK_SIZE - sizeof(void *)];
};
static_assert(sizeof(struct envelope_block) == SPOOL_ENVELOPE_BLOCK_SIZE, "one block of the pool");

#define BLOCK_OCTETS ((uint32_t)sizeof(((struct envelope_block *)0)->octets))
#define ITEM_HEAD    3u

void spool_envelope_init(struct spool_envelope *envelope, struct blocks *pool)
{
    CHECK(pool->block_size >= SPOOL_ENVELOPE_BLOCK_SIZE);
    *envelope = (struct spool_envelope){.pool = pool};
}

/* So many octets fit in what is held and what the pool still has. */
static bool has_room(const struct spool_envelope *envelope, uint64_t size)
{
    uint64_t in_tail = envelope->tail == NULL ? 0 : BLOCK_OCTETS - envelope->tail_used;
    if (size <= in_tail) return true;
    uint64_t blocks = (size - in_tail + BLOCK_OCTETS - 1) / BLOCK_OCTETS;
    return blocks <= envelope->pool->capacity - envelope->pool->taken_count;
}

static void block_add(struct spool_envelope *envelope)
{
    struct envelope_block *block = blocks_take(envelope->pool);
    CHECK(block != NULL); /* has_room() counted it */
    block->next = NULL;
    if (envelope->tail == NULL)
        envelope->head = block;
    else
        ((struct envelope_block *)envelope->tail)->next = block;
    envelope->tail = block;
    envelope->tail_used = 0;
}

static void octets_put(struct spool_envelope *envelope, struct bytes octets)
{
    while (octets.size > 0) {
        if (envelope->tail == NULL || envelope->tail_used == BLOCK_OCTETS) block_add(envelope);
        uint32_t room = BLOCK_OCTETS - envelope->tail_used;
        uint32_t size = octets.size < room ? (uint32_t)octets.size : room;
        struct envelope_block *block = envelope->tail;
        memcpy(block->octets + envelope->tail_used, bytes_take(&octets, size).data, size);
        envelope->tail_used += size;
        envelope->size += size;
    }
}

bool spool_envelope_has_room(const struct spool_envelope *envelope, uint32_t items, uint64_t size)
{
    uint64_t needed = (uint64_t)items * ITEM_HEAD + size;
    return envelope->size + needed <= SPOOL_ENVELOPE_MAX && has_room(envelope, needed);
}

bool spool_envelope_put(struct spool_envelope *envelope, enum spool_item item, struct bytes value)
{
    CHECK(item != SPOOL_ITEM_END);
    if (value.size > UINT16_MAX) return false;
    if (!spool_envelope_has_room(envelope, 1, value.size)) return false;
    uint8_t head[ITEM_HEAD] = {(uint8_t)item, (uint8_t)value.size, (uint8_t)(value.size >> 8)};
    octets_put(envelope, bytes_make(head, sizeof(head)));
    octets_put(envelope, value);
    return true;
}

void spool_envelope_copy(const struct spool_envelope *envelope, uint8_t *out)
{
    uint32_t left = envelope->size;
    for (const struct envelope_block *block = envelope->head; left > 0; block = block->next) {
        CHECK(block != NULL);
        uint32_t size = left < BLOCK_OCTETS ? left : BLOCK_OCTETS;
        memcpy(out, block->octets, size);
        out += size;
        left -= size;
    }
}

void spool_envelope_drop(struct spool_envelope *envelope)
{
    struct envelope_block *block = envelope->head;
    while (block != NULL) {
        struct envelope_block *next = block->next;
        blocks_give_back(envelope->pool, block);
        block = next;
    }
    spool_envelope_init(envelope, envelope->pool);
}

bool spool_envelope_next(struct bytes *octets, enum spool_item *item, struct bytes *value)
{
    while (octets->size >= ITEM_HEAD) {
        struct bytes rest = *octets;
        struct bytes head = bytes_take(&rest, ITEM_HEAD);
        uint64_t size = head.data[1] | (uint64_t)head.data[2] << 8;
        if (head.data[0] == SPOOL_ITEM_END || size > rest.size) return false;
        *value = bytes_take(&rest, size);
        *octets = rest;
        if (head.data[0] > SPOOL_ITEM_RECIPIENT_PARAMETERS) continue; /* a later version's */
        *item = (enum spool_item)head.data[0];
        return true;
    }
    return false;
}
