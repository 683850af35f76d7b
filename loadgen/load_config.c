#include "loadgen/load_config.h"

#include "base/clock.h"
#include "base/units.h"
#include "loadgen/load_mail.h"
#include "loadgen/load_options.h"
#include "loadgen/load_target.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECIPIENTS_MAX 1000u
#define ADDRESS_MAX    254u /* RFC 5321 4.5.3.1.3: a path is 256 with its brackets */
#define BACKLOG_S      10u  /* of the rate */
#define WARMUP_PART    10u  /* of -d, unless --warmup says otherwise */
#define LABELS_MAX     2000u
#define SUBJECT_MAX    900u /* RFC 5322 2.1.1: a line is 998 */

static const char default_length[] = "10k";
static const char default_subject[] = "load test";

static void set_defaults(struct load_config *config)
{
    *config = (struct load_config){
        .connections = 10,
        .duration_ns = 0,
        .messages = LOAD_UNLIMITED,
        .per_connection = LOAD_UNLIMITED,
        .length_text = default_length,
        .recipients_text = "1",
        .seed = clock_realtime_ns() / CLOCK_NS_PER_MS,
        .timeout_ns = 30 * CLOCK_NS_PER_S,
        .drain_ns = 10 * CLOCK_NS_PER_S,
        .warmup_ns = LOAD_UNLIMITED, /* not said */
        .arrival_text = "poisson",
        .sender = "load@client.test",
        .recipient = "user@sink.test",
        .subject = default_subject,
        .helo = "client.test",
        .per_connection_text = "inf",
        .pipelining = LOAD_PIPELINING_AUTO,
        .progress = LOAD_PROGRESS_AUTO,
    };
}

bool load_config_fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, LOAD_CONFIG_ERROR_MAX, format, arguments);
    va_end(arguments);
    return false;
}

bool load_config_parse_cpus(const char *text, cpu_set_t *cpus)
{
    CPU_ZERO(cpus);
    for (;;) {
        char *end;
        if (*text < '0' || *text > '9') return false;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;
        if (*end == '-') {
            if (end[1] < '0' || end[1] > '9') return false;
            last = strtoul(end + 1, &end, 10);
        }
        if (last >= CPU_SETSIZE || first > last) return false;
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, cpus);
        if (*end == '\0') return true;
        if (*end != ',') return false;
        text = end + 1;
    }
}

/* RFC 3629 4, as far as that no octet stands where it can't: servers look closer. */
static bool is_utf8(const char *text)
{
    uint32_t left = 0;
    for (; *text != '\0'; text++) {
        unsigned char octet = (unsigned char)*text;
        bool continues = (octet & 0xc0) == 0x80;
        if (continues != (left > 0)) return false;
        if (continues)
            left--;
        else if (octet >= 128)
            left = octet >= 0xc2 && octet < 0xe0 ? 1 : octet >= 0xe0 && octet < 0xf0 ? 2 : 3;
        if (octet == 0xc0 || octet == 0xc1 || octet > 0xf4) return false;
    }
    return left == 0;
}

/* An address may be UTF-8 (RFC 6531 3.3): blanks and controls of ASCII aside, anything. */
static bool is_address(const char *text, uint64_t longest)
{
    uint64_t size = strlen(text);
    for (uint64_t index = 0; index < size; index++) {
        unsigned char octet = (unsigned char)text[index];
        if (octet <= ' ' || octet == 127 || octet == '<' || octet == '>') return false;
    }
    return size <= longest && is_utf8(text);
}

/* What may stand in a command line without changing what it means. */
static bool is_word(const char *text, uint64_t longest)
{
    uint64_t size = strlen(text);
    if (size > longest) return false;
    for (uint64_t index = 0; index < size; index++) {
        unsigned char octet = (unsigned char)text[index];
        if (octet <= ' ' || octet >= 127 || octet == '<' || octet == '>') return false;
    }
    return true;
}

static bool is_text(const char *text, uint64_t longest)
{
    uint64_t size = strlen(text);
    for (uint64_t index = 0; index < size; index++)
        if ((unsigned char)text[index] < ' ' || text[index] == 127) return false;
    return size <= longest;
}

/* "3" or "1-5": both bounds, in order and from 1 on. */
static bool parse_span(const char *text, uint64_t *low, uint64_t *high)
{
    char first[UNITS_TEXT_MAX];
    size_t size = strcspn(text, "-");
    if (size == 0 || size >= sizeof first) return false;
    memcpy(first, text, size);
    first[size] = '\0';
    if (!units_parse_count(first, low)) return false;
    *high = *low;
    if (text[size] == '-' && !units_parse_count(text + size + 1, high)) return false;
    return *low > 0 && *low <= *high;
}

