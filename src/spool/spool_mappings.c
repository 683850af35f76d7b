#include "spool/spool_mappings.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool can_keep(const struct spool_mappings *mappings, const struct spool_segment *segment,
                     struct stat *status)
{
    if (mappings->count == SPOOL_MAPPINGS_MAX) return false;
    if (atomic_load_explicit(&segment->has_lost_pages, memory_order_relaxed)) return false;
    return fstat(segment->file, status) == 0;
}

void spool_mappings_put(struct spool_mappings *mappings, struct spool_segment *segment)
{
    struct stat status;
    CHECK(segment->base != NULL);
    if (can_keep(mappings, segment, &status))
        mappings->items[mappings->count++] = (struct spool_mapping){
            .base = segment->base,
            .size = segment->capacity,
            .device = status.st_dev,
            .inode = status.st_ino,
            .number = segment->number,
            .worker = segment->worker,
        };
    else
        CHECK(munmap(segment->base, segment->capacity) == 0);
    segment->base = NULL;
}

/* The last one takes its place. */
static struct spool_mapping remove_at(struct spool_mappings *mappings, uint32_t index)
{
    CHECK(index < mappings->count);
    struct spool_mapping removed = mappings->items[index];
    mappings->items[index] = mappings->items[--mappings->count];
    return removed;
}

void spool_mappings_drop(struct spool_mappings *mappings, uint32_t index)
{
    struct spool_mapping dropped = remove_at(mappings, index);
    CHECK(munmap(dropped.base, dropped.size) == 0);
}

uint8_t *spool_mappings_take(struct spool_mappings *mappings, int file, uint64_t size)
{
    struct stat status;
    if (mappings->count == 0 || fstat(file, &status) < 0) return NULL;
    for (uint32_t i = 0; i < mappings->count; i++) {
        const struct spool_mapping *item = &mappings->items[i];
        if (item->inode != status.st_ino || item->device != status.st_dev) continue;
        if (item->size == size) return remove_at(mappings, i).base;
        spool_mappings_drop(mappings, i); /* segments have another size now */
        return NULL;
    }
    return NULL;
}
