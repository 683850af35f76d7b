/*
 * committer -- carries out the spool's plan of syncs through the ring, and lets the replies go that
 * waited for one.
 *
 * Borrows:    the worker's ring and connections, the writer.
 * Errors:     the first failed sync is final: a later one may lie, for the kernel has dropped what
 *             it could not write. What was not durable is revoked and answered 451.
 * Invariants: (1) one range at most is out. (2) No 250 leaves before a sync that began after its
 *             commit has come back.
 * Thread:     one worker's.
 */
#pragma once

#include "base/check.h"
#include "server/connection.h"
#include "spool/spool_sync.h"

#include <stdbool.h>
#include <stdint.h>

struct committer {
    struct connection_shared *shared;
    struct spool_sync sync;
    uint64_t decided_count; /* messages whose replies were let go */
};

void committer_init(struct committer *committer, struct connection_shared *shared,
                    struct spool_writer *writer);

/* At the end of a batch: begins a sync that covers all that was committed, unless one is out. */
void committer_commit(struct committer *committer);

/*
 * The sync that was out came back with `result`. `done` is then a segment that is done with and may
 * leave, or NULL. False: it failed, the server is to end.
 */
MUST_USE bool committer_completed(struct committer *committer, int32_t result,
                                  struct spool_segment **done);
