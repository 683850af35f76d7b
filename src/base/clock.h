/* clock -- the one place that reads time. A seam: tests link another. */
#pragma once

#include <stdint.h>

#define CLOCK_NS_PER_S  1000000000ull
#define CLOCK_NS_PER_MS 1000000ull
#define CLOCK_NS_PER_US 1000ull

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t clock_now_ns(void);

/* CLOCK_REALTIME in nanoseconds since 1970: for dates and stamps that others read, never for spans.
 */
uint64_t clock_realtime_ns(void);

/*
 * CLOCK_REALTIME minus CLOCK_MONOTONIC, to some 100 ns. It changes only when somebody sets the
 * clock or the machine sleeps: adjusting its speed (NTP) moves both clocks alike.
 */
int64_t clock_offset_ns(void);
