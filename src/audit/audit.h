/*
 * audit -- joins a spool with the generator's ledgers: is everything there that was acknowledged?
 *
 * Relayed: the generator sent to a relay, and the spool is where that delivered to. Then headers
 * may differ, and a message may come in several copies, each for some of its recipients.
 *
 * Owns:       the ledgers' entries, what was found of them, and room for one message.
 * Errors:     -errno where memory runs out; all else is in the report.
 * Bounds:     AUDIT_RUNS_MAX runs; see the modules.
 * Invariants: (1) An acknowledged message that is not there is `lost`, unless the spool's own
 *             records say that messages as old as it were freed: then it is `expired`.
 *             (2) Size and hash are taken anew from what is stored.
 */
#pragma once

#include "audit/audit_clock.h"
#include "audit/audit_delivery.h"
#include "audit/audit_table.h"
#include "base/histogram.h"
#include "spool/spool_archive.h"

#define AUDIT_RUNS_MAX 1024

struct audit_run {
    uint64_t run;
    uint64_t entry_count;
    uint64_t seen_count; /* messages in the spool that say they are of this run */
};

/* What is to be said of one entry; the worst that holds. */
enum audit_verdict {
    AUDIT_FINE,
    AUDIT_LOST,
    AUDIT_CORRUPT,
    AUDIT_DUPLICATED,
    AUDIT_REFUSED_PRESENT,
    AUDIT_PARTIAL, /* relayed: not all of its recipients have it */
    AUDIT_EXPIRED,
};

struct audit_report {
    uint64_t acknowledged;
    uint64_t found; /* of those */
    uint64_t lost;
    uint64_t duplicated;
    uint64_t corrupt;
    uint64_t refused;
    uint64_t refused_present;
    uint64_t expired;
    uint64_t unknown;
    uint64_t unknown_present;
    uint64_t unseen_runs; /* with something acknowledged, and not one message of theirs found */
    uint64_t lost_unseen; /* of `lost`: those of unseen runs */
    uint64_t partial;     /* relayed */
};

struct audit {
    bool is_relayed;   /* may be set behind audit_open() */
    bool keeps_copies; /* the same: for audit_deliveries_next(); relayed they are in any case */
    struct audit_table table;
    struct audit_table probes;
    struct audit_clock clock;
    struct audit_deliveries deliveries;
    struct audit_run runs[AUDIT_RUNS_MAX];
    uint32_t run_count;
    uint8_t *whole; /* a message put together */
    uint8_t *envelope;
    uint64_t whole_capacity;
    uint64_t envelope_capacity;
    uint64_t horizon_ns;  /* messages up to then may have been freed whole; 0: none       */
    uint64_t headless_ns; /* up to then, so many as are `headless` may have been freed    */
    uint64_t first_sent_ns;
    struct histogram stored; /* ns from sent to stored, of the acknowledged; not if relayed */
    uint64_t bad_lines;      /* of the ledgers: neither entry nor comment */
    uint64_t repeated_lines; /* a second line for the same message: the stronger state counts */
    uint64_t messages;       /* committed ones seen in the spool            */
    uint64_t others;         /* of those: not of the ledgers' runs          */
    uint64_t bounced;        /* relayed, of those: from the null sender; not counted as others */
    uint64_t unlisted;       /* of those: of such a run, but in no ledger   */
    uint64_t damaged;        /* of those: a record of it is broken          */
    uint64_t headless;       /* of those: its beginning was freed           */
    uint64_t damaged_places; /* where records are missing or broken         */
    uint64_t skipped_segments;
};

MUST_USE int audit_open(struct audit *audit);
void audit_close(struct audit *audit);

/* Adds a ledger file's text. 0, -EBADMSG (it does not begin as a ledger), -E2BIG, -ENOMEM. */
MUST_USE int audit_add_ledger(struct audit *audit, struct bytes text);

/* The same, of probes: they tell how the clocks stand, and are not audited. */
MUST_USE int audit_add_probes(struct audit *audit, struct bytes text);

/* The segment can hold none of the ledgers' messages: the log went on before the first was sent. */
bool audit_can_skip(const struct audit *audit, const struct spool_archive *archive, uint64_t index);

/* Looks at every message of one of the archive's segments. 0, -E2BIG or -ENOMEM. */
MUST_USE int audit_segment(struct audit *audit, struct spool_archive *archive, uint64_t index);

/* After the last segment: asks the spool what was freed up to now, judges. 0 or -errno. */
MUST_USE int audit_finish(struct audit *audit, const struct spool_archive *archive);

enum audit_verdict audit_judge(const struct audit *audit, const struct audit_entry *entry);
void audit_sum(const struct audit *audit, struct audit_report *report);
