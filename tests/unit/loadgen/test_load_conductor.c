#include "loadgen/load_conductor.h"

#include "base/clock.h"
#include "loadgen/load_result.h"
#include "scripted_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define WORDS_MAX 24

static struct scripted_server server;
static struct load_config config;
static struct load_plan plan;
static struct load_mail mail;
static struct load_script script;
static struct load_ledger ledger;
static struct load_conductor conductor;
static struct load_result result;
static char ledger_path[40];
static uint64_t acked;
static uint64_t refused;
static uint64_t unknown;
static uint64_t recipients;
static uint64_t date_ns;

/* The options of a run as a line; the target is added. */
static void read_config(const char *line, uint16_t port)
{
    static char copy[300];
    char error[LOAD_CONFIG_ERROR_MAX] = "";
    char *argv[WORDS_MAX] = {(char *)(uintptr_t) "loadgen"};
    int argc = 1;

    (void)snprintf(copy, sizeof copy, "-q -t 1 %s 127.0.0.1:%u", line, port);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    assert_true(argc < WORDS_MAX);
    if (load_config_read(&config, argc, argv, error) != LOAD_CONFIG_READY) fail_msg("%s", error);
}

static void count_ledger(void)
{
    char line[LEDGER_LINE_MAX + 2];
    struct ledger_entry entry;
    FILE *file = fopen(ledger_path, "r");

    acked = 0;
    refused = 0;
    unknown = 0;
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    recipients = 0;
    while (fgets(line, sizeof line, file) != NULL && line[0] != '#') {
        assert_true(ledger_parse_entry(bytes_make(line, strlen(line) - 1), LEDGER_FORMAT, &entry));
        acked += entry.state == LEDGER_ACKED;
        refused += entry.state == LEDGER_REFUSED;
        unknown += entry.state == LEDGER_UNKNOWN;
        assert_int_equal(entry.run, mail.run);
        recipients += entry.recipients;
        assert_int_equal(entry.accepted_ns != 0, entry.state != LEDGER_UNKNOWN);
        if (entry.state != LEDGER_ACKED) continue;
        assert_true(entry.sent_ns > date_ns);
        assert_true(entry.accepted_ns >= entry.sent_ns);
        assert_true(entry.accepted_ns < clock_realtime_ns());
        assert_true(entry.recipients >= 1);
    }
    assert_memory_equal(line, "# end clock=", 12);
    assert_int_equal(fclose(file), 0);
}

/* Runs against `port` and merges; the server is asked afterwards. */
static void run_against(const char *line, uint16_t port)
{
    read_config(line, port);
    plan = load_plan_make(config.connections, config.messages, config.per_connection,
                          config.duration_ns, (uint32_t)config.threads);
    date_ns = clock_realtime_ns();
    struct load_mail_recipe recipe = {.sender = config.sender,
                                      .recipient = config.recipient,
                                      .subject = config.subject,
                                      .host = config.helo,
                                      .length = &config.length,
                                      .seed = 1,
                                      .run = 77,
                                      .date_ns = date_ns};
    assert_int_equal(load_mail_open(&mail, &recipe), 0);
    load_script_open(&script, config.helo, config.sender, config.recipient,
                     (uint32_t)config.recipients, (enum load_pipelining)config.pipelining);
    (void)snprintf(ledger_path, sizeof ledger_path, "/tmp/test_load_conductor.%d", (int)getpid());
    assert_int_equal(load_ledger_open(&ledger, ledger_path, mail.run), 0);
    struct load_run run = {
        .config = &config, .plan = &plan, .mail = &mail, .script = &script, .ledger = &ledger};
    load_conductor_run(&conductor, &run);
    assert_int_equal(load_ledger_close(&ledger), 0);
    assert_int_equal(load_result_open(&result, &conductor), 0);
    count_ledger();
    assert_int_equal(unlink(ledger_path), 0);
    /* What holds for every run. */
    assert_int_equal(result.tally.started, result.tally.outcomes[LOAD_OUTCOME_ACCEPTED] +
                                               load_tally_failed(&result.tally));
    assert_int_equal(acked + refused + unknown, result.tally.started);
    assert_int_equal(acked, result.tally.outcomes[LOAD_OUTCOME_ACCEPTED]);
    assert_int_equal(recipients, result.tally.recipients_accepted);
    assert_int_equal(result.tally.service.total_count, acked);
    assert_int_equal(result.tally.stale, 0);
}

