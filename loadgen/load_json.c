#include "loadgen/load_json.h"

#include "base/clock.h"
#include "loadgen/load_handshakes_json.h"
#include "loadgen/load_score_json.h"
#include "tls/tls_context.h"
#include "version.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double percentiles[] = {50, 75, 90, 99, 99.9, 99.99};

/* Each setter takes the new value over; without memory, jansson makes the whole result NULL. */
static void set(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value == NULL ? json_null() : value);
}

static void set_count(json_t *object, const char *name, uint64_t count)
{
    set(object, name, json_integer((json_int_t)count));
}

/* LOAD_UNLIMITED becomes null. */
static void set_limit(json_t *object, const char *name, uint64_t count)
{
    set(object, name, count == LOAD_UNLIMITED ? NULL : json_integer((json_int_t)count));
}

static void set_text(json_t *object, const char *name, const char *text)
{
    set(object, name, text[0] == '\0' ? NULL : json_string(text));
}

static void set_date(json_t *object, const char *name, uint64_t realtime_ns)
{
    char text[64];
    char date[32];
    time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
    struct tm utc;

    CHECK(gmtime_r(&seconds, &utc) != NULL);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text, sizeof text, "%s.%03uZ", date,
                   (unsigned)(realtime_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS));
    set_text(object, name, text);
}

static json_t *make_tool(void)
{
    json_t *tool = json_object();
    set_text(tool, "name", "loadgen");
    set_text(tool, "version", RINGSINK_VERSION);
    set_text(tool, "commit", RINGSINK_COMMIT);
    set(tool, "features", json_pack("[s, s]", "io_uring", "tls"));
    set_text(tool, "tls_library", tls_library_version());
    return tool;
}

/* A password stays out of what is passed on. */
static const char *hide(const struct load_result *result, const char *argument)
{
    const char *credentials = result->config->credentials;
    return credentials != NULL && strstr(argument, credentials) != NULL ? "***" : argument;
}

static json_t *make_labels(const char *list)
{
    json_t *object = json_object();
    while (list != NULL) {
        size_t size = strcspn(list, ",");
        size_t name_size = strcspn(list, "=");
        char *name = strndup(list, name_size);
        json_t *value = name == NULL || name_size >= size
                            ? NULL
                            : json_stringn(list + name_size + 1, size - name_size - 1);
        if (value != NULL) set(object, name, value);
        free(name);
        list = list[size] == ',' ? list + size + 1 : NULL;
    }
    return object;
}

static json_t *make_run(const struct load_result *result)
{
    char id[17] = {0};
    json_t *run = json_object();
    json_t *argv = json_array();

    bytes_put_hex((uint8_t *)id, result->run);
    for (int index = 0; index < result->argc; index++)
        (void)json_array_append_new(argv, json_string(hide(result, result->argv[index])));
    set_text(run, "id", id);
    set(run, "labels", make_labels(result->config->labels));
    set_count(run, "seed", result->config->seed);
    set(run, "aborted", json_boolean(result->is_aborted));
    set_date(run, "started", result->started_realtime_ns);
    set(run, "argv", argv);
    return run;
}

