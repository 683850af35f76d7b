/*
 * queue -- an intrusive first-in first-out list.
 *
 * Borrows:    every link; a link is in at most one queue at a time.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>

struct queue_link {
    struct queue_link *next;
};

struct queue {
    struct queue_link *head;
    struct queue_link *tail;
};

/* The object of `type` whose member `member` is `link`. */
#define QUEUE_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline bool queue_is_empty(const struct queue *queue)
{
    return queue->head == NULL;
}

static inline void queue_push(struct queue *queue, struct queue_link *link)
{
    link->next = NULL;
    if (queue->head == NULL)
        queue->head = link;
    else
        queue->tail->next = link;
    queue->tail = link;
}

static inline void queue_push_front(struct queue *queue, struct queue_link *link)
{
    link->next = queue->head;
    if (queue->head == NULL) queue->tail = link;
    queue->head = link;
}

/* The oldest link, or NULL. */
static inline struct queue_link *queue_pop(struct queue *queue)
{
    struct queue_link *link = queue->head;
    if (link == NULL) return NULL;
    queue->head = link->next;
    link->next = NULL;
    return link;
}
