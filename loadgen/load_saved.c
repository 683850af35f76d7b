#include "loadgen/load_saved.h"

#include "base/clock.h"
#include "loadgen/load_handshakes_json.h"
#include "loadgen/load_score_json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SCHEMA        "loadgen.result/1"
#define NUMBER_MAX    1e18 /* no rate is above it, so that it may become a whole number */
#define COUNT_MAX     (1ll << 56)
#define ERRNO_NUMBERS 200

/* What is read and whether it is whole so far: after the first fault all reads give nothing. */
struct reader {
    char *error;
    bool has_failed;
};

__attribute__((format(printf, 2, 3))) static void fail(struct reader *reader, const char *format,
                                                       ...)
{
    va_list arguments;
    if (reader->has_failed) return;
    reader->has_failed = true;
    va_start(arguments, format);
    (void)vsnprintf(reader->error, LOAD_SAVED_ERROR_MAX, format, arguments);
    va_end(arguments);
}

/* ---- single values ---- */

static json_t *read_value(struct reader *reader, const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (value == NULL) fail(reader, "it has no \"%s\"", name);
    return value;
}

static json_t *read_object(struct reader *reader, const json_t *object, const char *name)
{
    json_t *value = read_value(reader, object, name);
    if (value != NULL && !json_is_object(value)) fail(reader, "\"%s\" is no object", name);
    return json_is_object(value) ? value : NULL;
}

static json_t *read_array(struct reader *reader, const json_t *object, const char *name)
{
    json_t *value = read_value(reader, object, name);
    if (value != NULL && !json_is_array(value)) fail(reader, "\"%s\" is no array", name);
    return json_is_array(value) ? value : NULL;
}

static uint64_t take_count(struct reader *reader, const json_t *value, const char *name)
{
    if (json_is_null(value)) return 0;
    json_int_t number = json_integer_value(value);
    bool is_good = json_is_integer(value) && number >= 0 && number <= COUNT_MAX;
    if (!is_good) fail(reader, "\"%s\" is no count", name);
    return is_good ? (uint64_t)number : 0;
}

/* null is 0. */
static uint64_t read_count(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *value = read_value(reader, object, name);
    return value == NULL ? 0 : take_count(reader, value, name);
}

static uint64_t read_limit(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *value = read_value(reader, object, name);
    if (json_is_null(value)) return LOAD_UNLIMITED;
    return value == NULL ? 0 : take_count(reader, value, name);
}

/* A field that older files of this schema lack. */
static uint64_t read_added(struct reader *reader, const json_t *object, const char *name,
                           uint64_t otherwise)
{
    return json_object_get(object, name) == NULL ? otherwise : read_count(reader, object, name);
}

static double take_real(struct reader *reader, const json_t *value, const char *name)
{
    if (json_is_null(value)) return 0;
    double number = json_number_value(value);
    bool is_good = json_is_number(value) && number >= 0 && number <= NUMBER_MAX;
    if (!is_good) fail(reader, "\"%s\" is no number from 0 on", name);
    return is_good ? number : 0;
}

static double read_real(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *value = read_value(reader, object, name);
    return value == NULL ? 0 : take_real(reader, value, name);
}

static bool read_flag(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *value = read_value(reader, object, name);
    if (value != NULL && !json_is_boolean(value)) fail(reader, "\"%s\" is no boolean", name);
    return json_is_true(value);
}

/* null is "". */
static const char *read_text(struct reader *reader, const json_t *object, const char *name)
{
    const json_t *value = read_value(reader, object, name);
    if (value == NULL || json_is_null(value)) return "";
    if (!json_is_string(value)) fail(reader, "\"%s\" is no text", name);
    return json_is_string(value) ? json_string_value(value) : "";
}

/* A text that will be printed: whatever is in it, it is none for the terminal to obey. */
static void copy_text(struct reader *reader, const json_t *object, const char *name, char *out,
                      uint64_t capacity)
{
    bytes_escape(bytes_from_text(read_text(reader, object, name)), out, capacity);
}

/* ---- histograms and counts ---- */

static bool has_shape(const struct histogram *a, const struct histogram *b)
{
    return a->counts_size == b->counts_size && a->digits == b->digits && a->highest == b->highest;
}

