#include "server/committer.h"

#include "base/log.h"

#include <string.h>

void committer_init(struct committer *committer, struct connection_shared *shared,
                    struct spool_writer *writer)
{
    *committer = (struct committer){.shared = shared};
    spool_sync_init(&committer->sync, writer);
}

static void begin_sync(struct committer *committer)
{
    struct connection_shared *shared = committer->shared;
    struct spool_sync_range range;
    if (!spool_sync_next(&committer->sync, shared->store.realtime_ns, &range)) return;
    ring_sync_data(shared->ring, range.file, range.offset, range.size,
                   (struct ring_token){.op = RING_OP_SYNC});
}

/* What became durable may leave. */
static void decide(struct committer *committer)
{
    struct connection_shared *shared = committer->shared;
    struct queue waiting = shared->undecided;
    struct queue_link *link = NULL;
    committer->decided_count = committer->sync.durable_count;
    shared->undecided = (struct queue){0};
    while ((link = queue_pop(&waiting)) != NULL)
        connection_decide(shared, QUEUE_OWNER(link, struct connection, undecided_link),
                          committer->decided_count);
}

void committer_commit(struct committer *committer)
{
    begin_sync(committer);
    if (committer->sync.durable_count != committer->decided_count) decide(committer);
}

static void fail(struct committer *committer, int error)
{
    struct connection_shared *shared = committer->shared;
    struct queue_link *link = NULL;
    uint64_t revoked = 0;
    log_error("a sync of the spool failed (%s): what was not on the disk is answered 451, and the "
              "server ends; look at the kernel's log, and don't trust this disk",
              strerror(error));
    /* The replies first: whatever the mapping does, no 250 leaves. */
    shared->store.has_failed = true;
    while ((link = queue_pop(&shared->undecided)) != NULL)
        revoked += connection_revoke(shared, QUEUE_OWNER(link, struct connection, undecided_link));
    counter_add(&shared->counters->failed, revoked);
    counter_add(&shared->counters->messages, -revoked); /* counted when they were committed */
    spool_sync_failed(&committer->sync);
}

bool committer_completed(struct committer *committer, int32_t result, struct spool_segment **done)
{
    *done = NULL;
    if (result < 0) {
        fail(committer, -result);
        return false;
    }
    counter_add(&committer->shared->counters->syncs, 1);
    *done = spool_sync_completed(&committer->sync);
    return true;
}
