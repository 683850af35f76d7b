#include "sim_memory.h"

#include "sim_world.h"

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
    return to;
}
