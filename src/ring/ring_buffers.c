#include "ring/ring_buffers.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t entries_size(const struct ring_buffers *buffers)
{
    return (uint64_t)buffers->count * sizeof(struct io_uring_buf);
}

static uint64_t memory_size(const struct ring_buffers *buffers)
{
    return (uint64_t)buffers->count * buffers->size;
}

static void *map_anonymous(uint64_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static uint8_t *buffer_at(const struct ring_buffers *buffers, uint16_t id)
{
    return buffers->memory + (uint64_t)id * buffers->size;
}

/* The whole entry is written each time: the kernel edits it. */
static void add(struct ring_buffers *buffers, uint16_t id)
{
    io_uring_buf_ring_add(buffers->entries, buffer_at(buffers, id), buffers->size, id,
                          io_uring_buf_ring_mask(buffers->count), (int)buffers->pending);
    buffers->pending++;
}

int ring_buffers_open(struct ring_buffers *buffers, struct io_uring *uring, uint32_t count,
                      uint32_t size)
{
    CHECK(count > 0);
    CHECK((count & (count - 1)) == 0);
    CHECK(count <= 32768);
    *buffers = (struct ring_buffers){.count = count, .size = size};
    buffers->entries = map_anonymous(entries_size(buffers));
    if (buffers->entries == NULL) return -ENOMEM;
    int result = -ENOMEM;
    buffers->memory = map_anonymous(memory_size(buffers));
    if (buffers->memory == NULL) goto unmap_entries;
    /* Small fills of large buffers must not make whole huge pages resident. */
    (void)madvise(buffers->memory, memory_size(buffers), MADV_NOHUGEPAGE);
    io_uring_buf_ring_init(buffers->entries);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffers->entries,
        .ring_entries = count,
        .bgid = RING_BUFFERS_GROUP,
    };
    result = io_uring_register_buf_ring(uring, &registration, 0);
    if (result < 0) goto unmap_memory;
    for (uint32_t id = 0; id < count; id++)
        add(buffers, (uint16_t)id);
    ring_buffers_publish(buffers);
    return 0;
unmap_memory:
    munmap(buffers->memory, memory_size(buffers));
unmap_entries:
    munmap(buffers->entries, entries_size(buffers));
    *buffers = (struct ring_buffers){0};
    return result;
}

void ring_buffers_close(struct ring_buffers *buffers)
{
    if (buffers->entries == NULL) return;
    munmap(buffers->memory, memory_size(buffers));
    munmap(buffers->entries, entries_size(buffers));
    *buffers = (struct ring_buffers){0};
}

const uint8_t *ring_buffers_take(struct ring_buffers *buffers, uint16_t id)
{
    CHECK(id < buffers->count);
    CHECK(buffers->out < buffers->count);
    buffers->out++;
    return buffer_at(buffers, id);
}

void ring_buffers_give_back(struct ring_buffers *buffers, uint16_t id)
{
    CHECK(id < buffers->count);
    CHECK(buffers->out > 0);
    buffers->out--;
    add(buffers, id);
}

void ring_buffers_publish(struct ring_buffers *buffers)
{
    if (buffers->pending == 0) return;
    io_uring_buf_ring_advance(buffers->entries, (int)buffers->pending);
    buffers->pending = 0;
}
