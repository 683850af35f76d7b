/*
 * transaction -- what one SMTP transaction brings into the spool: envelope, content, commit.
 *
 * Owns:       the envelope's blocks and the open message, until the verdict or transaction_drop().
 * Borrows:    a slice of content that the spool could not take yet.
 * Errors:     none: what can't be kept is a verdict, which becomes the reply.
 * Invariants: (1) nothing is kept of a transaction whose verdict is not SMTP_STORED. (2) While it
 * waits for a segment, transaction_go_on() is all that is called, or transaction_drop(). Thread:
 * one worker's.
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/check.h"
#include "server/counters.h"
#include "smtp/smtp_session.h"
#include "spool/spool_writer.h"

/* Where the transactions of one worker go. */
struct transaction_store {
    struct spool_writer *writer;
    struct counters *counters;
    struct blocks envelopes;
    uint64_t realtime_ns;
    _Atomic uint64_t *messages_left;    /* -M: counts down; NULL: no limit */
    const _Atomic bool *is_spool_full;  /* refuse: no segment will come until space returns */
    const _Atomic uint64_t *spool_room; /* refuse: bytes of segments still to come; else NULL */
    uint32_t faults_seen; /* of the tail; while there are more, it is to be given up */
    bool is_synced;       /* a message is the caller's word only once it is on the disk */
    bool has_failed;      /* the disk failed: nothing more is taken                    */
};

enum transaction_wait {
    TRANSACTION_WAITS_FOR_NOTHING,
    TRANSACTION_WAITS_TO_APPEND, /* for a segment, to append the rest of `slice` */
    TRANSACTION_WAITS_TO_COMMIT, /* for a segment, to commit                     */
};

struct transaction {
    struct spool_message message;
    struct spool_envelope envelope;
    struct bytes slice;
    uint32_t recipient_count;
    uint8_t waiting; /* enum transaction_wait */
};

/* The end of a transaction. `id` names the message if it is SMTP_STORED. */
struct transaction_verdict {
    enum smtp_verdict verdict;
    uint32_t id_size;
    uint8_t id[SPOOL_ID_TEXT_MAX];
};

enum transaction_outcome {
    TRANSACTION_TAKEN,   /* goes on                                            */
    TRANSACTION_WAITS,   /* needs a segment: transaction_go_on() once there is one */
    TRANSACTION_DECIDED, /* it is over: `verdict` was filled in                */
};

void transaction_init(struct transaction *transaction, struct transaction_store *store);

/* Begins one with MAIL. SMTP_STORED: taken; else why it is refused. */
MUST_USE enum smtp_verdict transaction_begin(struct transaction_store *store,
                                             struct transaction *transaction, struct bytes peer,
                                             const struct smtp_session *session,
                                             const struct smtp_detail *detail);

/* One RCPT. SMTP_STORED: taken; else why it is refused. */
MUST_USE enum smtp_verdict transaction_add_recipient(struct transaction_store *store,
                                                     struct transaction *transaction,
                                                     const struct smtp_detail *detail);

/* Content. The octets are copied before TRANSACTION_TAKEN; till then `slice` must stay. */
MUST_USE enum transaction_outcome transaction_append(struct transaction_store *store,
                                                     struct transaction *transaction,
                                                     struct bytes slice);

/* The end of data: commits, counts, decides. */
MUST_USE enum transaction_outcome transaction_commit(struct transaction_store *store,
                                                     struct transaction *transaction,
                                                     struct transaction_verdict *verdict);

/* Takes up what waited for a segment, or answers TRANSACTION_TAKEN if nothing did. */
MUST_USE enum transaction_outcome transaction_go_on(struct transaction_store *store,
                                                    struct transaction *transaction,
                                                    struct transaction_verdict *verdict);

/* Did a store into the spool fault since the tail was last given up? Then nothing is stored. */
bool transaction_has_faulted(const struct transaction_store *store);

/* Forgets it, whatever its state. */
void transaction_drop(struct transaction_store *store, struct transaction *transaction);

/* Its first segment, numbered `clear_to` or below, is to be recycled: an open message fails. */
void transaction_fail_if_begun(struct transaction_store *store, struct transaction *transaction,
                               uint64_t clear_to);
