#include "loadgen/load_steady.h"

#include <math.h>

struct sums {
    double count;
    double x;
    double y;
    double xx;
    double xy;
    double yy;
};

static struct sums add_up(const double *values, uint32_t from, uint32_t to)
{
    struct sums sums = {0};
    for (uint32_t index = from; index < to; index++) {
        double x = (double)index;
        if (values[index] < 0) continue;
        sums.count += 1;
        sums.x += x;
        sums.y += values[index];
        sums.xx += x * x;
        sums.xy += x * values[index];
        sums.yy += values[index] * values[index];
    }
    return sums;
}

static double compare_halves(const double *values, uint32_t count)
{
    struct sums first = add_up(values, 0, count / 2);
    struct sums second = add_up(values, count - count / 2, count);
    if (first.count == 0 || second.count == 0 || first.y <= 0) return 0;
    return second.y / second.count / (first.y / first.count);
}

struct load_trend load_steady_measure(const double *values, uint32_t count)
{
    struct load_trend trend = {0};
    struct sums sums = add_up(values, 0, count);

    if (sums.count < LOAD_STEADY_SECONDS || sums.y <= 0) return trend;
    double mean = sums.y / sums.count;
    double spread_x = sums.xx - sums.x * sums.x / sums.count;
    double spread_y = sums.yy - sums.y * mean;
    double together = sums.xy - sums.x * mean;
    double slope = together / spread_x;
    double rest = spread_y - slope * together;
    /* A line through all points leaves nothing but rounding. */
    double deviation = rest > 0 ? sqrt(rest / (sums.count - 2) / spread_x) : 0;
    trend.is_known = true;
    trend.drift_ratio = slope * (double)(count - 1) / mean;
    trend.halves_ratio = compare_halves(values, count);
    trend.is_drift = fabs(trend.drift_ratio) > LOAD_DRIFT_LIMIT &&
                     fabs(slope) > LOAD_DRIFT_DEVIATIONS * deviation;
    return trend;
}
