/*
 * audit -- joins a spool with the generator's ledgers: is everything there that was acknowledged?
 *
 * Owns:       the ledgers' entries with a hash table over (run, sequence), and a buffer for a
 *             message that lies in pieces.
 * Errors:     -errno where memory runs out; all else is in the report.
 * Bounds:     AUDIT_RUNS_MAX runs; 64 octets and two slots of 4 an entry.
 * Invariants: (1) An acknowledged message that is not there is `lost`, unless the spool's own
 *             records say that messages as old as it were freed: then it is `expired`.
 *             (2) A message's size and the hash of its body are taken anew from what is stored.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "base/histogram.h"
#include "base/ledger.h"
#include "spool/spool_archive.h"

#include <stdbool.h>
#include <stdint.h>

#define AUDIT_RUNS_MAX 1024

struct audit_entry {
    struct ledger_entry ledger;
    uint32_t found_count;
    uint32_t run_index;
    bool is_corrupt; /* a copy of it differs in size or body */
};

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
};

struct audit {
    struct audit_entry *entries;
    uint32_t *slots; /* index into entries plus 1, or 0 */
    uint64_t entry_count;
    uint64_t entry_capacity;
    uint64_t slot_count; /* a power of two */
    struct audit_run runs[AUDIT_RUNS_MAX];
    uint32_t run_count;
    uint8_t *whole; /* a message put together */
    uint64_t whole_capacity;
    uint64_t horizon_ns;  /* messages up to then may have been freed whole; 0: none       */
    uint64_t headless_ns; /* up to then, so many as are `headless` may have been freed    */
    uint64_t first_sent_ns;
    struct histogram stored; /* ns from sent to stored, of the acknowledged */
    uint64_t bad_lines;      /* of the ledgers: neither entry nor comment */
    uint64_t repeated_lines; /* a second line for the same message: the stronger state counts */
    uint64_t messages;       /* committed ones seen in the spool            */
    uint64_t others;         /* of those: not of the ledgers' runs          */
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

/* The segment can hold none of the ledgers' messages: the log went on before the first was sent. */
bool audit_can_skip(const struct audit *audit, const struct spool_archive *archive, uint64_t index);

/* Looks at every message of one of the archive's segments. 0 or -ENOMEM. */
MUST_USE int audit_segment(struct audit *audit, struct spool_archive *archive, uint64_t index);

/* After the last segment: asks the spool what was freed, up to this moment. 0 or -errno. */
MUST_USE int audit_finish(struct audit *audit, const struct spool_archive *archive);

enum audit_verdict audit_judge(const struct audit *audit, const struct audit_entry *entry);
void audit_sum(const struct audit *audit, struct audit_report *report);
