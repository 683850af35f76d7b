#include "unit/smtp/guarded.h"

#include <sys/mman.h>
#include <unistd.h>

void guarded_open(struct guarded *guarded, uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t inside = (size + page - 1) / page * page;
    guarded->mapping_size = inside + 2 * page;
    guarded->mapping = mmap(NULL, guarded->mapping_size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guarded->mapping != MAP_FAILED);
    guarded->start = guarded->mapping + page;
    guarded->end = guarded->start + inside;
    CHECK(mprotect(guarded->mapping, page, PROT_NONE) == 0);
    CHECK(mprotect(guarded->end, page, PROT_NONE) == 0);
}

void guarded_close(struct guarded *guarded)
{
    CHECK(munmap(guarded->mapping, guarded->mapping_size) == 0);
}

static struct bytes copy_to(uint8_t *place, struct bytes octets)
{
    if (octets.size > 0) memcpy(place, octets.data, octets.size);
    return bytes_make(place, octets.size);
}

struct bytes guarded_at_end(const struct guarded *guarded, struct bytes octets)
{
    CHECK(octets.size <= (uint64_t)(guarded->end - guarded->start));
    return copy_to(guarded->end - octets.size, octets);
}

struct bytes guarded_at_start(const struct guarded *guarded, struct bytes octets)
{
    CHECK(octets.size <= (uint64_t)(guarded->end - guarded->start));
    return copy_to(guarded->start, octets);
}
