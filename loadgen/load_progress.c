#include "loadgen/load_progress.h"

#include "base/clock.h"
#include "base/units.h"
#include "loadgen/load_busy.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int load_progress_open(struct load_progress *progress)
{
    *progress = (struct load_progress){.is_terminal = isatty(STDERR_FILENO) == 1};
    return load_slice_open(&progress->slice);
}

void load_progress_close(struct load_progress *progress)
{
    free(progress->intervals);
    progress->intervals = NULL;
    load_slice_close(&progress->slice);
}

struct sums {
    uint64_t accepted;
    uint64_t due;
    uint64_t failed;
    uint64_t service_sum_ns;
    uint32_t up;
    uint32_t down;
};

static struct sums read_gauges(const struct load_worker *workers, uint32_t count)
{
    struct sums sums = {0};
    for (uint32_t index = 0; index < count; index++) {
        const struct load_gauge *gauge = &workers[index].gauge;
        sums.accepted += atomic_load_explicit(&gauge->accepted, memory_order_relaxed);
        sums.due += atomic_load_explicit(&gauge->due, memory_order_relaxed);
        sums.failed += atomic_load_explicit(&gauge->failed, memory_order_relaxed);
        sums.service_sum_ns += atomic_load_explicit(&gauge->service_sum_ns, memory_order_relaxed);
        sums.up += atomic_load_explicit(&gauge->up, memory_order_relaxed);
        sums.down += atomic_load_explicit(&gauge->down, memory_order_relaxed);
    }
    return sums;
}

/* Largest share of `length_ns` that a worker was busy; brings the last readings up to date. */
static double read_busy(struct load_progress *progress, const struct load_worker *workers,
                        uint32_t count, uint64_t length_ns)
{
    double worst = 0;
    for (uint32_t index = 0; index < count; index++) {
        uint64_t busy_ns = load_busy_ns(workers[index].thread_id);
        uint64_t before_ns = progress->busy_ns[index];
        if (busy_ns < before_ns) continue; /* it has ended */
        progress->busy_ns[index] = busy_ns;
        double ratio = length_ns > 0 ? (double)(busy_ns - before_ns) / (double)length_ns : 0;
        if (ratio > worst) worst = ratio;
    }
    return worst > 1 ? 1 : worst;
}

void load_progress_begin(struct load_progress *progress, const struct load_worker *workers,
                         uint32_t count, uint64_t now_ns)
{
    progress->begin_ns = now_ns;
    progress->last_ns = now_ns;
    (void)read_busy(progress, workers, count, 0);
    if (progress->watches != NULL) load_watch_take(progress->watches, now_ns, NULL);
}

static void keep(struct load_progress *progress, const struct load_interval *interval)
{
    bool is_empty = interval->accepted + interval->failed == 0;
    if (progress->count == LOAD_INTERVALS_MAX) return;
    if (is_empty && interval->length_ns < CLOCK_NS_PER_S / 2) return; /* the run's very end */
    if (progress->count == progress->capacity) {
        uint32_t capacity = progress->capacity == 0 ? 64 : 2 * progress->capacity;
        void *grown = realloc(progress->intervals, capacity * sizeof *progress->intervals);
        if (grown == NULL) return;
        progress->intervals = grown;
        progress->capacity = capacity;
    }
    progress->intervals[progress->count++] = *interval;
}

bool load_progress_is_due(const struct load_progress *progress, const struct load_worker *workers,
                          uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        const struct load_slices *slices = &workers[index].clients.slices;
        bool has_turned =
            atomic_load_explicit(&slices->ended, memory_order_acquire) > progress->taken;
        if (!has_turned && !atomic_load(&workers[index].gauge.is_finished)) return false;
    }
    return true;
}

static struct load_interval_latency summarise(const struct histogram *histogram)
{
    static const double percentiles[] = {50, 90, 99, 99.9};
    uint64_t values[4];
    for (uint32_t index = 0; index < 4; index++)
        if (!load_tally_percentile(histogram, percentiles[index], &values[index]))
            values[index] = 0;
    return (struct load_interval_latency){
        .count = histogram->total_count,
        .p50_ns = values[0],
        .p90_ns = values[1],
        .p99_ns = values[2],
        .p999_ns = values[3],
        .maximum_ns = histogram->maximum,
    };
}

/* A worker whose slice can't be had any more makes the whole interval's latencies unknown. */
static void take_slices(struct load_progress *progress, const struct load_worker *workers,
                        uint32_t count, struct load_interval *interval)
{
    bool is_whole = true;
    load_slice_reset(&progress->slice);
    for (uint32_t index = 0; index < count; index++)
        is_whole &=
            load_slices_merge(&workers[index].clients.slices, progress->taken, &progress->slice);
    progress->taken++;
    if (!is_whole) load_slice_reset(&progress->slice);
    interval->response = summarise(&progress->slice.response);
    interval->service = summarise(&progress->slice.service);
    interval->dot = summarise(&progress->slice.dot);
}

