#include "loadgen/load_verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

/* A run that went well. */
static const struct load_verdict_facts good = {
    .started = 1000,
    .with_outcome = 1000,
    .accepted = 990,
    .acknowledged = 990,
    .measured_ns = 1000000000,
    .asked = 2000,
    .reached = 2000,
    .down_worst = 2,
    .clock_cost_ns = 25,
    .clock_source = "tsc",
    .reap_p99_ns = 1200000,
    .busy_max_ratio = 0.95,
};

static void check(struct load_verdict_facts facts, enum load_verdict_status status,
                  const char *reason)
{
    struct load_verdict verdict = load_verdict_make(&facts);
    assert_int_equal(verdict.status, status);
    assert_int_equal(verdict.reason_count, reason == NULL ? 0 : 1);
    if (reason != NULL && strstr(verdict.reasons[0], reason) == NULL)
        fail_msg("'%s' is not in '%s'", reason, verdict.reasons[0]);
}

static void test_each_reason(void **state)
{
    struct load_verdict_facts facts;
    (void)state;

    check(good, LOAD_VERDICT_VALID, NULL);
    facts = good;
    facts.accepted = 989;
    facts.acknowledged = 989;
    check(facts, LOAD_VERDICT_SUSPECT, "1.1 % of the messages failed");
    facts.accepted = 0;
    facts.acknowledged = 0;
    check(facts, LOAD_VERDICT_INVALID, "no message was accepted");
    facts = good;
    facts.measured_ns = 999000000;
    check(facts, LOAD_VERDICT_SUSPECT, "measured for 999ms only");
    facts = good;
    facts.busy_max_ratio = 0.951;
    check(facts, LOAD_VERDICT_SUSPECT, "generator-bound; latencies");
    facts.accepted = 1000;
    facts.acknowledged = 1000;
    check(facts, LOAD_VERDICT_SUSPECT, "generator-bound: the server can do at least this");
    check(facts, LOAD_VERDICT_SUSPECT, "reap delay p99 1.2ms");
    facts = good;
    facts.clock_cost_ns = 201;
    check(facts, LOAD_VERDICT_SUSPECT, "tsc");
    facts = good;
    facts.with_outcome = 999;
    check(facts, LOAD_VERDICT_INVALID, "1000 messages started, but 999");
    facts = good;
    facts.acknowledged = 991;
    check(facts, LOAD_VERDICT_INVALID, "990 messages accepted, but 991");
    facts = good;
    facts.reached = 1999;
    check(facts, LOAD_VERDICT_INVALID, "1999 of 2000 connections were ready");
    facts = good;
    facts.down_worst = 3;
    check(facts, LOAD_VERDICT_INVALID, "3 of 2000 connections were down");
    facts = good;
    facts.gave_up = ECONNREFUSED;
    check(facts, LOAD_VERDICT_INVALID, "Connection refused");
}

static void test_invalid_outweighs_suspect(void **state)
{
    struct load_verdict_facts facts = good;
    (void)state;

    facts.busy_max_ratio = 1;
    facts.with_outcome = 0;
    struct load_verdict verdict = load_verdict_make(&facts);
    assert_int_equal(verdict.status, LOAD_VERDICT_INVALID);
    assert_int_equal(verdict.reason_count, 2);
    assert_string_equal(load_verdict_name(verdict.status), "INVALID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_reason),
        cmocka_unit_test(test_invalid_outweighs_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
