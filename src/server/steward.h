/*
 * steward -- the thread that has segments ready before a worker needs them.
 *
 * Owns:       the spool directory, every segment that no worker holds, the numbering.
 * Errors:     start-up failures are returned; later ones become `is_full` or a log line.
 * Bounds:     all segments together stay within the spool's bound; one prepared segment a worker.
 * Invariants: (1) no number is given out twice.
 *             (2) A segment is recycled only when neither it nor an older one of its worker holds
 *             the beginning of an open message.
 *             (3) Nobody else unmaps a segment, so it can be populated while a worker has it.
 * Thread:     its own; workers call steward_take() and steward_return(), which never wait for the
 *             disk.
 */
#pragma once

#include "base/queue.h"
#include "base/slots.h"
#include "server/config.h"
#include "spool/spool_directory.h"
#include "spool/spool_segment.h"

#include <pthread.h>
#include <stdatomic.h>

/* What steward and one worker hand each other. */
struct steward_desk {
    _Atomic(struct spool_segment *) prepared; /* steward puts, worker takes */
    _Atomic uint64_t clear_to; /* worker: end open messages begun at or below; 0: none */
    int wake;                  /* eventfd: rouses the worker                         */
    uint64_t next_number;
    struct spool_segment *newest; /* was put there last: prepared, or the worker's      */
    struct spool_segment *before; /* the one before that, until the worker returned it  */
    uint64_t put_ns;              /* when `newest` was put                              */
    uint64_t pace_ns;             /* and how long after `before`                        */
};

/* A segment's place in the steward's table. */
struct steward_segment {
    struct slot slot;
    struct spool_segment segment;
    uint64_t populated_ns; /* when its pages were last made writable */
};

struct steward {
    struct spool_directory directory;
    struct steward_desk desks[CONFIG_THREADS_MAX];
    struct slots segments;
    struct queue sealed;    /* of this run, oldest first; released, not yet recycled */
    struct spool_file *old; /* of earlier runs, oldest first                         */
    uint64_t old_count;
    uint64_t old_next;     /* first of `old` not yet recycled */
    uint64_t old_seen;     /* first of `old` not yet looked at for recovery */
    pthread_mutex_t mutex; /* guards `returned` and `unused` */
    struct queue returned; /* sealed by workers, not yet taken over */
    struct queue unused;   /* taken by workers and never begun, at their end */
    uint64_t bound_bytes;
    uint64_t used_bytes;
    uint64_t segment_size;
    uint64_t size_limit; /* of a message */
    uint32_t worker_count;
    bool is_refusing; /* --when-full refuse */
    bool is_running;
    int wake; /* eventfd: rouses the steward */
    pthread_t thread;
    _Atomic bool is_full;  /* no segment will come until space returns */
    _Atomic uint64_t room; /* refusing: bytes of segments that may still be made */
    _Atomic bool must_stop;
};

/* Opens and locks the spool. 0 or -errno, as spool_directory_open(). */
MUST_USE int steward_open(struct steward *steward, const char *path);

/* Bytes that segment files use now. */
uint64_t steward_used_bytes(const struct steward *steward);

/*
 * Prepares the first segment of every worker. `wakes` are the workers' eventfds. 0 or -errno
 * (-ENOSPC: not even those fit).
 */
MUST_USE int steward_prepare(struct steward *steward, const struct config *config,
                             const int *wakes);

/* Starts the thread. 0 or -errno. */
MUST_USE int steward_start(struct steward *steward);

/* What the thread does whenever it was roused, or has slept: the milliseconds that it may sleep. */
int steward_step(struct steward *steward, bool was_roused);

/* A prepared segment, or NULL: the worker is roused when there is one. */
struct spool_segment *steward_take(struct steward *steward, uint32_t worker);

/* Hands over a sealed segment. */
void steward_return(struct steward *steward, struct spool_segment *segment);

/* Hands back a segment that was never begun: it is withdrawn. */
void steward_return_unused(struct steward *steward, struct spool_segment *segment);

/* The number up to which `worker` is asked to end the open messages it began; 0: it is not asked.
 */
uint64_t steward_clear_to(struct steward *steward, uint32_t worker);
/* They are ended: the steward may go on. */
void steward_cleared(struct steward *steward, uint32_t worker);

/* Ends the thread, withdraws what was prepared and not used, closes the directory. */
void steward_stop(struct steward *steward);
