#include "audit/audit_timeline.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define SAMPLES_BEYOND 10u /* a percentile with fewer above it is not shown (base/histogram) */

struct delivered {
    uint64_t waited_ns;
    uint32_t second;
};

int audit_timeline_open(struct audit_timeline *timeline, uint64_t begin_ns, uint64_t capacity)
{
    *timeline = (struct audit_timeline){.begin_ns = begin_ns, .capacity = capacity};
    timeline->accepted = calloc(capacity + 1, sizeof(*timeline->accepted));
    timeline->delivered = calloc(capacity + 1, sizeof(struct delivered));
    if (timeline->accepted != NULL && timeline->delivered != NULL) return 0;
    audit_timeline_close(timeline);
    return -ENOMEM;
}

void audit_timeline_close(struct audit_timeline *timeline)
{
    free(timeline->accepted);
    free(timeline->delivered);
    *timeline = (struct audit_timeline){0};
}

/* False, and counted: too late for a row. */
static bool find_second(struct audit_timeline *timeline, uint64_t time_ns, uint32_t *second)
{
    CHECK(time_ns >= timeline->begin_ns);
    uint64_t seconds = (time_ns - timeline->begin_ns) / CLOCK_NS_PER_S;
    bool is_late = seconds >= AUDIT_TIMELINE_SECONDS_MAX;

    timeline->left_out += is_late;
    *second = is_late ? 0 : (uint32_t)seconds;
    return !is_late;
}

void audit_timeline_accept(struct audit_timeline *timeline, uint64_t accepted_ns)
{
    uint32_t second;

    CHECK(timeline->accepted_count < timeline->capacity);
    if (find_second(timeline, accepted_ns, &second))
        timeline->accepted[timeline->accepted_count++] = second;
}

void audit_timeline_deliver(struct audit_timeline *timeline, uint64_t accepted_ns,
                            uint64_t waited_ns)
{
    struct delivered *delivered = timeline->delivered;
    uint32_t second;

    CHECK(timeline->delivered_count < timeline->capacity);
    if (!find_second(timeline, accepted_ns + waited_ns, &second)) return;
    delivered[timeline->delivered_count++] =
        (struct delivered){.waited_ns = waited_ns, .second = second};
}

static int compare_seconds(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

static int compare_delivered(const void *left, const void *right)
{
    const struct delivered *a = left;
    const struct delivered *b = right;
    if (a->second != b->second) return compare_seconds(&a->second, &b->second);
    return (a->waited_ns > b->waited_ns) - (a->waited_ns < b->waited_ns);
}

void audit_timeline_begin(struct audit_timeline *timeline)
{
    qsort(timeline->accepted, timeline->accepted_count, sizeof(*timeline->accepted),
          compare_seconds);
    qsort(timeline->delivered, timeline->delivered_count, sizeof(struct delivered),
          compare_delivered);
    timeline->accepted_at = 0;
    timeline->delivered_at = 0;
    timeline->second = 0;
}

/* Of `count` in order. */
static uint64_t percentile_of(const struct delivered *delivered, uint64_t count, uint64_t percent)
{
    uint64_t rank = (count * percent + 99) / 100;

    if (count < rank + SAMPLES_BEYOND) return AUDIT_TIMELINE_UNKNOWN;
    return delivered[rank == 0 ? 0 : rank - 1].waited_ns;
}

bool audit_timeline_next(struct audit_timeline *timeline, struct audit_timeline_row *row)
{
    const struct delivered *delivered = timeline->delivered;
    uint64_t from = timeline->delivered_at;
    uint64_t accepted_from = timeline->accepted_at;

    if (from == timeline->delivered_count && accepted_from == timeline->accepted_count)
        return false;
    while (timeline->accepted_at < timeline->accepted_count &&
           timeline->accepted[timeline->accepted_at] == timeline->second)
        timeline->accepted_at++;
    while (timeline->delivered_at < timeline->delivered_count &&
           delivered[timeline->delivered_at].second == timeline->second)
        timeline->delivered_at++;
    CHECK(timeline->accepted_at >= timeline->delivered_at);
    uint64_t count = timeline->delivered_at - from;
    *row = (struct audit_timeline_row){
        .second = timeline->second++,
        .accepted = timeline->accepted_at - accepted_from,
        .delivered = count,
        .backlog = timeline->accepted_at - timeline->delivered_at,
        .p50_ns = percentile_of(delivered + from, count, 50),
        .p99_ns = percentile_of(delivered + from, count, 99),
        .max_ns = count == 0 ? AUDIT_TIMELINE_UNKNOWN : delivered[from + count - 1].waited_ns,
    };
    return true;
}
