#include "loadgen/load_block.h"

#include "base/clock.h"
#include "base/units.h"

#include <string.h>

#define LINES         5u
#define GAUGE_COLUMNS 60u

void load_block_bars(char *out, const double *values, uint32_t count)
{
    static const char *const bars[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                       "\u2585", "\u2586", "\u2587", "\u2588"};
    double largest = 0;

    CHECK(count <= LOAD_BLOCK_SECONDS);
    for (uint32_t index = 0; index < count; index++)
        if (values[index] > largest) largest = values[index];
    out[0] = '\0';
    for (uint32_t index = 0; index < count; index++) {
        double share = largest > 0 ? values[index] / largest : 0;
        uint32_t bar = share >= 1 ? 7 : (uint32_t)(share < 0 ? 0 : share * 8);
        strcat(out, values[index] < 0 ? " " : bars[bar]);
    }
}

static void put_gauge(const struct load_interval *last, const struct load_config *config,
                      FILE *file)
{
    uint64_t done_ns = last->start_ns + last->length_ns;
    uint64_t whole_ns = config->duration_ns + config->warmup_ns;
    char gauge[GAUGE_COLUMNS + 1];

    if (config->duration_ns == LOAD_UNLIMITED) {
        (void)fprintf(file, "\033[K\n");
        return;
    }
    uint64_t columns = done_ns >= whole_ns ? GAUGE_COLUMNS : done_ns * GAUGE_COLUMNS / whole_ns;
    memset(gauge, '-', GAUGE_COLUMNS);
    memset(gauge, '#', columns);
    gauge[GAUGE_COLUMNS] = '\0';
    (void)fprintf(file, "[%s]%s\033[K\n", gauge,
                  last->start_ns < config->warmup_ns ? " warm-up" : "");
}

void load_block_show(struct load_progress *progress, const struct load_config *config, FILE *file)
{
    double rates[LOAD_BLOCK_SECONDS];
    double p99s[LOAD_BLOCK_SECONDS];
    char line[LOAD_PROGRESS_MAX];
    char bars[LOAD_BLOCK_BAR_MAX];
    char p99[UNITS_TEXT_MAX] = "-";
    char maximum[UNITS_TEXT_MAX];
    bool is_open = config->rate_per_s > 0;
    uint32_t shown = progress->count < LOAD_BLOCK_SECONDS ? progress->count : LOAD_BLOCK_SECONDS;

    if (shown == 0) return;
    const struct load_interval *intervals = &progress->intervals[progress->count - shown];
    const struct load_interval *last = &intervals[shown - 1];
    for (uint32_t index = 0; index < shown; index++) {
        const struct load_interval_latency *latency =
            is_open ? &intervals[index].response : &intervals[index].service;
        rates[index] = (double)intervals[index].accepted;
        p99s[index] = latency->p99_ns > 0 ? (double)latency->p99_ns : -1;
    }
    const struct load_interval_latency *latency = is_open ? &last->response : &last->service;
    if (latency->p99_ns > 0) (void)units_format_duration(p99, latency->p99_ns);
    if (progress->has_block) (void)fprintf(file, "\033[%uA", LINES);
    progress->has_block = true;
    load_progress_format(line, last, config->duration_ns);
    (void)fprintf(file, "\r%s\033[K\n", line);
    put_gauge(last, config, file);
    load_block_bars(bars, rates, shown);
    (void)fprintf(file, "ok/s %s\033[K\n", bars);
    load_block_bars(bars, p99s, shown);
    (void)fprintf(file, "p99  %s\033[K\n", bars);
    (void)fprintf(file, "%s p99 %s, max %s, busy %.0f %%\033[K\n", is_open ? "response" : "service",
                  p99, units_format_duration(maximum, latency->maximum_ns), 100 * last->busy_ratio);
}
