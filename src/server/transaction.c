#include "server/transaction.h"

#include "server/fault.h"

static bool is_full(const struct transaction_store *store)
{
    return atomic_load_explicit(store->is_spool_full, memory_order_relaxed);
}

static uint64_t room_of(const struct spool_segment *segment)
{
    return segment == NULL ? 0 : segment->capacity - segment->appended_end;
}

/*
 * RFC 1870 6.1 (1): is there space for a message of the declared size? An estimate, as others may
 * take it meanwhile.
 */
static bool has_room(const struct transaction_store *store, uint64_t declared_size)
{
    if (declared_size == 0 || store->spool_room == NULL) return true;
    return declared_size <= atomic_load_explicit(store->spool_room, memory_order_relaxed) +
                                room_of(store->writer->tail) + room_of(store->writer->next);
}

void transaction_init(struct transaction *transaction, struct transaction_store *store)
{
    *transaction = (struct transaction){0};
    spool_envelope_init(&transaction->envelope, &store->envelopes);
}

ASIDE void transaction_drop(struct transaction_store *store, struct transaction *transaction)
{
    if (transaction->message.state != SPOOL_MESSAGE_NONE)
        spool_message_abandon(store->writer, &transaction->message);
    spool_envelope_drop(&transaction->envelope);
    transaction->slice = (struct bytes){0};
    transaction->waiting = TRANSACTION_WAITS_FOR_NOTHING;
}

static bool put_parameters(struct transaction *transaction, enum spool_item item,
                           struct bytes parameters)
{
    return parameters.size == 0 || spool_envelope_put(&transaction->envelope, item, parameters);
}

RARE static enum smtp_verdict refuse_for_memory(struct transaction_store *store)
{
    counter_add(&store->counters->refused_memory, 1);
    return SMTP_NO_MEMORY;
}

enum smtp_verdict transaction_begin(struct transaction_store *store,
                                    struct transaction *transaction, struct bytes peer,
                                    const struct smtp_session *session,
                                    const struct smtp_detail *detail)
{
    struct spool_envelope *envelope = &transaction->envelope;
    CHECK(envelope->size == 0);
    CHECK(transaction->message.state == SPOOL_MESSAGE_NONE);
    transaction->recipient_count = 0;
    if (store->has_failed) {
        counter_add(&store->counters->failed, 1);
        return SMTP_STORE_FAILED;
    }
    if ((is_full(store) && spool_writer_wants_segment(store->writer)) ||
        !has_room(store, session->declared_size)) {
        counter_add(&store->counters->refused_space, 1);
        return SMTP_NO_SPACE;
    }
    if (spool_envelope_put(envelope, SPOOL_ITEM_PEER, peer) &&
        spool_envelope_put(envelope, SPOOL_ITEM_PROTOCOL, smtp_session_protocol(session)) &&
        spool_envelope_put(envelope, SPOOL_ITEM_HELO, smtp_session_helo(session)) &&
        spool_envelope_put(envelope, SPOOL_ITEM_SENDER, detail->path) &&
        put_parameters(transaction, SPOOL_ITEM_SENDER_PARAMETERS, detail->parameters))
        return SMTP_STORED;
    spool_envelope_drop(envelope);
    return refuse_for_memory(store);
}

enum smtp_verdict transaction_add_recipient(struct transaction_store *store,
                                            struct transaction *transaction,
                                            const struct smtp_detail *detail)
{
    /* Both or neither: a recipient that is answered 452 must not stay in the envelope. */
    if (!spool_envelope_has_room(&transaction->envelope, 2,
                                 detail->path.size + detail->parameters.size) ||
        !spool_envelope_put(&transaction->envelope, SPOOL_ITEM_RECIPIENT, detail->path) ||
        !put_parameters(transaction, SPOOL_ITEM_RECIPIENT_PARAMETERS, detail->parameters))
        return refuse_for_memory(store);
    transaction->recipient_count++;
    return SMTP_STORED;
}

RARE static void fail_message(struct transaction_store *store, struct transaction *transaction)
{
    if (transaction->message.state == SPOOL_MESSAGE_OPEN)
        spool_message_fail(store->writer, &transaction->message);
    transaction->message.state = SPOOL_MESSAGE_FAILED;
}

/* No segment, and none will come until space returns: the message fails instead of waiting. */
RARE static bool fail_if_full(struct transaction_store *store, struct transaction *transaction)
{
    if (!is_full(store)) return false;
    fail_message(store, transaction);
    return true;
}

bool transaction_has_faulted(const struct transaction_store *store)
{
    return fault_count() != store->faults_seen;
}

