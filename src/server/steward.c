#include "server/steward.h"

#include "base/clock.h"
#include "base/log.h"
#include "server/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* While there is no space, look again this often. */
#define RETRY_MS 100
#define IDLE_MS  1000
/* A prepared segment that has waited so long is populated again. */
#define STALE_NS (20 * CLOCK_NS_PER_S)
/* But not for a worker that took longer than this over its last one. */
#define PACE_SLOWEST_NS (60 * CLOCK_NS_PER_S)
/* So much may leave to make room for one segment: file systems free what was removed later. */
#define LEAVING_SEGMENTS_MAX 8
/* Mappings are kept of spools up to this size: larger ones are written back before they come round.
 */
#define KEPT_SPOOL_SIZE_MAX (4ull << 30)
/* Segments that may exist beside those within the bound: one being recycled for each worker. */
#define SEGMENTS_SPARE (CONFIG_THREADS_MAX * 4)

static void rouse(int wake)
{
    uint64_t one = 1;
    ssize_t written = write(wake, &one, sizeof one);
    CHECK(written == (ssize_t)sizeof one);
}

static int compare_created(const void *a, const void *b)
{
    const struct spool_file *left = a;
    const struct spool_file *right = b;
    if (left->created_ns != right->created_ns) return left->created_ns < right->created_ns ? -1 : 1;
    if (left->number != right->number) return left->number < right->number ? -1 : 1;
    return 0;
}

/*
 * Prepared, and never used before the process died: nothing is in it. But a mark may have been lost
 * that said it was begun.
 */
static bool was_never_used(const struct steward *steward, struct spool_file *file)
{
    if (file->is_empty || file->is_sealed || file->opened_ns != 0) return false;
    if (file->size == 0) return true;
    if (file->created_ns == 0) return false;
    if (recovery_has_record(&steward->directory, file)) file->opened_ns = file->created_ns;
    return file->opened_ns == 0;
}

/* What earlier runs left: continues their numbers, queues their files for recycling by age. */
static int take_stock(struct steward *steward)
{
    int64_t count = spool_directory_list(&steward->directory, &steward->old);
    if (count < 0) return (int)count;
    steward->old_count = (uint64_t)count;
    for (uint64_t i = 0; i < steward->old_count; i++) {
        struct spool_file *file = &steward->old[i];
        if (was_never_used(steward, file) && spool_directory_trim(&steward->directory, file) == 0) {
            file->is_empty = true;
            file->size = 0;
        }
        steward->used_bytes += file->size;
        if (file->worker >= CONFIG_THREADS_MAX) continue;
        struct steward_desk *desk = &steward->desks[file->worker];
        if (file->number >= desk->next_number) desk->next_number = file->number + 1;
    }
    qsort(steward->old, steward->old_count, sizeof steward->old[0], compare_created);
    return 0;
}

int steward_open(struct steward *steward, const char *path, bool is_synced)
{
    memset(steward, 0, sizeof *steward);
    for (uint32_t worker = 0; worker < CONFIG_THREADS_MAX; worker++)
        steward->desks[worker].next_number = 1;
    int result = spool_directory_open(&steward->directory, path);
    if (result < 0) return result;
    if (is_synced) result = spool_directory_begin_syncing(&steward->directory);
    if (result == 0) result = take_stock(steward);
    if (result < 0) goto close_directory;
    steward->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (steward->wake >= 0) return 0;
    result = -errno;
    free(steward->old);
close_directory:
    spool_directory_close(&steward->directory);
    return result;
}

uint64_t steward_used_bytes(const struct steward *steward)
{
    return steward->used_bytes;
}

