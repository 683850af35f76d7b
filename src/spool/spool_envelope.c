#include "spool/spool_envelope.h"

#include <assert.h>
#include <string.h>

struct envelope_block {
    struct envelope_block *next;
    uint8_t octets[SPOOL_ENVELOPE_BLOCK_OCTETS];
};
static_assert(sizeof(struct envelope_block) == SPOOL_ENVELOPE_BLOCK_SIZE, "one block of the pool");

#define BLOCK_OCTETS ((uint32_t)SPOOL_ENVELOPE_BLOCK_OCTETS)
#define ITEM_HEAD    3u

void spool_envelope_init(struct spool_envelope *envelope, struct blocks *pool)
{
    CHECK(pool->block_size >= SPOOL_ENVELOPE_BLOCK_SIZE);
    *envelope = (struct spool_envelope){.pool = pool};
}

/* So many octets fit in what is held and what the pool still has. */
static bool has_room(const struct spool_envelope *envelope, uint64_t size)
{
    if (size <= envelope->tail_left) return true;
    uint64_t blocks = (size - envelope->tail_left + BLOCK_OCTETS - 1) / BLOCK_OCTETS;
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
    envelope->tail_left = BLOCK_OCTETS;
}

/* Where `size` octets go that fit into the tail block; they count as put. */
static uint8_t *tail_take(struct spool_envelope *envelope, uint32_t size)
{
    struct envelope_block *block = envelope->tail;
    CHECK(block != NULL);
    uint8_t *out = block->octets + (BLOCK_OCTETS - envelope->tail_left);
    envelope->tail_left -= size;
    envelope->size += size;
    return out;
}

static void octets_put(struct spool_envelope *envelope, struct bytes octets)
{
    while (octets.size > 0) {
        if (envelope->tail_left == 0) block_add(envelope);
        uint32_t room = envelope->tail_left;
        uint32_t size = octets.size < room ? (uint32_t)octets.size : room;
        memcpy(tail_take(envelope, size), bytes_take(&octets, size).data, size);
    }
}

bool spool_envelope_has_room(const struct spool_envelope *envelope, uint32_t items, uint64_t size)
{
    uint64_t needed = (uint64_t)items * ITEM_HEAD + size;
    return envelope->size + needed <= SPOOL_ENVELOPE_MAX && has_room(envelope, needed);
}

static void head_put(uint8_t *out, enum spool_item item, struct bytes value)
{
    out[0] = (uint8_t)item;
    out[1] = (uint8_t)value.size;
    out[2] = (uint8_t)(value.size >> 8);
}

/* An item that does not end in the block where it begins. */
RARE static bool put_across(struct spool_envelope *envelope, enum spool_item item,
                            struct bytes value)
{
    uint8_t head[ITEM_HEAD];
    if (value.size > UINT16_MAX || !spool_envelope_has_room(envelope, 1, value.size)) return false;
    head_put(head, item, value);
    octets_put(envelope, bytes_make(head, sizeof(head)));
    octets_put(envelope, value);
    return true;
}

/* Does an item of `size` octets fit into the tail block, or into a first one, which is then taken?
 */
static bool is_whole(struct spool_envelope *envelope, uint64_t size)
{
    if (size <= envelope->tail_left) return true;
    if (envelope->tail != NULL || size > BLOCK_OCTETS || !has_room(envelope, size)) return false;
    block_add(envelope);
    return true;
}

bool spool_envelope_put(struct spool_envelope *envelope, enum spool_item item, struct bytes value)
{
    uint64_t size = ITEM_HEAD + value.size;
    CHECK(item != SPOOL_ITEM_END);
    if (!is_whole(envelope, size)) return put_across(envelope, item, value);
    uint8_t *out = tail_take(envelope, (uint32_t)size);
    head_put(out, item, value);
    if (value.size > 0) memcpy(out + ITEM_HEAD, value.data, value.size);
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
