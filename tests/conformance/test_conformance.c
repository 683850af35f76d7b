/*
 * Every case of tests/conformance/cases on a session in process: as the client would send it, cut
 * at every position, octet by octet, and all at once. What ringsink states of itself (the first
 * code of a set) is demanded, not only what the RFC allows.
 */
#include "conformance/conformance_case.h"
#include "conformance/conformance_run.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FOLDER         "tests/conformance/cases"
#define FILE_MAX       (1 << 17)
#define CASES_AT_LEAST 500

/* Longer inputs are cut at no more than about this many places. */
#define CUTS_MAX 600

static void blame(const struct conformance_case *test_case, const struct conformance_cuts *cuts,
                  const struct conformance_run *run, const char *why)
{
    print_error("%.*s: %s; cut at %llu, every %llu, steps %d\n", (int)test_case->id.size,
                (const char *)test_case->id.data, why, (unsigned long long)cuts->at,
                (unsigned long long)cuts->every, cuts->is_at_steps);
    print_error("replies:\n%.*s\n", (int)run->replies.size, (const char *)run->replies.data);
    print_error("stored:\n%.*s\n", (int)(run->stored.size < 2000 ? run->stored.size : 2000),
                (const char *)run->stored.data);
}

/* NULL, or what is wrong. */
static const char *judge(const struct conformance_case *test_case,
                         const struct conformance_run *run)
{
    struct bytes replies = trace_text_view(&run->replies);
    for (uint32_t i = 0; i < test_case->reply_count; i++) {
        if (replies.size == 0) return "a reply is missing";
        if (!conformance_reply_matches(&test_case->replies[i], conformance_reply_take(&replies)))
            return "another reply";
    }
    if (replies.size > 0) return "a reply too many";
    if (run->has_hung_up != (test_case->end != CONFORMANCE_END_DROP))
        return run->has_hung_up ? "hung up" : "did not hang up";
    if (!bytes_equal(trace_text_view(&run->stored), trace_text_view(&test_case->stored)))
        return "something else is stored";
    return NULL;
}

static bool is_passed(const struct conformance_case *test_case, struct conformance_cuts cuts)
{
    struct conformance_run run;
    conformance_run_open(&run, test_case, &cuts);
    const char *why = judge(test_case, &run);
    if (why != NULL) blame(test_case, &cuts, &run, why);
    conformance_run_close(&run);
    return why == NULL;
}

/* A known violation must be one: what is mended loses its K: line. */
static bool check_known(const struct conformance_case *test_case)
{
    struct conformance_run run;
    conformance_run_open(&run, test_case, &(struct conformance_cuts){.is_at_steps = true});
    bool is_violated = judge(test_case, &run) != NULL;
    conformance_run_close(&run);
    if (!is_violated)
        print_error("%.*s: mended: take its K: line out\n", (int)test_case->id.size,
                    (const char *)test_case->id.data);
    return is_violated;
}

/* What talks early on purpose must not be cut, and a strict server sees who does not wait. */
static bool check_case(const struct conformance_case *test_case)
{
    uint64_t size = test_case->input.size;
    uint64_t step = size / CUTS_MAX + 1;
    if (!is_passed(test_case, (struct conformance_cuts){.is_at_steps = true})) return false;
    if (test_case->is_uncut) return true;
    for (uint64_t at = 1; at < size; at += step)
        if (!is_passed(test_case, (struct conformance_cuts){.at = at, .is_at_steps = true}))
            return false;
    if (!is_passed(test_case, (struct conformance_cuts){.every = 1})) return false;
    return test_case->config.is_strict || is_passed(test_case, (struct conformance_cuts){0});
}

/* Cases by what became of them. */
struct tally {
    uint32_t run;
    uint32_t failed;
    uint32_t left_to_tcp;
};

static void check_any(const struct conformance_case *test_case, struct tally *tally)
{
    if (test_case->end == CONFORMANCE_END_TCP) {
        tally->left_to_tcp++;
        return;
    }
    tally->run++;
    tally->failed += test_case->is_known ? !check_known(test_case) : !check_case(test_case);
}