/* Adds the latency `name` of `object`, if there was any; its exact ends and mean are beside it. */
static void read_latency(struct reader *reader, const json_t *object, const char *name,
                         struct histogram *into)
{
    struct histogram decoded;
    const json_t *latency = json_object_get(object, name);
    if (latency == NULL || json_is_null(latency) || reader->has_failed) return;

    uint64_t minimum = read_count(reader, latency, "min_ns");
    uint64_t maximum = read_count(reader, latency, "max_ns");
    uint64_t mean = read_count(reader, latency, "mean_ns");
    uint64_t count = read_count(reader, latency, "count");
    uint64_t overflow = read_count(reader, latency, "overflow_count");
    const char *text = read_text(reader, latency, "hdr");
    if (reader->has_failed) return;
    if (histogram_decode(&decoded, text) < 0) {
        fail(reader, "the histogram of \"%s\" can't be decoded", name);
        return;
    }
    bool is_inside = minimum >= decoded.minimum && maximum <= decoded.maximum && count > 0 &&
                     minimum <= maximum && mean <= maximum && overflow <= count;
    if (!has_shape(&decoded, into))
        fail(reader, "the histogram of \"%s\" has another precision or range", name);
    else if (count != decoded.total_count || !is_inside)
        fail(reader, "the histogram of \"%s\" and the numbers beside it differ", name);
    else {
        decoded.minimum = minimum;
        decoded.maximum = maximum;
        decoded.overflow_count = overflow;
        decoded.sum = ((double)mean + 0.5) * (double)count; /* the mean is rounded down */
        histogram_merge(into, &decoded);
    }
    histogram_close(&decoded);
}

static void read_totals(struct reader *reader, const json_t *totals, struct load_tally *tally)
{
    tally->due = read_count(reader, totals, "due");
    tally->started = read_count(reader, totals, "started");
    for (uint32_t outcome = 0; outcome < LOAD_OUTCOME_COUNT; outcome++) {
        const char *name = load_outcome_name((enum load_outcome)outcome);
        /* Not in a file of before there was such an outcome. */
        if (outcome == LOAD_OUTCOME_ACCEPTED || json_object_get(totals, name) != NULL)
            tally->outcomes[outcome] = read_count(reader, totals, name);
    }
    tally->dropped = read_count(reader, totals, "dropped_schedule");
    tally->accepted_in_time = read_count(reader, totals, "accepted_in_time");
    /* Not in a file of before it was counted. */
    if (json_object_get(totals, "sessions_in_time") != NULL)
        tally->sessions_in_time = read_count(reader, totals, "sessions_in_time");
    tally->recipients_accepted = read_count(reader, totals, "recipients_accepted");
    tally->recipients_rejected = read_count(reader, totals, "recipients_rejected");
    tally->body_bytes = read_count(reader, totals, "body_bytes");
    tally->sent_bytes = read_count(reader, totals, "wire_tx_bytes");
    tally->received_bytes = read_count(reader, totals, "wire_rx_bytes");
    tally->connects = read_count(reader, totals, "connects");
    tally->reconnects = read_count(reader, totals, "reconnects");
    tally->lost = read_count(reader, totals, "lost");
}

static void read_latencies(struct reader *reader, const json_t *object, struct load_tally *tally)
{
    read_latency(reader, object, "response", &tally->response);
    read_latency(reader, object, "service", &tally->service);
    read_latency(reader, object, "failure", &tally->failure);
    read_latency(reader, object, "unfinished", &tally->unfinished);
    read_latency(reader, object, "lateness", &tally->lateness);
    read_latency(reader, object, "late_own", &tally->late_own);
    read_latency(reader, object, "reap_delay", &tally->reap);
}

/* ---- replies and errors ---- */

static enum load_phase read_phase(struct reader *reader, const json_t *object)
{
    const char *name = read_text(reader, object, "phase");
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT; phase++)
        if (strcmp(load_phase_name((enum load_phase)phase), name) == 0)
            return (enum load_phase)phase;
    fail(reader, "a phase has a name that is none");
    return LOAD_PHASE_CONNECT;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Undoes bytes_escape(); a text that it would not have written stays as it is. */
