#include "loadgen/load_hgrm.h"

#include <math.h>

#define NS_PER_MS 1e6
#define TICKS     5.0 /* rows while the distance to 100 % halves */

/* One more row. As everywhere in this format a value is its bucket's top, the maximum too. */
static uint64_t put_row(const struct histogram *histogram, double percentile, FILE *file)
{
    uint64_t value = histogram_percentile(histogram, percentile);
    uint64_t count = histogram_count_between(histogram, 0, value + 1);
    (void)fprintf(file, "%12.3f %2.12f %10llu", (double)value / NS_PER_MS, percentile / 100,
                  (unsigned long long)count);
    if (percentile < 100) (void)fprintf(file, " %14.2f", 1 / (1 - percentile / 100));
    (void)fputc('\n', file);
    return count;
}

static double next_percentile(double percentile)
{
    double halvings = floor(log2(100 / (100 - percentile))) + 1;
    return percentile + 100 / (TICKS * exp2(halvings));
}

void load_hgrm_write(const struct histogram *histogram, FILE *file)
{
    (void)fprintf(file, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                  "1/(1-Percentile)");
    uint64_t below = 0;
    for (double percentile = 0; below < histogram->total_count && percentile < 100;
         percentile = next_percentile(percentile))
        below = put_row(histogram, percentile, file);
    if (histogram->total_count > 0) (void)put_row(histogram, 100, file);
    (void)fprintf(file, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
                  histogram_mean(histogram) / NS_PER_MS,
                  histogram_deviation(histogram) / NS_PER_MS);
    (void)fprintf(file, "#[Max     = %12.3f, Total count    = %12llu]\n",
                  (double)histogram_percentile(histogram, 100) / NS_PER_MS,
                  (unsigned long long)histogram->total_count);
    (void)fprintf(file, "#[Buckets = %12u, SubBuckets     = %12u]\n",
                  histogram->counts_size / (1u << (histogram->sub_bucket_bits - 1)) - 1,
                  1u << histogram->sub_bucket_bits);
}