static void close_run(void)
{
    load_result_close(&result);
    load_conductor_close(&conductor);
    load_mail_close(&mail);
}

static void run_load(const char *line, struct scripted_server_manners manners)
{
    scripted_server_open(&server, &manners);
    run_against(line, server.port);
    scripted_server_close(&server);
}

static uint64_t outcome(enum load_outcome which)
{
    return result.tally.outcomes[which];
}

/* Every message that the server acknowledged is whole, right, and there once. */
static void check_stored(uint64_t count)
{
    static bool is_seen[SCRIPTED_MESSAGES_MAX];
    memset(is_seen, 0, sizeof is_seen);
    assert_int_equal(server.message_count, count);
    for (uint32_t index = 0; index < server.message_count; index++) {
        struct ledger_entry entry;
        struct bytes body;
        assert_true(ledger_find_header(server.messages[index], &entry, &body));
        assert_int_equal(server.messages[index].size, mail.bodies[0].stored_size);
        assert_int_equal(body.size, config.length.slots[0]);
        assert_true(entry.hash == XXH3_64bits(body.data, body.size));
        assert_true(entry.sequence < SCRIPTED_MESSAGES_MAX);
        assert_false(is_seen[entry.sequence]);
        is_seen[entry.sequence] = true;
    }
    scripted_server_free(&server);
}

static void test_every_mode_delivers(void **state)
{
    static const char *const lines[] = {"-c 5 -n 200 -l 1k --pipelining off -r 2",
                                        "-c 5 -n 200 -l 1k --pipelining group -r 3",
                                        "-c 5 -n 200 -l 1k --pipelining stream",
                                        "-c 5 -n 200 -l 30k --pipelining stream",
                                        "-c 5 -n 200 -l 30k",
                                        "-c 1 -n 50 -l 0 --pipelining stream",
                                        "-c 5 -n 203 -l 1k -t 3 --pipelining stream"};
    (void)state;

    for (size_t index = 0; index < sizeof lines / sizeof lines[0]; index++) {
        run_load(lines[index], (struct scripted_server_manners){0});
        assert_int_equal(acked, config.messages);
        assert_int_equal(result.verdict.status == LOAD_VERDICT_INVALID, 0);
        assert_int_equal(server.quit_count, config.connections);
        assert_int_equal(result.tally.lost, 0);
        assert_int_equal(result.tally.recipients_accepted, config.messages * config.recipients);
        check_stored(config.messages);
        close_run();
    }
}

static void test_replies_octet_by_octet(void **state)
{
    (void)state;
    run_load("-c 3 -n 30 -l 500 --pipelining stream",
             (struct scripted_server_manners){.sends_octet_by_octet = true});
    assert_int_equal(acked, 30);
    check_stored(30);
    close_run();
}

static void test_helo_and_no_pipelining(void **state)
{
    (void)state;
    run_load("-c 2 -n 20 --pipelining stream", (struct scripted_server_manners){.no_ehlo = true});
    assert_int_equal(acked, 20);
    assert_int_equal(result.mode, LOAD_PIPELINING_OFF);
    assert_int_equal(result.tally.phases[LOAD_PHASE_MAIL].total_count, 20);
    check_stored(20);
    close_run();
    run_load("-c 2 -n 20", (struct scripted_server_manners){.no_pipelining = true});
    assert_int_equal(acked, 20);
    assert_int_equal(result.mode, LOAD_PIPELINING_OFF);
    assert_int_equal(result.tally.phases[LOAD_PHASE_ENVELOPE].total_count, 0);
    check_stored(20);
    close_run();
}

static void test_large_messages_in_short_sends(void **state)
{
    (void)state;
    run_load("-c 2 -n 4 -l 1M --pipelining stream",
             (struct scripted_server_manners){.reads_slowly = true});
    assert_int_equal(acked, 4);
    check_stored(4);
    assert_int_equal(result.tally.phases[LOAD_PHASE_BODY].total_count, 4);
    close_run();
}