static bool check_spans(struct load_config *config, char *error)
{
    if (!parse_span(config->recipients_text, &config->recipients, &config->recipients_max) ||
        config->recipients_max > RECIPIENTS_MAX)
        return load_config_fail(error, "-r, --recipients '%s': try 1, 50, 1-10; at most %u",
                                config->recipients_text, RECIPIENTS_MAX);
    if (strcmp(config->per_connection_text, "inf") == 0) {
        config->per_connection = LOAD_UNLIMITED;
        config->per_connection_max = LOAD_UNLIMITED;
        return true;
    }
    if (parse_span(config->per_connection_text, &config->per_connection,
                   &config->per_connection_max))
        return true;
    return load_config_fail(error, "-k, --per-connection '%s': try 1, 100, 1-5, inf",
                            config->per_connection_text);
}

static bool check_expects(struct load_config *config, char *error)
{
    if (config->numbers_recipients && config->repeats_recipients)
        return load_config_fail(error, "-N, --number and --no-number exclude one another");
    if (config->expect_text == NULL) return true;
    if (load_expects_parse(&config->expects, config->expect_text)) return true;
    return load_config_fail(error, "--expect '%s': try RCPT=450,DATA.=421; at most %u",
                            config->expect_text, LOAD_EXPECTS_MAX);
}

/* What is sent as it is has a length and a subject. */
static bool check_corpus(const struct load_config *config, char *error)
{
    bool is_corpus = config->file_text != NULL || config->corpus_text != NULL;
    if (config->file_text != NULL && config->corpus_text != NULL)
        return load_config_fail(error, "-F, --file and --corpus exclude one another");
    if (is_corpus && (config->length_text != default_length || config->subject != default_subject))
        return load_config_fail(
            error, "-F, --file and --corpus send messages as they are: without -l and -S");
    if (config->corpus_order != 0 && config->corpus_text == NULL)
        return load_config_fail(error, "--corpus-order is of --corpus");
    return true;
}

static bool check_texts(struct load_config *config, char *error)
{
    if (strcmp(config->sender, "<>") == 0) config->sender = "";
    if (!is_address(config->sender, ADDRESS_MAX))
        return load_config_fail(error,
                                "-f, --from is no address: one word without <> and blanks, UTF-8");
    if (config->recipient[0] == '\0' || !is_address(config->recipient, ADDRESS_MAX))
        return load_config_fail(error, "--to is no address: one word without <> and blanks, UTF-8");
    if (config->domains != NULL && !is_utf8(config->domains))
        return load_config_fail(error, "--domains is no UTF-8");
    if (config->helo[0] == '\0' || !is_word(config->helo, ADDRESS_MAX))
        return load_config_fail(error, "-M, --helo is no name: one word without <> and blanks");
    if (!is_text(config->subject, SUBJECT_MAX))
        return load_config_fail(error, "-S, --subject: at most %u octets, no control characters",
                                SUBJECT_MAX);
    return true;
}

/* Every one of `cpus` is among those that this process may use. */
static bool may_run_on(const cpu_set_t *cpus)
{
    cpu_set_t allowed;
    cpu_set_t both;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return true;
    CPU_AND(&both, cpus, &allowed);
    return CPU_EQUAL(&both, cpus) != 0;
}

static bool check_schedule(struct load_config *config, char *error)
{
    if (!load_schedule_parse(config->arrival_text, &config->arrival))
        return load_config_fail(error, "--arrival '%s': try poisson, uniform, burst:100",
                                config->arrival_text);
    if (config->rate_per_s == 0 && config->backlog != 0)
        return load_config_fail(error,
                                "--max-backlog goes with -R: in a closed loop nothing is due");
    if (config->backlog == 0) config->backlog = BACKLOG_S * config->rate_per_s;
    if (config->backlog > LOAD_OPTIONS_BACKLOG_MAX) config->backlog = LOAD_OPTIONS_BACKLOG_MAX;
    return true;
}

/* The list is cut at its commas, in a copy. */
static bool check_thresholds(struct load_config *config, char *error)
{
    char *rest = NULL;
    char *text = NULL;
    if (config->threshold_text != NULL) {
        if (strlen(config->threshold_text) >= sizeof config->threshold_list)
            return load_config_fail(error, "--threshold: the list is too long");
        rest = strcpy(config->threshold_list, config->threshold_text);
    }
    while (rest != NULL && (text = strsep(&rest, ",")) != NULL) {
        struct load_threshold *threshold = &config->thresholds[config->threshold_count];
        if (config->threshold_count == LOAD_THRESHOLDS_MAX)
            return load_config_fail(error, "--threshold: %u at most", LOAD_THRESHOLDS_MAX);
        if (!load_threshold_parse(threshold, text))
            return load_config_fail(error,
                                    "--threshold '%s': try p99<50ms, fail<0.1%%, rate>=19.9k, "
                                    "within(50ms)>99%%, dot.p99<1s",
                                    text);
        if (config->rate_per_s == 0 && load_threshold_wants_open_loop(threshold))
            return load_config_fail(
                error,
                "--threshold '%s': a closed loop has no response times: use -R, or "
                "service.",
                text);
        config->threshold_count++;
    }
    return true;
}

