#include "server/fault.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>

static _Thread_local struct spool_writer *watched;
static _Thread_local volatile sig_atomic_t survived;

static _Thread_local const uint8_t *read_base;
static _Thread_local uint64_t read_size;
static _Thread_local volatile sig_atomic_t read_faults;

/* From the page of the fault to the segment's end there is memory of no file now. */
static bool replace_pages(struct spool_segment *segment, const uint8_t *at)
{
    if (segment == NULL || at < segment->base || at >= segment->base + segment->capacity)
        return false;
    uint64_t offset = (uint64_t)(at - segment->base) / SPOOL_PAGE_SIZE * SPOOL_PAGE_SIZE;
    atomic_store_explicit(&segment->has_lost_pages, true, memory_order_relaxed);
    return mmap(segment->base + offset, segment->capacity - offset, PROT_READ | PROT_WRITE,
                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool replace_page_read(const uint8_t *at)
{
    if (read_base == NULL || at < read_base || at >= read_base + read_size) return false;
    uint64_t offset = (uint64_t)(at - read_base) / SPOOL_PAGE_SIZE * SPOOL_PAGE_SIZE;
    return mmap((void *)(uintptr_t)(read_base + offset), SPOOL_PAGE_SIZE, PROT_READ,
                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static void handle(int number, siginfo_t *info, void *context)
{
    const uint8_t *at = info->si_addr;
    (void)context;
    if (watched != NULL && (replace_pages(watched->tail, at) || replace_pages(watched->next, at) ||
                            replace_pages(watched->sealed, at))) {
        survived = survived + 1;
        return;
    }
    if (replace_page_read(at)) {
        read_faults = read_faults + 1;
        return;
    }
    (void)signal(number, SIG_DFL); /* the store is made again, and ends the process */
}

void fault_install(void)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    (void)sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
}

void fault_watch(struct spool_writer *writer)
{
    watched = writer;
}

uint32_t fault_watch_reading(const uint8_t *base, uint64_t size)
{
    uint32_t faults = (uint32_t)read_faults;
    read_base = base;
    read_size = size;
    read_faults = 0;
    return faults;
}

uint32_t fault_count(void)
{
    return (uint32_t)survived;
}