static uint32_t unescape(const char *text, uint8_t *out, uint32_t capacity)
{
    uint32_t size = 0;
    while (*text != '\0' && size < capacity) {
        bool is_hex =
            text[0] == '\\' && text[1] == 'x' && hex_digit(text[2]) >= 0 && hex_digit(text[3]) >= 0;
        if (is_hex)
            out[size++] = (uint8_t)(hex_digit(text[2]) << 4 | hex_digit(text[3]));
        else
            out[size++] = (uint8_t)*text;
        text += is_hex ? 4 : text[0] == '\\' && text[1] == '\\' ? 2 : 1;
    }
    return size;
}

static void read_row(struct reader *reader, const json_t *reply, struct load_tally *tally,
                     enum load_phase phase, uint32_t code)
{
    const json_t *texts = json_object_get(reply, "texts");
    const json_t *item;
    size_t index;

    if (!json_is_array(texts) || tally->row_count == LOAD_TALLY_ROWS_MAX) return;
    struct load_tally_row *row = &tally->rows[tally->row_count++];
    *row = (struct load_tally_row){.phase = phase, .code = code};
    row->first_ns = read_count(reader, reply, "first_ns");
    json_array_foreach(texts, index, item)
    {
        if (row->text_count == LOAD_TALLY_TEXTS_MAX) break;
        struct load_tally_text *text = &row->texts[row->text_count++];
        text->count = read_count(reader, item, "count");
        text->size = unescape(read_text(reader, item, "text"), text->octets, sizeof text->octets);
    }
}

static void read_replies(struct reader *reader, const json_t *replies, struct load_tally *tally)
{
    const json_t *reply;
    size_t index;

    json_array_foreach(replies, index, reply)
    {
        enum load_phase phase = read_phase(reader, reply);
        uint64_t code = read_count(reader, reply, "code");
        if (code < 200 || code >= 200 + LOAD_TALLY_CODES) {
            fail(reader, "a reply has a code that is none");
            return;
        }
        tally->replies[phase][code - 200] += read_count(reader, reply, "count");
        read_row(reader, reply, tally, phase, (uint32_t)code);
    }
}

static int read_errno(struct reader *reader, const json_t *error)
{
    const char *name = read_text(reader, error, "errno");
    if (name[0] == '\0') return 0;
    for (int number = 1; number < ERRNO_NUMBERS; number++) {
        const char *known = strerrorname_np(number);
        if (known != NULL && strcmp(known, name) == 0) return number;
    }
    fail(reader, "an error has an errno that is none");
    return 0;
}

/* Of TLS it has no errno, but a text. Older files have none. */
static void read_tls_error(struct reader *reader, const json_t *object,
                           struct load_tally_error *error)
{
    if (strcmp(read_text(reader, object, "detail"), "tls") != 0) return;
    error->number = LOAD_TALLY_TLS;
    copy_text(reader, object, "text", error->why, sizeof error->why);
}

static enum load_outcome read_class(struct reader *reader, const json_t *error)
{
    const char *name = read_text(reader, error, "class");
    for (uint32_t kind = 0; kind < LOAD_OUTCOME_COUNT; kind++)
        if (strcmp(load_outcome_name((enum load_outcome)kind), name) == 0)
            return (enum load_outcome)kind;
    fail(reader, "an error has a class that is none");
    return LOAD_OUTCOME_PROTOCOL;
}

static void read_errors(struct reader *reader, const json_t *errors, struct load_tally *tally)
{
    const json_t *error;
    size_t index;

    json_array_foreach(errors, index, error)
    {
        if (tally->error_count == LOAD_TALLY_ERRORS_MAX) {
            fail(reader, "it has more than %u kinds of error", LOAD_TALLY_ERRORS_MAX);
            return;
        }
        struct load_tally_error *known = &tally->errors[tally->error_count++];
        known->phase = read_phase(reader, error);
        known->kind = read_class(reader, error);
        known->number = read_errno(reader, error);
        read_tls_error(reader, error, known);
        known->count = read_count(reader, error, "count");
    }
}

/* ---- the rest of a result ---- */

