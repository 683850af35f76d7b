/*
 *   no round  --something is committed or sealed--> round     [round_begin]
 *   round     --a segment or the tail's range synced, and with it all of the round-->
 *                                                   no round             [durable_advance]
 *   any       --failed sync--> failed, for good                [spool_sync_failed]
 */
#include "spool/spool_sync.h"

void spool_sync_init(struct spool_sync *sync, struct spool_writer *writer)
{
    *sync = (struct spool_sync){.writer = writer};
}

void spool_sync_take_sealed(struct spool_sync *sync)
{
    struct spool_segment *segment = spool_writer_take_sealed(sync->writer);
    if (segment != NULL) queue_push(&sync->sealed, &segment->link);
}

static struct spool_segment *oldest_sealed(const struct spool_sync *sync)
{
    if (queue_is_empty(&sync->sealed)) return NULL;
    return QUEUE_OWNER(sync->sealed.head, struct spool_segment, link);
}

/* The tail ends at a page, so that what is written next does not touch one that is being synced. */
static void round_begin(struct spool_sync *sync, uint64_t now_ns)
{
    spool_writer_end_group(sync->writer, now_ns);
    sync->is_round = true;
    sync->round_count = sync->writer->committed_count;
    sync->tail = sync->writer->tail;
    sync->tail_end = sync->tail == NULL ? 0 : sync->tail->appended_end;
}

/* Also in mid-round: what is on the disk must not be refused if the next range fails. */
static void durable_advance(struct spool_sync *sync, uint64_t count)
{
    CHECK(count >= sync->durable_count);
    CHECK(count <= sync->writer->committed_count);
    sync->durable_count = count;
    if (count >= sync->round_count) sync->is_round = false;
}

/* The tail of the round, if it is still that, and not all of it is on the disk. */
static struct spool_segment *tail_to_sync(const struct spool_sync *sync)
{
    struct spool_segment *tail = sync->tail;
    return tail != NULL && tail == sync->writer->tail && tail->synced_end < sync->tail_end ? tail
                                                                                           : NULL;
}

static void range_take(struct spool_sync *sync, struct spool_segment *segment, uint32_t end,
                       bool is_whole, struct spool_sync_range *range)
{
    CHECK(end >= segment->synced_end);
    sync->out = segment;
    sync->out_end = end;
    sync->is_out_whole = is_whole;
    /* Its header page says that it was opened: without that it would count as never used. */
    uint32_t offset = is_whole ? 0 : segment->synced_end;
    *range = (struct spool_sync_range){
        .file = segment->file, .offset = offset, .size = is_whole ? 0 : end - offset};
}

bool spool_sync_next(struct spool_sync *sync, uint64_t now_ns, struct spool_sync_range *range)
{
    if (sync->out != NULL || sync->has_failed) return false;
    spool_sync_take_sealed(sync);
    bool has_work =
        sync->writer->committed_count > sync->durable_count || oldest_sealed(sync) != NULL;
    if (!sync->is_round && !has_work) return false;
    if (!sync->is_round) round_begin(sync, now_ns);
    struct spool_segment *sealed = oldest_sealed(sync);
    if (sealed != NULL) {
        range_take(sync, sealed, sealed->appended_end, true, range);
        return true;
    }
    struct spool_segment *tail = tail_to_sync(sync);
    CHECK(tail != NULL); /* the last message of the round ends there, or the round were over */
    range_take(sync, tail, sync->tail_end, false, range);
    return true;
}

struct spool_segment *spool_sync_completed(struct spool_sync *sync)
{
    struct spool_segment *segment = sync->out;
    CHECK(segment != NULL);
    CHECK(!sync->has_failed);
    sync->out = NULL;
    segment->synced_end = sync->out_end;
    if (!sync->is_out_whole) {
        /* A tail that was sealed while its range was out is not done with. */
        durable_advance(sync, sync->round_count);
        return NULL;
    }
    CHECK(segment == oldest_sealed(sync));
    (void)queue_pop(&sync->sealed);
    sync->sealed_count += atomic_load_explicit(&segment->committed, memory_order_relaxed);
    durable_advance(sync, sync->sealed_count);
    return segment;
}

/*
 * A file system that could not sync may not take a store either (SIGBUS). Such a store is survived
 * in the writer's own segments, so each is one of them while it is written to.
 */
static void sealed_revoke(struct spool_sync *sync, struct spool_segment *segment)
{
    CHECK(sync->writer->sealed == NULL);
    sync->writer->sealed = segment;
    atomic_signal_fence(memory_order_seq_cst);
    spool_segment_revoke(segment);
    atomic_signal_fence(memory_order_seq_cst);
    sync->writer->sealed = NULL;
}

void spool_sync_failed(struct spool_sync *sync)
{
    CHECK(sync->out != NULL);
    spool_sync_take_sealed(sync);
    sync->out = NULL;
    sync->is_round = false;
    sync->has_failed = true;
    for (struct queue_link *link = sync->sealed.head; link != NULL; link = link->next)
        sealed_revoke(sync, QUEUE_OWNER(link, struct spool_segment, link));
    spool_writer_revoke(sync->writer);
}

struct spool_segment *spool_sync_take_last(struct spool_sync *sync)
{
    if (sync->out != NULL || queue_is_empty(&sync->sealed)) return NULL;
    return QUEUE_OWNER(queue_pop(&sync->sealed), struct spool_segment, link);
}

struct spool_segment *spool_sync_take_failed(struct spool_sync *sync)
{
    return sync->has_failed ? spool_sync_take_last(sync) : NULL;
}
