/*
 * sim_ringsink -- whole worlds of a server, its clients and its disk, by seed.
 *
 * usage: sim_ringsink [-v] SEED          one world; -v tells what happens in it
 *        sim_ringsink FIRST COUNT        a range; ends with the counts of what happened
 *        sim_ringsink --all FIRST COUNT  the same; fails if something never happened
 *        sim_ringsink --stop FIRST COUNT the same; ends at the first seed that fails
 *
 * Exits 1 if a promise was broken; the seed stands in front of what it was.
 */
#include "sim_life.h"
#include "sim_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool tell_counts(void)
{
    bool has_all = true;
#define TELL_COUNT(name)                                                                           \
    printf("%-30s %llu\n", #name, (unsigned long long)sim_counts[SIM_COUNT_##name]);               \
    has_all &= sim_counts[SIM_COUNT_##name] > 0;
    SIM_COUNTS(TELL_COUNT)
#undef TELL_COUNT
    return has_all;
}

static int run_range(uint64_t first, uint64_t count, bool must_have_all, bool must_stop)
{
    uint64_t failed = 0;
    double began = seconds_now();
    for (uint64_t i = 0; i < count && (failed == 0 || !must_stop); i++)
        if (!sim_life_run_world(first + i, false)) failed++;
    double took = seconds_now() - began;
    bool has_all = tell_counts();
    printf("seeds %llu violations %llu rate %.0f/s\n", (unsigned long long)count,
           (unsigned long long)failed, (double)count / took);
    if (must_have_all && !has_all)
        printf("something never happened: more seeds, or other chances\n");
    return failed > 0 || (must_have_all && !has_all) ? 1 : 0;
}

int main(int count, char **arguments)
{
    bool is_verbose = count > 1 && strcmp(arguments[1], "-v") == 0;
    bool is_all = count > 1 && strcmp(arguments[1], "--all") == 0;
    bool must_stop = count > 1 && strcmp(arguments[1], "--stop") == 0;
    int at = is_verbose || is_all || must_stop ? 2 : 1;
    if (count - at == 1)
        return sim_life_run_world(strtoull(arguments[at], NULL, 10), is_verbose) ? 0 : 1;
    if (count - at == 2)
        return run_range(strtoull(arguments[at], NULL, 10), strtoull(arguments[at + 1], NULL, 10),
                         is_all, must_stop);
    (void)fprintf(stderr, "usage: sim_ringsink [-v] SEED | [--all|--stop] FIRST COUNT\n");
    return 2;
}
