#include "audit/audit_table.h"

#include "base/random.h"

#include <errno.h>
#include <stdlib.h>

#define ENTRIES_AT_FIRST 1024u
#define SLOTS_PER_ENTRY  2u

void audit_table_close(struct audit_table *table)
{
    free(table->entries);
    free(table->slots);
    *table = (struct audit_table){0};
}

/* The slot of that message, or the free one where it would be put. */
static uint32_t *slot_find(const struct audit_table *table, uint64_t run, uint64_t sequence)
{
    uint64_t mask = table->slot_count - 1;

    for (uint64_t slot = random_mix(run, sequence) & mask;; slot = (slot + 1) & mask) {
        uint32_t index = table->slots[slot];
        if (index == 0) return &table->slots[slot];
        const struct ledger_entry *entry = &table->entries[index - 1].ledger;
        if (entry->run == run && entry->sequence == sequence) return &table->slots[slot];
    }
}

struct audit_entry *audit_table_find(const struct audit_table *table, uint64_t run,
                                     uint64_t sequence)
{
    if (table->count == 0) return NULL;
    uint32_t index = *slot_find(table, run, sequence);
    return index == 0 ? NULL : &table->entries[index - 1];
}

/* Room for one entry more, the table at most half full. */
static int reserve(struct audit_table *table)
{
    if (table->count < table->capacity) return 0;
    uint64_t capacity = table->capacity == 0 ? ENTRIES_AT_FIRST : table->capacity * 2;
    if (capacity > UINT32_MAX / 2) return -E2BIG;
    struct audit_entry *entries = realloc(table->entries, capacity * sizeof(*entries));
    if (entries == NULL) return -ENOMEM;
    table->entries = entries;
    uint32_t *slots = calloc(capacity * SLOTS_PER_ENTRY, sizeof(*slots));
    if (slots == NULL) return -ENOMEM;
    free(table->slots);
    table->slots = slots;
    table->slot_count = capacity * SLOTS_PER_ENTRY;
    table->capacity = capacity;
    for (uint64_t i = 0; i < table->count; i++)
        *slot_find(table, entries[i].ledger.run, entries[i].ledger.sequence) = (uint32_t)i + 1;
    return 0;
}

int audit_table_add(struct audit_table *table, const struct ledger_entry *ledger,
                    uint32_t run_index)
{
    int error = reserve(table);
    if (error < 0) return error;
    uint32_t *slot = slot_find(table, ledger->run, ledger->sequence);
    CHECK(*slot == 0);
    table->entries[table->count++] =
        (struct audit_entry){.ledger = *ledger, .run_index = run_index};
    *slot = (uint32_t)table->count;
    return 0;
}
