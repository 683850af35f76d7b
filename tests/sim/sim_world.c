#include "sim_world.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of one world. */
#define TOLD_MAX 4

struct sim_world sim;
uint64_t sim_counts[SIM_COUNT_COUNT];

uint64_t sim_below(uint64_t bound)
{
    return random_below(&sim.random, bound);
}

bool sim_chance(uint32_t per_thousand)
{
    return per_thousand > 0 && sim_below(1000) < per_thousand;
}

bool sim_fault(uint32_t per_thousand)
{
    return !sim.is_quiet_now && sim_chance(per_thousand);
}

uint64_t sim_delay(uint64_t most)
{
    uint32_t bits = 0;
    while (bits < 63 && most >> bits != 0)
        bits++;
    uint64_t delay = sim_below(1ull << sim_below(bits + 1));
    return delay < most ? delay : most;
}

static bool is_struck(enum sim_point point)
{
    if (sim.is_dead || sim.is_quiet_now) return false;
    if (sim.is_crash_near) return sim.crash_after-- == 0;
    if (sim.crash_countdown == 0 || point != sim.crash_at) return false;
    if (--sim.crash_countdown > 0) return false;
    sim.is_crash_near = true;
    return sim.crash_after-- == 0;
}

void sim_point(enum sim_point point)
{
    if (is_struck(point)) sim_crash();
}

bool sim_point_store(void)
{
    return is_struck(SIM_POINT_STORE);
}

void sim_violation(const char *format, ...)
{
    va_list arguments;
    if (++sim.violations > TOLD_MAX) return;
    printf("seed %llu, life %u: ", (unsigned long long)sim.seed, sim.life);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    (void)fflush(stdout);
}

void sim_trace(const char *format, ...)
{
    va_list arguments;
    if (!sim.is_verbose) return;
    printf("%u %12.6f ", sim.life, (double)sim.now_ns / 1e9);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

/* A bug that the code has found itself. */
void check_failed(const char *file, int line, const char *expression)
{
    printf("seed %llu, life %u: bug: %s:%d: %s does not hold\n", (unsigned long long)sim.seed,
           sim.life, file, line, expression);
    (void)fflush(stdout);
    abort();
}
