#include "loadgen/load_report.h"

#include "base/clock.h"
#include "base/units.h"
#include "loadgen/load_tls_report.h"

#include <math.h>
#include <string.h>

#define COLUMNS        78u
#define HISTOGRAM_ROWS 12u
#define BAR_COLUMNS    48u
#define REAP_SHARE     0.05 /* of the p50: a larger error is said */

const char *load_report_duration(char *out, uint64_t value_ns, uint64_t scale_ns)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {{"s", CLOCK_NS_PER_S}, {"ms", CLOCK_NS_PER_MS}, {"us", CLOCK_NS_PER_US}};
    uint32_t unit = 0;

    while (unit < 2 && scale_ns < units[unit].factor)
        unit++;
    /* Four figures would be more than is known: such a value has a unit of its own. */
    if (unit > 0 && (double)value_ns >= 999.5 * (double)units[unit].factor) unit--;
    double value = (double)value_ns / (double)units[unit].factor;
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    (void)snprintf(out, LOAD_REPORT_VALUE_MAX, "%.*f%s", decimals, value, units[unit].name);
    return out;
}

/* A row's unit is the one that most of its values read well in. */
static uint64_t row_scale(const struct histogram *histogram)
{
    uint64_t ten_medians_ns = 10 * histogram_percentile(histogram, 50);
    return histogram->maximum < ten_medians_ns ? histogram->maximum : ten_medians_ns;
}

static const char *count_text(char *out, uint64_t count)
{
    return units_format_count(out, count);
}