/* "2026-09-21T14:13:20.123Z"; 0 if it is none. */
static uint64_t read_date(struct reader *reader, const json_t *run)
{
    struct tm utc = {0};
    const char *end = strptime(read_text(reader, run, "started"), "%Y-%m-%dT%H:%M:%S", &utc);
    time_t seconds = end == NULL ? -1 : timegm(&utc);
    if (seconds < 0) {
        fail(reader, "\"started\" is no date");
        return 0;
    }
    unsigned milliseconds = 0;
    (void)sscanf(end, ".%3uZ", &milliseconds);
    return (uint64_t)seconds * CLOCK_NS_PER_S + milliseconds * CLOCK_NS_PER_MS;
}

static void read_run(struct reader *reader, struct load_saved *saved)
{
    const json_t *run = read_object(reader, saved->root, "run");
    const char *id = read_text(reader, run, "id");

    if (!bytes_to_number_hex(bytes_from_text(id), &saved->result.run))
        fail(reader, "\"id\" is no run's");
    saved->config.seed = read_count(reader, run, "seed");
    saved->result.is_aborted = read_flag(reader, run, "aborted");
    saved->result.started_realtime_ns = read_date(reader, run);
}

static enum load_pipelining read_pipelining(struct reader *reader, const json_t *config,
                                            const char *field)
{
    const char *name = read_text(reader, config, field);
    for (uint32_t mode = 0; mode < LOAD_PIPELINING_COUNT; mode++)
        if (strcmp(load_pipelining_name((enum load_pipelining)mode), name) == 0)
            return (enum load_pipelining)mode;
    fail(reader, "\"%s\" is no mode of pipelining", field);
    return LOAD_PIPELINING_AUTO;
}

void load_saved_describe(struct load_saved *saved)
{
    struct load_config *config = &saved->config;
    bool is_span = config->recipients_max != config->recipients;
    (void)snprintf(saved->recipients_text, sizeof saved->recipients_text,
                   is_span ? "%llu-%llu" : "%llu", (unsigned long long)config->recipients,
                   (unsigned long long)config->recipients_max);
    config->recipients_text = saved->recipients_text;
}

/* A file of before there were others is of the first. */
static int read_scenario(struct reader *reader, const json_t *config)
{
    if (json_object_get(config, "scenario") == NULL) return LOAD_SCENARIO_DELIVER;
    const char *name = read_text(reader, config, "scenario");
    for (int scenario = 0; scenario <= LOAD_SCENARIO_IDLE; scenario++)
        if (strcmp(load_scenario_name((enum load_scenario)scenario), name) == 0) return scenario;
    fail(reader, "\"scenario\" is none");
    return LOAD_SCENARIO_DELIVER;
}

static enum load_length_kind read_kind(struct reader *reader, const json_t *body)
{
    const char *name = read_text(reader, body, "kind");
    for (uint32_t kind = 0; kind <= LOAD_LENGTH_LIST; kind++)
        if (strcmp(load_length_kind_name((enum load_length_kind)kind), name) == 0)
            return (enum load_length_kind)kind;
    fail(reader, "\"kind\" is none of bodies' lengths");
    return LOAD_LENGTH_FIXED;
}

static void read_message(struct reader *reader, struct load_saved *saved, const json_t *object)
{
    struct load_config *config = &saved->config;
    const json_t *body = read_object(reader, object, "body");

    config->length_text = json_object_get(body, "asked") != NULL ? read_text(reader, body, "asked")
                                                                 : "sizes not told";
    /* The report shows a kind and a mean: they are here, whatever they came from. */
    config->length.kind = read_kind(reader, body);
    config->length.count = 1;
    config->length.slots[0] = read_count(reader, body, "mean_bytes");
    config->recipients = read_count(reader, object, "recipients");
    config->recipients_max = read_added(reader, object, "recipients_max", config->recipients);
    load_saved_describe(saved);
}

/* Files of before there was TLS say only that it is off. */
static void read_tls(struct reader *reader, struct load_saved *saved, const json_t *object)
{
    struct load_config *config = &saved->config;
    const char *name = read_text(reader, object, "tls");

    config->tls = LOAD_TLS_COUNT;
    for (int mode = 0; mode < LOAD_TLS_COUNT; mode++)
        if (strcmp(load_tls_name((enum load_tls_mode)mode), name) == 0) config->tls = mode;
    if (config->tls == LOAD_TLS_COUNT) fail(reader, "\"tls\" is none");
    config->tls_resumes = json_is_true(json_object_get(object, "tls_resume"));
    config->tls_verifies = json_is_true(json_object_get(object, "tls_verify"));
    if (!load_handshakes_json_read(&saved->result, json_object_get(saved->root, "tls")))
        fail(reader, "\"tls\" is no account of handshakes");
}

