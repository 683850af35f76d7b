/*
 * audit_table -- the ledgers' entries, found by run and sequence.
 *
 * Owns:       the entries, and a hash table over them that is at most half full.
 * Errors:     -ENOMEM; -E2BIG beyond 2^31 entries.
 * Bounds:     88 octets and two slots of 4 an entry, and as much again while it grows.
 */
#pragma once

#include "base/check.h"
#include "base/ledger.h"

#include <stdbool.h>
#include <stdint.h>

struct audit_entry {
    struct ledger_entry ledger;
    uint64_t completed_ns;    /* when every recipient had it; 0: not all have */
    uint32_t run_index;       /* of the run, or of the ledger of probes */
    uint32_t found_count;     /* copies of it */
    uint32_t copies;          /* the first of their chain, where they are kept */
    uint32_t delivered_count; /* recipients that have it */
    uint32_t duplicate_count; /* copies that went to somebody who had it already */
    bool is_corrupt;          /* a copy of it differs in size or body */
};

struct audit_table {
    struct audit_entry *entries;
    uint32_t *slots; /* index into entries plus 1, or 0 */
    uint64_t count;
    uint64_t capacity;
    uint64_t slot_count; /* a power of two */
};

/* Zeroed is empty. */
void audit_table_close(struct audit_table *table);

/* The entry, or NULL; valid until the next is added. */
struct audit_entry *audit_table_find(const struct audit_table *table, uint64_t run,
                                     uint64_t sequence);

/* Adds one that is not there yet: 0, -E2BIG or -ENOMEM. */
MUST_USE int audit_table_add(struct audit_table *table, const struct ledger_entry *ledger,
                             uint32_t run_index);
