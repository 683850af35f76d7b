/* loadgen -- the load generator's program. */
#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/units.h"
#include "loadgen/load_barrier.h"
#include "loadgen/load_ceiling.h"
#include "loadgen/load_checks.h"
#include "loadgen/load_conductor.h"
#include "loadgen/load_corpus.h"
#include "loadgen/load_json.h"
#include "loadgen/load_null.h"
#include "loadgen/load_report.h"
#include "loadgen/load_report_tool.h"
#include "loadgen/load_result.h"
#include "loadgen/load_tls.h"
#include "ring/ring_probe.h"
#include "tls/tls_context.h"
#include "tls/tls_memory.h"
#include "version.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_DESCRIPTORS 16u
#define PER_WORKER        4u
#define CALIBRATION_NS    (3 * CLOCK_NS_PER_S)

static void print_version(void)
{
    char features[RING_PROBE_TEXT_MAX];
    const char *library = tls_library_version(); /* "OpenSSL 3.0.17 1 Jul 2025" */
    size_t size = strcspn(library, " ");
    if (library[size] == ' ') size += 1 + strcspn(library + size + 1, " ");
    (void)printf("loadgen %s (%s)\n%s, tls(%.*s)\n", RINGSINK_VERSION, RINGSINK_COMMIT,
                 ring_probe_features(features), (int)size, library);
}

static uint32_t count_cores(const struct load_config *config)
{
    cpu_set_t set;
    if (config->is_pinned) return (uint32_t)CPU_COUNT(&config->cpus);
    if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
    return (uint32_t)CPU_COUNT(&set);
}

static struct load_plan make_plan(const struct load_config *config)
{
    uint32_t workers = (uint32_t)config->threads;
    if (workers == 0) workers = load_plan_choose_workers(config->connections, count_cores(config));
    struct load_plan plan = load_plan_make(config->connections, config->messages,
                                           config->per_connection, config->duration_ns, workers);
    plan.per_connection_max = config->per_connection_max;
    plan.warmup_ns = config->warmup_ns;
    plan.rate_per_s = config->rate_per_s;
    plan.backlog = config->backlog;
    return plan;
}

static void check_descriptors(const struct load_plan *plan)
{
    uint64_t needed = plan->connections + plan->workers * PER_WORKER + SPARE_DESCRIPTORS;
    uint64_t limit = net_raise_descriptor_limit();
    if (needed <= limit) return;
    die(EXIT_CODE_USAGE,
        "%llu connections need %llu descriptors, but the hard limit is %llu: `ulimit -Hn %llu` as "
        "root (or LimitNOFILE= of the unit), or fewer -c",
        (unsigned long long)plan->connections, (unsigned long long)needed,
        (unsigned long long)limit, (unsigned long long)needed);
}

/* What would spoil the run is said before anything is sent. */
static void check_machine(const struct load_config *config, const struct load_plan *plan)
{
    struct load_environment environment;
    char text[LOAD_CHECKS_TEXT_MAX];

    check_descriptors(plan);
    load_environment_read(&environment, &config->addresses[0]);
    if (!load_checks_ports(plan, config->sources.count, &environment, text))
        die(EXIT_CODE_USAGE, "%s", text);
    if (!load_checks_queue(plan, config->ramp_ns > 0, &environment, text))
        die(EXIT_CODE_USAGE, "%s", text);
    if (!load_checks_clock(&environment, text)) log_warning("%s", text);
}

static FILE *open_output(const struct load_config *config)
{
    if (config->output == NULL) return NULL;
    if (strcmp(config->output, "-") == 0) return stdout;
    FILE *file = fopen(config->output, "we");
    if (file == NULL)
        die(EXIT_CODE_USAGE, "cannot write the result to %s: %s", config->output, strerror(errno));
    return file;
}

/* Messages to be sent as they are, or NULL; the report then tells their lengths. */
static const struct load_corpus *open_corpus(struct load_corpus *corpus, struct load_config *config)
{
    char error[LOAD_CORPUS_ERROR_MAX];
    bool is_read = true;

    if (config->file_text == NULL && config->corpus_text == NULL) return NULL;
    if (config->file_text != NULL)
        is_read = load_corpus_open_file(corpus, config->file_text, error);
    else
        is_read = load_corpus_open(corpus, config->corpus_text, error);
    if (!is_read) die(EXIT_CODE_USAGE, "%s", error);
    config->length_text = corpus->length_text;
    CHECK(load_length_parse(&config->length, config->length_text, LOAD_CORPUS_SIZE_MAX));
    return corpus;
}