static void settle_times(struct load_config *config)
{
    bool is_timed = config->duration_ns != 0 || config->messages == LOAD_UNLIMITED;
    if (config->duration_ns == 0)
        config->duration_ns = is_timed ? 10 * CLOCK_NS_PER_S : LOAD_UNLIMITED;
    if (config->warmup_ns == LOAD_UNLIMITED)
        config->warmup_ns =
            config->messages == LOAD_UNLIMITED ? config->duration_ns / WARMUP_PART : 0;
}

static bool check_chunks(struct load_config *config, char *error)
{
    if (!config->is_chunked && config->window > 0)
        return load_config_fail(error, "--window is of --bdat: DATA waits for its 354");
    if (config->window == 0) config->window = 1;
    if (!config->is_chunked) return true;
    if (config->pipelining != LOAD_PIPELINING_AUTO)
        return load_config_fail(error, "--bdat and --pipelining exclude one another");
    config->pipelining = LOAD_PIPELINING_BDAT;
    return true;
}

/* An open loop has its own times, and a message that is on its way already can't be put off. */
static bool check_think(struct load_config *config, char *error)
{
    if (config->think_text == NULL) return true;
    if (!load_pause_parse(&config->think, config->think_text))
        return load_config_fail(error,
                                "-w, --think '%s': try 50ms, 10ms-2s, exp:50ms; an hour at most",
                                config->think_text);
    config->has_think = config->think.high_ns > 0;
    if (!config->has_think) return true;
    if (config->rate_per_s > 0)
        return load_config_fail(error,
                                "-w, --think is of a closed loop: -R says when messages are due");
    if (config->pipelining == LOAD_PIPELINING_STREAM || config->window > 1)
        return load_config_fail(
            error, "-w, --think leaves no message to send ahead: not with --pipelining "
                   "stream or --window");
    return true;
}

static bool check_scenario(struct load_config *config, char *error)
{
    if (config->scenario == LOAD_SCENARIO_DELIVER) return true;
    if (config->rate_per_s > 0)
        return load_config_fail(error, "--scenario %s sends no messages: -R has no use there",
                                load_scenario_name((enum load_scenario)config->scenario));
    if (config->scenario == LOAD_SCENARIO_IDLE && config->messages != LOAD_UNLIMITED)
        return load_config_fail(
            error, "--scenario idle sends no messages: -d says how long it holds sessions");
    return true;
}

/* What needs TLS goes with it, and what would go unused is not taken. */
static bool check_tls(const struct load_config *config, char *error)
{
    const struct {
        bool is_given;
        const char *name;
    } given[] = {
        {config->tls_resumes, "--tls-resume"},
        {config->tls_verifies, "--tls-verify"},
        {config->tls_ca != NULL, "--tls-ca"},
        {config->tls_name != NULL, "--tls-name"},
    };
    for (uint32_t index = 0; index < sizeof given / sizeof given[0]; index++)
        if (config->tls == LOAD_TLS_OFF && given[index].is_given)
            return load_config_fail(error, "%s goes with --tls starttls or --tls implicit",
                                    given[index].name);
    if (config->tls_ca != NULL && !config->tls_verifies)
        return load_config_fail(
            error, "--tls-ca says who may have signed, but only --tls-verify looks: say that too");
    if (config->tls_name == NULL ||
        (config->tls_name[0] != '\0' && is_word(config->tls_name, NET_HOST_MAX - 1)))
        return true;
    return load_config_fail(error, "--tls-name is no name: one word of ASCII, at most %u octets",
                            NET_HOST_MAX - 1);
}

