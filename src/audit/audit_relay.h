/*
 * audit_relay -- what a relay did with the messages: how many it delivered, and how long it took.
 *
 * Owns:       a histogram.
 * Borrows:    an audit that is relayed, and finished.
 * Errors:     -ENOMEM.
 * Invariants: times are by the spool's clock; where the clocks' offset is not known (audit_clock)
 *             none is compared with another.
 */
#pragma once

#include "audit/audit.h"
#include "audit/audit_timeline.h"

/* Of the acknowledged messages. */
struct audit_relay {
    uint64_t delivered; /* to all of their recipients */
    uint64_t recipients_expected;
    uint64_t recipients_delivered;
    uint64_t duplicate_copies;  /* of any message */
    uint64_t first_accepted_ns; /* 0: none was, or nobody knows when */
    uint64_t last_accepted_ns;
    uint64_t first_delivered_ns; /* 0: none was */
    uint64_t last_delivered_ns;
    struct histogram waits; /* ns from accepted to delivered; empty without a clock */
    uint64_t early;         /* of those: delivered before the generator saw the reply, so 0 */
};

MUST_USE int audit_relay_open(struct audit_relay *relay, const struct audit *audit);
void audit_relay_close(struct audit_relay *relay);

/* Two clocks can tell so short a time; one can tell any. */
bool audit_relay_is_sure(const struct audit *audit, uint64_t value_ns);

/* The percentile, if ten samples lie beyond it and it is no smaller than what is uncertain. */
MUST_USE bool audit_relay_percentile(const struct audit_relay *relay, const struct audit *audit,
                                     double percentile, uint64_t *value_ns);

/* Second by second; without a clock, what was accepted only. 0 or -ENOMEM. */
MUST_USE int audit_relay_timeline(const struct audit_relay *relay, const struct audit *audit,
                                  struct audit_timeline *timeline);
