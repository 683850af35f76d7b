#include "ring/ring.h"

#include "ring/ring_buffers.h"

#include <errno.h>
#include <liburing.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* A submit finds the queue full at most this often before it must have drained. */
#define FLUSH_TRIES_MAX 1000

struct ring {
    struct io_uring uring;
    struct ring_buffers buffers;
    struct ring_counts counts;
    uint32_t enter_flags;
    uint32_t batch_head; /* completions: the next one                          */
    uint32_t batch_end;  /* up to here they were there when last looked        */
};

static int open_with_flags(struct ring *ring, const struct ring_options *options, unsigned flags)
{
    struct io_uring_params parameters = {
        .flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = options->completions,
    };
    return io_uring_queue_init_params(options->submissions, &ring->uring, &parameters);
}

/* From what Linux 6.1 has downwards, so that an odd kernel still gets the best it can. */
static int open_best(struct ring *ring, const struct ring_options *options)
{
    static const unsigned ladder[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
        0,
    };
    int result = -EINVAL;
    for (uint32_t rung = 0; rung < sizeof ladder / sizeof ladder[0] && result == -EINVAL; rung++)
        result = open_with_flags(ring, options, ladder[rung]);
    return result;
}

/* A stray operation that blocks must not fork hundreds of kernel threads. */
static void limit_kernel_threads(struct ring *ring)
{
    unsigned int bounded_unbounded[2] = {2, 2};
    (void)io_uring_register_iowq_max_workers(&ring->uring, bounded_unbounded);
}

struct ring *ring_open(const struct ring_options *options, int *error)
{
    struct ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    *error = open_best(ring, options);
    if (*error < 0) goto free_ring;
    ring->enter_flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    if (io_uring_register_ring_fd(&ring->uring) == 1)
        ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
    limit_kernel_threads(ring);
    if (options->buffer_count > 0) {
        *error = ring_buffers_open(&ring->buffers, &ring->uring, options->buffer_count,
                                   options->buffer_size);
        if (*error < 0) goto exit_queue;
    }
    return ring;
exit_queue:
    io_uring_queue_exit(&ring->uring);
free_ring:
    free(ring);
    return NULL;
}

void ring_close(struct ring *ring)
{
    io_uring_queue_exit(&ring->uring);
    ring_buffers_close(&ring->buffers);
    free(ring);
}

uint64_t ring_memory(const struct ring_options *options)
{
    return (uint64_t)options->submissions * (sizeof(struct io_uring_sqe) + sizeof(uint32_t)) +
           (uint64_t)options->completions * sizeof(struct io_uring_cqe) +
           (uint64_t)options->buffer_count * (options->buffer_size + sizeof(struct io_uring_buf));
}

/* A free submission entry; a full queue is handed to the kernel first (IO_URING: normal, not an
 * error). */
static struct io_uring_sqe *entry(struct ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    for (uint32_t tries = 0; sqe == NULL; tries++) {
        CHECK(tries < FLUSH_TRIES_MAX);
        (void)io_uring_submit(&ring->uring);
        sqe = io_uring_get_sqe(&ring->uring);
    }
    return sqe;
}

static void mark(struct io_uring_sqe *sqe, struct ring_token token)
{
    io_uring_sqe_set_data64(sqe, ring_token_pack(token));
}

void ring_accept(struct ring *ring, int listener, struct ring_token token)
{
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    mark(sqe, token);
}

void ring_accept_once(struct ring *ring, int listener, struct ring_token token)
{
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    mark(sqe, token);
}