static void read_config(struct reader *reader, struct load_saved *saved)
{
    const json_t *object = read_object(reader, saved->root, "config");
    struct load_config *config = &saved->config;
    struct load_plan *plan = &saved->plan;
    bool is_open = strcmp(read_text(reader, object, "loop"), "open") == 0;

    config->arrival_text = read_text(reader, object, "arrival");
    if (is_open && !load_schedule_parse(config->arrival_text, &config->arrival))
        fail(reader, "\"arrival\" is no kind of arrival");
    plan->rate_per_s = (uint64_t)read_real(reader, object, "rate_per_s");
    if (is_open != (plan->rate_per_s > 0)) fail(reader, "\"loop\" and \"rate_per_s\" differ");
    config->rate_per_s = plan->rate_per_s;
    config->backlog = read_added(reader, object, "backlog_max", 0);
    plan->connections = read_count(reader, object, "connections");
    plan->workers = (uint32_t)read_count(reader, object, "threads");
    plan->messages = read_limit(reader, object, "messages");
    plan->per_connection = read_limit(reader, object, "per_connection");
    plan->per_connection_max = json_object_get(object, "per_connection_max") != NULL
                                   ? read_limit(reader, object, "per_connection_max")
                                   : plan->per_connection;
    plan->duration_ns = read_limit(reader, object, "duration_ns");
    plan->warmup_ns = read_count(reader, object, "warmup_ns");
    config->warmup_ns = plan->warmup_ns;
    config->ramp_ns = read_added(reader, object, "ramp_asked_ns", 0);
    config->drain_ns = read_count(reader, object, "drain_ns");
    config->timeout_ns = read_count(reader, object, "timeout_ns");
    config->is_lmtp = json_object_get(object, "protocol") != NULL &&
                      strcmp(read_text(reader, object, "protocol"), "lmtp") == 0;
    saved->result.mode = read_pipelining(reader, object, "pipelining");
    config->pipelining = (int)read_pipelining(reader, object, "pipelining_asked");
    config->scenario = read_scenario(reader, object);
    config->session_text = "";
    if (json_object_get(object, "session") != NULL)
        config->session_text = read_text(reader, object, "session");
    read_tls(reader, saved, object);
    if (!load_score_json_read(&saved->result.tally.score, json_object_get(saved->root, "sessions")))
        fail(reader, "\"sessions\" is no score");
    read_message(reader, saved, object);
}

static void read_environment(struct reader *reader, struct load_saved *saved)
{
    struct load_environment *environment = &saved->result.environment;
    const json_t *object = read_object(reader, saved->root, "environment");
    const json_t *target = read_object(reader, object, "target");
    char address[NET_TEXT_MAX - 8];

    copy_text(reader, object, "host", environment->host, sizeof environment->host);
    copy_text(reader, object, "clock_source", environment->clock_source,
              sizeof environment->clock_source);
    environment->cpus_online = (uint32_t)read_count(reader, object, "cpus_online");
    environment->clock_cost_ns = read_count(reader, object, "clock_cost_ns");
    environment->is_same_host = read_flag(reader, target, "same_host");
    copy_text(reader, target, "address", address, sizeof address);
    uint64_t port = read_count(reader, target, "port");
    environment->is_unix = port == 0;
    if (port > UINT16_MAX) fail(reader, "\"port\" is none");
    if (port == 0)
        (void)snprintf(environment->target, sizeof environment->target, "%s", address);
    else
        (void)snprintf(environment->target, sizeof environment->target, "%s:%u", address,
                       (unsigned)(port & UINT16_MAX));
}

static enum load_verdict_status read_status(struct reader *reader, const json_t *verdict)
{
    static const char *const names[] = {"valid", "suspect", "invalid"};
    const char *name = read_text(reader, verdict, "status");
    for (uint32_t status = 0; status <= LOAD_VERDICT_INVALID; status++)
        if (strcmp(names[status], name) == 0) return (enum load_verdict_status)status;
    fail(reader, "\"status\" is no verdict");
    return LOAD_VERDICT_INVALID;
}

