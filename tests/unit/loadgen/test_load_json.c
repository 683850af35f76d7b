#include "loadgen/load_json.h"

#include "load_result_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static json_t *root;

static int open_json(void **state)
{
    char *text;
    size_t size;
    (void)state;

    FILE *file = open_memstream(&text, &size);
    if (file == NULL || load_json_write(load_result_sample_open(), file) < 0) return -1;
    (void)fclose(file);
    root = json_loads(text, 0, NULL);
    free(text);
    return root == NULL ? -1 : 0;
}

static int open_tls_json(void **state)
{
    (void)state;
    root = load_json_make(load_result_sample_open_tls());
    return root == NULL ? -1 : 0;
}

static int close_json(void **state)
{
    (void)state;
    json_decref(root);
    load_result_sample_close();
    return 0;
}

/* The value at "a.b.c"; names with dots in them are not asked for. */
static json_t *at(const char *path)
{
    char name[64];
    json_t *value = root;
    while (*path != '\0') {
        size_t size = strcspn(path, ".");
        (void)snprintf(name, sizeof name, "%.*s", (int)size, path);
        value = json_object_get(value, name);
        path += size + (path[size] == '.');
    }
    if (value == NULL) fail_msg("there is no %s", name);
    return value;
}

static void test_identity(void **state)
{
    (void)state;
    assert_string_equal(json_string_value(at("schema")), "loadgen.result/1");
    assert_string_equal(json_string_value(at("tool.name")), "loadgen");
    assert_string_equal(json_string_value(at("run.id")), "0000000000abcdef");
    assert_int_equal(json_integer_value(at("run.seed")), 4711);
    assert_string_equal(json_string_value(at("run.started")), "2026-09-21T14:13:20.123Z");
    assert_int_equal(json_array_size(at("run.argv")), 3);
    assert_true(json_is_false(at("run.aborted")));
    assert_string_equal(json_string_value(at("config.loop")), "closed");
    assert_string_equal(json_string_value(at("config.pipelining")), "stream");
    assert_string_equal(json_string_value(at("environment.target.address")), "[::1]");
    assert_int_equal(json_integer_value(at("environment.target.port")), 2525);
    assert_string_equal(json_string_value(at("environment.target.banner")), "mx ESMTP");
    assert_string_equal(json_string_value(at("verdict.status")), "valid");
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(json_integer_value(at("totals.started")), 20000);
    assert_int_equal(json_integer_value(at("totals.accepted")), 19988);
    assert_int_equal(json_integer_value(at("totals.tempfail")), 12);
    assert_int_equal(json_integer_value(at("totals.body_bytes")), 19988000);
    assert_true(json_real_value(at("rates.accepted_per_s")) == 9994.0);
    assert_int_equal(json_integer_value(at("latency.service.count")), 19988);
    json_t *percentiles = at("latency.service.percentiles_ns");
    assert_in_range(json_integer_value(json_object_get(percentiles, "50")), 10900000, 11100000);
    assert_in_range(json_integer_value(json_object_get(percentiles, "99.9")), 20900000, 21000000);
    /* 12 samples: not one percentile has ten beyond it */
    json_t *few = at("latency.failure.percentiles_ns");
    assert_true(json_is_null(json_object_get(few, "50")));
    assert_memory_equal(json_string_value(at("latency.service.hdr")), "HISTFAAAA", 9);
}

static void test_what_does_not_apply_is_null(void **state)
{
    static const char *const paths[] = {"config.arrival",
                                        "config.rate_per_s",
                                        "totals.due",
                                        "rates.due_per_s",
                                        "latency.response",
                                        "latency.lateness",
                                        "phases.tls",
                                        "phases.mail",
                                        "phases.auth",
                                        "tls",
                                        "config.tls_name",
                                        "phases.starttls",
                                        "config.tls_ca",
                                        "delivery",
                                        "watch",
                                        "warmup",
                                        "verdict.checks.steady",
                                        "config.duration_ns"};
    (void)state;
    for (size_t index = 0; index < sizeof paths / sizeof paths[0]; index++)
        if (!json_is_null(at(paths[index]))) fail_msg("%s is not null", paths[index]);
}