static json_t *make_config(const struct load_result *result)
{
    const struct load_config *config = result->config;
    json_t *object = json_object();
    json_t *body = json_object();

    set_text(body, "kind", load_length_kind_name(config->length.kind));
    set_text(body, "asked", config->length_text);
    set_count(body, "mean_bytes", (uint64_t)(load_length_mean(&config->length) + 0.5));
    set_count(body, "p50_bytes", load_length_percentile(&config->length, 50));
    set_count(body, "p99_bytes", load_length_percentile(&config->length, 99));
    set_count(body, "max_bytes", load_length_percentile(&config->length, 100));
    bool is_open = result->plan->rate_per_s > 0;
    set_text(object, "loop", is_open ? "open" : "closed");
    set_text(object, "arrival", is_open ? config->arrival_text : "");
    set(object, "rate_per_s", is_open ? json_real((double)result->plan->rate_per_s) : NULL);
    set(object, "backlog_max", is_open ? json_integer((json_int_t)config->backlog) : NULL);
    set_count(object, "connections", result->plan->connections);
    set_count(object, "threads", result->plan->workers);
    set_limit(object, "messages", result->plan->messages);
    set_limit(object, "per_connection", result->plan->per_connection);
    set_limit(object, "per_connection_max", result->plan->per_connection_max);
    set_limit(object, "duration_ns", result->plan->duration_ns);
    set_count(object, "warmup_ns", config->warmup_ns);
    set_count(object, "ramp_asked_ns", config->ramp_ns);
    set_count(object, "drain_ns", config->drain_ns);
    set_count(object, "timeout_ns", config->timeout_ns);
    set(object, "body", body);
    set_count(object, "recipients", config->recipients);
    set_count(object, "recipients_max", config->recipients_max);
    set_text(object, "pipelining", load_pipelining_name(result->mode));
    set_text(object, "pipelining_asked",
             load_pipelining_name((enum load_pipelining)config->pipelining));
    set_count(object, "window", config->window);
    set_text(object, "scenario", load_scenario_name((enum load_scenario)config->scenario));
    set_text(object, "quit", load_quit_name((enum load_quit)config->quit));
    set(object, "numbers_recipients", json_boolean(!config->repeats_recipients));
    set_text(object, "expect", config->expect_text == NULL ? "" : config->expect_text);
    set_text(object, "source", config->source_text == NULL ? "" : config->source_text);
    set_count(object, "retry_connect", config->retry_connect);
    set_text(object, "file", config->file_text == NULL ? "" : config->file_text);
    set_text(object, "corpus", config->corpus_text == NULL ? "" : config->corpus_text);
    set_text(object, "corpus_order", config->corpus_order == 0 ? "seq" : "random");
    set_text(object, "session", config->session_text == NULL ? "" : config->session_text);
    set_text(object, "think", config->has_think ? config->think_text : "");
    set_text(object, "protocol", config->is_lmtp ? "lmtp" : "smtp");
    set(object, "auth", json_boolean(config->credentials != NULL));
    set_text(object, "tls", load_tls_name((enum load_tls_mode)config->tls));
    set(object, "tls_resume", json_boolean(config->tls_resumes));
    set(object, "tls_verify", json_boolean(config->tls_verifies));
    set_text(object, "tls_ca", config->tls_ca == NULL ? "" : config->tls_ca);
    set_text(object, "tls_name", config->tls_name == NULL ? "" : config->tls_name);
    return object;
}

static json_t *make_target(const struct load_result *result)
{
    const struct load_environment *environment = &result->environment;
    json_t *target = json_object();
    json_t *ehlo = json_array();
    char address[NET_TEXT_MAX];

    (void)snprintf(address, sizeof address, "%s", environment->target);
    char *colon = environment->is_unix ? NULL : strrchr(address, ':');
    if (colon != NULL) *colon = '\0';
    for (uint32_t index = 0; index < result->first->ehlo_count; index++)
        (void)json_array_append_new(ehlo, json_string(result->first->ehlo[index]));
    set_text(target, "address", address);
    set(target, "port", NULL);
    if (colon != NULL) set_count(target, "port", strtoul(colon + 1, NULL, 10));
    set(target, "same_host", json_boolean(environment->is_same_host));
    set(target, "rtt_ns", NULL);
    set_text(target, "banner", result->first->banner);
    set(target, "ehlo", ehlo);
    return target;
}

