/*
 * deadline -- how long a client may be silent, and how long one command or message may take it.
 *
 * A request is a command from its first octet to its last, or what content follows one. It is over
 * when a line was taken, or content ended.
 *
 * Owns:       a connection's timer, and since when its request is in progress.
 * Borrows:    the worker's wheel, the dialogue.
 * Errors:     none: a client that is too late is a verdict.
 * Invariants: (1) Clients' time stands still while the worker is stalled: no client pays for that.
 *             (2) The timer is due no later than a request that begins right now may end, for none
 *                 arms it itself.
 * Thread:     one worker's.
 */
#pragma once

#include "base/check.h"
#include "base/clock.h"
#include "base/wheel.h"
#include "smtp/smtp_session.h"

#include <stdbool.h>
#include <stdint.h>

/* What holds for all connections of one worker. */
struct deadline_rules {
    uint64_t idle_timeout_ns;
    uint64_t command_timeout_ns;
    uint64_t handshake_timeout_ns;
    uint64_t min_data_rate;    /* octets a second; 0: content may take for ever      */
    uint64_t stalled_ns;       /* how long the worker was stalled, the stalls behind */
    uint64_t stalled_since_ns; /* of the one in progress; 0: none is                 */
};

struct deadline {
    struct wheel_timer timer;
    uint64_t last_active_ns;
    uint32_t request_since_ms; /* clients' time at the request's first octet; wraps */
};

enum deadline_verdict {
    DEADLINE_KEPT, /* the timer is armed again */
    DEADLINE_IDLE, /* silent too long          */
    DEADLINE_SLOW, /* too long over one request */
};

void deadline_stall(struct deadline_rules *rules, uint64_t now_ns);
void deadline_end_stall(struct deadline_rules *rules, uint64_t now_ns);

/* Milliseconds that clients could use; wraps. */
static inline uint32_t deadline_time_ms(const struct deadline_rules *rules, uint64_t now_ns)
{
    uint64_t until_ns = rules->stalled_since_ns != 0 ? rules->stalled_since_ns : now_ns;
    return (uint32_t)((until_ns - rules->stalled_ns) / CLOCK_NS_PER_MS);
}

/* A connection begins: the timer is armed, and the client has the idle timeout to say something. */
void deadline_begin(struct deadline *deadline, const struct deadline_rules *rules,
                    struct wheel *wheel, uint64_t now_ns);

/* The client said something, or took something. */
static inline void deadline_touch(struct deadline *deadline, uint64_t now_ns)
{
    deadline->last_active_ns = now_ns;
}

static inline void deadline_begin_request(struct deadline *deadline,
                                          const struct deadline_rules *rules, uint64_t now_ns)
{
    deadline->request_since_ms = deadline_time_ms(rules, now_ns);
}

/*
 * The timer fired. `is_request_due`: octets of the request in progress are the client's to send. If
 * it only waits for us, deadline_touch() comes first.
 */
MUST_USE enum deadline_verdict
deadline_fired(struct deadline *deadline, const struct deadline_rules *rules, struct wheel *wheel,
               const struct smtp_session *session, bool is_request_due, uint64_t now_ns);

/* TLS: the client's handshake, and its waiting for its turn, may take the handshake timeout. */
void deadline_begin_handshake(struct deadline *deadline, const struct deadline_rules *rules,
                              struct wheel *wheel, uint64_t now_ns);

/* The timer fired: has the handshake taken that long? If not, the timer is armed again. */
MUST_USE bool deadline_handshake_is_over(struct deadline *deadline,
                                         const struct deadline_rules *rules, struct wheel *wheel,
                                         uint64_t now_ns);