/* What sessions say, or NULL. */
static const struct load_dialogues *open_dialogues(struct load_dialogues *dialogues,
                                                   const struct load_config *config)
{
    char error[LOAD_DIALOGUE_ERROR_MAX];
    uint64_t size;

    if (config->session_text == NULL) return NULL;
    uint8_t *text = file_read(config->session_text, LOAD_DIALOGUE_FILE_MAX, &size);
    if (text == NULL)
        die(EXIT_CODE_USAGE, "cannot read %s: %s", config->session_text,
            errno == EINVAL ? "no regular file" : strerror(errno));
    if (!load_dialogues_open(dialogues, bytes_make(text, size), config->seed, error))
        die(EXIT_CODE_USAGE, "%s: %s", config->session_text, error);
    free(text);
    return dialogues;
}

static void open_mail(struct load_mail *mail, const struct load_config *config,
                      const struct load_corpus *corpus)
{
    uint64_t now_ns = clock_realtime_ns();
    struct load_mail_recipe recipe = {
        .sender = config->sender,
        .recipient = config->recipient,
        .subject = config->subject,
        .host = config->helo,
        .length = &config->length,
        .seed = config->seed,
        .run = random_mix(config->seed, now_ns), /* a run's own, even if its seed is given */
        .date_ns = now_ns,
        .corpus = corpus,
        .is_random = config->corpus_order != 0,
        .is_chunked = config->pipelining == LOAD_PIPELINING_BDAT,
    };
    if (load_mail_open(mail, &recipe) < 0)
        die(EXIT_CODE_FAILED, "no memory for a message of %llu octets",
            (unsigned long long)load_length_percentile(&config->length, 100));
}

/* Whether the content has octets above 127: a corpus's own, or those of our header fields. */
static bool is_8bit(const struct load_config *config, const struct load_corpus *corpus)
{
    const char *const fields[] = {config->sender, config->recipient, config->subject};
    if (corpus != NULL) return corpus->is_8bit;
    for (uint32_t field = 0; field < sizeof fields / sizeof fields[0]; field++)
        for (const char *text = fields[field]; *text != '\0'; text++)
            if ((unsigned char)*text >= 128) return true;
    return false;
}

static struct load_ledger *open_ledger(struct load_ledger *ledger, const struct load_config *config,
                                       uint64_t run)
{
    if (config->ledger == NULL) return NULL;
    int error = load_ledger_open(ledger, config->ledger, run);
    if (error < 0)
        die(EXIT_CODE_USAGE, "cannot write the ledger %s: %s", config->ledger, strerror(-error));
    return ledger;
}

static struct load_samples *open_samples(struct load_samples *samples,
                                         const struct load_config *config)
{
    if (config->samples == NULL) return NULL;
    int error = load_samples_open(samples, config->samples);
    if (error < 0)
        die(EXIT_CODE_USAGE, "cannot write the samples to %s: %s", config->samples,
            strerror(-error));
    return samples;
}

static bool close_samples(struct load_samples *samples)
{
    if (samples == NULL) return true;
    int error = load_samples_close(samples);
    if (error < 0) log_error("the file of samples is not whole: %s", strerror(-error));
    return error == 0;
}

