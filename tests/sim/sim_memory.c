#include "sim_memory.h"

#include "sim_world.h"

#include "spool/spool_format.h"

#undef memcpy

void *sim_memory_copy(void *to, const void *from, size_t size)
{
    size_t first = 0;
    if (size > 0 && sim_point_store()) {
        first = (size_t)sim_below(size + 1);
        memcpy(to, from, first);
        SIM_COUNT(torn_stores);
        sim_crash();
    }
    if (size > first) memcpy((char *)to + first, (const char *)from + first, size - first);
    /* What a mark says must be so when it is there. */
    bool is_mark = size == sizeof(struct spool_format_mark) && (uintptr_t)to % 64 == 0;
    if (is_mark) sim_point(SIM_POINT_MARK);
    return to;
}
