/*
 * audit_delivery -- the copies of each message that a spool holds, and to whom each went.
 *
 * A relay may split a message's recipients over several transactions: several copies are one
 * delivery, as long as nobody gets it twice.
 *
 * Owns:       copies, their recipients, and room to work in; all grow.
 * Errors:     -ENOMEM; -E2BIG beyond 2^32 copies or recipients.
 * Bounds:     32 octets a copy, 8 a recipient: addresses are compared by 64 bits of hash.
 * Invariants: what a copy is goes by when it was committed, not by when it was added.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "spool/spool_writer.h"

#include <stdbool.h>
#include <stdint.h>

struct audit_copy {
    struct spool_id id;
    uint64_t committed_ns;
    uint32_t next; /* of the same message, or AUDIT_COPY_NONE */
    uint32_t first_recipient;
};

struct audit_deliveries {
    struct audit_copy *copies;
    uint64_t *recipients; /* hashes, in the copies' order */
    void *turns;          /* of the message at hand */
    void *marks;
    uint64_t copy_count;
    uint64_t copy_capacity;
    uint64_t recipient_count;
    uint64_t recipient_capacity;
    uint64_t turn_capacity;
    uint64_t mark_capacity;
};

/* The end of a chain, so the chain of a message without copies. */
#define AUDIT_COPY_NONE 0u

/* What became of one message. */
struct audit_delivery {
    uint64_t completed_ns;    /* when `expected` recipients had it; 0: they have not */
    uint32_t delivered_count; /* recipients that have it */
    uint32_t duplicate_count; /* copies that went to somebody who had it already */
};

/* Zeroed is empty. */
void audit_deliveries_close(struct audit_deliveries *deliveries);

/* Adds a copy to the chain of its message; its recipients follow. */
MUST_USE int audit_deliveries_add(struct audit_deliveries *deliveries, uint32_t *chain,
                                  const struct spool_id *id, uint64_t committed_ns);

/* To the copy that was added last. Domains compare without case. */
MUST_USE int audit_deliveries_add_recipient(struct audit_deliveries *deliveries,
                                            struct bytes address);

/*
 * Puts the chain in the order of commits and judges it. `expected` 0: not known how many; then the
 * first copy completes it. The chain is not empty. 0 or -ENOMEM.
 */
MUST_USE int audit_deliveries_judge(struct audit_deliveries *deliveries, uint32_t *chain,
                                    uint32_t expected, struct audit_delivery *delivery);

/* Walks a chain: the copy, and where the next is; NULL at the end. */
const struct audit_copy *audit_deliveries_next(const struct audit_deliveries *deliveries,
                                               uint32_t *chain);
