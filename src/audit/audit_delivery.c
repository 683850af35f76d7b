#include "audit/audit_delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define ITEMS_AT_FIRST 1024u
#define DOMAIN_STEP    256u

/* A copy in its turn, by when it was committed. */
struct turn {
    const struct audit_copy *copy;
    uint32_t new_count; /* recipients that had not got it before */
    bool is_duplicate;
};

/* Somebody got it in that turn. */
struct mark {
    uint64_t recipient;
    uint32_t turn;
};

void audit_deliveries_close(struct audit_deliveries *deliveries)
{
    free(deliveries->copies);
    free(deliveries->recipients);
    free(deliveries->turns);
    free(deliveries->marks);
    *deliveries = (struct audit_deliveries){0};
}

/* Room for item `count`, counted from 0; false if memory runs out. */
static bool reserve(void **items, uint64_t *capacity, uint64_t count, uint64_t size)
{
    if (count < *capacity) return true;
    uint64_t more = *capacity == 0 ? ITEMS_AT_FIRST : *capacity;
    while (more <= count)
        more *= 2;
    void *larger = realloc(*items, more * size);
    if (larger == NULL) return false;
    *items = larger;
    *capacity = more;
    return true;
}

/* ---- gathering ---- */

int audit_deliveries_add(struct audit_deliveries *deliveries, uint32_t *chain,
                         const struct spool_id *id, uint64_t committed_ns)
{
    void *copies = deliveries->copies;

    if (deliveries->copy_count == UINT32_MAX) return -E2BIG;
    if (!reserve(&copies, &deliveries->copy_capacity, deliveries->copy_count,
                 sizeof(struct audit_copy)))
        return -ENOMEM;
    deliveries->copies = copies;
    deliveries->copies[deliveries->copy_count++] = (struct audit_copy){
        .id = *id,
        .committed_ns = committed_ns,
        .next = *chain,
        .first_recipient = (uint32_t)deliveries->recipient_count,
    };
    *chain = (uint32_t)deliveries->copy_count; /* its index plus 1 */
    return 0;
}

/* RFC 5321 2.4: a local part's case counts, a domain's does not. */
static uint64_t hash_address(struct bytes address)
{
    uint8_t lower[DOMAIN_STEP];
    uint64_t local_size = address.size;

    while (local_size > 0 && address.data[local_size - 1] != '@')
        local_size--;
    struct bytes local = bytes_take(&address, local_size);
    uint64_t hash = XXH3_64bits(local.data, local.size);
    while (address.size > 0) {
        uint64_t size = address.size < DOMAIN_STEP ? address.size : DOMAIN_STEP;
        struct bytes step = bytes_take(&address, size);
        for (uint64_t i = 0; i < size; i++) {
            bool is_upper = step.data[i] >= 'A' && step.data[i] <= 'Z';
            lower[i] = is_upper ? step.data[i] | 0x20 : step.data[i];
        }
        hash = XXH3_64bits_withSeed(lower, size, hash);
    }
    return hash;
}

int audit_deliveries_add_recipient(struct audit_deliveries *deliveries, struct bytes address)
{
    void *recipients = deliveries->recipients;

    CHECK(deliveries->copy_count > 0);
    if (deliveries->recipient_count == UINT32_MAX) return -E2BIG;
    if (!reserve(&recipients, &deliveries->recipient_capacity, deliveries->recipient_count,
                 sizeof(uint64_t)))
        return -ENOMEM;
    deliveries->recipients = recipients;
    deliveries->recipients[deliveries->recipient_count++] = hash_address(address);
    return 0;
}

/* ---- judging one message ---- */

const struct audit_copy *audit_deliveries_next(const struct audit_deliveries *deliveries,
                                               uint32_t *chain)
{
    if (*chain == AUDIT_COPY_NONE) return NULL;
    CHECK(*chain <= deliveries->copy_count);
    const struct audit_copy *copy = &deliveries->copies[*chain - 1];
    *chain = copy->next;
    return copy;
}

static uint32_t index_of(const struct audit_deliveries *deliveries, const struct audit_copy *copy)
{
    return (uint32_t)(copy - deliveries->copies);
}

