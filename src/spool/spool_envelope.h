/*
 * spool_envelope -- what SMTP said about a message, gathered until its first record is written.
 *
 * Owns:       a chain of blocks, held only while a transaction is open.
 * Borrows:    the pool.
 * Bounds:     SPOOL_ENVELOPE_MAX octets; beyond it, or with the pool used up, a put is refused.
 *
 * Its octets are what stands on disk: items of type (1), size (2, little-endian), value (size).
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_ENVELOPE_BLOCK_SIZE   512u
#define SPOOL_ENVELOPE_BLOCK_OCTETS (SPOOL_ENVELOPE_BLOCK_SIZE - sizeof(void *))
/* Whole blocks, nearly 512 KiB: what fits into a block need not be held against it. */
#define SPOOL_ENVELOPE_MAX ((uint32_t)(1040 * SPOOL_ENVELOPE_BLOCK_OCTETS))

enum spool_item {
    SPOOL_ITEM_END,      /* never written */
    SPOOL_ITEM_PEER,     /* "127.0.0.1:41234" or "[::1]:4711"       */
    SPOOL_ITEM_PROTOCOL, /* "SMTP" or "ESMTP"                       */
    SPOOL_ITEM_HELO,
    SPOOL_ITEM_SENDER,            /* reverse-path without brackets; may be empty */
    SPOOL_ITEM_SENDER_PARAMETERS, /* only if there were any                  */
    SPOOL_ITEM_RECIPIENT,
    SPOOL_ITEM_RECIPIENT_PARAMETERS, /* of the recipient before it              */
};

struct spool_envelope {
    struct blocks *pool;
    void *head;
    void *tail;
    uint32_t size;      /* octets put so far */
    uint32_t tail_left; /* octets that still fit into the tail block */
};

void spool_envelope_init(struct spool_envelope *envelope, struct blocks *pool);

/* Appends one item whole, or nothing and false. */
MUST_USE bool spool_envelope_put(struct spool_envelope *envelope, enum spool_item item,
                                 struct bytes value);

/* Whether `items` items with values of `size` octets in all would be taken. */
bool spool_envelope_has_room(const struct spool_envelope *envelope, uint32_t items, uint64_t size);

/* Copies all octets (envelope->size of them) to `out`. */
void spool_envelope_copy(const struct spool_envelope *envelope, uint8_t *out);

/* Gives every block back; the envelope is empty again. */
void spool_envelope_drop(struct spool_envelope *envelope);

/* Walks an envelope's octets: the next item, or false at the end or where they are malformed. */
MUST_USE bool spool_envelope_next(struct bytes *octets, enum spool_item *item, struct bytes *value);