/* The message's first record, with the envelope. False: it waits for a segment. */
static bool open_message(struct transaction_store *store, struct transaction *transaction)
{
    /* Behind a fault nothing is committed any more: it would be refused, and could yet be there. */
    if (store->has_failed || transaction_has_faulted(store)) fail_message(store, transaction);
    if (transaction->message.state != SPOOL_MESSAGE_NONE) return true;
    if (spool_message_begin(store->writer, &transaction->message, &transaction->envelope,
                            store->realtime_ns) == SPOOL_NEEDS_SEGMENT)
        return fail_if_full(store, transaction);
    spool_envelope_drop(&transaction->envelope);
    return true;
}

/* An open message takes the slice, or as much of it as there is room for. */
static bool take_slice(struct transaction_store *store, struct transaction *transaction,
                       struct bytes *slice)
{
    return transaction->message.state != SPOOL_MESSAGE_OPEN ||
           spool_message_append(store->writer, &transaction->message, slice, store->realtime_ns) !=
               SPOOL_NEEDS_SEGMENT ||
           fail_if_full(store, transaction);
}

enum transaction_outcome transaction_append(struct transaction_store *store,
                                            struct transaction *transaction, struct bytes slice)
{
    if (!open_message(store, transaction) || !take_slice(store, transaction, &slice)) {
        transaction->slice = slice;
        transaction->waiting = TRANSACTION_WAITS_TO_APPEND;
        return TRANSACTION_WAITS;
    }
    transaction->waiting = TRANSACTION_WAITS_FOR_NOTHING;
    return TRANSACTION_TAKEN;
}

static void count_message(struct transaction_store *store, const struct transaction *transaction,
                          uint64_t size)
{
    counter_add(&store->counters->messages, 1);
    counter_add(&store->counters->recipients, transaction->recipient_count);
    counter_add(&store->counters->content_bytes, size);
    if (store->messages_left != NULL)
        atomic_fetch_sub_explicit(store->messages_left, 1, memory_order_relaxed);
}

/* 452 if space is the reason, else 451; nothing of the message stays. */
RARE static enum smtp_verdict fail(struct transaction_store *store, struct transaction *transaction)
{
    bool is_for_space = is_full(store) && !store->has_failed;
    counter_add(is_for_space ? &store->counters->refused_space : &store->counters->failed, 1);
    transaction_drop(store, transaction);
    return is_for_space ? SMTP_NO_SPACE : SMTP_STORE_FAILED;
}

enum transaction_outcome transaction_commit(struct transaction_store *store,
                                            struct transaction *transaction,
                                            struct transaction_verdict *verdict)
{
    struct spool_id id = {0};
    uint64_t size = transaction->message.size;
    transaction->waiting = TRANSACTION_WAITS_TO_COMMIT;
    if (!open_message(store, transaction)) return TRANSACTION_WAITS;
    if (transaction->message.state == SPOOL_MESSAGE_OPEN &&
        spool_message_commit(store->writer, &transaction->message, store->realtime_ns, &id) ==
            SPOOL_NEEDS_SEGMENT &&
        !fail_if_full(store, transaction))
        return TRANSACTION_WAITS;
    transaction->waiting = TRANSACTION_WAITS_FOR_NOTHING;
    if (transaction->message.state == SPOOL_MESSAGE_FAILED) {
        verdict->verdict = fail(store, transaction);
        verdict->id_size = 0;
        return TRANSACTION_DECIDED;
    }
    if (transaction_has_faulted(store)) { /* part of it is in memory that is no file's */
        verdict->verdict = fail(store, transaction);
        verdict->id_size = 0;
        return TRANSACTION_DECIDED;
    }
    count_message(store, transaction, size);
    verdict->verdict = SMTP_STORED;
    verdict->id_size = spool_id_put(verdict->id, &id);
    return TRANSACTION_DECIDED;
}

ASIDE enum transaction_outcome transaction_go_on(struct transaction_store *store,
                                                 struct transaction *transaction,
                                                 struct transaction_verdict *verdict)
{
    switch ((enum transaction_wait)transaction->waiting) {
    case TRANSACTION_WAITS_FOR_NOTHING:
        return TRANSACTION_TAKEN;
    case TRANSACTION_WAITS_TO_APPEND:
        return transaction_append(store, transaction, transaction->slice);
    case TRANSACTION_WAITS_TO_COMMIT:
        return transaction_commit(store, transaction, verdict);
    }
    CHECK(false); /* a wait that does not exist */
    return TRANSACTION_TAKEN;
}

void transaction_fail_if_begun(struct transaction_store *store, struct transaction *transaction,
                               uint64_t clear_to)
{
    if (transaction->message.state == SPOOL_MESSAGE_OPEN &&
        transaction->message.first_number <= clear_to)
        spool_message_fail(store->writer, &transaction->message);
}
