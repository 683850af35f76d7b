/*
 * audit_clock -- how the generator's clock stands to that of the spool's stamps, and how surely.
 *
 * On one host, in one life of its kernel, with nobody setting the clock, the stamps of both differ
 * by exactly what CLOCK_MONOTONIC would say. Otherwise probes tell: messages that went straight
 * into this spool, each sent before it was committed and committed before it was acknowledged, so
 * that each bounds the offset of the two clocks from both sides (docs/decisions/0010).
 *
 * Errors:     none: what can't be known is a reason, a sentence for the reader.
 * Bounds:     AUDIT_CLOCK_LEDGERS_MAX ledgers.
 * Invariants: the truth is within the uncertainty, if the offset changes evenly between readings.
 */
#pragma once

#include "base/check.h"
#include "base/ledger.h"

#include <stdbool.h>
#include <stdint.h>

#define AUDIT_CLOCK_LEDGERS_MAX 1024u
#define AUDIT_CLOCK_REASON_MAX  320u

enum audit_clock_kind {
    AUDIT_CLOCK_NONE,      /* not known: `reason` says why and what to do */
    AUDIT_CLOCK_MONOTONIC, /* one clock                                   */
    AUDIT_CLOCK_OFFSET,    /* two, whose offset was measured              */
};

/* A ledger's first and last line; of a ledger of probes also what they told. */
struct audit_clock_ledger {
    struct ledger_start start;
    int64_t end_ns;  /* clock= of the last line */
    int64_t low_ns;  /* the spool's clock is at least so far ahead */
    int64_t high_ns; /* and at most */
    uint64_t first_ns;
    uint64_t last_ns;     /* probes were under way between these, on the generator's clock */
    uint64_t probe_count; /* that were found in the spool */
    bool has_end;
    bool is_probe;
};

/* What a ledger of probes told. */
struct audit_clock_reading {
    uint64_t time_ns; /* on the generator's clock */
    int64_t low_ns;
    int64_t high_ns;
};

struct audit_clock {
    struct boot_id boot; /* of the machine that holds the spool */
    int64_t clock_ns;    /* its CLOCK_REALTIME minus CLOCK_MONOTONIC, now */
    enum audit_clock_kind kind;
    uint32_t ledger_count;
    uint32_t reading_count;
    uint64_t uncertainty_ns;
    struct audit_clock_ledger ledgers[AUDIT_CLOCK_LEDGERS_MAX];
    struct audit_clock_reading readings[AUDIT_CLOCK_LEDGERS_MAX]; /* by time */
    char reason[AUDIT_CLOCK_REASON_MAX];
};

void audit_clock_init(struct audit_clock *clock, struct boot_id boot, int64_t clock_ns);

/* Its index, or -E2BIG. */
MUST_USE int64_t audit_clock_add(struct audit_clock *clock, const struct ledger_start *start,
                                 bool is_probe);

/* The last line of the ledger that was added last. */
void audit_clock_end(struct audit_clock *clock, int64_t clock_ns);

/* All ledgers that are none of probes were written here, in this life, by the clock of now. */
bool audit_clock_is_local(const struct audit_clock *clock);

/* A probe of that ledger was found: its stamps by the generator's clock, and by the spool's. */
void audit_clock_bound(struct audit_clock_ledger *ledger, uint64_t sent_ns, uint64_t accepted_ns,
                       uint64_t committed_ns);

/* Decides; messages were accepted from first to last on the generator's clock. */
void audit_clock_judge(struct audit_clock *clock, uint64_t first_accepted_ns,
                       uint64_t last_accepted_ns);

/* A time of the generator's clock by the spool's; unchanged unless the offset is known. */
uint64_t audit_clock_to_spool(const struct audit_clock *clock, uint64_t time_ns);