/* Files that leave make room for it. */
static bool lacks_space(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static bool is_out_of_space(int error)
{
    return lacks_space(error) || error == -ENOMEM || error == -EFBIG;
}

/* Tells what MAIL's SIZE is held against; not asked for where the oldest messages make room. */
static void publish_room(struct steward *steward)
{
    uint64_t used = steward->used_bytes;
    uint64_t segments =
        used < steward->bound_bytes ? (steward->bound_bytes - used) / steward->segment_size : 0;
    atomic_store_explicit(&steward->room, segments * steward->segment_size, memory_order_relaxed);
}

static int create(struct steward *steward, struct spool_segment *segment, uint32_t worker)
{
    int result = spool_directory_create(&steward->directory, segment, worker,
                                        steward->desks[worker].next_number, steward->segment_size,
                                        clock_realtime_ns());
    if (result < 0) return result;
    steward->desks[worker].next_number++;
    steward->used_bytes += steward->segment_size;
    publish_room(steward);
    return 0;
}

/* Nothing to recycle now; there will be when messages were ended or a segment was returned. */
#define LATER (-EAGAIN)

/* -ENOENT: somebody trimmed it. After another error it may have left, or be there to be tried
 * again. */
static int recycle_file(struct steward *steward, const struct spool_file *file,
                        struct spool_segment *segment, uint32_t worker, bool *has_left)
{
    int result = spool_directory_recycle(&steward->directory, file, segment, worker,
                                         steward->desks[worker].next_number, steward->segment_size,
                                         clock_realtime_ns());
    *has_left = result == 0 || !spool_directory_has(&steward->directory, file);
    if (!*has_left) return result;
    steward->used_bytes -= file->size;
    steward->desks[worker].next_number++;
    if (result == 0) steward->used_bytes += steward->segment_size;
    if (result < 0 && result != -ENOENT && !lacks_space(result))
        log_error("w%02u/%010" PRIu64 ".seg has left, and no segment could be made out of it: %s",
                  file->worker, file->number, strerror(-result));
    return result;
}

/*
 * Another file is to be tried behind one that has left: room lacked, or it had left before. After
 * any other failure the next would go the same way, and so would all of the spool. Nor do many: who
 * says "no space" may mean a dying disk.
 */
static bool may_take_next(const struct steward *steward, int result, uint64_t left_bytes)
{
    if (result == -ENOENT) return true;
    return lacks_space(result) && left_bytes < LEAVING_SEGMENTS_MAX * steward->segment_size;
}

/*
 * Seals the next segment that a crash left. They are seldom more than one a worker, but each is
 * read whole, which may take seconds from a slow disk: hence not before the server is ready, and
 * one at a time between the workers' needs. False: there is none left.
 */
static bool recover_next(struct steward *steward)
{
    if (steward->old_seen < steward->old_next) steward->old_seen = steward->old_next;
    while (steward->old_seen < steward->old_count) {
        struct spool_file *file = &steward->old[steward->old_seen++];
        if (!recovery_is_due(file)) continue;
        recovery_seal(&steward->directory, file);
        return true;
    }
    return false;
}

/* One more segment is within the bound, if `going` bytes leave. */
static bool has_room(const struct steward *steward, uint64_t going)
{
    CHECK(going <= steward->used_bytes);
    return steward->used_bytes - going + steward->segment_size <= steward->bound_bytes;
}

/* Too small to make room for a whole segment: -ENOENT, as it is gone; or -errno. */
static int trim_old(struct steward *steward, const struct spool_file *file, bool *has_left)
{
    int result = spool_directory_trim(&steward->directory, file);
    *has_left = result == 0 || !spool_directory_has(&steward->directory, file);
    if (*has_left) steward->used_bytes -= file->size;
    return result == 0 ? -ENOENT : result;
}

static int reuse_old(struct steward *steward, struct spool_file *file,
                     struct spool_segment *segment, uint32_t worker, bool *has_left)
{
    *has_left = true;
    if (file->is_empty) return -ENOENT;
    /* When its newest message came is to be known before it goes. */
    bool was_seen = steward->old_seen > steward->old_next;
    if (!was_seen && recovery_is_due(file)) recovery_seal(&steward->directory, file);
    if (!was_seen) steward->old_seen = steward->old_next + 1;
    if (has_room(steward, file->size))
        return recycle_file(steward, file, segment, worker, has_left);
    return trim_old(steward, file, has_left);
}

/* Files of earlier runs go first: they are the oldest. LATER when there are none left. */
static int recycle_old(struct steward *steward, struct spool_segment *segment, uint32_t worker)
{
    uint64_t left_bytes = 0;
    while (steward->old_next < steward->old_count) {
        struct spool_file *file = &steward->old[steward->old_next];
        bool has_left = false;
        int result = reuse_old(steward, file, segment, worker, &has_left);
        if (!has_left) return result;
        steward->old_next++;
        left_bytes += file->size;
        if (!may_take_next(steward, result, left_bytes)) return result;
    }
    return LATER;
}

static struct spool_segment *oldest_sealed(const struct steward *steward)
{
    return QUEUE_OWNER(steward->sealed.head, struct spool_segment, link);
}

/*
 * No open message began in the oldest sealed segment, and so none has records in it: a worker's
 * segments stand in the order of their numbers, and its older ones are gone.
 */
static bool is_oldest_free(const struct steward *steward)
{
    return atomic_load_explicit(&oldest_sealed(steward)->open_begun, memory_order_acquire) == 0;
}

static void forget_oldest_sealed(struct steward *steward)
{
    struct spool_segment *oldest = oldest_sealed(steward);
    (void)queue_pop(&steward->sealed);
    slots_give_back(&steward->segments, QUEUE_OWNER(oldest, struct steward_segment, segment));
}

/* Asks the worker of the oldest sealed segment to end the open messages that began in it. */
static void ask_to_clear(struct steward *steward)
{
    const struct spool_segment *oldest = oldest_sealed(steward);
    struct steward_desk *desk = &steward->desks[oldest->worker];
    atomic_store_explicit(&desk->clear_to, oldest->number, memory_order_release);
    rouse(desk->wake);
}

static int recycle_sealed(struct steward *steward, struct spool_segment *segment, uint32_t worker)
{
    uint64_t left_bytes = 0;
    while (!queue_is_empty(&steward->sealed)) {
        bool has_left = false;
        if (!is_oldest_free(steward)) {
            ask_to_clear(steward);
            return LATER;
        }
        const struct spool_segment *oldest = oldest_sealed(steward);
        struct spool_file file = {
            .number = oldest->number, .worker = oldest->worker, .size = oldest->capacity};
        int result = recycle_file(steward, &file, segment, worker, &has_left);
        if (!has_left) return result;
        forget_oldest_sealed(steward);
        left_bytes += file.size;
        if (!may_take_next(steward, result, left_bytes)) return result;
    }
    return LATER;
}

static int recycle_oldest(struct steward *steward, struct spool_segment *segment, uint32_t worker)
{
    int result = recycle_old(steward, segment, worker);
    return result == LATER ? recycle_sealed(steward, segment, worker) : result;
}

/* Trimmed files make room: the directory is asked again, as somebody else may have changed it. */
static void recount(struct steward *steward)
{
    struct spool_file *files = NULL;
    int64_t count = spool_directory_list(&steward->directory, &files);
    if (count < 0) return;
    steward->used_bytes = 0;
    for (int64_t i = 0; i < count; i++)
        steward->used_bytes += files[i].size;
    free(files);
    publish_room(steward);
}

static int obtain(struct steward *steward, struct spool_segment *segment, uint32_t worker)
{
    if (!has_room(steward, 0) && steward->is_refusing) {
        recount(steward);
        if (!has_room(steward, 0)) return -ENOSPC;
    } else if (!has_room(steward, 0)) {
        int recycled = recycle_oldest(steward, segment, worker);
        if (recycled != LATER || !has_room(steward, 0)) return recycled;
    }
    int result = create(steward, segment, worker);
    if (lacks_space(result)) spool_directory_forget_gone(&steward->directory);
    if (lacks_space(result) && !steward->is_refusing) {
        int recycled = recycle_oldest(steward, segment, worker);
        return recycled == LATER ? result : recycled;
    }
    return result;
}

/* Trimming makes room that nobody would find out about if large messages alone are refused. */
static void watch_trimming(struct steward *steward)
{
    uint64_t room = atomic_load_explicit(&steward->room, memory_order_relaxed);
    if (steward->is_refusing && room < steward->size_limit) recount(steward);
}

static void set_full(struct steward *steward, bool is_full, int error)
{
    if (atomic_load_explicit(&steward->is_full, memory_order_relaxed) == is_full) return;
    atomic_store_explicit(&steward->is_full, is_full, memory_order_release);
    if (is_full && is_out_of_space(error))
        log_warning(
            "no segment can be made in %s (%s): answering 452 until one can; free space with: "
            "ringspool trim %s --keep SIZE",
            steward->directory.path, strerror(-error), steward->directory.path);
    else if (is_full)
        log_error("no segment can be made in %s (%s): answering 452 until one can; look at the "
                  "kernel's log: the disk may fail",
                  steward->directory.path, strerror(-error));
    else
        log_info("the spool has space again");
    for (uint32_t worker = 0; worker < steward->worker_count; worker++)
        rouse(steward->desks[worker].wake);
}

static void put_on_desk(struct steward_desk *desk, struct steward_segment *item)
{
    uint64_t now_ns = clock_now_ns();
    item->populated_ns = now_ns;
    desk->before = desk->newest;
    desk->newest = &item->segment;
    desk->pace_ns = now_ns - desk->put_ns;
    desk->put_ns = now_ns;
    atomic_store_explicit(&desk->prepared, &item->segment, memory_order_release);
    rouse(desk->wake);
}

/* Puts a prepared segment on the worker's desk. 0 or -errno. */
static int prepare(struct steward *steward, uint32_t worker)
{
    struct steward_segment *item = slots_take(&steward->segments);
    if (item == NULL) return -ENOSPC;
    int result = obtain(steward, &item->segment, worker);
    if (result < 0) {
        slots_give_back(&steward->segments, item);
        return result;
    }
    put_on_desk(&steward->desks[worker], item);
    return 0;
}

/* Prepares one; tells once that none can be made, and that one can again. False: try again soon. */
static bool prepare_or_tell(struct steward *steward, uint32_t worker)
{
    int result = prepare(steward, worker);
    if (result != LATER) set_full(steward, result < 0, result);
    return result == 0;
}

static void forget_on_desk(struct steward *steward, const struct spool_segment *segment)
{
    struct steward_desk *desk = &steward->desks[segment->worker];
    if (desk->newest == segment) desk->newest = NULL;
    if (desk->before == segment) desk->before = NULL;
}

/* Removes what was never begun: nobody will miss it. */
static void withdraw(struct steward *steward, struct spool_segment *segment)
{
    forget_on_desk(steward, segment);
    /* Counted again meanwhile, it may be gone already: somebody has deleted it. */
    if (steward->used_bytes >= segment->capacity) steward->used_bytes -= segment->capacity;
    publish_room(steward);
    spool_directory_withdraw(&steward->directory, segment);
    slots_give_back(&steward->segments, QUEUE_OWNER(segment, struct steward_segment, segment));
}

/*
 * A segment that is full. Where the whole spool may stay in the page cache its mapping is kept:
 * remaking it is then nearly free.
 */
static void leave(struct steward *steward, struct spool_segment *segment)
{
    if (steward->bound_bytes <= KEPT_SPOOL_SIZE_MAX)
        spool_directory_retire(&steward->directory, segment);
    else
        spool_directory_release(segment);
}

/* Takes over what workers returned: their pages stay in the page cache, their files in the spool.
 */
static void take_over_returned(struct steward *steward)
{
    pthread_mutex_lock(&steward->mutex);
    struct queue returned = steward->returned;
    struct queue unused = steward->unused;
    steward->returned = (struct queue){0};
    steward->unused = (struct queue){0};
    pthread_mutex_unlock(&steward->mutex);
    struct queue_link *link = NULL;
    while ((link = queue_pop(&returned)) != NULL) {
        struct spool_segment *segment = QUEUE_OWNER(link, struct spool_segment, link);
        forget_on_desk(steward, segment);
        leave(steward, segment);
        queue_push(&steward->sealed, link);
    }
    while ((link = queue_pop(&unused)) != NULL)
        withdraw(steward, QUEUE_OWNER(link, struct spool_segment, link));
    /* What is never recycled needs no place in the table, once no message points to it. */
    while (steward->is_refusing && !queue_is_empty(&steward->sealed) && is_oldest_free(steward))
        forget_oldest_sealed(steward);
}

/* Written back after a while, pages are write-protected: each would cost the worker a fault. */
static void refresh_segment(struct spool_segment *segment, uint64_t now_ns)
{
    if (segment == NULL) return;
    struct steward_segment *item = QUEUE_OWNER(segment, struct steward_segment, segment);
    bool is_begun = atomic_load_explicit(&segment->open_begun, memory_order_relaxed) > 0 ||
                    atomic_load_explicit(&segment->committed, memory_order_relaxed) > 0;
    if (is_begun || now_ns - item->populated_ns < STALE_NS) return;
    spool_directory_populate(segment);
    item->populated_ns = now_ns;
}

/*
 * What waits for a worker that will soon need it, at the pace of the segment before: what it will
 * not need soon would be written to the disk over and over for nothing.
 */
static void refresh_waiting(struct steward *steward)
{
    uint64_t now_ns = clock_now_ns();
    for (uint32_t worker = 0; worker < steward->worker_count; worker++) {
        const struct steward_desk *desk = &steward->desks[worker];
        if (desk->pace_ns > PACE_SLOWEST_NS || now_ns - desk->put_ns > 2 * desk->pace_ns) continue;
        refresh_segment(desk->before, now_ns);
        refresh_segment(desk->newest, now_ns);
    }
}

static bool is_empty_handed(struct steward *steward, uint32_t worker)
{
    return atomic_load_explicit(&steward->desks[worker].prepared, memory_order_relaxed) == NULL;
}

/* Milliseconds to sleep: something to do again soon, or nothing till roused. */
static int serve_workers(struct steward *steward)
{
    int sleep_ms = IDLE_MS;
    for (uint32_t worker = 0; worker < steward->worker_count; worker++)
        if (is_empty_handed(steward, worker) && !prepare_or_tell(steward, worker))
            sleep_ms = RETRY_MS;
    return sleep_ms;
}

/* False: nobody did, the time is over. */
static bool sleep_until_roused(struct steward *steward, int sleep_ms)
{
    struct pollfd roused = {.fd = steward->wake, .events = POLLIN};
    uint64_t count = 0;
    if (poll(&roused, 1, sleep_ms) != 1) return false;
    if (read(steward->wake, &count, sizeof count) < 0) CHECK(errno == EAGAIN);
    return true;
}

int steward_step(struct steward *steward, bool was_roused)
{
    if (!was_roused) {
        watch_trimming(steward);
        spool_directory_forget_gone(&steward->directory);
    }
    take_over_returned(steward);
    int sleep_ms = serve_workers(steward);
    if (!was_roused) refresh_waiting(steward);
    return recover_next(steward) ? 0 : sleep_ms;
}

static void *steward_main(void *argument)
{
    struct steward *steward = argument;
    bool was_roused = true;
    (void)pthread_setname_np(pthread_self(), "steward");
    while (!atomic_load_explicit(&steward->must_stop, memory_order_acquire)) {
        int sleep_ms = steward_step(steward, was_roused);
        was_roused = sleep_until_roused(steward, sleep_ms);
    }
    return NULL;
}

int steward_prepare(struct steward *steward, const struct config *config, const int *wakes)
{
    steward->bound_bytes = config->spool_size;
    steward->segment_size = config->segment_size;
    steward->size_limit = config->size_limit;
    steward->worker_count = (uint32_t)config->threads;
    steward->is_refusing = config->when_full == CONFIG_REFUSE;
    uint64_t segments = steward->bound_bytes / steward->segment_size + SEGMENTS_SPARE;
    int result = slots_open(&steward->segments, (uint32_t)segments, sizeof(struct steward_segment));
    if (result < 0) return result;
    pthread_mutex_init(&steward->mutex, NULL);
    for (uint32_t worker = 0; worker < steward->worker_count; worker++)
        steward->desks[worker].wake = wakes[worker];
    publish_room(steward);
    bool has_mail = steward->used_bytes > 0;
    for (uint32_t worker = 0; worker < steward->worker_count && result == 0; worker++)
        result = prepare(steward, worker);
    /* A spool that earlier runs filled is no reason not to start: it is full, and says so. */
    if (result < 0 && !(steward->is_refusing && has_mail && is_out_of_space(result))) return result;
    if (result < 0) set_full(steward, true, result);
    return 0;
}

int steward_start(struct steward *steward)
{
    int result = pthread_create(&steward->thread, NULL, steward_main, steward);
    steward->is_running = result == 0;
    return -result;
}

struct spool_segment *steward_take(struct steward *steward, uint32_t worker)
{
    CHECK(worker < steward->worker_count);
    struct spool_segment *segment =
        atomic_exchange_explicit(&steward->desks[worker].prepared, NULL, memory_order_acq_rel);
    if (segment != NULL) rouse(steward->wake);
    return segment;
}

void steward_return(struct steward *steward, struct spool_segment *segment)
{
    pthread_mutex_lock(&steward->mutex);
    queue_push(&steward->returned, &segment->link);
    pthread_mutex_unlock(&steward->mutex);
    rouse(steward->wake);
}

void steward_return_unused(struct steward *steward, struct spool_segment *segment)
{
    pthread_mutex_lock(&steward->mutex);
    queue_push(&steward->unused, &segment->link);
    pthread_mutex_unlock(&steward->mutex);
    rouse(steward->wake);
}

uint64_t steward_clear_to(struct steward *steward, uint32_t worker)
{
    return atomic_load_explicit(&steward->desks[worker].clear_to, memory_order_acquire);
}

void steward_cleared(struct steward *steward, uint32_t worker)
{
    atomic_store_explicit(&steward->desks[worker].clear_to, 0, memory_order_release);
    rouse(steward->wake);
}

void steward_stop(struct steward *steward)
{
    if (steward->is_running) {
        atomic_store_explicit(&steward->must_stop, true, memory_order_release);
        rouse(steward->wake);
        pthread_join(steward->thread, NULL);
    }
    take_over_returned(steward);
    for (uint32_t worker = 0; worker < steward->worker_count; worker++) {
        struct spool_segment *unused =
            atomic_exchange_explicit(&steward->desks[worker].prepared, NULL, memory_order_acq_rel);
        if (unused != NULL) withdraw(steward, unused);
    }
    close(steward->wake);
    free(steward->old);
    slots_close(&steward->segments);
    spool_directory_close(&steward->directory);
}
