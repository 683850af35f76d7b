#include "loadgen/load_saved.h"

#include "load_result_sample.h"
#include "loadgen/load_json.h"
#include "loadgen/load_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/test_load_saved.XXXXXX";
static struct load_saved *saved;
static struct load_result *result;
static json_t *sample;

static int open_sample(void **state)
{
    (void)state;
    int file = mkstemp(path);
    if (file < 0) return -1;
    (void)close(file);
    saved = malloc(sizeof *saved);
    result = load_result_sample_open();
    sample = load_json_make(result);
    return saved == NULL || sample == NULL ? -1 : 0;
}

/* The same over TLS. */
static int open_tls_sample(void **state)
{
    int error = open_sample(state);
    json_decref(sample);
    load_result_sample_close();
    result = load_result_sample_open_tls();
    sample = load_json_make(result);
    return error;
}

static int close_sample(void **state)
{
    (void)state;
    json_decref(sample);
    load_result_sample_close();
    free(saved);
    int error = unlink(path);
    (void)strcpy(path + strlen(path) - 6, "XXXXXX");
    return error;
}

static void save(const json_t *root)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(load_json_write_document(root, file), 0);
    assert_int_equal(fclose(file), 0);
}

static char *render(const struct load_result *shown)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    load_report_write(shown, file);
    assert_int_equal(fclose(file), 0);
    return text;
}

static void test_the_text_is_that_of_the_run(void **state)
{
    char error[LOAD_SAVED_ERROR_MAX];
    (void)state;

    save(sample);
    if (!load_saved_open(saved, path, error)) fail_msg("%s", error);
    char *before = render(result);
    char *after = render(&saved->result);
    assert_string_equal(after, before);
    free(before);
    free(after);
    load_saved_close(saved);
}

static void assert_refused(const char *reason)
{
    char error[LOAD_SAVED_ERROR_MAX];
    assert_false(load_saved_open(saved, path, error));
    if (strstr(error, reason) == NULL) fail_msg("'%s' is not in '%s'", reason, error);
}

static void save_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_what_is_no_result_is_refused(void **state)
{
    (void)state;
    save_text("");
    assert_refused("is no JSON");
    save_text("[1, 2]");
    assert_refused("has schema none");
    save_text("{\"schema\": \"loadgen.result/2\"}");
    assert_refused("has schema loadgen.result/2, but this loadgen reads loadgen.result/1");
    save_text("{\"schema\": \"\\u001b[2J\"}");
    assert_refused("has schema \\x1b[2J");
    save_text("{\"schema\": \"loadgen.result/1\"}");
    assert_refused("is no whole result: it has no");
    save_text("{\"schema\": \"loadgen.result/1\", \"schema\": 1}");
    assert_refused("is no JSON");
}

/* Fields may be added to the schema: a file of before them is still one. */
static void test_a_file_of_before_is_read(void **state)
{
    static const char *const later[][2] = {
        {"config", "backlog_max"},      {"config", "per_connection_max"},
        {"config", "ramp_asked_ns"},    {"config", "recipients_max"},
        {"config", "scenario"},         {"config", "protocol"},
        {"totals", "sessions_in_time"}, {"totals", "expected"},
        {"latency", "unfinished"},      {"latency", "late_own"},
        {"intervals", "p50_ns"},        {"intervals", "p99_ns"},
        {"intervals", "due"},           {"config", "tls_resume"},
        {"config", "tls_verify"},       {"config", "tls_ca"},
        {"config", "tls_name"},         {"tool", "tls_library"},
        {"phases", "starttls"},
    };
    char error[LOAD_SAVED_ERROR_MAX];
    json_t *root = json_deep_copy(sample);
    (void)state;

    (void)json_object_del(root, "errors_beyond");
    (void)json_object_del(root, "tls");
    for (size_t index = 0; index < sizeof later / sizeof later[0]; index++)
        (void)json_object_del(json_object_get(root, later[index][0]), later[index][1]);
    save(root);
    if (!load_saved_open(saved, path, error)) fail_msg("%s", error);
    char *before = render(result);
    char *after = render(&saved->result);
    assert_string_equal(after, before);
    free(before);
    free(after);
    load_saved_close(saved);
    json_decref(root);
}

static void test_a_histogram_must_agree_with_its_numbers(void **state)
{
    json_t *root = json_deep_copy(sample);
    json_t *service = json_object_get(json_object_get(root, "latency"), "service");
    (void)state;

    (void)json_object_set_new(service, "count", json_integer(19987));
    save(root);
    assert_refused("the histogram of \"service\" and the numbers beside it differ");
    (void)json_object_set_new(service, "count", json_integer(19988));
    (void)json_object_set_new(service, "max_ns", json_integer(1));
    save(root);
    assert_refused("and the numbers beside it differ");
    (void)json_object_set_new(service, "hdr", json_string("HISTFAAAA"));
    save(root);
    assert_refused("can't be decoded");
    json_decref(root);
}

