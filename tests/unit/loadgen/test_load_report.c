#include "loadgen/load_report.h"

#include "base/clock.h"
#include "load_result_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static char *text;
static size_t text_size;

static void render(const struct load_result *result)
{
    FILE *file = open_memstream(&text, &text_size);
    assert_non_null(file);
    load_report_write(result, file);
    assert_int_equal(fclose(file), 0);
}

static void assert_has(const char *part)
{
    if (strstr(text, part) == NULL) fail_msg("'%s' is not in:\n%s", part, text);
}

static void assert_has_not(const char *part)
{
    if (strstr(text, part) != NULL) fail_msg("'%s' is in:\n%s", part, text);
}

static void assert_narrow(void)
{
    const char *line = text;
    while (*line != '\0') {
        size_t size = strcspn(line, "\n");
        if (size > 78) fail_msg("%zu columns: %.*s", size, (int)size, line);
        line += size + (line[size] == '\n');
    }
}

static void test_summary(void **state)
{
    struct load_result *result = load_result_sample_open();
    (void)state;

    render(result);
    assert_narrow();
    assert_has("[::1]:2525  closed loop, 100 connections, 2 threads");
    assert_has("pipelining stream");
    assert_has("run 0000000000abcdef");
    assert_has("seed 4711");
    assert_has("VERDICT  VALID    generator busy 41 %");
    assert_has("20 000 started      19 988 accepted (99.940 %)      12 failed");
    assert_has("9 994 accepted/s     10.0 MB/s body");
    assert_has("service     1.00ms");
    assert_has("closed loop: stalls hide other messages");
    assert_has_not("-R");
    assert_has("refused              12  451 at dot");
    assert_has("4.3.0 \\x1b[31mfull");
    assert_has_not("\x1b");
    assert_has("error                 1  connection reset at dot");
    assert_has("failed               12  tempfail");
    /* The verdict stands before any number of messages. */
    assert_true(strstr(text, "VERDICT") < strstr(text, "messages "));
    load_result_sample_close();
    free(text);
}

static void test_last_two_lines(void **state)
{
    struct load_result *result = load_result_sample_open();
    (void)state;

    render(result);
    const char *tail = strstr(text, "\nMessages/sec:");
    assert_non_null(tail);
    assert_string_equal(tail, "\nMessages/sec:  9994.00\nService p99:   20.8ms\n");
    load_result_sample_close();
    free(text);
}

static void test_reasons_are_wrapped(void **state)
{
    struct load_result *result = load_result_sample_open();
    (void)state;

    result->verdict.status = LOAD_VERDICT_INVALID;
    result->verdict.reason_count = 2;
    (void)snprintf(result->verdict.reasons[0], LOAD_VERDICT_TEXT_MAX,
                   "one reason that is so long that it does not fit into the line and goes on");
    (void)snprintf(result->verdict.reasons[1], LOAD_VERDICT_TEXT_MAX, "another");
    render(result);
    assert_narrow();
    assert_has("VERDICT  INVALID  one reason that is so long");
    assert_has("\n                  another\n");
    load_result_sample_close();
    free(text);
}

static void test_the_mode_that_was_not_offered_is_named(void **state)
{
    struct load_result *result = load_result_sample_open();
    (void)state;

    result->mode = LOAD_PIPELINING_OFF;
    render(result);
    assert_has("--pipelining stream was asked for, but the server does not offer it");
    load_result_sample_close();
    free(text);
}