static json_t *make_environment(const struct load_result *result)
{
    const struct load_environment *environment = &result->environment;
    json_t *object = json_object();
    json_t *sysctl = json_object();

    set_text(sysctl, "net.ipv4.ip_local_port_range", environment->port_range);
    set_text(sysctl, "net.core.somaxconn", environment->somaxconn);
    set_text(object, "host", environment->host);
    set_text(object, "kernel", environment->kernel);
    set_text(object, "cpu", environment->cpu);
    set_count(object, "cpus_online", environment->cpus_online);
    set(object, "governor", NULL);
    set_text(object, "clock", "CLOCK_MONOTONIC");
    set_text(object, "clock_source", environment->clock_source);
    set_count(object, "clock_cost_ns", environment->clock_cost_ns);
    set_count(object, "timer_slack_ns", 1);
    set(object, "container", NULL);
    set(object, "sysctl", sysctl);
    set(object, "target", make_target(result));
    return object;
}

/* Of the messages due, how many started on time, and how late the others did. */
static void set_lateness(json_t *checks, const struct load_result *result)
{
    const struct histogram *lateness = &result->tally.lateness;
    uint64_t limit_ns = result->late_limit_ns;

    set(checks, "schedule_on_time_ratio", NULL);
    set(checks, "late_p99_ns", NULL);
    set(checks, "late_own_p99_ns", NULL);
    set(checks, "late_limit_ns", NULL);
    set(checks, "backlog_longest", NULL);
    if (result->plan->rate_per_s == 0) return;
    set_count(checks, "late_limit_ns", limit_ns);
    set_count(checks, "backlog_longest", result->backlog_longest);
    if (lateness->total_count == 0) return;
    double on_time = (double)histogram_count_between(lateness, 0, limit_ns + 1);
    set(checks, "schedule_on_time_ratio", json_real(on_time / (double)result->tally.due));
    set_count(checks, "late_p99_ns", histogram_percentile(lateness, 99));
    set_count(checks, "late_own_p99_ns", histogram_percentile(&result->tally.late_own, 99));
}

/* null: of a unix socket, or of a listener on another host. */
static void set_kernel(json_t *checks, const struct load_result *result)
{
    const struct load_kernel *kernel = &result->kernel;
    bool sees_listener = kernel->is_known && result->environment.is_same_host;
    set(checks, "retransmits", NULL);
    set(checks, "segments_sent", NULL);
    set(checks, "listen_overflows", NULL);
    if (kernel->is_known) set_count(checks, "retransmits", kernel->retransmits);
    if (kernel->is_known) set_count(checks, "segments_sent", kernel->segments);
    if (sees_listener) set_count(checks, "listen_overflows", kernel->listen_overflows);
}

static void set_trends(json_t *checks, const struct load_result *result)
{
    const struct load_trend *rate = &result->rate_trend;
    const struct load_trend *p99 = &result->p99_trend;
    set(checks, "steady", rate->is_known ? json_boolean(!rate->is_drift && !p99->is_drift) : NULL);
    set(checks, "rate_drift_ratio", rate->is_known ? json_real(rate->drift_ratio) : NULL);
    set(checks, "p99_drift_ratio", p99->is_known ? json_real(p99->drift_ratio) : NULL);
}

static json_t *make_verdict(const struct load_result *result)
{
    static const char *const names[] = {"valid", "suspect", "invalid"};
    json_t *object = json_object();
    json_t *reasons = json_array();
    json_t *checks = json_object();

    for (uint32_t index = 0; index < result->verdict.reason_count; index++)
        (void)json_array_append_new(reasons, json_string(result->verdict.reasons[index]));
    set_lateness(checks, result);
    set(checks, "busy_max_ratio", json_real(result->busy_max_ratio));
    set_count(checks, "reap_delay_p99_ns", histogram_percentile(&result->tally.reap, 99));
    set(checks, "littles_law_ratio", json_real(result->littles_ratio));
    set_count(checks, "cq_overflows", result->ring_overflows);
    set_count(checks, "receive_buffers_ran_out", result->ring_no_buffers);
    set_count(checks, "connections_reached", result->tally.reached);
    set_count(checks, "connections_down_worst", load_progress_down_worst(result->progress));
    set(checks, "ceiling_per_s",
        result->ceiling_per_s > 0 ? json_real(result->ceiling_per_s) : NULL);
    set_kernel(checks, result);
    set_trends(checks, result);
    set_text(object, "status", names[result->verdict.status]);
    set(object, "reasons", reasons);
    set(object, "checks", checks);
    return object;
}

