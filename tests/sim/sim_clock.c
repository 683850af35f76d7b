/* sim_clock -- base/clock.h on simulated time. */
#include "base/clock.h"
#include "sim_life.h"
#include "sim_world.h"

#define READ_NS 50

uint64_t clock_now_ns(void)
{
    sim_point(SIM_POINT_TIME);
    sim_life_between();
    sim.now_ns += READ_NS;
    return sim.now_ns;
}

uint64_t clock_realtime_ns(void)
{
    sim.now_ns += READ_NS;
    return sim.now_ns + sim.real_offset_ns;
}