/* A session's file says itself what is sent, how often, and how it ends. */
static bool check_session(struct load_config *config, char *error)
{
    const struct {
        bool is_given;
        const char *name;
    } told[] = {
        {config->is_chunked, "--bdat"},
        {config->pipelining != LOAD_PIPELINING_AUTO, "--pipelining"},
        {config->scenario != LOAD_SCENARIO_DELIVER, "--scenario"},
        {config->quit != LOAD_QUIT_QUIT, "--quit"},
        {config->think_text != NULL, "-w, --think"},
        {strcmp(config->per_connection_text, "inf") != 0, "-k, --per-connection"},
        {strcmp(config->recipients_text, "1") != 0, "-r, --recipients"},
        {config->domains != NULL, "--domains"},
        {config->expect_text != NULL, "--expect"},
        {config->credentials != NULL, "--auth"},
        {config->is_lmtp, "-L, --lmtp"},
        {config->is_calibration, "--calibrate"},
    };
    if (config->session_text == NULL) return true;
    for (uint32_t index = 0; index < sizeof told / sizeof told[0]; index++)
        if (told[index].is_given)
            return load_config_fail(error, "--session: the file says what %s would",
                                    told[index].name);
    config->pipelining = LOAD_PIPELINING_WRITTEN;
    config->per_connection = 1;
    config->per_connection_max = 1;
    return true;
}

/* Each part has a name, "=", and whatever. */
static bool check_labels(const struct load_config *config, char *error)
{
    for (const char *text = config->labels; text != NULL;) {
        size_t size = strcspn(text, ",");
        size_t name = strcspn(text, "=");
        if (name == 0 || name >= size)
            return load_config_fail(error, "--label '%s': try mta=postfix-3.7,disk=nvme",
                                    config->labels);
        text = text[size] == ',' ? text + size + 1 : NULL;
    }
    return config->labels == NULL || is_text(config->labels, LABELS_MAX) ||
           load_config_fail(error, "--label: at most %u octets, no control characters", LABELS_MAX);
}

static bool check_calibration(const struct load_config *config, char *error)
{
    if (!config->is_calibration) return true;
    if (config->is_chunked || config->scenario != LOAD_SCENARIO_DELIVER)
        return load_config_fail(
            error, "--calibrate is for messages sent by DATA: without --bdat and --scenario");
    if (config->per_connection == LOAD_UNLIMITED || !config->tls_verifies) return true;
    return load_config_fail(
        error, "--calibrate has a server whose certificate nobody signed: with -k leave out "
               "--tls-verify, whose cost is not measured then");
}

static bool check_values(struct load_config *config, char *error)
{
    if (!check_labels(config, error)) return false;
    if (!check_scenario(config, error)) return false;
    if (!check_chunks(config, error)) return false;
    if (!check_spans(config, error)) return false;
    if (!check_calibration(config, error)) return false;
    if (!check_schedule(config, error)) return false;
    if (!check_think(config, error)) return false;
    if (!check_thresholds(config, error)) return false;
    if (!check_texts(config, error)) return false;
    if (!check_corpus(config, error)) return false;
    if (!check_expects(config, error)) return false;
    if (!check_session(config, error)) return false;
    if (!check_tls(config, error)) return false;
    if (!load_length_parse(&config->length, config->length_text, LOAD_MAIL_LENGTH_MAX))
        return load_config_fail(
            error,
            "-l, --length '%s': try 10k, 1k-100k, lognormal:8k,1.4 or 1k:50,10k:40; a body "
            "ends in CR LF, so it has 0 octets or 2 and more, 1 GiB at most",
            config->length_text);
    if (config->only_v4 && config->only_v6)
        return load_config_fail(error, "-4 and -6 exclude one another");
    if (config->cpus_text != NULL) {
        config->is_pinned = load_config_parse_cpus(config->cpus_text, &config->cpus);
        if (!config->is_pinned)
            return load_config_fail(error, "--cpus '%s' is no list of CPUs: try 0,2-3",
                                    config->cpus_text);
        if (!may_run_on(&config->cpus))
            return load_config_fail(
                error, "--cpus '%s': not all of these CPUs are allowed here; see taskset -p $$",
                config->cpus_text);
    }
    settle_times(config);
    return true;
}

enum load_config_outcome load_config_read(struct load_config *config, int argc, char **argv,
                                          char *error)
{
    struct options_result result;

    set_defaults(config);
    options_parse(&load_options, argc, argv, config, &result);
    switch (result.outcome) {
    case OPTIONS_HELP:
        options_print_help(&load_options, result.help_group);
        return LOAD_CONFIG_HELP;
    case OPTIONS_VERSION:
        return LOAD_CONFIG_VERSION;
    case OPTIONS_WRONG:
        (void)load_config_fail(error, "%s", result.error);
        return LOAD_CONFIG_WRONG;
    case OPTIONS_PARSED:
        break;
    }
    if (!check_values(config, error)) return LOAD_CONFIG_WRONG;
    if (!load_target_read(config, argc, argv, result.first_operand, error))
        return LOAD_CONFIG_WRONG;
    return LOAD_CONFIG_READY;
}