static json_t *make_totals(const struct load_result *result, const struct load_tally *tally)
{
    bool is_open = result->plan->rate_per_s > 0;
    json_t *object = json_object();

    set(object, "due", is_open ? json_integer((json_int_t)tally->due) : NULL);
    set_count(object, "started", tally->started);
    for (uint32_t outcome = 0; outcome < LOAD_OUTCOME_COUNT; outcome++)
        set_count(object, load_outcome_name((enum load_outcome)outcome), tally->outcomes[outcome]);
    set(object, "dropped_schedule", is_open ? json_integer((json_int_t)tally->dropped) : NULL);
    set_count(object, "accepted_in_time", tally->accepted_in_time);
    set_count(object, "recipients_accepted", tally->recipients_accepted);
    set_count(object, "recipients_rejected", tally->recipients_rejected);
    set_count(object, "body_bytes", tally->body_bytes);
    set_count(object, "wire_tx_bytes", tally->sent_bytes);
    set_count(object, "wire_rx_bytes", tally->received_bytes);
    set_count(object, "connects", tally->connects);
    set_count(object, "reconnects", tally->reconnects);
    set_count(object, "sessions_in_time", tally->sessions_in_time);
    set_count(object, "lost", tally->lost);
    return object;
}

static json_t *make_rates(const struct load_result *result)
{
    json_t *object = json_object();
    set(object, "due_per_s", result->plan->rate_per_s > 0 ? json_real(result->due_per_s) : NULL);
    set(object, "sessions_per_s",
        json_real(load_result_per_s(result, result->tally.sessions_in_time)));
    set(object, "accepted_per_s", json_real(result->accepted_per_s));
    set(object, "body_bytes_per_s", json_real(result->body_bytes_per_s));
    return object;
}

static json_t *make_percentiles(const struct histogram *histogram)
{
    json_t *object = json_object();
    char name[16];
    uint64_t value;

    for (uint32_t index = 0; index < sizeof percentiles / sizeof percentiles[0]; index++) {
        (void)snprintf(name, sizeof name, "%g", percentiles[index]);
        if (load_tally_percentile(histogram, percentiles[index], &value))
            set_count(object, name, value);
        else
            set(object, name, NULL);
    }
    return object;
}

static void set_confidence(json_t *object, const char *name, const struct load_interval95 *interval)
{
    set(object, name, json_pack("[I, I]", (json_int_t)interval->low, (json_int_t)interval->high));
}

static json_t *make_confidence(const struct histogram *histogram)
{
    json_t *object = json_object();
    struct load_interval95 interval;
    char name[16];

    for (uint32_t index = 0; index < sizeof percentiles / sizeof percentiles[0]; index++) {
        (void)snprintf(name, sizeof name, "%g", percentiles[index]);
        if (load_confidence_order(histogram, percentiles[index], &interval))
            set_confidence(object, name, &interval);
    }
    return object;
}

/* Of the headline the single seconds' percentiles are known too. */
static void widen_confidence(json_t *latencies, const struct load_result *result)
{
    bool is_open = result->plan->rate_per_s > 0;
    json_t *latency = json_object_get(latencies, is_open ? "response" : "service");
    json_t *object = json_object_get(latency, "ci95_ns");
    struct load_interval95 interval;

    if (load_result_confidence(result, 50, &interval)) set_confidence(object, "50", &interval);
    if (load_result_confidence(result, 99, &interval)) set_confidence(object, "99", &interval);
}

