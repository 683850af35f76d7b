#include "loadgen/load_files.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "loadgen/load_hgrm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATH_SIZE 4096u

static const char *const hgrm_names[LOAD_HGRM_COUNT] = {"response", "service", "dot", "lateness"};

static FILE *open_file(const char *path, const char *what)
{
    FILE *file = path == NULL ? NULL : fopen(path, "we");
    if (path != NULL && file == NULL)
        die(EXIT_CODE_USAGE, "cannot write the %s to %s: %s", what, path, strerror(errno));
    return file;
}

static void open_hgrm(struct load_files *files, const struct load_config *config)
{
    char path[PATH_SIZE];
    for (uint32_t index = 0; index < LOAD_HGRM_COUNT && config->hdr_prefix != NULL; index++) {
        bool is_of_open_loop = index == 0 || index == 3;
        if (is_of_open_loop && config->rate_per_s == 0) continue;
        int size = snprintf(path, sizeof path, "%s.%s.hgrm", config->hdr_prefix, hgrm_names[index]);
        if (size < 0 || (size_t)size >= sizeof path)
            die(EXIT_CODE_USAGE, "--hdr: the prefix is too long");
        files->hgrm[index] = open_file(path, "percentile table");
    }
}

static void put_csv_head(FILE *file, uint32_t watches)
{
    static const char *const spans[] = {"response", "service", "dot"};
    static const char *const values[] = {"p50", "p90", "p99", "p99_9", "max"};

    (void)fprintf(file, "time_s,length_s,due,accepted,failed,open,down,busy");
    for (uint32_t span = 0; span < 3; span++)
        for (uint32_t value = 0; value < 5; value++)
            (void)fprintf(file, ",%s_%s_ms", spans[span], values[value]);
    for (uint32_t watch = 1; watch <= watches; watch++)
        (void)fprintf(file, ",watch%u_cpu,watch%u_rss_bytes,watch%u_io_bytes_per_s", watch, watch,
                      watch);
    (void)fputc('\n', file);
}

/* Log version 1.3: starts are relative to BaseTime, values in ns, the third column in ms. */
static void put_hlog_head(FILE *file, uint64_t realtime_ns)
{
    char date[64];
    struct tm utc;
    time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
    double base = (double)realtime_ns / (double)CLOCK_NS_PER_S;

    CHECK(gmtime_r(&seconds, &utc) != NULL);
    (void)strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &utc);
    (void)fprintf(file,
                  "#[Histogram log format version 1.3]\n"
                  "#[StartTime: %.3f (seconds since epoch), %s]\n"
                  "#[BaseTime: %.3f (seconds since epoch)]\n"
                  "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
                  "\"Interval_Compressed_Histogram\"\n",
                  base, date, base);
}

void load_files_open(struct load_files *files, const struct load_config *config,
                     uint64_t started_realtime_ns)
{
    *files = (struct load_files){
        .csv = open_file(config->csv, "CSV"),
        .hlog = open_file(config->hlog, "histogram log"),
    };
    open_hgrm(files, config);
    if (files->csv != NULL) put_csv_head(files->csv, load_watch_count(config->watch));
    if (files->hlog != NULL) put_hlog_head(files->hlog, started_realtime_ns);
}

/* Unknown is an empty field. */
static void put_ms(FILE *file, uint64_t value_ns)
{
    (void)fputc(',', file);
    if (value_ns > 0) (void)fprintf(file, "%.3f", (double)value_ns / (double)CLOCK_NS_PER_MS);
}

static void put_latency(FILE *file, const struct load_interval_latency *latency)
{
    put_ms(file, latency->p50_ns);
    put_ms(file, latency->p90_ns);
    put_ms(file, latency->p99_ns);
    put_ms(file, latency->p999_ns);
    put_ms(file, latency->maximum_ns);
}

static double seconds_of(uint64_t ns)
{
    return (double)ns / (double)CLOCK_NS_PER_S;
}

static void put_watch(FILE *file, const struct load_watch_row *row)
{
    if (!row->is_known) {
        (void)fputs(",,,", file);
        return;
    }
    (void)fprintf(file, ",%.3f,%llu,", row->cpu_ratio, (unsigned long long)row->rss_bytes);
    if (row->has_io) (void)fprintf(file, "%.0f", row->io_bytes_per_s);
}

static void put_csv(FILE *file, const struct load_config *config,
                    const struct load_interval *interval)
{
    (void)fprintf(file, "%.3f,%.3f,",
                  seconds_of(interval->start_ns) - seconds_of(config->warmup_ns),
                  seconds_of(interval->length_ns));
    if (config->rate_per_s > 0) (void)fprintf(file, "%llu", (unsigned long long)interval->due);
    (void)fprintf(file, ",%llu,%llu,%u,%u,%.3f", (unsigned long long)interval->accepted,
                  (unsigned long long)interval->failed, interval->up, interval->down,
                  interval->busy_ratio);
    put_latency(file, &interval->response);
    put_latency(file, &interval->service);
    put_latency(file, &interval->dot);
    for (uint32_t watch = 0; watch < load_watch_count(config->watch); watch++)
        put_watch(file, &interval->watch[watch]);
    (void)fputc('\n', file);
}

static void put_hlog(struct load_files *files, const char *tag,
                     const struct load_interval *interval, const struct histogram *histogram)
{
    if (histogram->total_count == 0) return;
    char *encoded = histogram_encode(histogram);
    if (encoded == NULL) {
        files->error = ENOMEM;
        return;
    }
    (void)fprintf(files->hlog, "Tag=%s,%.3f,%.3f,%.3f,%s\n", tag, seconds_of(interval->start_ns),
                  seconds_of(interval->length_ns),
                  (double)histogram->maximum / (double)CLOCK_NS_PER_MS, encoded);
    free(encoded);
}

void load_files_put(struct load_files *files, const struct load_config *config,
                    const struct load_interval *interval, const struct load_slice *slice)
{
    if (files->csv != NULL) put_csv(files->csv, config, interval);
    if (files->hlog == NULL) return;
    put_hlog(files, "response", interval, &slice->response);
    put_hlog(files, "service", interval, &slice->service);
    put_hlog(files, "dot", interval, &slice->dot);
}

static void close_file(struct load_files *files, FILE *file)
{
    if (file == NULL) return;
    bool has_failed = ferror(file) != 0;
    if (fclose(file) != 0) has_failed = true;
    if (has_failed && files->error == 0) files->error = errno != 0 ? errno : EIO;
}

int load_files_close(struct load_files *files, const struct load_tally *tally)
{
    const struct histogram *histograms[LOAD_HGRM_COUNT] = {
        &tally->response, &tally->service, &tally->phases[LOAD_PHASE_DOT], &tally->lateness};
    for (uint32_t index = 0; index < LOAD_HGRM_COUNT; index++) {
        if (files->hgrm[index] != NULL) load_hgrm_write(histograms[index], files->hgrm[index]);
        close_file(files, files->hgrm[index]);
    }
    close_file(files, files->csv);
    close_file(files, files->hlog);
    return -files->error;
}
