#include "base/wheel.h"

#include <errno.h>
#include <stdlib.h>

/* wheel_sleep_ns() looks no further ahead than this, so that it stays cheap in a busy loop. */
#define WHEEL_LOOK_AHEAD 64u

static struct wheel_timer *wheel_bucket(const struct wheel *wheel, uint64_t tick)
{
    return &wheel->buckets[tick % wheel->bucket_count];
}

int wheel_open(struct wheel *wheel, uint32_t bucket_count, uint64_t tick_ns, uint64_t now_ns)
{
    CHECK(bucket_count >= 2); /* a timer that is put back must land in another bucket */
    CHECK(tick_ns > 0);

    struct wheel_timer *buckets = calloc(bucket_count, sizeof(*buckets));
    if (buckets == NULL) return -ENOMEM;
    for (uint32_t i = 0; i < bucket_count; i++)
        buckets[i].next = buckets[i].previous = &buckets[i];
    *wheel = (struct wheel){
        .buckets = buckets,
        .tick_ns = tick_ns,
        .tick = now_ns / tick_ns,
        .bucket_count = bucket_count,
    };
    return 0;
}

void wheel_close(struct wheel *wheel)
{
    free(wheel->buckets);
    *wheel = (struct wheel){0};
}

/* The first tick that begins at or after the due time: never early, at most a tick late. */
static uint64_t wheel_due_tick(const struct wheel *wheel, const struct wheel_timer *timer)
{
    return timer->due_ns / wheel->tick_ns + (timer->due_ns % wheel->tick_ns != 0);
}

static void wheel_link(struct wheel *wheel, struct wheel_timer *timer)
{
    uint64_t tick = wheel_due_tick(wheel, timer);
    uint64_t last = wheel->tick + wheel->bucket_count - 1;

    if (tick < wheel->tick) tick = wheel->tick;
    if (tick > last) tick = last;
    struct wheel_timer *bucket = wheel_bucket(wheel, tick);
    timer->next = bucket;
    timer->previous = bucket->previous;
    timer->previous->next = timer;
    bucket->previous = timer;
}

static void wheel_unlink(struct wheel_timer *timer)
{
    CHECK(timer->next->previous == timer);
    CHECK(timer->previous->next == timer);
    timer->next->previous = timer->previous;
    timer->previous->next = timer->next;
    timer->next = NULL;
    timer->previous = NULL;
}

void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ns)
{
    wheel_disarm(wheel, timer);
    timer->due_ns = due_ns;
    wheel_link(wheel, timer);
    wheel->armed_count++;
}

void wheel_disarm(struct wheel *wheel, struct wheel_timer *timer)
{
    if (!wheel_is_armed(timer)) return;
    CHECK(wheel->armed_count > 0);
    wheel_unlink(timer);
    wheel->armed_count--;
}

/*
 * Ticks that need no look: all when nothing is armed, and all but the last turn of the wheel after
 * a long pause, since that turn visits each bucket once and late ticks take what earlier ones left.
 */
static void wheel_skip(struct wheel *wheel, uint64_t now_tick)
{
    if (wheel->armed_count == 0 && wheel->tick <= now_tick) wheel->tick = now_tick + 1;
    if (wheel->tick + wheel->bucket_count <= now_tick)
        wheel->tick = now_tick - wheel->bucket_count + 1;
}

struct wheel_timer *wheel_expire(struct wheel *wheel, uint64_t now_ns)
{
    uint64_t now_tick = now_ns / wheel->tick_ns;

    wheel_skip(wheel, now_tick);
    for (; wheel->tick <= now_tick; wheel->tick++) {
        struct wheel_timer *bucket = wheel_bucket(wheel, wheel->tick);
        while (bucket->next != bucket) {
            struct wheel_timer *timer = bucket->next;
            if (wheel_due_tick(wheel, timer) <= wheel->tick) {
                wheel_disarm(wheel, timer);
                return timer;
            }
            wheel_unlink(timer); /* was beyond the wheel's reach; put it back closer */
            wheel_link(wheel, timer);
        }
    }
    return NULL;
}

uint64_t wheel_sleep_ns(const struct wheel *wheel, uint64_t now_ns, uint64_t longest_ns)
{
    if (wheel->armed_count == 0) return longest_ns;

    uint64_t end = wheel->tick;
    while (end < wheel->tick + WHEEL_LOOK_AHEAD &&
           wheel_bucket(wheel, end)->next == wheel_bucket(wheel, end))
        end++;
    uint64_t wake_ns = end * wheel->tick_ns;
    if (wake_ns <= now_ns) return 0;
    return wake_ns - now_ns < longest_ns ? wake_ns - now_ns : longest_ns;
}