static void test_escapes_reach_no_terminal(void **state)
{
    char error[LOAD_SAVED_ERROR_MAX];
    json_t *root = json_deep_copy(sample);
    json_t *verdict = json_object_get(root, "verdict");
    (void)state;

    (void)json_object_set_new(verdict, "reasons", json_pack("[s]", "\x1b[31mred"));
    (void)json_object_set_new(json_object_get(json_object_get(root, "environment"), "target"),
                              "address", json_string("\x1b[2J"));
    (void)json_object_set_new(json_object_get(root, "tool"), "version", json_string("\x1b]0;"));
    save(root);
    if (!load_saved_open(saved, path, error)) fail_msg("%s", error);
    char *text = render(&saved->result);
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "\\x1b[31mred"));
    free(text);
    load_saved_close(saved);
    json_decref(root);
}

/* Read, it is shown; refused, it has a reason. Anything else ends the test. */
static uint32_t try_it(const json_t *root)
{
    char error[LOAD_SAVED_ERROR_MAX] = "";
    save(root);
    if (!load_saved_open(saved, path, error)) {
        assert_true(error[0] != '\0');
        return 0;
    }
    free(render(&saved->result));
    json_decref(load_json_make(&saved->result));
    load_saved_close(saved);
    return 1;
}

static json_t *make_harm(uint32_t kind)
{
    switch (kind) {
    case 0:
        return json_null();
    case 1:
        return json_integer(-1);
    case 2:
        return json_integer(INT64_MAX);
    case 3:
        return json_real(-1e300);
    case 4:
        return json_string("a\x1b");
    case 5:
        return json_array();
    default:
        return json_object();
    }
}

#define HARMS 7u
#define DEEP  4u

/* Every value in the document, one after the other, becomes something else. */
static void harm_all(json_t *root, json_t *at, uint32_t depth, uint32_t *tried, uint32_t *taken)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(at, next, name, value)
    {
        json_t *kept = json_incref(value);
        if (json_is_object(kept) && depth < DEEP) harm_all(root, kept, depth + 1, tried, taken);
        for (uint32_t kind = 0; kind < HARMS; kind++) {
            (void)json_object_set_new(at, name, make_harm(kind));
            *taken += try_it(root);
            (*tried)++;
        }
        (void)json_object_set_new(at, name, kept);
    }
}

static void test_tls_comes_out_as_it_went_in(void **state)
{
    char error[LOAD_SAVED_ERROR_MAX];
    (void)state;

    save(sample);
    if (!load_saved_open(saved, path, error)) fail_msg("%s", error);
    json_t *again = load_json_make(&saved->result);
    assert_true(json_equal(json_object_get(again, "tls"), json_object_get(sample, "tls")));
    assert_true(json_equal(json_object_get(again, "errors"), json_object_get(sample, "errors")));
    json_decref(again);
    load_saved_close(saved);
}

static void test_tls_that_is_none_is_refused(void **state)
{
    json_t *root = json_deep_copy(sample);
    (void)state;

    (void)json_object_set_new(json_object_get(root, "tls"), "full", json_integer(-1));
    save(root);
    assert_refused("\"tls\" is no account of handshakes");
    (void)json_object_set_new(json_object_get(root, "config"), "tls", json_string("perhaps"));
    save(root);
    assert_refused("\"tls\" is none");
    json_decref(root);
}

static void test_a_harmed_file_is_refused_or_read(void **state)
{
    json_t *root = json_deep_copy(sample);
    uint32_t tried = 0;
    uint32_t taken = 0;
    (void)state;

    harm_all(root, root, 0, &tried, &taken);
    assert_true(tried > 1000);
    assert_in_range(taken, tried / 20, tried * 9 / 10);
    assert_int_equal(try_it(root), 1); /* and all is as it was */
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_text_is_that_of_the_run),
        cmocka_unit_test(test_what_is_no_result_is_refused),
        cmocka_unit_test(test_a_file_of_before_is_read),
        cmocka_unit_test(test_a_histogram_must_agree_with_its_numbers),
        cmocka_unit_test(test_escapes_reach_no_terminal),
        cmocka_unit_test(test_a_harmed_file_is_refused_or_read),
    };
    const struct CMUnitTest tls_tests[] = {
        cmocka_unit_test(test_the_text_is_that_of_the_run),
        cmocka_unit_test(test_tls_comes_out_as_it_went_in),
        cmocka_unit_test(test_tls_that_is_none_is_refused),
        cmocka_unit_test(test_a_harmed_file_is_refused_or_read),
    };
    int failed = cmocka_run_group_tests(tests, open_sample, close_sample);
    return failed + cmocka_run_group_tests(tls_tests, open_tls_sample, close_sample);
}
