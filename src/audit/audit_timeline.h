/*
 * audit_timeline -- second by second: accepted, delivered, and how long the delivered had taken.
 *
 * Owns:       a number a message accepted, a pair a message delivered.
 * Errors:     -ENOMEM.
 * Bounds:     20 octets a message; AUDIT_TIMELINE_SECONDS_MAX rows, later events are left out and
 *             counted.
 * Invariants: a message is accepted in no later second than delivered, so the backlog, what was
 *             accepted and not yet delivered at a second's end, is never negative.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define AUDIT_TIMELINE_SECONDS_MAX (14u * 24 * 3600)
#define AUDIT_TIMELINE_UNKNOWN     UINT64_MAX

struct audit_timeline {
    uint32_t *accepted; /* seconds */
    void *delivered;
    uint64_t accepted_count;
    uint64_t delivered_count;
    uint64_t capacity;
    uint64_t begin_ns; /* of the first second: the first accepted */
    uint64_t left_out;
    uint64_t accepted_at; /* rows so far hold so many of them */
    uint64_t delivered_at;
    uint32_t second; /* of the next row */
};

struct audit_timeline_row {
    uint32_t second;
    uint64_t accepted;
    uint64_t delivered;
    uint64_t backlog;
    uint64_t p50_ns; /* AUDIT_TIMELINE_UNKNOWN: fewer than ten were slower */
    uint64_t p99_ns;
    uint64_t max_ns; /* AUDIT_TIMELINE_UNKNOWN: none was delivered */
};

/* Room for `capacity` messages. 0 or -ENOMEM. */
MUST_USE int audit_timeline_open(struct audit_timeline *timeline, uint64_t begin_ns,
                                 uint64_t capacity);
void audit_timeline_close(struct audit_timeline *timeline);

/* A message was accepted, at begin_ns or later; and delivered so much later, if it was. */
void audit_timeline_accept(struct audit_timeline *timeline, uint64_t accepted_ns);
void audit_timeline_deliver(struct audit_timeline *timeline, uint64_t accepted_ns,
                            uint64_t waited_ns);

/* After the last message: the seconds in order, up to that of the last event; false: no more. */
void audit_timeline_begin(struct audit_timeline *timeline);
bool audit_timeline_next(struct audit_timeline *timeline, struct audit_timeline_row *row);