static void test_tls(void **state)
{
    struct load_result *result = load_result_sample_open_tls();
    (void)state;

    render(result);
    assert_narrow();
    assert_has("tls starttls, TLSv1.3 TLS_AES_256_GCM_SHA384, not verified, resumed\n");
    assert_has("handshakes           20 full          2 000 resumed\n");
    assert_has("                    5.0 full/s        950.0 resumed/s\n");
    assert_has("                      3 closed by the server without close_notify\n");
    assert_has("OpenSSL           3 MiB held at most\n");
    assert_has("error                 1  connection tls at tls\n                         unable to "
               "get local issuer certificate\n");
    free(text);
    load_handshakes_add_suite(&result->tally.handshakes, "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305",
                              7);
    result->tally.handshakes.suites_beyond = 9;
    render(result);
    assert_narrow();
    assert_has("tls starttls, several ciphers, not verified, resumed\n");
    assert_has("                      7 TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305\n");
    assert_has("                      9 of others\n");
    load_result_sample_close();
    free(text);
    result = load_result_sample_open();
    render(result);
    assert_has_not("tls");
    assert_has_not("OpenSSL");
    load_result_sample_close();
    free(text);
}

static void test_too_few_samples_show_no_percentile(void **state)
{
    struct load_result *result = load_result_sample_open();
    (void)state;

    histogram_reset(&result->tally.service);
    for (uint32_t count = 0; count < 100; count++)
        histogram_record(&result->tally.service, CLOCK_NS_PER_MS);
    render(result);
    assert_has("service     1.00ms   1.00ms   1.00ms        -        -   1.00ms   1.00ms");
    assert_has("Service p99:   -\n");
    load_result_sample_close();
    free(text);
}

static void test_histogram_rows(void **state)
{
    struct histogram histogram;
    uint32_t rows = 0;
    unsigned long long sum = 0;
    (void)state;

    assert_int_equal(histogram_open(&histogram, 3600 * CLOCK_NS_PER_S, 3), 0);
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_record(&histogram, value * value * 1000);
    FILE *file = open_memstream(&text, &text_size);
    assert_non_null(file);
    load_report_histogram(&histogram, file);
    assert_int_equal(fclose(file), 0);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        /* "  <   0.59ms             1  ##": thousands are apart by a blank */
        unsigned long long count = 0;
        for (const char *at = line + 13; at < line + 28; at++)
            if (*at >= '0' && *at <= '9') count = 10 * count + (unsigned long long)(*at - '0');
        sum += count;
        rows++;
    }
    assert_int_equal(rows, 12);
    assert_int_equal(sum, 1000);
    assert_narrow();
    assert_has("1.00s"); /* the last bound is the maximum */
    free(text);
    histogram_close(&histogram);
}

static void test_one_sample_has_a_histogram_too(void **state)
{
    struct histogram histogram;
    (void)state;

    assert_int_equal(histogram_open(&histogram, 3600 * CLOCK_NS_PER_S, 3), 0);
    histogram_record(&histogram, 5000);
    FILE *file = open_memstream(&text, &text_size);
    assert_non_null(file);
    load_report_histogram(&histogram, file);
    assert_int_equal(fclose(file), 0);
    assert_non_null(strchr(text, '1'));
    free(text);
    histogram_close(&histogram);
}

static void test_durations(void **state)
{
    static const struct {
        uint64_t value_ns;
        uint64_t scale_ns;
        const char *text;
    } rows[] = {
        {1840000, 1840000, "1.84ms"},
        {212000000, 1840000, "212ms"},
        {210000, 1840000, "0.21ms"},
        {1020000000, 1840000, "1.02s"},
        {999400000, 1840000, "999ms"},
        {999500000, 1840000, "1.00s"},
        {9994000, 1840000, "9.99ms"},
        {9995000, 1840000, "10.0ms"},
        {1399000, 350000, "1.40ms"},
        {12000, 350000, "12.0us"},
        {75000000000, 1000000000, "75.0s"},
        {7500000000000, 1000000000, "7500s"},
        {80, 90, "0.08us"},
    };
    char out[LOAD_REPORT_VALUE_MAX];
    (void)state;

    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++)
        assert_string_equal(load_report_duration(out, rows[index].value_ns, rows[index].scale_ns),
                            rows[index].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_last_two_lines),
        cmocka_unit_test(test_reasons_are_wrapped),
        cmocka_unit_test(test_the_mode_that_was_not_offered_is_named),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_too_few_samples_show_no_percentile),
        cmocka_unit_test(test_histogram_rows),
        cmocka_unit_test(test_one_sample_has_a_histogram_too),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