struct load_interval load_progress_take(struct load_progress *progress,
                                        const struct load_worker *workers, uint32_t count,
                                        uint64_t now_ns)
{
    struct sums sums = read_gauges(workers, count);
    uint64_t length_ns = now_ns - progress->last_ns;
    struct load_interval interval = {
        .start_ns = progress->last_ns - progress->begin_ns,
        .length_ns = length_ns,
        .accepted = sums.accepted - progress->accepted,
        .due = sums.due - progress->due,
        .failed = sums.failed - progress->failed,
        .service_sum_ns = sums.service_sum_ns - progress->service_sum_ns,
        .up = sums.up,
        .down = sums.down,
        .busy_ratio = read_busy(progress, workers, count, length_ns),
    };
    take_slices(progress, workers, count, &interval);
    if (progress->watches != NULL) load_watch_take(progress->watches, now_ns, interval.watch);
    progress->last_ns = now_ns;
    progress->accepted = sums.accepted;
    progress->due = sums.due;
    progress->failed = sums.failed;
    progress->service_sum_ns = sums.service_sum_ns;
    keep(progress, &interval);
    return interval;
}

static const char *format_rate(char *out, double rate)
{
    if (rate < 1000)
        (void)snprintf(out, UNITS_TEXT_MAX, "%.0f/s", rate);
    else if (rate < 1e6)
        (void)snprintf(out, UNITS_TEXT_MAX, "%.1fk/s", rate / 1e3);
    else
        (void)snprintf(out, UNITS_TEXT_MAX, "%.2fM/s", rate / 1e6);
    return out;
}

void load_progress_format(char *out, const struct load_interval *interval, uint64_t duration_ns)
{
    char accepted[UNITS_TEXT_MAX];
    char failed[UNITS_TEXT_MAX];
    char mean[UNITS_TEXT_MAX] = "-";
    char whole[UNITS_TEXT_MAX + 1] = "";
    double seconds = (double)interval->length_ns / (double)CLOCK_NS_PER_S;
    uint64_t end_s =
        (interval->start_ns + interval->length_ns + CLOCK_NS_PER_S / 2) / CLOCK_NS_PER_S;

    if (seconds <= 0) seconds = 1;
    if (interval->accepted > 0)
        (void)units_format_duration(mean, interval->service_sum_ns / interval->accepted);
    if (duration_ns != LOAD_UNLIMITED)
        (void)snprintf(whole, sizeof whole, "/%llus",
                       (unsigned long long)(duration_ns / CLOCK_NS_PER_S));
    (void)snprintf(
        out, LOAD_PROGRESS_MAX, "%3llus%s  conn %u  ok %s  fail %s  mean %s  busy %.0f%%",
        (unsigned long long)end_s, whole, interval->up,
        format_rate(accepted, (double)interval->accepted / seconds),
        format_rate(failed, (double)interval->failed / seconds), mean, 100 * interval->busy_ratio);
}

/* 0 is unknown. */
static const char *format_known(char *out, uint64_t value)
{
    if (value == 0) return "null";
    (void)snprintf(out, UNITS_TEXT_MAX, "%llu", (unsigned long long)value);
    return out;
}

void load_progress_format_json(char *out, const struct load_interval *interval,
                               const struct load_config *config)
{
    bool is_open = config->rate_per_s > 0;
    const struct load_interval_latency *latency =
        is_open ? &interval->response : &interval->service;
    char due[UNITS_TEXT_MAX] = "null";
    char p50[UNITS_TEXT_MAX];
    char p99[UNITS_TEXT_MAX];
    char maximum[UNITS_TEXT_MAX];
    int64_t start_ns = (int64_t)interval->start_ns - (int64_t)config->warmup_ns;

    if (is_open) (void)snprintf(due, sizeof due, "%llu", (unsigned long long)interval->due);
    (void)snprintf(out, LOAD_PROGRESS_MAX,
                   "{\"t_ns\": %lld, \"length_ns\": %llu, \"due\": %s, \"accepted\": %llu, "
                   "\"failed\": %llu, \"p50_ns\": %s, \"p99_ns\": %s, \"max_ns\": %s, "
                   "\"open\": %u, \"down\": %u, \"busy_ratio\": %.3f}",
                   (long long)start_ns, (unsigned long long)interval->length_ns, due,
                   (unsigned long long)interval->accepted, (unsigned long long)interval->failed,
                   format_known(p50, latency->p50_ns), format_known(p99, latency->p99_ns),
                   format_known(maximum, latency->maximum_ns), interval->up, interval->down,
                   interval->busy_ratio);
}

uint64_t load_progress_down_worst(const struct load_progress *progress)
{
    uint64_t worst = 0;
    for (uint32_t index = 1; index < progress->count; index++) {
        uint64_t before = progress->intervals[index - 1].down;
        uint64_t now = progress->intervals[index].down;
        uint64_t both = before < now ? before : now;
        /* A last, short interval does not make a second. */
        if (progress->intervals[index].length_ns < CLOCK_NS_PER_S / 2) continue;
        if (both > worst) worst = both;
    }
    return worst;
}

double load_progress_busy_worst(const struct load_progress *progress)
{
    double worst = 0;
    for (uint32_t index = 0; index < progress->count; index++) {
        const struct load_interval *interval = &progress->intervals[index];
        if (interval->length_ns < CLOCK_NS_PER_S / 2) continue;
        if (interval->busy_ratio > worst) worst = interval->busy_ratio;
    }
    return worst;
}

uint32_t load_progress_busy_seconds(const struct load_progress *progress, double ratio)
{
    uint32_t running = 0;
    uint32_t most = 0;
    for (uint32_t index = 0; index < progress->count; index++) {
        running = progress->intervals[index].busy_ratio > ratio ? running + 1 : 0;
        if (running > most) most = running;
    }
    return most;
}
