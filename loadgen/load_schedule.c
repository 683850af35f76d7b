#include "loadgen/load_schedule.h"

#include "base/clock.h"
#include "base/units.h"

#include <math.h>
#include <string.h>

/* Keeps a schedule's random numbers apart from all others of the seed. */
#define STREAM_OF_SCHEDULES 0x5c4ed01eull

static uint64_t grid_due(const struct load_schedule *schedule)
{
    const struct load_schedule_recipe *recipe = &schedule->recipe;
    uint64_t number = schedule->index * recipe->workers + recipe->worker;
    if (recipe->arrival == LOAD_ARRIVAL_BURST) number -= number % recipe->burst;
    /* Whole seconds apart, so that neither overflow nor rounding adds up. */
    return number / recipe->rate_per_s * CLOCK_NS_PER_S +
           number % recipe->rate_per_s * CLOCK_NS_PER_S / recipe->rate_per_s;
}

static uint64_t poisson_due(struct load_schedule *schedule)
{
    const struct load_schedule_recipe *recipe = &schedule->recipe;
    double mean_ns = (double)CLOCK_NS_PER_S * (double)recipe->workers / (double)recipe->rate_per_s;
    schedule->poisson_ns += -log1p(-random_unit(&schedule->random)) * mean_ns;
    return (uint64_t)schedule->poisson_ns;
}

static uint64_t next_due(struct load_schedule *schedule)
{
    switch (schedule->recipe.arrival) {
    case LOAD_ARRIVAL_POISSON:
        return poisson_due(schedule);
    case LOAD_ARRIVAL_UNIFORM:
    case LOAD_ARRIVAL_BURST:
        return grid_due(schedule);
    }
    CHECK(false); /* an arrival that does not exist */
    return 0;
}

void load_schedule_open(struct load_schedule *schedule, const struct load_schedule_recipe *recipe)
{
    CHECK(recipe->rate_per_s > 0);
    CHECK(recipe->worker < recipe->workers);
    CHECK(recipe->arrival != LOAD_ARRIVAL_BURST || recipe->burst > 0);
    *schedule = (struct load_schedule){.recipe = *recipe};
    random_init(&schedule->random, random_mix(recipe->seed, STREAM_OF_SCHEDULES), recipe->worker);
    schedule->due_ns = next_due(schedule);
}

void load_schedule_advance(struct load_schedule *schedule)
{
    schedule->index++;
    uint64_t due_ns = next_due(schedule);
    CHECK(due_ns >= schedule->due_ns);
    schedule->due_ns = due_ns;
}

bool load_schedule_parse(const char *text, struct load_schedule_recipe *recipe)
{
    static const char burst[] = "burst:";
    uint64_t count = 0;

    recipe->burst = 0;
    if (strcmp(text, "poisson") == 0) {
        recipe->arrival = LOAD_ARRIVAL_POISSON;
    } else if (strcmp(text, "uniform") == 0) {
        recipe->arrival = LOAD_ARRIVAL_UNIFORM;
    } else if (strncmp(text, burst, sizeof burst - 1) == 0) {
        if (!units_parse_count(text + sizeof burst - 1, &count)) return false;
        if (count == 0 || count > LOAD_BURST_MAX) return false;
        recipe->arrival = LOAD_ARRIVAL_BURST;
        recipe->burst = (uint32_t)count;
    } else {
        return false;
    }
    return true;
}