static void test_messages_per_connection(void **state)
{
    (void)state;
    run_load("-c 2 -n 20 -k 3 --pipelining stream", (struct scripted_server_manners){0});
    assert_int_equal(acked, 20);
    assert_in_range(result.tally.connects, 7, 9);
    assert_int_equal(server.quit_count, result.tally.connects);
    check_stored(20);
    close_run();
}

/* The server ends sessions between messages: none is lost, none is blamed. */
static void test_sessions_that_the_server_ends(void **state)
{
    static const char *const modes[] = {"off", "group", "stream"};
    char line[80];
    (void)state;

    for (uint32_t index = 0; index < 6; index++) {
        (void)snprintf(line, sizeof line, "-c 2 -n 40 --pipelining %s", modes[index % 3]);
        run_load(line, (struct scripted_server_manners){.messages_a_session = 4,
                                                        .closes_politely = index >= 3});
        assert_int_equal(acked, 40);
        assert_int_equal(load_tally_failed(&result.tally), 0);
        assert_true(result.tally.lost >= 8);
        check_stored(40);
        close_run();
    }
}

static void test_silence_is_a_timeout(void **state)
{
    (void)state;
    run_load("-c 1 -n 6 --timeout 100ms --pipelining group",
             (struct scripted_server_manners){.silent_at_message = 2});
    assert_int_equal(outcome(LOAD_OUTCOME_TIMEOUT), 3);
    assert_int_equal(unknown, outcome(LOAD_OUTCOME_TIMEOUT));
    assert_int_equal(acked + unknown, 6);
    assert_int_equal(result.tally.errors[0].kind, LOAD_OUTCOME_TIMEOUT);
    assert_int_equal(result.tally.errors[0].phase, LOAD_PHASE_DOT);
    check_stored(acked);
    close_run();
}

static void test_a_connection_reset_within_the_content(void **state)
{
    (void)state;
    run_load("-c 1 -n 6 -l 200k", (struct scripted_server_manners){.reset_at_message = 2});
    assert_int_equal(outcome(LOAD_OUTCOME_CONNECTION), 3);
    assert_int_equal(acked, 3);
    assert_int_equal(unknown, 3);
    check_stored(3);
    close_run();
}

/* The verdict overtakes the content: the rest is sent all the same, and the session goes on. */
static void test_a_verdict_before_the_content_was_sent(void **state)
{
    (void)state;
    run_load("-c 1 -n 5 -l 4M --pipelining group",
             (struct scripted_server_manners){.early_at_message = 2, .reads_slowly = true});
    assert_int_equal(outcome(LOAD_OUTCOME_TEMPFAIL), 1);
    assert_int_equal(acked, 4);
    assert_int_equal(result.tally.connects, 1);
    assert_int_equal(result.tally.phases[LOAD_PHASE_DOT].total_count, 4);
    check_stored(4);
    close_run();
}

static void test_garbage_is_a_protocol_error(void **state)
{
    (void)state;
    run_load("-c 1 -n 6 --pipelining group",
             (struct scripted_server_manners){.garbage_at_message = 3});
    assert_int_equal(outcome(LOAD_OUTCOME_PROTOCOL), 2);
    assert_int_equal(acked, 4);
    check_stored(4);
    close_run();
}

static void test_refusals_are_counted_and_go_on(void **state)
{
    (void)state;
    for (uint32_t index = 0; index < 3; index++) {
        static const char *const lines[] = {"-c 1 -n 60 --pipelining off",
                                            "-c 1 -n 60 --pipelining group",
                                            "-c 1 -n 60 --pipelining stream"};
        run_load(lines[index],
                 (struct scripted_server_manners){.refused_message = 3, .deferred_message = 10});
        assert_int_equal(outcome(LOAD_OUTCOME_REJECT), 20);
        assert_int_equal(outcome(LOAD_OUTCOME_TEMPFAIL), 4);
        assert_int_equal(acked, 36);
        assert_int_equal(refused, 24);
        assert_int_equal(result.tally.recipients_rejected, 20);
        assert_int_equal(result.tally.replies[LOAD_PHASE_DOT][251], 4);
        assert_int_equal(result.tally.connects, 1);
        check_stored(36);
        close_run();
    }
}