static void print_plan(const struct load_run *run)
{
    const struct load_config *config = run->config;
    const struct load_plan *plan = run->plan;
    char address[NET_TEXT_MAX];
    char duration[UNITS_TEXT_MAX];
    char warmup[UNITS_TEXT_MAX];
    char memory[UNITS_TEXT_MAX];
    uint64_t bytes = 0;

    if (config->is_quiet) return;
    for (uint32_t index = 0; index < plan->workers; index++)
        bytes += load_worker_memory(run, load_plan_share(plan, index).connections);
    log_info("loadgen %s to %s, run %016llx, seed %llu", RINGSINK_VERSION,
             net_format(address, &config->addresses[0]), (unsigned long long)run->mail->run,
             (unsigned long long)config->seed);
    if (plan->rate_per_s > 0)
        log_info("open loop: %llu messages a second due (%s), whatever the server does",
                 (unsigned long long)plan->rate_per_s, config->arrival_text);
    log_info("%s%u worker%s, %llu connections, bodies of %s, pipelining %s, at most %s",
             plan->rate_per_s > 0 ? "" : "closed loop: ", plan->workers,
             plan->workers == 1 ? "" : "s", (unsigned long long)plan->connections,
             config->length_text, load_pipelining_name((enum load_pipelining)config->pipelining),
             units_format_size(memory, bytes));
    if (config->tls != LOAD_TLS_OFF)
        log_info("TLS by %s, certificate %sverified; what %s takes is not among that memory",
                 load_tls_name((enum load_tls_mode)config->tls), config->tls_verifies ? "" : "not ",
                 tls_library_version());
    if (plan->duration_ns != LOAD_UNLIMITED)
        log_info("for %s, behind %s of warm-up from the moment all are connected",
                 units_format_duration(duration, plan->duration_ns),
                 units_format_duration(warmup, plan->warmup_ns));
}

/* What would keep every worker from TLS is said before anything is sent. */
static void check_tls(const struct load_config *config, const struct load_mail *mail)
{
    char error[TLS_ERROR_MAX];
    if (config->tls == LOAD_TLS_OFF) return;
    struct tls_context *context = load_tls_open(config, mail, 1, error);
    if (context == NULL) die(EXIT_CODE_USAGE, "%s", error);
    tls_context_close(context);
}

/* A password that everybody on the way can read. */
static void warn_of_plain_login(const struct load_config *config)
{
    if (config->credentials == NULL || config->tls != LOAD_TLS_OFF) return;
    if (net_is_loopback(&config->addresses[0])) return;
    log_warning("--auth sends the password in plain to %s: see --tls", config->target);
}

/* Why there was nothing to measure, and what to do about it. */
static void explain_failure(const struct load_result *result)
{
    const char *target = result->environment.target;
    struct load_barrier barrier;
    if (load_barrier_find(&barrier, result->config, &result->tally, result->gave_up, target)) {
        log_error("%s%s%s", barrier.text, barrier.remedy[0] == '\0' ? "" : ": ", barrier.remedy);
        return;
    }
    switch (result->gave_up) {
    case 0:
        break;
    case ECONNREFUSED:
        log_error("nothing listens at %s: start ringsink, or name the target", target);
        return;
    case EADDRNOTAVAIL:
        log_error("no free source port for %s: widen net.ipv4.ip_local_port_range (%s), wait for "
                  "TIME_WAIT to pass, or send more messages on a connection (-k)",
                  target, result->environment.port_range);
        return;
    case EOPNOTSUPP:
        log_error("%s does not offer SMTPUTF8, which addresses that are not ASCII need", target);
        return;
    case ETIME:
        log_error("%s does not answer a connect within --timeout", target);
        return;
    default:
        log_error("no connection to %s: %s", target, strerror(result->gave_up));
        return;
    }
    if (result->tally.connects == 0)
        log_error("no connection to %s", target);
    else
        log_error("%s accepted no %s", target,
                  result->config->scenario == LOAD_SCENARIO_DELIVER &&
                          result->config->session_text == NULL
                      ? "message"
                      : "session");
}

static int choose_exit(const struct load_result *result, int signal_number, bool is_written)
{
    if (signal_number != 0) return 128 + signal_number;
    if (!is_written) return EXIT_CODE_FAILED;
    bool is_mute = result->config->scenario != LOAD_SCENARIO_DELIVER;
    uint64_t done = is_mute ? result->tally.reached
                            : result->tally.outcomes[LOAD_OUTCOME_ACCEPTED] +
                                  result->tally.outcomes[LOAD_OUTCOME_EXPECTED] +
                                  result->warmup.outcomes[LOAD_OUTCOME_ACCEPTED];
    if (done == 0) {
        explain_failure(result);
        return EXIT_CODE_FAILED;
    }
    if (result->config->is_strict && result->verdict.status == LOAD_VERDICT_INVALID)
        return EXIT_CODE_INVALID;
    return load_result_reaches_thresholds(result) ? EXIT_CODE_OK : EXIT_CODE_THRESHOLD;
}