static double read_drift(const json_t *checks, const char *name)
{
    double ratio = json_number_value(json_object_get(checks, name));
    return ratio >= -NUMBER_MAX && ratio <= NUMBER_MAX ? ratio : 0;
}

/* Of the two trends a file says only whether either is a drift. */
static void read_checks(struct reader *reader, struct load_result *result, const json_t *checks)
{
    const json_t *steady = read_value(reader, checks, "steady");
    bool is_known = json_is_boolean(steady);
    result->rate_trend = (struct load_trend){
        .is_known = is_known,
        .is_drift = json_is_false(steady),
        .drift_ratio = read_drift(checks, "rate_drift_ratio"),
    };
    result->p99_trend = (struct load_trend){
        .is_known = json_is_number(json_object_get(checks, "p99_drift_ratio")),
        .drift_ratio = read_drift(checks, "p99_drift_ratio"),
    };
    result->kernel.is_known = json_is_integer(json_object_get(checks, "segments_sent"));
    if (!result->kernel.is_known) return;
    result->kernel.segments = read_count(reader, checks, "segments_sent");
    result->kernel.retransmits = read_count(reader, checks, "retransmits");
    result->kernel.listen_overflows = read_added(reader, checks, "listen_overflows", 0);
}

static void read_verdict(struct reader *reader, struct load_saved *saved)
{
    struct load_result *result = &saved->result;
    struct load_verdict *verdict = &result->verdict;
    const json_t *object = read_object(reader, saved->root, "verdict");
    const json_t *checks = read_object(reader, object, "checks");
    const json_t *reasons = read_array(reader, object, "reasons");
    const json_t *reason;
    size_t index;

    verdict->status = read_status(reader, object);
    json_array_foreach(reasons, index, reason)
    {
        if (verdict->reason_count == LOAD_VERDICT_REASONS_MAX || !json_is_string(reason)) break;
        bytes_escape(bytes_from_text(json_string_value(reason)),
                     verdict->reasons[verdict->reason_count++], LOAD_VERDICT_TEXT_MAX);
    }
    result->busy_max_ratio = read_real(reader, checks, "busy_max_ratio");
    result->littles_ratio = read_real(reader, checks, "littles_law_ratio");
    result->ceiling_per_s = read_real(reader, checks, "ceiling_per_s");
    result->late_limit_ns = read_added(reader, checks, "late_limit_ns", 0);
    result->backlog_longest = (uint32_t)read_added(reader, checks, "backlog_longest", 0);
    result->ring_overflows = read_count(reader, checks, "cq_overflows");
    result->ring_no_buffers = read_count(reader, checks, "receive_buffers_ran_out");
    result->tally.reached = read_count(reader, checks, "connections_reached");
    read_checks(reader, result, checks);
}

static void read_thresholds(struct reader *reader, struct load_saved *saved)
{
    const json_t *thresholds = read_array(reader, saved->root, "thresholds");
    struct load_config *config = &saved->config;
    const json_t *item;
    size_t index;

    json_array_foreach(thresholds, index, item)
    {
        if (config->threshold_count == LOAD_THRESHOLDS_MAX) break;
        const char *text = read_text(reader, item, "expr");
        if (!load_threshold_parse(&config->thresholds[config->threshold_count++], text))
            fail(reader, "\"expr\" is no threshold");
    }
}

/* ---- intervals: columns become rows again ---- */

static uint64_t take_cell(struct reader *reader, const json_t *columns, const char *name,
                          size_t index)
{
    const json_t *column = json_object_get(columns, name);
    const json_t *cell = json_array_get(column, index);
    if (json_array_size(column) == 0) return 0; /* an older file */
    if (cell == NULL) fail(reader, "the intervals' \"%s\" is too short", name);
    return cell == NULL ? 0 : take_count(reader, cell, name);
}