static void test_sessions_refused_at_first(void **state)
{
    (void)state;
    run_load("-c 4 -n 40", (struct scripted_server_manners){.refused_session = 3});
    assert_int_equal(acked, 40);
    assert_int_equal(result.tally.replies[LOAD_PHASE_BANNER][354], 3);
    check_stored(40);
    close_run();
}

static void test_nobody_listens(void **state)
{
    struct scripted_server_manners manners = {0};
    (void)state;

    scripted_server_open(&server, &manners); /* to have a port that nobody has afterwards */
    scripted_server_close(&server);
    uint64_t start_ns = clock_now_ns();
    run_against("-c 300 -d 5s", server.port);
    assert_int_equal(result.gave_up, ECONNREFUSED);
    assert_int_equal(result.tally.started, 0);
    assert_int_equal(result.tally.connects, 0);
    assert_true(clock_now_ns() - start_ns < 2 * CLOCK_NS_PER_S);
    scripted_server_free(&server);
    close_run();
}

static void test_a_duration_ends_the_run(void **state)
{
    (void)state;
    uint64_t start_ns = clock_now_ns();
    run_load("-c 3 -d 200ms -l 100", (struct scripted_server_manners){0});
    uint64_t spent_ns = clock_now_ns() - start_ns;
    assert_true(spent_ns >= 200 * CLOCK_NS_PER_MS);
    assert_true(spent_ns < 2 * CLOCK_NS_PER_S);
    assert_int_equal(result.measured_ns, 200 * CLOCK_NS_PER_MS);
    assert_true(result.tally.accepted_in_time <= acked);
    assert_true(result.tally.accepted_in_time > 0);
    check_stored(acked);
    close_run();
}

/* Silent servers do not keep a run from ending: what is in flight is unfinished. */
static void test_the_drain_has_an_end(void **state)
{
    (void)state;
    run_load("-c 3 -d 100ms --drain 100ms",
             (struct scripted_server_manners){.silent_at_message = 1});
    assert_int_equal(outcome(LOAD_OUTCOME_UNFINISHED), 3);
    assert_int_equal(unknown, 3);
    check_stored(0);
    close_run();
}

static void *send_signal(void *argument)
{
    (void)argument;
    (void)usleep(200000);
    (void)kill(getpid(), SIGINT);
    return NULL;
}

static void test_a_signal_ends_the_run_with_a_result(void **state)
{
    pthread_t thread;
    (void)state;

    assert_int_equal(pthread_create(&thread, NULL, send_signal, NULL), 0);
    run_load("-c 3 -d 60s -l 100", (struct scripted_server_manners){0});
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(result.is_aborted);
    assert_int_equal(conductor.signal_number, SIGINT);
    assert_true(acked > 0);
    assert_true(result.measured_ns < 2 * CLOCK_NS_PER_S);
    assert_int_equal(load_tally_failed(&result.tally), 0);
    check_stored(acked);
    close_run();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mode_delivers),
        cmocka_unit_test(test_replies_octet_by_octet),
        cmocka_unit_test(test_helo_and_no_pipelining),
        cmocka_unit_test(test_large_messages_in_short_sends),
        cmocka_unit_test(test_messages_per_connection),
        cmocka_unit_test(test_sessions_that_the_server_ends),
        cmocka_unit_test(test_silence_is_a_timeout),
        cmocka_unit_test(test_a_connection_reset_within_the_content),
        cmocka_unit_test(test_a_verdict_before_the_content_was_sent),
        cmocka_unit_test(test_garbage_is_a_protocol_error),
        cmocka_unit_test(test_refusals_are_counted_and_go_on),
        cmocka_unit_test(test_sessions_refused_at_first),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_a_duration_ends_the_run),
        cmocka_unit_test(test_the_drain_has_an_end),
        cmocka_unit_test(test_a_signal_ends_the_run_with_a_result),
    };
    load_conductor_block_signals();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