static bool write_result(const struct load_result *result, FILE *output)
{
    /* A run that reached nobody has nothing to report; its reason is said by an error line. */
    bool is_worth_text = result->tally.connects > 0;
    if (is_worth_text) load_report_write(result, output == stdout ? stderr : stdout);
    (void)fflush(stdout);
    if (output == NULL) return true;
    int error = load_json_write(result, output);
    if (error < 0) log_error("cannot write the result: %s", strerror(-error));
    return error == 0;
}

static bool close_ledger(struct load_ledger *ledger)
{
    if (ledger == NULL) return true;
    int error = load_ledger_close(ledger);
    if (error < 0) log_error("the ledger is not whole: %s", strerror(-error));
    return error == 0;
}

static bool close_files(struct load_files *files, const struct load_result *result)
{
    int error = load_files_close(files, &result->tally);
    if (error < 0) log_error("cannot write a result file: %s", strerror(-error));
    return error == 0;
}

/* What a worker would do if it never waited: of what it did, the share that it was busy with. */
static int keep_ceiling(const struct load_config *config, const struct load_result *result)
{
    char path[LOAD_CEILING_PATH_MAX];
    uint32_t workers = result->plan->workers;
    if (result->accepted_per_s <= 0 || result->busy_max_ratio <= 0) {
        log_error("nothing was calibrated: no message was accepted");
        return EXIT_CODE_FAILED;
    }
    double per_worker = result->accepted_per_s / workers / result->busy_max_ratio;
    (void)printf("ceiling      %.0f messages/s a worker, %.0f with %u\n", per_worker,
                 per_worker * workers, workers);
    int error = load_ceiling_store(config, per_worker, path);
    if (error < 0) {
        log_error("cannot keep the ceiling in %s: %s", path, strerror(-error));
        return EXIT_CODE_FAILED;
    }
    (void)printf("kept in      %s\n", path);
    return EXIT_CODE_OK;
}

static int run_load(const struct load_config *config, const struct load_corpus *corpus, int argc,
                    char **argv)
{
    struct load_conductor conductor;
    struct load_result result;
    struct load_script script = {0};
    struct load_dialogues dialogues = {0};
    struct load_mail mail;
    struct load_ledger ledger;
    struct load_samples samples;
    struct load_plan plan = make_plan(config);
    struct load_run run = {.config = config, .plan = &plan, .mail = &mail, .script = &script};

    check_machine(config, &plan);
    open_mail(&mail, config, corpus);
    check_tls(config, &mail);
    FILE *output = open_output(config);
    load_script_open(&script, config->helo, config->sender, config->recipient,
                     (uint32_t)config->recipients, (enum load_pipelining)config->pipelining);
    load_script_vary_recipients(&script, (uint32_t)config->recipients_max, config->seed);
    if (config->domains != NULL && !load_script_spread(&script, config->domains, config->seed))
        die(EXIT_CODE_USAGE, "--domains '%s': try a.test:70,b.test:30, at most %u", config->domains,
            LOAD_DOMAINS_MAX);
    if (is_8bit(config, corpus)) load_script_set_8bit(&script);
    script.repeats_recipients = config->repeats_recipients;
    script.tls = (enum load_tls_mode)config->tls;
    if (config->is_lmtp) load_script_speak_lmtp(&script, config->helo);
    if (config->credentials != NULL && !load_script_authenticate(&script, config->credentials))
        die(EXIT_CODE_USAGE, "--auth takes USER:PASSWORD, at most %u octets", LOAD_AUTH_TEXT_MAX);
    warn_of_plain_login(config);
    if (open_dialogues(&dialogues, config) != NULL) load_script_replay(&script, &dialogues);
    run.ledger = open_ledger(&ledger, config, mail.run);
    run.samples = open_samples(&samples, config);
    print_plan(&run);
    load_conductor_run(&conductor, &run);
    bool is_ledger_whole = close_ledger(run.ledger);
    bool are_samples_whole = close_samples(run.samples);
    if (load_result_open(&result, &conductor) < 0)
        die(EXIT_CODE_FAILED, "no memory for the result");
    result.argc = argc;
    result.argv = argv;
    bool is_written = write_result(&result, output) && close_files(&conductor.files, &result);
    if (config->is_calibration && conductor.signal_number == 0)
        is_written = keep_ceiling(config, &result) == EXIT_CODE_OK;
    int code = choose_exit(&result, conductor.signal_number,
                           is_written && is_ledger_whole && are_samples_whole);
    load_result_close(&result);
    load_conductor_close(&conductor);
    load_mail_close(&mail);
    load_dialogues_close(&dialogues);
    if (output != NULL && fclose(output) != 0) code = EXIT_CODE_FAILED;
    return code;
}

