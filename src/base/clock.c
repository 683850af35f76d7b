#include "base/clock.h"

#include "base/check.h"

#include <time.h>

#define CLOCK_OFFSET_TRIES 5 /* a reading that was interrupted is wide; the narrowest counts */

static uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec time;
    CHECK(clock_gettime(clock, &time) == 0);
    CHECK(time.tv_sec >= 0);
    return (uint64_t)time.tv_sec * CLOCK_NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t clock_now_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
    return clock_read_ns(CLOCK_REALTIME);
}

int64_t clock_offset_ns(void)
{
    uint64_t narrowest_ns = UINT64_MAX;
    int64_t offset_ns = 0;

    for (uint32_t i = 0; i < CLOCK_OFFSET_TRIES; i++) {
        uint64_t before_ns = clock_now_ns();
        uint64_t realtime_ns = clock_realtime_ns();
        uint64_t width_ns = clock_now_ns() - before_ns;
        if (width_ns >= narrowest_ns) continue;
        narrowest_ns = width_ns;
        offset_ns = (int64_t)(realtime_ns - (before_ns + width_ns / 2));
    }
    return offset_ns;
}
