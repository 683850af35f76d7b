/*
 * outbox -- one connection's replies on their way: what may leave, what waits for the disk.
 *
 * A reply that says "stored" is written at once, for the dialogue goes on, but neither it nor what
 * stands behind it leaves before the message is on the disk.
 *
 * Owns:       a block of replies from the pool, held only while there are any.
 * Bounds:     OUTBOX_BLOCK_SIZE octets; OUTBOX_UNDECIDED_MAX replies that wait for the disk.
 * Invariants: (1) sent <= start of the first undecided reply <= size.
 *             (2) Undecided replies stand in the order of their serials.
 * Thread:     one worker's.
 */
#pragma once

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/check.h"
#include "smtp/smtp_reply.h"

#include <stdbool.h>
#include <stdint.h>

#define OUTBOX_BLOCK_SIZE    8192u
#define OUTBOX_UNDECIDED_MAX 64u

struct outbox {
    struct smtp_replies replies; /* data NULL: no block held */
    uint16_t sent;
    uint16_t undecided_first; /* in the block's table */
    uint16_t undecided_end;
};

/* Takes a block, if none is held. The pool has as many as there are connections. */
void outbox_hold(struct outbox *outbox, struct blocks *pool);

/* Gives the block back, whatever is in it; no send may be in flight. */
void outbox_release(struct outbox *outbox, struct blocks *pool);

/* What may be sent now; empty if there is nothing. */
struct bytes outbox_sendable(const struct outbox *outbox);

/* The first `size` octets of that were sent; what is left moves up if nothing may be sent. */
void outbox_sent(struct outbox *outbox, uint32_t size);

static inline bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->replies.size == outbox->sent;
}

static inline bool outbox_has_undecided(const struct outbox *outbox)
{
    return outbox->undecided_first < outbox->undecided_end;
}

/* No more replies can wait for the disk before some are decided. */
static inline bool outbox_is_undecided_full(const struct outbox *outbox)
{
    return outbox->undecided_end == OUTBOX_UNDECIDED_MAX;
}

/* The replies from offset `start` on wait until message `serial` is durable. */
void outbox_wait(struct outbox *outbox, uint32_t start, uint64_t serial);

/* `count` more lines from offset `start` on belong to the reply that waits last, if it still does.
 */
void outbox_extend(struct outbox *outbox, uint32_t start, uint32_t count);

/* Messages up to `serial` are durable: their replies may leave. */
void outbox_decide(struct outbox *outbox, uint64_t serial);

/*
 * No message that waits will be durable: each line that said so says `reply` instead, cut at its
 * colon if there is no room for so many. Returns how many messages that were.
 */
uint32_t outbox_revoke(struct outbox *outbox, enum smtp_reply reply, bool is_enhanced);