static uint32_t end_of_recipients(const struct audit_deliveries *deliveries, uint32_t index)
{
    if (index + 1 < deliveries->copy_count) return deliveries->copies[index + 1].first_recipient;
    return (uint32_t)deliveries->recipient_count;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Stamps are those of batches: within one, the spool's own order decides. */
static int compare_turns(const void *left, const void *right)
{
    const struct audit_copy *a = ((const struct turn *)left)->copy;
    const struct audit_copy *b = ((const struct turn *)right)->copy;

    if (a->committed_ns != b->committed_ns)
        return compare_numbers(a->committed_ns, b->committed_ns);
    if (a->id.worker != b->id.worker) return compare_numbers(a->id.worker, b->id.worker);
    if (a->id.number != b->id.number) return compare_numbers(a->id.number, b->id.number);
    return compare_numbers(a->id.offset, b->id.offset);
}

static int compare_marks(const void *left, const void *right)
{
    const struct mark *a = left;
    const struct mark *b = right;

    if (a->recipient != b->recipient) return compare_numbers(a->recipient, b->recipient);
    return compare_numbers(a->turn, b->turn);
}

/* Fills `turns` from the chain, in order, and puts the chain in that order. */
static int order_chain(struct audit_deliveries *deliveries, uint32_t *chain, uint32_t *turn_count)
{
    const struct audit_copy *copy;
    uint32_t at = *chain;
    uint32_t count = 0;

    while ((copy = audit_deliveries_next(deliveries, &at)) != NULL) {
        if (!reserve(&deliveries->turns, &deliveries->turn_capacity, count, sizeof(struct turn)))
            return -ENOMEM;
        ((struct turn *)deliveries->turns)[count++] = (struct turn){.copy = copy};
    }
    struct turn *turns = deliveries->turns;
    qsort(turns, count, sizeof(*turns), compare_turns);
    uint32_t next = AUDIT_COPY_NONE;
    for (uint32_t i = count; i > 0; i--) {
        uint32_t index = index_of(deliveries, turns[i - 1].copy);
        deliveries->copies[index].next = next;
        next = index + 1;
    }
    *chain = next;
    *turn_count = count;
    return 0;
}

/* Who got it in which turn, by recipient and turn. */
static int order_marks(struct audit_deliveries *deliveries, uint32_t turn_count,
                       uint32_t *mark_count)
{
    const struct turn *turns = deliveries->turns;
    uint32_t count = 0;

    for (uint32_t turn = 0; turn < turn_count; turn++) {
        uint32_t end = end_of_recipients(deliveries, index_of(deliveries, turns[turn].copy));
        for (uint32_t i = turns[turn].copy->first_recipient; i < end; i++) {
            if (!reserve(&deliveries->marks, &deliveries->mark_capacity, count,
                         sizeof(struct mark)))
                return -ENOMEM;
            ((struct mark *)deliveries->marks)[count++] =
                (struct mark){.recipient = deliveries->recipients[i], .turn = turn};
        }
    }
    if (count > 1) qsort(deliveries->marks, count, sizeof(struct mark), compare_marks);
    *mark_count = count;
    return 0;
}

/* A recipient's first turn delivers; later ones repeat. Named twice in one envelope is once. */
static void take_marks(struct turn *turns, const struct mark *marks, uint32_t mark_count)
{
    for (uint32_t i = 0; i < mark_count; i++) {
        bool is_first = i == 0 || marks[i].recipient != marks[i - 1].recipient;
        if (is_first)
            turns[marks[i].turn].new_count++;
        else if (marks[i].turn != marks[i - 1].turn)
            turns[marks[i].turn].is_duplicate = true;
    }
}

int audit_deliveries_judge(struct audit_deliveries *deliveries, uint32_t *chain, uint32_t expected,
                           struct audit_delivery *delivery)
{
    uint32_t turn_count = 0;
    uint32_t mark_count = 0;

    CHECK(*chain != AUDIT_COPY_NONE);
    *delivery = (struct audit_delivery){0};
    if (order_chain(deliveries, chain, &turn_count) < 0) return -ENOMEM;
    if (order_marks(deliveries, turn_count, &mark_count) < 0) return -ENOMEM;
    struct turn *turns = deliveries->turns;
    take_marks(turns, deliveries->marks, mark_count);
    for (uint32_t i = 0; i < turn_count; i++) {
        delivery->delivered_count += turns[i].new_count;
        delivery->duplicate_count += turns[i].is_duplicate;
        if (delivery->completed_ns == 0 && delivery->delivered_count >= expected)
            delivery->completed_ns = turns[i].copy->committed_ns;
    }
    return 0;
}