void ring_receive(struct ring *ring, int socket, struct ring_token token, bool poll_first)
{
    CHECK(ring->buffers.count > 0);
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_recv_multishot(sqe, socket, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RING_BUFFERS_GROUP;
    if (poll_first) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    mark(sqe, token);
}

void ring_send(struct ring *ring, int socket, struct bytes data, struct ring_token token)
{
    CHECK(data.size > 0);
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_send(sqe, socket, data.data, data.size, MSG_WAITALL | MSG_NOSIGNAL);
    mark(sqe, token);
}

void ring_send_message(struct ring *ring, int socket, const struct msghdr *message,
                       struct ring_token token)
{
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_sendmsg(sqe, socket, message, MSG_WAITALL | MSG_NOSIGNAL);
    mark(sqe, token);
}

void ring_connect(struct ring *ring, int socket, const struct sockaddr *address, socklen_t size,
                  struct ring_token token)
{
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_connect(sqe, socket, address, size);
    mark(sqe, token);
}

void ring_close_socket(struct ring *ring, int socket, struct ring_token token)
{
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_close(sqe, socket);
    mark(sqe, token);
}

void ring_sync_data(struct ring *ring, int file, uint64_t offset, uint32_t size,
                    struct ring_token token)
{
    CHECK(size != 1); /* would mean: to the end */
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_fsync(sqe, file, IORING_FSYNC_DATASYNC);
    sqe->off = offset;
    /* The kernel takes offset + len for the last octet: the page behind the range would be written
     * too, and be write-protected when the next record comes. */
    sqe->len = size > 0 ? size - 1 : 0;
    mark(sqe, token);
}

void ring_cancel(struct ring *ring, struct ring_token target, struct ring_token token)
{
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_cancel64(sqe, ring_token_pack(target), 0);
    mark(sqe, token);
}

void ring_read(struct ring *ring, int file, void *into, uint32_t size, struct ring_token token)
{
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_read(sqe, file, into, size, 0);
    mark(sqe, token);
}

/* What io_uring_submit() does before it enters: publishes the tail and counts what is new. */
static unsigned flush_submissions(struct io_uring *uring)
{
    struct io_uring_sq *queue = &uring->sq;
    if (queue->sqe_head != queue->sqe_tail) {
        queue->sqe_head = queue->sqe_tail;
        io_uring_smp_store_release(queue->ktail, queue->sqe_tail);
    }
    return queue->sqe_tail - io_uring_smp_load_acquire(queue->khead);
}

static void count_overflow(struct ring *ring)
{
    if (IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_CQ_OVERFLOW)
        ring->counts.overflows++;
}

int ring_enter(struct ring *ring, uint64_t wait_ns)
{
    struct __kernel_timespec wait = {
        .tv_sec = (int64_t)(wait_ns / 1000000000),
        .tv_nsec = (int64_t)(wait_ns % 1000000000),
    };
    struct io_uring_getevents_arg argument = {
        .sigmask_sz = _NSIG / 8,
        .ts = (uint64_t)(uintptr_t)&wait,
    };
    ring_buffers_publish(&ring->buffers);
    count_overflow(ring);
    ring->counts.enters++;
    int result = io_uring_enter2((unsigned)ring->uring.enter_ring_fd,
                                 flush_submissions(&ring->uring), wait_ns > 0 ? 1 : 0,
                                 ring->enter_flags, (sigset_t *)(void *)&argument, sizeof argument);
    /* Entries that were not taken stay queued and go with the next enter. */
    if (result >= 0 || result == -ETIME || result == -EINTR) return 0;
    if (result == -EBUSY || result == -EAGAIN) return 0;
    return result;
}

/* Looks whether more has come; if not, the kernel may use the entries again. */
static bool batch_extend(struct ring *ring)
{
    struct io_uring_cq *queue = &ring->uring.cq;
    ring->batch_end = io_uring_smp_load_acquire(queue->ktail);
    ring->counts.completions += ring->batch_end - ring->batch_head;
    if (ring->batch_head != ring->batch_end) return true;
    io_uring_smp_store_release(queue->khead, ring->batch_head);
    return false;
}

bool ring_next(struct ring *ring, struct ring_completion *completion)
{
    if (ring->batch_head == ring->batch_end && !batch_extend(ring)) return false;
    const struct io_uring_cq *queue = &ring->uring.cq;
    const struct io_uring_cqe *cqe = &queue->cqes[ring->batch_head & *queue->kring_mask];
    ring->batch_head++;
    completion->token = ring_token_unpack(cqe->user_data);
    completion->result = cqe->res;
    completion->is_last = (cqe->flags & IORING_CQE_F_MORE) == 0;
    completion->has_buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0;
    completion->data = bytes_make(NULL, 0);
    if (completion->has_buffer) {
        completion->buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        const uint8_t *start = ring_buffers_take(&ring->buffers, completion->buffer);
        completion->data = bytes_make(start, cqe->res > 0 ? (uint64_t)cqe->res : 0);
    } else if (cqe->res == -ENOBUFS) {
        ring->counts.no_buffers++;
    }
    return true;
}

void ring_give_back(struct ring *ring, uint16_t buffer)
{
    ring_buffers_give_back(&ring->buffers, buffer);
}

uint32_t ring_buffers_out(const struct ring *ring)
{
    return ring->buffers.out;
}

struct ring_counts ring_counts(const struct ring *ring)
{
    return ring->counts;
}