static void read_interval(struct reader *reader, struct load_saved *saved, const json_t *columns,
                          size_t index)
{
    struct load_interval *interval = &saved->progress.intervals[index];
    const json_t *start = json_array_get(json_object_get(columns, "t_ns"), index);
    const json_t *busy = json_array_get(json_object_get(columns, "busy_ratio"), index);
    json_int_t after_warmup_ns = json_integer_value(start);
    bool is_start = after_warmup_ns >= -COUNT_MAX && after_warmup_ns <= COUNT_MAX;
    json_int_t start_ns = (is_start ? after_warmup_ns : 0) + (json_int_t)saved->plan.warmup_ns;
    struct load_interval_latency latency = {
        .p50_ns = take_cell(reader, columns, "p50_ns", index),
        .p99_ns = take_cell(reader, columns, "p99_ns", index),
        .maximum_ns = take_cell(reader, columns, "max_ns", index),
    };

    if (!is_start || start_ns < 0) fail(reader, "an interval begins before the run");
    if (busy == NULL) fail(reader, "the intervals' \"busy_ratio\" is too short");
    *interval = (struct load_interval){
        .start_ns = (uint64_t)start_ns,
        .length_ns = take_cell(reader, columns, "length_ns", index),
        .due = take_cell(reader, columns, "due", index),
        .accepted = take_cell(reader, columns, "accepted", index),
        .failed = take_cell(reader, columns, "failed", index),
        .up = (uint32_t)take_cell(reader, columns, "open", index),
        .down = (uint32_t)take_cell(reader, columns, "down", index),
        .busy_ratio = busy == NULL ? 0 : take_real(reader, busy, "busy_ratio"),
    };
    interval->service_sum_ns = take_cell(reader, columns, "mean_ns", index) * interval->accepted;
    *(saved->plan.rate_per_s > 0 ? &interval->response : &interval->service) = latency;
}

static void read_intervals(struct reader *reader, struct load_saved *saved)
{
    const json_t *columns = read_object(reader, saved->root, "intervals");
    size_t count = json_array_size(read_array(reader, columns, "t_ns"));

    if (count > LOAD_INTERVALS_MAX) fail(reader, "it has too many intervals");
    if (reader->has_failed || count == 0) return;
    saved->progress.intervals = calloc(count, sizeof *saved->progress.intervals);
    if (saved->progress.intervals == NULL) {
        fail(reader, "no memory for its intervals");
        return;
    }
    saved->progress.count = (uint32_t)count;
    saved->progress.capacity = (uint32_t)count;
    for (size_t index = 0; index < count && !reader->has_failed; index++)
        read_interval(reader, saved, columns, index);
}

static void read_watch_row(struct reader *reader, const json_t *watch, size_t index,
                           struct load_watch_row *row)
{
    const json_t *cpu = json_array_get(json_object_get(watch, "cpu_ratio"), index);
    const json_t *io = json_array_get(json_object_get(watch, "io_bytes_per_s"), index);

    row->is_known = json_is_number(cpu);
    row->has_io = json_is_number(io);
    if (row->is_known) row->cpu_ratio = take_real(reader, cpu, "cpu_ratio");
    if (row->has_io) row->io_bytes_per_s = take_real(reader, io, "io_bytes_per_s");
    row->rss_bytes = take_cell(reader, watch, "rss_bytes", index);
}

static void read_watches(struct reader *reader, struct load_saved *saved)
{
    const json_t *watches = read_value(reader, saved->root, "watch");
    const json_t *watch;
    size_t number;

    json_array_foreach(watches, number, watch)
    {
        if (saved->watches.count == LOAD_WATCHES_MAX || reader->has_failed) return;
        uint32_t index = saved->watches.count++;
        copy_text(reader, watch, "what", saved->watches.items[index].what, LOAD_WATCH_WHAT_MAX);
        for (uint32_t second = 0; second < saved->progress.count && !reader->has_failed; second++)
            read_watch_row(reader, watch, second, &saved->progress.intervals[second].watch[index]);
    }
}

static void read_warmup(struct reader *reader, struct load_saved *saved)
{
    const json_t *warmup = read_value(reader, saved->root, "warmup");
    if (warmup == NULL || json_is_null(warmup)) return;
    read_totals(reader, read_object(reader, warmup, "totals"), &saved->result.warmup);
    read_latencies(reader, read_object(reader, warmup, "latency"), &saved->result.warmup);
}

