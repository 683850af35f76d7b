/*
 * wheel -- many coarse deadlines, cheaply.
 *
 * Owns:       the buckets (allocated at open).
 * Borrows:    every timer while it is armed.
 * Bounds:     a timer fires at most one tick late; never early.
 * Invariants: a timer further away than the wheel reaches waits in the last bucket and is put back.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct wheel_timer {
    struct wheel_timer *next; /* NULL: not armed */
    struct wheel_timer *previous;
    uint64_t due_ns;
};

struct wheel {
    struct wheel_timer *buckets; /* each the head of a ring of timers */
    uint64_t tick_ns;
    uint64_t tick; /* the next tick to be looked at */
    uint32_t bucket_count;
    uint32_t armed_count;
};

/* 0 or -errno. `now_ns` is on the clock that every later call uses. */
MUST_USE int wheel_open(struct wheel *wheel, uint32_t bucket_count, uint64_t tick_ns,
                        uint64_t now_ns);
void wheel_close(struct wheel *wheel);

/* Arms, or arms anew, `timer` for `due_ns`. */
void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ns);
void wheel_disarm(struct wheel *wheel, struct wheel_timer *timer);

static inline bool wheel_is_armed(const struct wheel_timer *timer)
{
    return timer->next != 0;
}

/* One timer whose due time has passed, disarmed; NULL when there is none left. */
struct wheel_timer *wheel_expire(struct wheel *wheel, uint64_t now_ns);

/* How long one may sleep without missing a tick: 0.., or `longest_ns` if nothing is armed. */
uint64_t wheel_sleep_ns(const struct wheel *wheel, uint64_t now_ns, uint64_t longest_ns);