/* Percentiles that fall among messages which were cut off: the true ones are not below. */
static void add_bounds(json_t *latencies, const struct load_tally *tally)
{
    json_t *bounds = json_array();
    json_t *response = json_object_get(latencies, "response");
    char name[16];
    uint64_t value;

    for (uint32_t index = 0; index < sizeof percentiles / sizeof percentiles[0]; index++) {
        (void)snprintf(name, sizeof name, "%g", percentiles[index]);
        if (load_tally_percentile(&tally->response, percentiles[index], &value) &&
            load_tally_is_bound(tally, value))
            (void)json_array_append_new(bounds, json_string(name));
    }
    if (response == NULL || json_is_null(response))
        json_decref(bounds);
    else
        set(response, "at_least", bounds);
}

/* NULL, so null, if nothing was recorded: it did not happen, or can't be told apart. */
static json_t *make_latency(const struct histogram *histogram)
{
    if (histogram->total_count == 0) return NULL;
    json_t *object = json_object();
    char *encoded = histogram_encode(histogram);

    set_count(object, "count", histogram->total_count);
    set_count(object, "min_ns", histogram->minimum);
    set_count(object, "max_ns", histogram->maximum);
    set_count(object, "mean_ns", (uint64_t)histogram_mean(histogram));
    set_count(object, "stddev_ns", (uint64_t)histogram_deviation(histogram));
    set_count(object, "overflow_count", histogram->overflow_count);
    set(object, "percentiles_ns", make_percentiles(histogram));
    set(object, "ci95_ns", make_confidence(histogram));
    set(object, "hdr", encoded == NULL ? NULL : json_string(encoded));
    free(encoded);
    return object;
}

static json_t *make_latencies(const struct load_tally *tally)
{
    json_t *object = json_object();
    set(object, "response", make_latency(&tally->response));
    set(object, "service", make_latency(&tally->service));
    set(object, "failure", make_latency(&tally->failure));
    set(object, "unfinished", make_latency(&tally->unfinished));
    set(object, "lateness", make_latency(&tally->lateness));
    set(object, "late_own", make_latency(&tally->late_own));
    set(object, "reap_delay", make_latency(&tally->reap));
    add_bounds(object, tally);
    return object;
}

static json_t *make_phases(const struct load_result *result)
{
    json_t *object = json_object();
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT; phase++)
        set(object, load_phase_name((enum load_phase)phase),
            make_latency(&result->tally.phases[phase]));
    return object;
}

/* RFC 2034 4: "4.3.0 text" starts with a class that is the code's. */
static const char *split_enhanced(const char *text, uint32_t code, char *enhanced, size_t capacity)
{
    size_t size = strspn(text, "0123456789.");
    enhanced[0] = '\0';
    if (size < 5 || size >= capacity || text[size] != ' ') return text;
    if (text[0] != (char)('0' + code / 100) || text[1] != '.') return text;
    memcpy(enhanced, text, size);
    enhanced[size] = '\0';
    return text + size + 1;
}

static void add_texts(json_t *reply, const struct load_tally_row *row)
{
    json_t *texts = json_array();

    for (uint32_t index = 0; index < row->text_count; index++) {
        const struct load_tally_text *known = &row->texts[index];
        char escaped[4 * LOAD_REPLY_TEXT_MAX + 1];
        char enhanced[16];
        bytes_escape(bytes_make(known->octets, known->size), escaped, sizeof escaped);
        const char *rest = split_enhanced(escaped, row->code, enhanced, sizeof enhanced);
        if (index == 0) set_text(reply, "enhanced", enhanced);
        if (index == 0) set_text(reply, "text", rest);
        json_t *text = json_object();
        set_text(text, "text", escaped);
        set_count(text, "count", known->count);
        (void)json_array_append_new(texts, text);
    }
    set(reply, "texts", texts);
    set_count(reply, "first_ns", row->first_ns);
}