/* `text` broken at blanks to fit the page behind `column`; the first line has begun there. */
static void put_wrapped(FILE *file, const char *text, uint32_t column)
{
    uint32_t room = COLUMNS - column;
    for (;;) {
        size_t size = strlen(text);
        if (size > room) {
            size = room;
            while (size > 0 && text[size] != ' ')
                size--;
            if (size == 0) size = strcspn(text, " ");
        }
        (void)fprintf(file, "%.*s\n", (int)size, text);
        text += size;
        while (*text == ' ')
            text++;
        if (*text == '\0') return;
        (void)fprintf(file, "%*s", (int)column, "");
    }
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* "10 000", or what a distribution comes to. */
static const char *put_length(char *out, const struct load_length *length)
{
    if (length->kind == LOAD_LENGTH_FIXED) return count_text(out, length->slots[0]);
    (void)snprintf(out, UNITS_TEXT_MAX, "%s, mean %.0f", load_length_kind_name(length->kind),
                   load_length_mean(length));
    return out;
}

/* --session: what is counted and timed are sessions. */
static bool is_of_sessions(const struct load_result *result)
{
    const char *path = result->config->session_text;
    return path != NULL && path[0] != '\0';
}

static void put_head(const struct load_result *result, FILE *file)
{
    const struct load_plan *plan = result->plan;
    char a[UNITS_TEXT_MAX];
    char b[UNITS_TEXT_MAX];
    char line[256 + NET_TEXT_MAX];
    char loop[64] = "closed loop";

    if (plan->rate_per_s > 0)
        (void)snprintf(loop, sizeof loop, "open loop, %s %s/s %s", count_text(a, plan->rate_per_s),
                       is_of_sessions(result) ? "sessions" : "msg", result->config->arrival_text);
    (void)snprintf(line, sizeof line, "loadgen %s  %s  %s, %llu connection%s, %u thread%s",
                   result->version, result->environment.target, loop,
                   (unsigned long long)plan->connections, plural(plan->connections), plan->workers,
                   plural(plan->workers));
    put_wrapped(file, line, 0);
    if (is_of_sessions(result))
        (void)fprintf(file, "sessions of %s, bodies of %s octets\n", result->config->session_text,
                      put_length(a, &result->config->length));
    else
        (void)fprintf(file, "pipelining %s, bodies of %s octets, %s recipient%s a message\n",
                      load_pipelining_name(result->mode), put_length(a, &result->config->length),
                      result->config->recipients_text, plural(result->config->recipients_max));
    load_tls_report_head(result, file);
    (void)fprintf(file, "%s measured%s", units_format_duration(a, result->measured_ns),
                  result->is_aborted ? ", ABORTED" : "");
    if (plan->warmup_ns > 0)
        (void)fprintf(file, " after %s of warm-up", units_format_duration(a, plan->warmup_ns));
    (void)fprintf(file, " (connecting took %s)\n", units_format_duration(b, result->ramp_ns));
    if (result->merged_count > 0) {
        char names[LOAD_MERGED_HOSTS_MAX + 64];
        (void)snprintf(names, sizeof names, "added up from %u runs: %s", result->merged_count,
                       result->merged_hosts);
        put_wrapped(file, names, 0);
        return;
    }
    (void)fprintf(file, "run %016llx  seed %llu\n", (unsigned long long)result->run,
                  (unsigned long long)result->config->seed);
}

/* Starts later than the limit: of all messages, and of those that an idle session waited for. */
static uint64_t count_late(const struct histogram *lateness, uint64_t limit_ns)
{
    return histogram_count_between(lateness, limit_ns + 1, UINT64_MAX);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

static void put_schedule(const struct load_result *result, FILE *file)
{
    const struct load_tally *tally = &result->tally;
    uint64_t own = count_late(&tally->late_own, result->late_limit_ns);
    char limit[UNITS_TEXT_MAX];

    (void)fprintf(file, "schedule kept (%.2f %% started within %s), busy %.0f %%\n",
                  100 - percent(own, tally->due),
                  units_format_duration(limit, result->late_limit_ns),
                  100 * result->busy_max_ratio);
}

/* Late, and no doing of ours. */
static void put_late_note(const struct load_result *result, FILE *file)
{
    const struct load_tally *tally = &result->tally;
    uint64_t late = count_late(&tally->lateness, result->late_limit_ns);
    uint64_t own = count_late(&tally->late_own, result->late_limit_ns);
    char line[256];

    if (late - own <= tally->due / 100) return;
    (void)snprintf(line, sizeof line,
                   "note: %.1f %% of the messages started late because all sessions were busy: the "
                   "server, or too small a -c, is the limit",
                   percent(late - own, tally->due));
    put_wrapped(file, line, 0);
}

/* M12: completions are looked at in batches; what they wait for that is no time of the server's. */
static void put_reap_note(const struct load_result *result, FILE *file)
{
    uint64_t median_ns = histogram_percentile(load_result_headline(result), 50);
    uint64_t reap_ns = histogram_percentile(&result->tally.reap, 99);
    char delay[UNITS_TEXT_MAX];
    char line[256];

    if (median_ns == 0 || (double)reap_ns <= REAP_SHARE * (double)median_ns) return;
    (void)snprintf(line, sizeof line,
                   "note: replies may have waited up to %s (reap delay p99, %.0f %% of the p50) "
                   "before they were looked at: latencies may be so much too long",
                   units_format_duration(delay, reap_ns),
                   100 * (double)reap_ns / (double)median_ns);
    put_wrapped(file, line, 0);
}

static void put_notes(const struct load_result *result, FILE *file)
{
    enum load_pipelining asked = (enum load_pipelining)result->config->pipelining;
    char line[256];

    put_late_note(result, file);
    put_reap_note(result, file);
    if (result->environment.is_same_host) {
        (void)snprintf(line, sizeof line,
                       "note: the target is this host: loadgen and the server share %u CPU%s",
                       result->environment.cpus_online, plural(result->environment.cpus_online));
        put_wrapped(file, line, 0);
    }
    if (asked != LOAD_PIPELINING_AUTO && result->mode != asked && result->tally.reached > 0) {
        (void)snprintf(line, sizeof line,
                       "note: --pipelining %s was asked for, but the server does not offer it: %s",
                       load_pipelining_name(asked), load_pipelining_name(result->mode));
        put_wrapped(file, line, 0);
    }
}

static void put_verdict(const struct load_result *result, FILE *file)
{
    const struct load_verdict *verdict = &result->verdict;

    (void)fprintf(file, "\nVERDICT  %-8s ", load_verdict_name(verdict->status));
    if (verdict->reason_count == 0 && result->plan->rate_per_s > 0)
        put_schedule(result, file);
    else if (verdict->reason_count == 0)
        (void)fprintf(file, "generator busy %.0f %%\n", 100 * result->busy_max_ratio);
    for (uint32_t index = 0; index < verdict->reason_count; index++) {
        if (index > 0) (void)fprintf(file, "%18s", "");
        put_wrapped(file, verdict->reasons[index], 18);
    }
    put_notes(result, file);
}

static void put_totals(const struct load_result *result, FILE *file)
{
    const struct load_tally *tally = &result->tally;
    uint64_t accepted = tally->outcomes[LOAD_OUTCOME_ACCEPTED];
    double body_per_s = result->body_bytes_per_s;
    char a[UNITS_TEXT_MAX];
    char b[UNITS_TEXT_MAX];
    char c[UNITS_TEXT_MAX];
    char d[UNITS_TEXT_MAX];

    bool is_open = result->plan->rate_per_s > 0;
    bool is_written = is_of_sessions(result);
    uint64_t asked = is_open ? tally->due : tally->started;

    (void)fprintf(file, "\n%-11s %11s %-7s %11s %s (%.3f %%) %7s failed\n",
                  is_written ? "sessions" : "messages", count_text(a, asked),
                  is_open ? "due" : "started", count_text(b, accepted),
                  is_written ? "as written" : "accepted", percent(accepted, asked),
                  count_text(c, load_tally_failed(tally) + tally->dropped));
    (void)fprintf(file, "rate        ");
    if (is_open)
        (void)fprintf(file, "%11s due/s   ", count_text(a, (uint64_t)(result->due_per_s + 0.5)));
    (void)fprintf(file, "%11s %s %8.1f MB/s body\n",
                  count_text(a, (uint64_t)(result->accepted_per_s + 0.5)),
                  is_written ? "sessions/s" : "accepted/s", body_per_s / 1e6);
    if (is_written)
        (void)fprintf(file, "messages    %11s accepted %11s refused\n",
                      count_text(a, tally->score.messages_kept),
                      count_text(b, tally->score.messages_refused));
    (void)fprintf(file, "connections %11s asked %13s reached %7s lost, %s reopened\n",
                  count_text(a, result->plan->connections), count_text(b, tally->reached),
                  count_text(c, tally->lost), count_text(d, tally->reconnects));
    if (result->config->scenario != LOAD_SCENARIO_DELIVER)
        (void)fprintf(file, "sessions    %11s ready %17.1f connections/s\n",
                      count_text(a, tally->sessions_in_time),
                      load_result_per_s(result, tally->sessions_in_time));
    load_tls_report_totals(result, file);
    (void)fprintf(file, "recipients  %11s accepted %10s rejected\n",
                  count_text(a, tally->recipients_accepted),
                  count_text(b, tally->recipients_rejected));
}

/* A percentile that fewer than ten samples lie beyond is none. */
static const char *percentile_text(char *out, const struct histogram *histogram, double percentile,
                                   uint64_t scale_ns)
{
    uint64_t value;
    if (!load_tally_percentile(histogram, percentile, &value)) return "-";
    return load_report_duration(out, value, scale_ns);
}

/* The same of response times, ">=" where messages that were cut off are among those below. */
static const char *bound_text(char *out, const struct load_tally *tally,
                              const struct histogram *histogram, uint64_t value_ns,
                              uint64_t scale_ns)
{
    bool is_bound = histogram == &tally->response && load_tally_is_bound(tally, value_ns);
    char value[LOAD_REPORT_VALUE_MAX];
    (void)snprintf(out, LOAD_REPORT_VALUE_MAX + 2, "%s%s", is_bound ? ">=" : "",
                   load_report_duration(value, value_ns, scale_ns));
    return out;
}

static const char *latency_text(char *out, const struct load_tally *tally,
                                const struct histogram *histogram, double percentile,
                                uint64_t scale_ns)
{
    uint64_t value;
    if (!load_tally_percentile(histogram, percentile, &value)) return "-";
    return bound_text(out, tally, histogram, value, scale_ns);
}

static void put_latency_row(const char *name, const struct load_tally *tally,
                            const struct histogram *histogram, FILE *file)
{
    static const double shown[] = {50, 90, 99, 99.9};
    uint64_t scale_ns = row_scale(histogram);
    uint64_t mean_ns = (uint64_t)histogram_mean(histogram);
    char text[LOAD_REPORT_VALUE_MAX + 2];

    (void)fprintf(file, "%-9s %8s", name, load_report_duration(text, histogram->minimum, scale_ns));
    for (uint32_t index = 0; index < 4; index++)
        (void)fprintf(file, " %8s", latency_text(text, tally, histogram, shown[index], scale_ns));
    (void)fprintf(file, " %8s", bound_text(text, tally, histogram, histogram->maximum, scale_ns));
    /* Any message that was cut off makes the mean too small. */
    bool is_bound = histogram == &tally->response && tally->unfinished.total_count > 0;
    (void)fprintf(file, "%s%*s\n", is_bound ? " >=" : " ", is_bound ? 6 : 8,
                  load_report_duration(text, mean_ns, scale_ns));
}

static void put_bar(FILE *file, uint64_t count, uint64_t largest)
{
    uint64_t columns = largest > 0 ? (count * BAR_COLUMNS + largest - 1) / largest : 0;
    for (uint64_t column = 0; column < columns; column++)
        (void)fputc('#', file);
    (void)fputc('\n', file);
}

void load_report_histogram(const struct histogram *histogram, FILE *file)
{
    uint64_t bounds[HISTOGRAM_ROWS + 1];
    uint64_t counts[HISTOGRAM_ROWS];
    uint64_t largest = 0;
    uint64_t scale_ns = row_scale(histogram);
    double low = histogram->minimum > 0 ? (double)histogram->minimum : 1;
    double ratio = (double)histogram->maximum / low;
    char value[LOAD_REPORT_VALUE_MAX];
    char count[UNITS_TEXT_MAX];

    if (histogram->total_count == 0) return;
    for (uint32_t row = 0; row <= HISTOGRAM_ROWS; row++)
        bounds[row] = (uint64_t)ceil(low * pow(ratio, (double)row / HISTOGRAM_ROWS));
    bounds[0] = 0;
    bounds[HISTOGRAM_ROWS] = histogram->maximum;
    for (uint32_t row = 0; row < HISTOGRAM_ROWS; row++) {
        uint64_t end = row + 1 == HISTOGRAM_ROWS ? UINT64_MAX : bounds[row + 1];
        counts[row] = histogram_count_between(histogram, bounds[row], end);
        if (counts[row] > largest) largest = counts[row];
    }
    for (uint32_t row = 0; row < HISTOGRAM_ROWS; row++) {
        (void)fprintf(file, "  <%9s %13s  ", load_report_duration(value, bounds[row + 1], scale_ns),
                      count_text(count, counts[row]));
        put_bar(file, counts[row], largest);
    }
}

static void put_meaning(const struct load_result *result, FILE *file)
{
    if (result->plan->rate_per_s > 0) {
        put_wrapped(
            file,
            "  response: from when it was due; service: from when it started; lateness: the "
            "difference",
            2);
        return;
    }
    if (is_of_sessions(result))
        (void)fprintf(file, "  (greeting to the session's end, its pauses included)\n");
    else
        (void)fprintf(file, "  (first octet of MAIL to last reply, accepted messages)\n");
    put_wrapped(file,
                "  closed loop: stalls hide other messages, so these are no response times; with "
                "--rate there are some",
                2);
}

static void put_confidence(const struct load_result *result, FILE *file)
{
    uint64_t scale_ns = row_scale(load_result_headline(result));
    struct load_interval95 interval;
    char low[LOAD_REPORT_VALUE_MAX];
    char high[LOAD_REPORT_VALUE_MAX];

    if (!load_result_confidence(result, 99, &interval)) return;
    (void)fprintf(file, "  %s p99 is between %s and %s (95 %%)\n",
                  result->plan->rate_per_s > 0 ? "response" : "service",
                  load_report_duration(low, interval.low, scale_ns),
                  load_report_duration(high, interval.high, scale_ns));
}

static void put_latency(const struct load_result *result, FILE *file)
{
    const struct load_tally *tally = &result->tally;

    if (tally->service.total_count == 0) return;
    (void)fprintf(file, "\n%-9s %8s %8s %8s %8s %8s %8s %8s\n", "latency", "min", "p50", "p90",
                  "p99", "p99.9", "max", "mean");
    bool is_open = result->plan->rate_per_s > 0;
    if (is_open) put_latency_row("response", tally, &tally->response, file);
    put_latency_row("service", tally, &tally->service, file);
    if (is_open) put_latency_row("lateness", tally, &tally->lateness, file);
    put_confidence(result, file);
    put_meaning(result, file);
    if (!result->config->no_histogram)
        load_report_histogram(is_open ? &tally->response : &tally->service, file);
    if (tally->unfinished.total_count > 0)
        put_latency_row("cut off", tally, &tally->unfinished, file);
    if (tally->failure.total_count > 0) put_latency_row("failure", tally, &tally->failure, file);
}

static void put_phases(const struct load_result *result, FILE *file)
{
    char count[UNITS_TEXT_MAX];
    char text[LOAD_REPORT_VALUE_MAX];

    (void)fprintf(file, "\n%-9s %13s %9s %9s %9s %9s\n", "phase", "n", "p50", "p99", "p99.9",
                  "max");
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT; phase++) {
        const struct histogram *histogram = &result->tally.phases[phase];
        uint64_t scale_ns = row_scale(histogram);
        if (histogram->total_count == 0) continue;
        (void)fprintf(file, "%-9s %13s %9s", load_phase_name((enum load_phase)phase),
                      count_text(count, histogram->total_count),
                      percentile_text(text, histogram, 50, scale_ns));
        (void)fprintf(file, " %9s", percentile_text(text, histogram, 99, scale_ns));
        (void)fprintf(file, " %9s", percentile_text(text, histogram, 99.9, scale_ns));
        (void)fprintf(file, " %9s\n", load_report_duration(text, histogram->maximum, scale_ns));
    }
}

/* Means over the measured seconds, and the largest. */
static void put_watch(const struct load_result *result, uint32_t watch, FILE *file)
{
    const struct load_progress *progress = result->progress;
    double seconds = 0;
    double seconds_of_io = 0;
    struct load_watch_row sum = {0};
    struct load_watch_row most = {0};
    char mean_rss[UNITS_TEXT_MAX];
    char most_rss[UNITS_TEXT_MAX];

    for (uint32_t index = 0; index < progress->count; index++) {
        const struct load_watch_row *row = &progress->intervals[index].watch[watch];
        if (!row->is_known || !load_result_is_measured(result, &progress->intervals[index]))
            continue;
        seconds += 1;
        seconds_of_io += row->has_io ? 1 : 0;
        sum.cpu_ratio += row->cpu_ratio;
        sum.rss_bytes += row->rss_bytes;
        sum.io_bytes_per_s += row->io_bytes_per_s;
        if (row->cpu_ratio > most.cpu_ratio) most.cpu_ratio = row->cpu_ratio;
        if (row->rss_bytes > most.rss_bytes) most.rss_bytes = row->rss_bytes;
        if (row->io_bytes_per_s > most.io_bytes_per_s) most.io_bytes_per_s = row->io_bytes_per_s;
    }
    (void)fprintf(file, "watched      %s: ", result->watches->items[watch].what);
    if (seconds == 0) {
        (void)fputs("not seen for a whole second\n", file);
        return;
    }
    (void)fprintf(file, "cpu %.0f %% (of %u %%), most %.0f %%\n", 100 * sum.cpu_ratio / seconds,
                  100 * result->environment.cpus_online, 100 * most.cpu_ratio);
    (void)fprintf(file, "%13srss %s, most %s", "",
                  units_format_size(mean_rss, (uint64_t)((double)sum.rss_bytes / seconds)),
                  units_format_size(most_rss, most.rss_bytes));
    if (seconds_of_io > 0)
        (void)fprintf(file, "; io %.1f MB/s, most %.1f MB/s",
                      sum.io_bytes_per_s / seconds_of_io / 1e6, most.io_bytes_per_s / 1e6);
    (void)fputc('\n', file);
}

static void put_watches(const struct load_result *result, FILE *file)
{
    if (result->watches == NULL || result->watches->count == 0) return;
    (void)fputc('\n', file);
    for (uint32_t watch = 0; watch < result->watches->count; watch++)
        put_watch(result, watch, file);
}

/* --session: how each dialogue fared, and where in the file sessions left it. */
static void put_score(const struct load_result *result, FILE *file)
{
    const struct load_score *score = &result->tally.score;
    char a[UNITS_TEXT_MAX];
    char b[UNITS_TEXT_MAX];

    if (score->count == 0) return;
    (void)fprintf(file, "\n%-32s %11s %11s\n", "dialogue", "as written", "failed");
    for (uint32_t index = 0; index < score->count; index++)
        (void)fprintf(file, "%-32s %11s %11s\n", score->rows[index].name,
                      count_text(a, score->rows[index].as_written),
                      count_text(b, score->rows[index].failed));
    for (uint32_t index = 0; index < score->step_count; index++)
        (void)fprintf(file, "%-9s %13s  at line %u of %s\n", "failed",
                      count_text(a, score->steps[index].count), score->steps[index].line,
                      result->config->session_text);
    if (score->steps_beyond > 0)
        (void)fprintf(file, "%-9s %13s  at further lines\n", "failed",
                      count_text(a, score->steps_beyond));
}

static void put_refusal(const struct load_tally *tally, const struct load_tally_row *row,
                        FILE *file)
{
    char count[UNITS_TEXT_MAX];
    char escaped[2 * LOAD_REPLY_TEXT_MAX];

    (void)fprintf(file, "%-9s %13s  %u at %s\n", "refused",
                  count_text(count, tally->replies[row->phase][row->code - 200]), row->code,
                  load_phase_name(row->phase));
    for (uint32_t index = 0; index < row->text_count; index++) {
        const struct load_tally_text *text = &row->texts[index];
        bytes_escape(bytes_make(text->octets, text->size), escaped, COLUMNS - 25);
        (void)fprintf(file, "%25s%s\n", "", escaped);
    }
}

static void put_error(const struct load_tally_error *error, FILE *file)
{
    char count[UNITS_TEXT_MAX];
    bool is_connection = error->kind == LOAD_OUTCOME_CONNECTION;

    (void)fprintf(file, "%-9s %13s  %s%s%s at %s\n", "error", count_text(count, error->count),
                  load_outcome_name(error->kind), is_connection ? " " : "",
                  is_connection ? load_tally_error_detail(error->number) : "",
                  load_phase_name(error->phase));
    if (error->why[0] == '\0') return;
    (void)fprintf(file, "%25s", "");
    put_wrapped(file, error->why, 25);
}

static void put_failures(const struct load_result *result, FILE *file)
{
    const struct load_tally *tally = &result->tally;
    char count[UNITS_TEXT_MAX];

    if (tally->row_count + tally->error_count + load_tally_failed(tally) == 0) return;
    (void)fputc('\n', file);
    for (uint32_t outcome = 1; outcome < LOAD_OUTCOME_COUNT; outcome++)
        if (tally->outcomes[outcome] > 0)
            (void)fprintf(file, "%-9s %13s  %s\n",
                          outcome == LOAD_OUTCOME_EXPECTED ? "refused" : "failed",
                          count_text(count, tally->outcomes[outcome]),
                          load_outcome_name((enum load_outcome)outcome));
    for (uint32_t index = 0; index < tally->row_count; index++)
        put_refusal(tally, &tally->rows[index], file);
    for (uint32_t index = 0; index < tally->error_count; index++)
        put_error(&tally->errors[index], file);
    if (tally->errors_beyond > 0)
        (void)fprintf(file, "%-9s %13s  of further kinds\n", "error",
                      count_text(count, tally->errors_beyond));
}

static void put_thresholds(const struct load_result *result, FILE *file)
{
    for (uint32_t index = 0; index < result->config->threshold_count; index++) {
        struct load_threshold_outcome outcome = load_result_threshold(result, index);
        const char *word = !outcome.is_known    ? "FAILED: not known"
                           : outcome.has_passed ? "reached"
                                                : "FAILED";
        (void)fprintf(file, "%sthreshold  %-30s %s\n", index == 0 ? "\n" : "",
                      result->config->thresholds[index].text, word);
    }
}

static void put_last_lines(const struct load_result *result, FILE *file)
{
    bool is_open = result->plan->rate_per_s > 0;
    const struct histogram *shown = load_result_headline(result);
    char text[LOAD_REPORT_VALUE_MAX + 2];
    uint64_t scale_ns = row_scale(shown);

    (void)fprintf(file, "\n%s  %.2f\n", is_of_sessions(result) ? "Sessions/sec:" : "Messages/sec:",
                  result->accepted_per_s);
    (void)fprintf(file, "%s %s\n", is_open ? "Response p99: " : "Service p99:  ",
                  latency_text(text, &result->tally, shown, 99, scale_ns));
}

void load_report_write(const struct load_result *result, FILE *file)
{
    put_head(result, file);
    put_verdict(result, file);
    put_totals(result, file);
    put_latency(result, file);
    put_phases(result, file);
    put_score(result, file);
    put_watches(result, file);
    put_failures(result, file);
    put_thresholds(result, file);
    put_last_lines(result, file);
}