static void test_replies_and_errors(void **state)
{
    json_t *replies = at("replies");
    (void)state;

    assert_int_equal(json_array_size(replies), 2);
    json_t *refusal = json_array_get(replies, 1);
    assert_string_equal(json_string_value(json_object_get(refusal, "phase")), "dot");
    assert_int_equal(json_integer_value(json_object_get(refusal, "code")), 451);
    assert_int_equal(json_integer_value(json_object_get(refusal, "count")), 12);
    assert_string_equal(json_string_value(json_object_get(refusal, "enhanced")), "4.3.0");
    assert_string_equal(json_string_value(json_object_get(refusal, "text")), "\\x1b[31mfull");
    assert_int_equal(json_integer_value(json_object_get(refusal, "first_ns")), 31000000000);
    json_t *error = json_array_get(at("errors"), 0);
    assert_string_equal(json_string_value(json_object_get(error, "class")), "connection");
    assert_string_equal(json_string_value(json_object_get(error, "errno")), "ECONNRESET");
    assert_string_equal(json_string_value(json_object_get(error, "detail")), "reset");
}

static void test_tls(void **state)
{
    json_t *errors = at("errors");
    (void)state;

    assert_string_equal(json_string_value(at("config.tls")), "starttls");
    assert_true(json_is_true(at("config.tls_resume")));
    assert_true(json_is_false(at("config.tls_verify")));
    assert_string_equal(json_string_value(at("config.tls_name")), "mx.test");
    assert_memory_equal(json_string_value(at("tool.tls_library")), "OpenSSL 3.", 10);
    assert_int_equal(json_integer_value(at("tls.full")), 20);
    assert_int_equal(json_integer_value(at("tls.resumed")), 2000);
    assert_true(json_real_value(at("tls.full_per_s")) == 5.0);
    assert_true(json_real_value(at("tls.resumed_per_s")) == 950.0);
    assert_int_equal(json_integer_value(at("tls.truncated")), 3);
    assert_int_equal(json_integer_value(at("tls.memory_max_bytes")), 3 << 20);
    json_t *suite = json_array_get(at("tls.suites"), 0);
    assert_string_equal(json_string_value(json_object_get(suite, "version")), "TLSv1.3");
    assert_string_equal(json_string_value(json_object_get(suite, "cipher")),
                        "TLS_AES_256_GCM_SHA384");
    assert_int_equal(json_integer_value(json_object_get(suite, "count")), 2020);
    json_t *error = json_array_get(errors, json_array_size(errors) - 1);
    assert_string_equal(json_string_value(json_object_get(error, "detail")), "tls");
    assert_true(json_is_null(json_object_get(error, "errno")));
    assert_string_equal(json_string_value(json_object_get(error, "text")),
                        "unable to get local issuer certificate");
}

static void test_intervals_are_columns(void **state)
{
    (void)state;
    assert_int_equal(json_array_size(at("intervals.t_ns")), 2);
    assert_int_equal(json_integer_value(json_array_get(at("intervals.accepted"), 0)), 10000);
    assert_int_equal(json_integer_value(json_array_get(at("intervals.mean_ns"), 0)), 1000);
    assert_true(json_is_null(json_array_get(at("intervals.mean_ns"), 1)));
    assert_int_equal(json_integer_value(json_array_get(at("intervals.failed"), 1)), 12);
}

static void test_a_full_disk_is_told(void **state)
{
    FILE *file = fopen("/dev/full", "w");
    (void)state;

    assert_non_null(file);
    assert_true(load_json_write(load_result_sample_open(), file) < 0);
    (void)fclose(file);
    load_result_sample_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identity, open_json, close_json),
        cmocka_unit_test_setup_teardown(test_numbers, open_json, close_json),
        cmocka_unit_test_setup_teardown(test_what_does_not_apply_is_null, open_json, close_json),
        cmocka_unit_test_setup_teardown(test_replies_and_errors, open_json, close_json),
        cmocka_unit_test_setup_teardown(test_tls, open_tls_json, close_json),
        cmocka_unit_test_setup_teardown(test_intervals_are_columns, open_json, close_json),
        cmocka_unit_test(test_a_full_disk_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
