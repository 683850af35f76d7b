/*
 * load_backlog -- messages that are due and wait for a session, oldest first.
 *
 * Owns:       its places, allocated once.
 * Bounds:     `capacity`; what comes beyond is the caller's to drop and to count.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct load_due {
    uint64_t sequence;
    uint64_t due_ns; /* CLOCK_MONOTONIC */
    bool has_waited; /* no session was idle when it became due: the server's doing, or -c's */
};

struct load_backlog {
    struct load_due *places; /* a circle */
    uint32_t capacity;       /* a power of two */
    uint32_t head;
    uint32_t count;
    uint32_t longest; /* that it ever was */
};

/* Room for at least `capacity`. 0 or -ENOMEM. */
MUST_USE int load_backlog_open(struct load_backlog *backlog, uint64_t capacity);
void load_backlog_close(struct load_backlog *backlog);

/* False: it is full. */
MUST_USE bool load_backlog_push(struct load_backlog *backlog, const struct load_due *due);

/* The oldest; there is one. */
struct load_due load_backlog_pop(struct load_backlog *backlog);