static void check_file(const char *name, struct tally *tally)
{
    char path[512];
    static uint8_t buffer[FILE_MAX];
    struct conformance_case *test_case = malloc(sizeof(*test_case));

    assert_non_null(test_case);
    snprintf(path, sizeof(path), "%s/%s", FOLDER, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct bytes text = bytes_make(buffer, fread(buffer, 1, sizeof(buffer), file));
    fclose(file);
    assert_true(text.size < FILE_MAX);
    while (conformance_case_open(test_case, &text)) {
        check_any(test_case, tally);
        conformance_case_close(test_case);
    }
    free(test_case);
}

static void test_every_case(void **state)
{
    struct dirent *entry;
    struct tally tally = {0};
    DIR *folder = opendir(FOLDER);
    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        const char *end = strrchr(entry->d_name, '.');
        if (end != NULL && strcmp(end, ".cases") == 0) check_file(entry->d_name, &tally);
    }
    closedir(folder);
    print_message("%u cases, %u failed, %u for TCP alone\n", tally.run, tally.failed,
                  tally.left_to_tcp);
    assert_true(tally.run >= CASES_AT_LEAST);
    assert_int_equal(tally.failed, 0);
}

static bool is_judged_right(const char *text)
{
    struct conformance_case *test_case = malloc(sizeof(*test_case));
    struct conformance_run run;
    struct bytes rest = bytes_from_text(text);
    assert_non_null(test_case);
    assert_true(conformance_case_open(test_case, &rest));
    conformance_run_open(&run, test_case, &(struct conformance_cuts){.is_at_steps = true});
    bool is_right = judge(test_case, &run) == NULL;
    conformance_run_close(&run);
    conformance_case_close(test_case);
    free(test_case);
    return is_right;
}

#define MAIL "P: data\nC: a\nC: .\n"

/* The judge must be able to find each kind of fault. */
static void test_what_is_wrong(void **state)
{
    (void)state;
    assert_true(
        is_judged_right("= x MUST\n" MAIL "S: 250\nF: \\T@client.test\nT: u@sink.test\nB: a\n"));
    assert_false(is_judged_right("= x MUST\n" MAIL "S: 250\n"));
    assert_false(is_judged_right("= x MUST\n" MAIL
                                 "S: {550,250}\nF: \\T@client.test\nT: u@sink.test\nB: a\n"));
    assert_false(
        is_judged_right("= x MUST\n" MAIL "S: 250\nF: b@client.test\nT: u@sink.test\nB: a\n"));
    assert_false(is_judged_right("= x MUST\n" MAIL "S: 250\nF: \\T@client.test\nB: a\n"));
    assert_false(
        is_judged_right("= x MUST\n" MAIL "S: 250\nF: \\T@client.test\nT: u@sink.test\nb: a\n"));
    assert_false(is_judged_right("= x MUST\nP: ehlo\nC: NOOP\nS: 250\nS: 250\n"));
    assert_false(is_judged_right("= x MUST\nP: ehlo\nC: NOOP\nC: NOOP\nS: 250\n"));
    assert_false(is_judged_right("= x MUST\nP: ehlo\nC: NOOP\nS: 250\nX: close\n"));
    assert_false(is_judged_right("= x MUST\nP: ehlo\nC: QUIT\nS: 221\n"));
    assert_true(
        is_judged_right("= x MUST\nP: connect\nC: EHLO a\nS: 250 <domain>\ns: SIZE <number><end>\n"
                        "s: !STARTTLS\na: <keyword>\n"));
    assert_false(is_judged_right("= x MUST\nP: connect\nC: EHLO a\nS: 250\ns: XYZ\n"));
    assert_false(is_judged_right("= x MUST\nP: connect\nC: EHLO a\nS: 250\ns: !SIZE\n"));
    assert_false(is_judged_right("= x MUST\nP: connect\nC: EHLO a\nS: 250\na: SIZE\n"));
    assert_false(is_judged_right("= x MUST\nP: ehlo\nC: NOOP\nS: 250 2.1\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_wrong),
        cmocka_unit_test(test_every_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
