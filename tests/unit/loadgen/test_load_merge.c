#include "loadgen/load_merge.h"

#include "base/clock.h"
#include "load_result_sample.h"
#include "loadgen/load_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct load_saved *a;
static struct load_saved *b;

static struct load_saved *read_again(struct load_result *result)
{
    char path[] = "/tmp/test_load_merge.XXXXXX";
    char error[LOAD_SAVED_ERROR_MAX];
    struct load_saved *saved = malloc(sizeof *saved);
    int descriptor = mkstemp(path);
    assert_non_null(saved);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "w");
    assert_non_null(file);
    assert_int_equal(load_json_write(result, file), 0);
    assert_int_equal(fclose(file), 0);
    if (!load_saved_open(saved, path, error)) fail_msg("%s", error);
    (void)unlink(path);
    return saved;
}

/* Two runs of two hosts; the second's messages took three times as long, and it was cut off. */
static int open_both(void **state)
{
    (void)state;
    struct load_result *result = load_result_sample_open();
    (void)snprintf(result->environment.host, sizeof result->environment.host, "alpha");
    a = read_again(result);
    load_result_sample_close();

    result = load_result_sample_open();
    (void)snprintf(result->environment.host, sizeof result->environment.host, "beta");
    result->run = 0xbe7a;
    result->is_aborted = true;
    result->busy_max_ratio = 0.99;
    result->verdict.status = LOAD_VERDICT_SUSPECT;
    result->verdict.reason_count = 1;
    (void)snprintf(result->verdict.reasons[0], LOAD_VERDICT_TEXT_MAX, "a reason");
    histogram_reset(&result->tally.service);
    for (uint64_t index = 0; index < 19988; index++)
        histogram_record(&result->tally.service, 3 * (1000 + index) * CLOCK_NS_PER_US);
    b = read_again(result);
    load_result_sample_close();
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    load_saved_close(a);
    load_saved_close(b);
    free(a);
    free(b);
    return 0;
}

static void test_counts_and_histograms_are_added(void **state)
{
    const struct load_result *result = &a->result;
    struct histogram both;
    (void)state;

    assert_int_equal(histogram_open(&both, 3600 * CLOCK_NS_PER_S, 3), 0);
    for (uint64_t index = 0; index < 19988; index++) {
        histogram_record(&both, (1000 + index) * CLOCK_NS_PER_US);
        histogram_record(&both, 3 * (1000 + index) * CLOCK_NS_PER_US);
    }
    a->result.tls_memory_max = 300;
    b->result.tls_memory_max = 400;
    a->result.tally.handshakes.full = 4;
    load_handshakes_add_suite(&a->result.tally.handshakes, "TLSv1.3", "A", 4);
    b->result.tally.handshakes.full = 5;
    load_handshakes_add_suite(&b->result.tally.handshakes, "TLSv1.3", "A", 5);
    assert_int_equal(load_merge_add(a, b), 0);
    assert_int_equal(result->tally.outcomes[LOAD_OUTCOME_ACCEPTED], 2 * 19988);
    assert_int_equal(result->tally.replies[LOAD_PHASE_DOT][251], 24);
    assert_int_equal(result->tally.rows[0].texts[0].count, 24);
    assert_int_equal(result->tally.row_count, 1);
    assert_int_equal(result->tally.errors[0].count, 2);
    assert_int_equal(result->tally.service.total_count, both.total_count);
    for (uint32_t percentile = 1; percentile < 100; percentile++)
        assert_int_equal(histogram_percentile(&result->tally.service, percentile),
                         histogram_percentile(&both, percentile));
    assert_int_equal(result->tally.service.maximum, both.maximum);
    assert_true(result->accepted_per_s == 2 * 9994.0);
    assert_int_equal(result->plan->connections, 200);
    assert_int_equal(result->plan->workers, 4);
    assert_true(result->busy_max_ratio == 0.99);
    assert_true(result->is_aborted);
    assert_int_equal(result->tls_memory_max, 700);
    assert_int_equal(result->tally.handshakes.full, 9);
    assert_int_equal(result->tally.handshakes.suites[0].count, 9);
    histogram_close(&both);
}

static void test_seconds_have_sums_but_no_percentiles(void **state)
{
    (void)state;
    a->progress.intervals[0].service.p99_ns = 5;
    a->progress.intervals[0].service.maximum_ns = 7;
    b->progress.intervals[0].service.maximum_ns = 9;
    assert_int_equal(load_merge_add(a, b), 0);
    assert_int_equal(a->progress.count, 2);
    assert_int_equal(a->progress.intervals[0].accepted, 20000);
    assert_int_equal(a->progress.intervals[0].up, 200);
    assert_int_equal(a->progress.intervals[0].service.p99_ns, 0);
    assert_int_equal(a->progress.intervals[0].service.maximum_ns, 9);
    assert_int_equal(a->progress.intervals[1].failed, 24);
}

static void test_the_worst_verdict_holds_and_names_its_host(void **state)
{
    (void)state;
    assert_int_equal(load_merge_add(a, b), 0);
    assert_int_equal(a->result.verdict.status, LOAD_VERDICT_SUSPECT);
    assert_int_equal(a->result.verdict.reason_count, 1);
    assert_string_equal(a->result.verdict.reasons[0], "beta: a reason");
}

static void test_runs_at_different_times_are_suspect(void **state)
{
    (void)state;
    b->begin_ns += CLOCK_NS_PER_S;
    b->result.verdict = (struct load_verdict){0};
    assert_int_equal(load_merge_add(a, b), 0);
    assert_int_equal(a->result.verdict.status, LOAD_VERDICT_SUSPECT);
    assert_non_null(strstr(a->result.verdict.reasons[0], "not measured at the same time"));
}

static void assert_refused(const char *reason)
{
    char error[LOAD_SAVED_ERROR_MAX];
    assert_false(load_merge_check(a, b, error));
    if (strstr(error, reason) == NULL) fail_msg("'%s' is not in '%s'", reason, error);
}

static void test_what_does_not_add_up_is_refused(void **state)
{
    char error[LOAD_SAVED_ERROR_MAX];
    (void)state;

    assert_true(load_merge_check(a, b, error));
    b->plan.rate_per_s = 100;
    assert_refused("one result is of a closed loop, another of an open one");
    b->plan.rate_per_s = 0;
    b->result.mode = LOAD_PIPELINING_OFF;
    assert_refused("pipelining is stream in one result and off in another");
    b->result.mode = a->result.mode;
    b->config.length_text = "2k";
    assert_refused("bodies are of 1k in one result and of 2k in another");
    b->config.length_text = "1k";
    b->config.is_lmtp = true;
    assert_refused("LMTP");
    b->config.is_lmtp = false;
    b->config.tls = LOAD_TLS_IMPLICIT;
    assert_refused("tls is off in one result and implicit in another");
    b->config.tls = LOAD_TLS_OFF;
    b->result.run = a->result.run;
    assert_refused("run 0000000000abcdef is there twice");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_both, close_both)
    const struct CMUnitTest tests[] = {
        TEST(test_counts_and_histograms_are_added),
        TEST(test_seconds_have_sums_but_no_percentiles),
        TEST(test_the_worst_verdict_holds_and_names_its_host),
        TEST(test_runs_at_different_times_are_suspect),
        TEST(test_what_does_not_add_up_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