/* Where the run goes, instead of the target. */
static void aim_at(struct load_config *config, const struct load_null *null)
{
    char text[NET_TEXT_MAX];
    char error[NET_ERROR_MAX];
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", null->port);
    config->address_count =
        net_resolve(text, null->port, AF_INET, config->addresses, LOAD_ADDRESSES_MAX, error);
    CHECK(config->address_count > 0);
}

/* --calibrate: a closed loop, with these messages, and nothing written but the ceiling. */
static void prepare_calibration(struct load_config *config)
{
    config->rate_per_s = 0;
    config->duration_ns = CALIBRATION_NS;
    config->warmup_ns = CALIBRATION_NS / 10;
    config->ramp_ns = 0;
    config->messages = LOAD_UNLIMITED;
    config->threshold_count = 0;
    config->has_think = false;
    config->tls_verifies = false; /* of a certificate made for this; one handshake a connection */
    config->tls_ca = NULL;
    config->ledger = NULL;
    config->samples = NULL;
    config->output = NULL;
    config->csv = NULL;
    config->hlog = NULL;
    config->hdr_prefix = NULL;
    config->no_histogram = true;
}

static int calibrate(struct load_config *config, const struct load_corpus *corpus, int argc,
                     char **argv)
{
    struct load_null null;
    prepare_calibration(config);
    struct load_plan plan = make_plan(config);
    /* Where connections end, the next may come before the server has looked at the last one's. */
    bool is_renewed = config->per_connection != LOAD_UNLIMITED;
    struct load_null_recipe recipe = {
        .threads = plan.workers,
        .connections = (uint32_t)plan.connections * (is_renewed ? 2 : 1),
        .is_lmtp = config->is_lmtp,
        .tls = (enum load_tls_mode)config->tls,
    };
    char why[LOAD_NULL_ERROR_MAX];
    if (!load_null_open(&null, &recipe, why))
        die(EXIT_CODE_FAILED, "cannot open a server to calibrate: %s", why);
    aim_at(config, &null);
    int code = run_load(config, corpus, argc, argv);
    load_null_close(&null);
    return code;
}

int main(int argc, char **argv)
{
    static struct load_config config; /* what its texts were copied to lives as long */
    char error[LOAD_CONFIG_ERROR_MAX];

    log_open("loadgen", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    if (argc > 1 && strcmp(argv[1], "report") == 0) return load_report_tool_run(argc - 1, argv + 1);
    switch (load_config_read(&config, argc, argv, error)) {
    case LOAD_CONFIG_HELP:
        return EXIT_CODE_OK;
    case LOAD_CONFIG_VERSION:
        print_version();
        return EXIT_CODE_OK;
    case LOAD_CONFIG_WRONG:
        die(EXIT_CODE_USAGE, "%s", error);
    case LOAD_CONFIG_READY:
        break;
    }
    if (config.is_verbose) log_open("loadgen", LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    if (config.tls != LOAD_TLS_OFF && !tls_memory_watch())
        log_warning("OpenSSL's memory can't be counted");
    load_conductor_block_signals();
    struct load_corpus corpus = {0};
    const struct load_corpus *messages = open_corpus(&corpus, &config);
    int code = config.is_calibration ? calibrate(&config, messages, argc, argv)
                                     : run_load(&config, messages, argc, argv);
    load_corpus_close(&corpus);
    return code;
}