static json_t *make_reply(const struct load_tally *tally, enum load_phase phase, uint32_t code)
{
    json_t *reply = json_object();

    set_text(reply, "phase", load_phase_name(phase));
    set_count(reply, "code", code);
    set(reply, "enhanced", NULL);
    set(reply, "text", NULL);
    set_count(reply, "count", tally->replies[phase][code - 200]);
    set(reply, "first_ns", NULL);
    for (uint32_t index = 0; index < tally->row_count; index++)
        if (tally->rows[index].phase == phase && tally->rows[index].code == code)
            add_texts(reply, &tally->rows[index]);
    return reply;
}

static json_t *make_replies(const struct load_tally *tally)
{
    json_t *array = json_array();
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT; phase++)
        for (uint32_t code = 200; code < 200 + LOAD_TALLY_CODES; code++)
            if (tally->replies[phase][code - 200] > 0)
                (void)json_array_append_new(array, make_reply(tally, (enum load_phase)phase, code));
    return array;
}

static json_t *make_errors(const struct load_tally *tally)
{
    json_t *array = json_array();

    for (uint32_t index = 0; index < tally->error_count; index++) {
        const struct load_tally_error *error = &tally->errors[index];
        bool is_connection = error->kind == LOAD_OUTCOME_CONNECTION;
        json_t *object = json_object();
        set_text(object, "phase", load_phase_name(error->phase));
        set_text(object, "class", load_outcome_name(error->kind));
        set_text(object, "detail", is_connection ? load_tally_error_detail(error->number) : "");
        bool is_errno = error->number != 0 && error->number != LOAD_TALLY_TLS;
        set_text(object, "errno", is_errno ? strerrorname_np(error->number) : "");
        set_text(object, "text", error->why);
        set_count(object, "count", error->count);
        (void)json_array_append_new(array, object);
    }
    return array;
}

/* 0 is unknown. */
static json_t *make_known(uint64_t value)
{
    return value > 0 ? json_integer((json_int_t)value) : json_null();
}

/* t_ns is since the measured time began: the warm-up's are below 0. */
static json_t *make_intervals(const struct load_result *result)
{
    const struct load_progress *progress = result->progress;
    bool is_open = result->plan->rate_per_s > 0;
    static const char *const names[] = {"t_ns",   "length_ns", "due",    "accepted",
                                        "failed", "mean_ns",   "p50_ns", "p99_ns",
                                        "max_ns", "open",      "down",   "busy_ratio"};
    enum { COLUMNS = sizeof names / sizeof names[0] };
    json_t *columns[COLUMNS];
    json_t *object = json_object();

    set_count(object, "every_ns", CLOCK_NS_PER_S);
    for (uint32_t column = 0; column < COLUMNS; column++)
        columns[column] = json_array();
    for (uint32_t index = 0; index < progress->count; index++) {
        const struct load_interval *interval = &progress->intervals[index];
        uint64_t mean_ns =
            interval->accepted > 0 ? interval->service_sum_ns / interval->accepted : 0;
        const struct load_interval_latency *latency =
            is_open ? &interval->response : &interval->service;
        json_t *values[COLUMNS] = {
            json_integer((json_int_t)interval->start_ns - (json_int_t)result->plan->warmup_ns),
            json_integer((json_int_t)interval->length_ns),
            is_open ? json_integer((json_int_t)interval->due) : json_null(),
            json_integer((json_int_t)interval->accepted),
            json_integer((json_int_t)interval->failed),
            interval->accepted > 0 ? json_integer((json_int_t)mean_ns) : json_null(),
            make_known(latency->p50_ns),
            make_known(latency->p99_ns),
            make_known(latency->maximum_ns),
            json_integer((json_int_t)interval->up),
            json_integer((json_int_t)interval->down),
            json_real(interval->busy_ratio),
        };
        for (uint32_t column = 0; column < COLUMNS; column++)
            (void)json_array_append_new(columns[column], values[column]);
    }
    for (uint32_t column = 0; column < COLUMNS; column++)
        set(object, names[column], columns[column]);
    return object;
}

