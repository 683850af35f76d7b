/* Every file of tests/transcripts: whole, at every cut, octet by octet, at random. */
#include "unit/smtp/transcript.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define FOLDER "tests/transcripts"

/* Longer ones are cut at no more than about this many places. */
#define CUTS_MAX 2000

/* Always cut where the handshake is, if there is one. */
static void run(struct session_trace *trace, const struct transcript *transcript,
                struct trace_cuts cuts)
{
    cuts.handshake_at = transcript->handshake_at;
    session_trace_run(trace, &transcript->setup, trace_text_view(&transcript->input), &cuts);
}

static void check_run(const struct transcript *transcript, const char *name,
                      const struct trace_cuts *cuts, const struct session_trace *whole)
{
    struct session_trace trace;
    run(&trace, transcript, *cuts);
    struct bytes replies = trace_text_view(&trace.replies);
    struct bytes content = trace_text_view(&trace.content);
    if (!transcript_matches(transcript, replies)) {
        print_error("%.*s", (int)replies.size, (const char *)replies.data);
        fail_msg("%s: other replies", name);
    }
    if (!bytes_equal(content, trace_text_view(&transcript->content))) {
        print_error("%.*s", (int)content.size, (const char *)content.data);
        fail_msg("%s: other content", name);
    }
    if (whole != NULL)
        assert_true(bytes_equal(trace_text_view(&trace.events), trace_text_view(&whole->events)));
    session_trace_close(&trace);
}

static void check_file(const char *name)
{
    struct transcript transcript;
    struct session_trace whole;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", FOLDER, name);
    transcript_open(&transcript, path);
    uint64_t size = transcript.input.size;
    if (transcript.setup.is_strict) { /* whole, it would talk too early */
        check_run(&transcript, name, &(struct trace_cuts){.every = 1}, NULL);
        transcript_close(&transcript);
        return;
    }

    check_run(&transcript, name, &(struct trace_cuts){0}, NULL);
    run(&whole, &transcript, (struct trace_cuts){0});
    uint64_t step = size > CUTS_MAX ? size / CUTS_MAX + 1 : 1;
    for (uint64_t at = 1; at < size; at += step)
        check_run(&transcript, name, &(struct trace_cuts){.at = at}, &whole);
    for (uint64_t every = 1; every < 10; every++)
        check_run(&transcript, name, &(struct trace_cuts){.every = every}, &whole);
    for (uint64_t seed = 1; seed < 10; seed++)
        check_run(&transcript, name, &(struct trace_cuts){.seed = seed}, &whole);
    session_trace_close(&whole);
    transcript_close(&transcript);
}

static void test_every_file(void **state)
{
    struct dirent *entry;
    uint32_t count = 0;
    DIR *folder = opendir(FOLDER);
    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        const char *end = strrchr(entry->d_name, '.');
        if (end == NULL || strcmp(end, ".smtp") != 0) continue;
        check_file(entry->d_name);
        count++;
    }
    closedir(folder);
    assert_true(count >= 25);
}

/* The comparison must be able to fail. */
static void test_what_does_not_match(void **state)
{
    struct transcript transcript = {0};
    (void)state;
    trace_text_put(&transcript.replies, BYTES("220\n250-SIZE\n250 DSN\n250 2.1.0 Ok\n"));
    assert_true(transcript_matches(
        &transcript, BYTES("220 a\r\n250-x\r\n250-SIZE 1\r\n250 DSN\r\n250 2.1.0 Ok\r\n")));
    assert_true(transcript_matches(
        &transcript, BYTES("220 a\r\n250-SIZE 1\r\n250-DSN\r\n250 HELP\r\n250 2.1.0 Ok\r\n")));
    assert_false(transcript_matches(&transcript, BYTES("220 a\r\n")));
    assert_false(
        transcript_matches(&transcript, BYTES("220 a\r\n250-SIZE 1\r\n250 x\r\n250 2.1.0 Ok\r\n")));
    assert_false(transcript_matches(&transcript,
                                    BYTES("220 a\r\n250-DSN\r\n250 SIZE 1\r\n250 2.1.0 Ok\r\n")));
    assert_false(transcript_matches(&transcript,
                                    BYTES("220 a\r\n250-SIZE 1\r\n250 DSN\r\n250 2.0.0 Ok\r\n")));
    assert_false(transcript_matches(
        &transcript, BYTES("220 a\r\n250-SIZE 1\r\n250 DSN\r\n250 2.1.0 Ok\r\n250 more\r\n")));
    transcript_close(&transcript);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_match),
        cmocka_unit_test(test_every_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
