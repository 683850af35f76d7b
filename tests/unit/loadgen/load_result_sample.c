#include "load_result_sample.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPTED 19988u
#define REFUSED  12u

static struct load_config config;
static struct load_plan plan;
static struct load_mail mail;
static struct load_progress progress;
static struct load_clients first;
static struct load_result result;
static char *argv[] = {(char *)(uintptr_t) "loadgen", (char *)(uintptr_t) "-n",
                       (char *)(uintptr_t) "20k", NULL};

static void fill_tally(struct load_tally *tally)
{
    struct load_reply_line refusal = {.code = 451, .text = BYTES("4.3.0 \x1b[31mfull")};
    struct load_reply_line accepted = {.code = 250, .text = BYTES("Ok")};

    tally->started = ACCEPTED + REFUSED;
    tally->outcomes[LOAD_OUTCOME_ACCEPTED] = ACCEPTED;
    tally->outcomes[LOAD_OUTCOME_TEMPFAIL] = REFUSED;
    tally->accepted_in_time = ACCEPTED;
    tally->body_bytes = 1000ull * ACCEPTED;
    tally->recipients_accepted = ACCEPTED;
    tally->connects = 102;
    tally->reached = 100;
    tally->lost = 2;
    for (uint64_t index = 0; index < ACCEPTED; index++) {
        histogram_record(&tally->service, (1000 + index) * CLOCK_NS_PER_US);
        histogram_record(&tally->phases[LOAD_PHASE_DOT], (500 + index) * CLOCK_NS_PER_US);
        load_tally_reply(tally, LOAD_PHASE_DOT, &accepted, 0);
    }
    for (uint64_t index = 0; index < REFUSED; index++) {
        histogram_record(&tally->failure, CLOCK_NS_PER_MS);
        load_tally_reply(tally, LOAD_PHASE_DOT, &refusal, 31 * CLOCK_NS_PER_S);
    }
    load_tally_error(tally, LOAD_PHASE_DOT, LOAD_OUTCOME_CONNECTION, ECONNRESET);
}

static void fill_intervals(void)
{
    progress.intervals = calloc(2, sizeof *progress.intervals);
    if (progress.intervals == NULL) abort();
    progress.count = 2;
    progress.intervals[0] = (struct load_interval){
        .length_ns = CLOCK_NS_PER_S, .accepted = 10000, .service_sum_ns = 10000000, .up = 100};
    progress.intervals[1] = (struct load_interval){
        .start_ns = CLOCK_NS_PER_S, .length_ns = CLOCK_NS_PER_S, .failed = 12, .up = 100};
}

struct load_result *load_result_sample_open(void)
{
    config = (struct load_config){.length = {.count = 1, .slots = {1000}},
                                  .length_text = "1k",
                                  .recipients = 1,
                                  .recipients_max = 1,
                                  .recipients_text = "1",
                                  .seed = 4711,
                                  .pipelining = LOAD_PIPELINING_STREAM};
    plan = load_plan_make(100, 20000, LOAD_PLAN_UNLIMITED, LOAD_PLAN_UNLIMITED, 2);
    (void)snprintf(first.banner, sizeof first.banner, "mx ESMTP");
    (void)snprintf(first.ehlo[0], sizeof first.ehlo[0], "PIPELINING");
    first.ehlo_count = 1;
    fill_intervals();
    result = (struct load_result){
        .config = &config,
        .plan = &plan,
        .mail = &mail,
        .progress = &progress,
        .first = &first,
        .version = "0.1.0",
        .run = 0xabcdef,
        .started_realtime_ns = 1790000000123000000ull,
        .measured_ns = 2 * CLOCK_NS_PER_S,
        .ramp_ns = 5 * CLOCK_NS_PER_MS,
        .accepted_per_s = 9994,
        .body_bytes_per_s = 9994000,
        .busy_max_ratio = 0.41,
        .mode = LOAD_PIPELINING_STREAM,
        .argc = 3,
        .argv = argv,
    };
    (void)snprintf(result.environment.target, sizeof result.environment.target, "[::1]:2525");
    if (load_tally_open(&result.tally) < 0) abort();
    fill_tally(&result.tally);
    return &result;
}

struct load_result *load_result_sample_open_tls(void)
{
    struct load_result *sample = load_result_sample_open();
    struct load_handshakes *handshakes = &sample->tally.handshakes;

    config.tls = LOAD_TLS_STARTTLS;
    config.tls_resumes = true;
    config.tls_name = "mx.test";
    handshakes->full = 20;
    handshakes->resumed = 2000;
    handshakes->full_in_time = 10;
    handshakes->resumed_in_time = 1900;
    handshakes->truncated = 3;
    load_handshakes_add_suite(handshakes, "TLSv1.3", "TLS_AES_256_GCM_SHA384", 2020);
    sample->tls_memory_max = 3 << 20;
    load_tally_tls_error(&sample->tally, LOAD_PHASE_TLS, "unable to get local issuer certificate");
    return sample;
}

void load_result_sample_close(void)
{
    load_tally_close(&result.tally);
    free(progress.intervals);
    progress.intervals = NULL;
}