static void read_result(struct reader *reader, struct load_saved *saved)
{
    struct load_result *result = &saved->result;
    struct load_tally *tally = &result->tally;
    const json_t *rates = read_object(reader, saved->root, "rates");
    const json_t *phases = read_object(reader, saved->root, "phases");

    read_run(reader, saved);
    read_config(reader, saved);
    read_environment(reader, saved);
    read_totals(reader, read_object(reader, saved->root, "totals"), tally);
    read_latencies(reader, read_object(reader, saved->root, "latency"), tally);
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT; phase++)
        read_latency(reader, phases, load_phase_name((enum load_phase)phase),
                     &tally->phases[phase]);
    read_replies(reader, read_array(reader, saved->root, "replies"), tally);
    read_errors(reader, read_array(reader, saved->root, "errors"), tally);
    if (json_object_get(saved->root, "errors_beyond") != NULL)
        tally->errors_beyond = read_count(reader, saved->root, "errors_beyond");
    read_verdict(reader, saved);
    read_thresholds(reader, saved);
    read_intervals(reader, saved);
    read_watches(reader, saved);
    read_warmup(reader, saved);
    result->measured_ns = read_count(reader, saved->root, "measured_ns");
    result->ramp_ns = read_count(reader, saved->root, "ramp_ns");
    result->accepted_per_s = read_real(reader, rates, "accepted_per_s");
    result->body_bytes_per_s = read_real(reader, rates, "body_bytes_per_s");
    result->due_per_s = read_real(reader, rates, "due_per_s");
    saved->begin_ns = result->started_realtime_ns + result->ramp_ns + saved->plan.warmup_ns;
}

/* ---- the file ---- */

static json_t *load_document(struct reader *reader, const char *path)
{
    json_error_t why;
    struct stat status;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        fail(reader, "cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    json_t *root = NULL;
    if (fstat(fileno(file), &status) == 0 && status.st_size > (off_t)LOAD_SAVED_FILE_MAX)
        fail(reader, "%s is too large for a result", path);
    else if ((root = json_loadf(file, JSON_REJECT_DUPLICATES, &why)) == NULL)
        fail(reader, "%s is no JSON: line %d: %s", path, why.line, why.text);
    (void)fclose(file);
    return root;
}

static void check_schema(struct reader *reader, const json_t *root, const char *path)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    char escaped[64];

    if (schema != NULL && strcmp(schema, SCHEMA) == 0) return;
    bytes_escape(bytes_from_text(schema == NULL ? "none" : schema), escaped, sizeof escaped);
    fail(reader, "%s has schema %s, but this loadgen reads " SCHEMA, path, escaped);
}

bool load_saved_open(struct load_saved *saved, const char *path, char *error)
{
    struct reader reader = {.error = error};

    memset(saved, 0, sizeof *saved);
    saved->result.config = &saved->config;
    saved->result.plan = &saved->plan;
    saved->result.progress = &saved->progress;
    saved->result.first = &saved->first;
    saved->result.watches = &saved->watches;
    saved->root = load_document(&reader, path);
    if (saved->root != NULL) check_schema(&reader, saved->root, path);
    if (!reader.has_failed && load_tally_open(&saved->result.tally) < 0)
        fail(&reader, "no memory for %s", path);
    if (!reader.has_failed && load_tally_open(&saved->result.warmup) < 0)
        fail(&reader, "no memory for %s", path);
    if (!reader.has_failed) {
        char reason[LOAD_SAVED_ERROR_MAX / 2];
        struct reader inner = {.error = reason};
        copy_text(&inner, read_object(&inner, saved->root, "tool"), "version", saved->version,
                  sizeof saved->version);
        saved->result.version = saved->version;
        read_result(&inner, saved);
        if (inner.has_failed) fail(&reader, "%s is no whole result: %.190s", path, reason);
    }
    if (reader.has_failed) load_saved_close(saved);
    return !reader.has_failed;
}

void load_saved_close(struct load_saved *saved)
{
    load_tally_close(&saved->result.tally);
    load_tally_close(&saved->result.warmup);
    free(saved->progress.intervals);
    saved->progress.intervals = NULL;
    json_decref(saved->root);
    saved->root = NULL;
}