static json_t *make_watch(const struct load_result *result, uint32_t watch)
{
    json_t *object = json_object();
    json_t *times = json_array();
    json_t *cpu = json_array();
    json_t *rss = json_array();
    json_t *io = json_array();

    for (uint32_t index = 0; index < result->progress->count; index++) {
        const struct load_interval *interval = &result->progress->intervals[index];
        const struct load_watch_row *row = &interval->watch[watch];
        bool has_io = row->is_known && row->has_io;
        (void)json_array_append_new(times, json_integer((json_int_t)interval->start_ns -
                                                        (json_int_t)result->plan->warmup_ns));
        (void)json_array_append_new(cpu, row->is_known ? json_real(row->cpu_ratio) : json_null());
        (void)json_array_append_new(rss, row->is_known ? json_integer((json_int_t)row->rss_bytes)
                                                       : json_null());
        (void)json_array_append_new(io, has_io ? json_real(row->io_bytes_per_s) : json_null());
    }
    set_text(object, "what", result->watches->items[watch].what);
    set(object, "t_ns", times);
    set(object, "cpu_ratio", cpu);
    set(object, "rss_bytes", rss);
    set(object, "io_bytes_per_s", io);
    return object;
}

static json_t *make_watches(const struct load_result *result)
{
    if (result->watches == NULL || result->watches->count == 0) return NULL;
    json_t *array = json_array();
    for (uint32_t watch = 0; watch < result->watches->count; watch++)
        (void)json_array_append_new(array, make_watch(result, watch));
    return array;
}

static json_t *make_thresholds(const struct load_result *result)
{
    json_t *array = json_array();
    for (uint32_t index = 0; index < result->config->threshold_count; index++) {
        struct load_threshold_outcome outcome = load_result_threshold(result, index);
        json_t *object = json_object();
        set_text(object, "expr", result->config->thresholds[index].text);
        set(object, "value", outcome.is_known ? json_real(outcome.value) : NULL);
        set(object, "pass", json_boolean(outcome.has_passed));
        (void)json_array_append_new(array, object);
    }
    return array;
}

static json_t *make_warmup(const struct load_result *result)
{
    if (result->plan->warmup_ns == 0) return NULL;
    json_t *object = json_object();
    set(object, "totals", make_totals(result, &result->warmup));
    set(object, "latency", make_latencies(&result->warmup));
    return object;
}

json_t *load_json_make(const struct load_result *result)
{
    json_t *root = json_object();

    set_text(root, "schema", "loadgen.result/1");
    set(root, "tool", make_tool());
    set(root, "run", make_run(result));
    set(root, "config", make_config(result));
    set(root, "environment", make_environment(result));
    set(root, "verdict", make_verdict(result));
    set(root, "totals", make_totals(result, &result->tally));
    set(root, "measured_ns", json_integer((json_int_t)result->measured_ns));
    set(root, "ramp_ns", json_integer((json_int_t)result->ramp_ns));
    set(root, "rates", make_rates(result));
    set(root, "latency", make_latencies(&result->tally));
    widen_confidence(json_object_get(root, "latency"), result);
    set(root, "phases", make_phases(result));
    set(root, "replies", make_replies(&result->tally));
    set(root, "errors", make_errors(&result->tally));
    set_count(root, "errors_beyond", result->tally.errors_beyond);
    set(root, "intervals", make_intervals(result));
    set(root, "watch", make_watches(result));
    set(root, "tls", load_handshakes_json_make(result));
    set(root, "sessions", load_score_json_make(&result->tally.score));
    set(root, "delivery", NULL);
    set(root, "thresholds", make_thresholds(result));
    set(root, "warmup", make_warmup(result));
    return root;
}

int load_json_write_document(const json_t *root, FILE *file)
{
    if (json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) != 0) return -EIO;
    if (fputc('\n', file) == EOF || fflush(file) != 0) return -errno;
    return 0;
}

int load_json_write(const struct load_result *result, FILE *file)
{
    json_t *root = load_json_make(result);
    int error = load_json_write_document(root, file);

    json_decref(root);
    return error;
}
