#include "loadgen/load_backlog.h"

#include <errno.h>
#include <stdlib.h>

#define CAPACITY_MIN 1024u
#define CAPACITY_MAX (1u << 24)

int load_backlog_open(struct load_backlog *backlog, uint64_t capacity)
{
    *backlog = (struct load_backlog){.capacity = CAPACITY_MIN};
    while (backlog->capacity < capacity && backlog->capacity < CAPACITY_MAX)
        backlog->capacity *= 2;
    backlog->places = calloc(backlog->capacity, sizeof *backlog->places);
    return backlog->places == NULL ? -ENOMEM : 0;
}

void load_backlog_close(struct load_backlog *backlog)
{
    free(backlog->places);
    *backlog = (struct load_backlog){0};
}

bool load_backlog_push(struct load_backlog *backlog, const struct load_due *due)
{
    if (backlog->count == backlog->capacity) return false;
    backlog->places[(backlog->head + backlog->count) & (backlog->capacity - 1)] = *due;
    backlog->count++;
    if (backlog->count > backlog->longest) backlog->longest = backlog->count;
    return true;
}

struct load_due load_backlog_pop(struct load_backlog *backlog)
{
    CHECK(backlog->count > 0);
    struct load_due due = backlog->places[backlog->head];
    backlog->head = (backlog->head + 1) & (backlog->capacity - 1);
    backlog->count--;
    return due;
}
