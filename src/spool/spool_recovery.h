/*
 * spool_recovery -- what a crash left in a segment that was begun and never sealed, and the seal
 * that it is to get, so that nobody has to find out again.
 *
 * Borrows:    the segment's octets.
 * Bounds:     one walk, as spool_reader's.
 * Invariants: (1) The seal stands behind the last valid record and counts the records up to it,
 *             those in a hole too: a reader goes on telling the hole as damage. (2) Its time is not
 *             before that of any record that was found, nor before the segment was begun.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "spool/spool_format.h"
#include "spool/spool_reader.h"

#include <stdbool.h>
#include <stdint.h>

struct spool_recovery {
    struct spool_format_mark seal;
    struct spool_reader_gap torn;   /* end 0: nothing is torn          */
    struct spool_reader_gap damage; /* the first hole; end 0: no hole  */
    uint64_t salt;
    uint64_t message_count; /* messages that end in it */
    uint32_t damage_count;
};

/* False: the segment's header can't be trusted, or is not that of `worker` and `number`. */
MUST_USE bool spool_recovery_walk(struct spool_recovery *recovery, struct bytes file,
                                  uint32_t worker, uint64_t number);

#define SPOOL_RECOVERY_TEXT_MAX 256

/* "18 233 messages; torn at ...", into `out`, which it returns. */
const char *spool_recovery_format(char *out, const struct spool_recovery *recovery);
