#include "loadgen/load_tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

static struct load_tally one;
static struct load_tally other;

static int open_tallies(void **state)
{
    (void)state;
    return load_tally_open(&one) + load_tally_open(&other);
}

static int close_tallies(void **state)
{
    (void)state;
    load_tally_close(&one);
    load_tally_close(&other);
    return 0;
}

static void reply(struct load_tally *tally, enum load_phase phase, uint32_t code, const char *text,
                  uint64_t at_ns)
{
    struct load_reply_line line = {.code = code, .text = bytes_from_text(text)};
    load_tally_reply(tally, phase, &line, at_ns);
}

static void test_three_distinct_texts_a_code(void **state)
{
    char text[20];
    (void)state;

    for (uint32_t count = 0; count < 10; count++) {
        (void)snprintf(text, sizeof text, "4.3.0 id %u", count % 5);
        reply(&one, LOAD_PHASE_DOT, 451, text, 100 + count);
    }
    reply(&one, LOAD_PHASE_MAIL, 451, "4.3.0 id 0", 500);
    reply(&one, LOAD_PHASE_DOT, 250, "2.0.0 Ok", 600);
    assert_int_equal(one.row_count, 2);
    assert_int_equal(one.rows[0].text_count, LOAD_TALLY_TEXTS_MAX);
    assert_int_equal(one.rows[0].texts[2].count, 2);
    assert_memory_equal(one.rows[0].texts[2].octets, "4.3.0 id 2", one.rows[0].texts[2].size);
    assert_int_equal(one.rows[0].first_ns, 100);
    assert_int_equal(one.replies[LOAD_PHASE_DOT][251], 10);
    assert_int_equal(one.replies[LOAD_PHASE_MAIL][251], 1);
    assert_int_equal(one.replies[LOAD_PHASE_DOT][50], 1);
}

static void test_rows_are_bounded_but_counts_are_not(void **state)
{
    (void)state;
    for (uint32_t code = 400; code < 600; code++)
        reply(&one, LOAD_PHASE_RCPT, code, "no", 1);
    assert_int_equal(one.row_count, LOAD_TALLY_ROWS_MAX);
    assert_int_equal(one.replies[LOAD_PHASE_RCPT][399], 1);
}

static void test_merge(void **state)
{
    (void)state;
    one.started = 3;
    one.outcomes[LOAD_OUTCOME_ACCEPTED] = 2;
    one.outcomes[LOAD_OUTCOME_TEMPFAIL] = 1;
    one.last_end_ns = 50;
    other.started = 4;
    other.outcomes[LOAD_OUTCOME_ACCEPTED] = 1;
    other.outcomes[LOAD_OUTCOME_TIMEOUT] = 3;
    other.last_end_ns = 40;
    other.sessions[LOAD_PIPELINING_STREAM] = 9;
    reply(&one, LOAD_PHASE_DOT, 451, "a", 10);
    reply(&other, LOAD_PHASE_DOT, 451, "a", 5);
    reply(&other, LOAD_PHASE_DOT, 451, "b", 20);
    load_tally_error(&one, LOAD_PHASE_DOT, LOAD_OUTCOME_CONNECTION, ECONNRESET);
    load_tally_error(&other, LOAD_PHASE_DOT, LOAD_OUTCOME_CONNECTION, ECONNRESET);
    load_tally_error(&other, LOAD_PHASE_DOT, LOAD_OUTCOME_CONNECTION, 0);
    histogram_record(&one.service, 1000);
    histogram_record(&other.service, 3000);
    histogram_record(&other.phases[LOAD_PHASE_DOT], 7);
    load_tally_merge(&one, &other);
    assert_int_equal(one.started, 7);
    assert_int_equal(one.outcomes[LOAD_OUTCOME_ACCEPTED], 3);
    assert_int_equal(load_tally_failed(&one), 4);
    assert_int_equal(one.last_end_ns, 50);
    assert_int_equal(one.sessions[LOAD_PIPELINING_STREAM], 9);
    assert_int_equal(one.replies[LOAD_PHASE_DOT][251], 3);
    assert_int_equal(one.row_count, 1);
    assert_int_equal(one.rows[0].first_ns, 5);
    assert_int_equal(one.rows[0].texts[0].count, 2);
    assert_int_equal(one.rows[0].texts[1].count, 1);
    assert_int_equal(one.error_count, 2);
    assert_int_equal(one.errors[0].count, 2);
    assert_int_equal(one.service.total_count, 2);
    assert_int_equal(one.phases[LOAD_PHASE_DOT].total_count, 1);
}

static void test_kinds_of_error_are_bounded(void **state)
{
    (void)state;
    for (int number = 1; number <= (int)LOAD_TALLY_ERRORS_MAX + 5; number++)
        load_tally_error(&one, LOAD_PHASE_CONNECT, LOAD_OUTCOME_CONNECTION, number);
    assert_int_equal(one.error_count, LOAD_TALLY_ERRORS_MAX);
    assert_int_equal(one.errors_beyond, 5);
}

/* What TLS fails of is told apart by its text alone. */
static void test_failures_of_tls(void **state)
{
    (void)state;
    load_tally_tls_error(&one, LOAD_PHASE_TLS, "not TLS");
    load_tally_tls_error(&one, LOAD_PHASE_TLS, "not TLS");
    load_tally_tls_error(&one, LOAD_PHASE_TLS, "no common cipher");
    load_tally_error(&one, LOAD_PHASE_TLS, LOAD_OUTCOME_CONNECTION, 0);
    load_tally_tls_error(&other, LOAD_PHASE_TLS, "no common cipher");
    load_handshakes_count(&other.handshakes, true, true);
    load_tally_merge(&one, &other);
    assert_int_equal(one.error_count, 3);
    assert_int_equal(one.errors[0].count, 2);
    assert_int_equal(one.errors[1].count, 2);
    assert_string_equal(one.errors[1].why, "no common cipher");
    assert_int_equal(one.errors[1].kind, LOAD_OUTCOME_CONNECTION);
    assert_string_equal(load_tally_error_detail(one.errors[1].number), "tls");
    assert_string_equal(one.errors[2].why, "");
    assert_string_equal(load_tally_error_detail(one.errors[2].number), "closed");
    assert_int_equal(one.handshakes.resumed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_three_distinct_texts_a_code, open_tallies,
                                        close_tallies),
        cmocka_unit_test_setup_teardown(test_rows_are_bounded_but_counts_are_not, open_tallies,
                                        close_tallies),
        cmocka_unit_test_setup_teardown(test_merge, open_tallies, close_tallies),
        cmocka_unit_test_setup_teardown(test_kinds_of_error_are_bounded, open_tallies,
                                        close_tallies),
        cmocka_unit_test_setup_teardown(test_failures_of_tls, open_tallies, close_tallies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
