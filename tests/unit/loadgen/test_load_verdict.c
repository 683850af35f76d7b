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
    facts.gave_up = EPROTO;
    facts.barrier = "no TLS with a:1: why";
    facts.remedy = "";
    check(facts, LOAD_VERDICT_INVALID, "population lost: no TLS with a:1: why");
    facts.gave_up = 0;
    facts.reached = 0;
    facts.busy_max_ratio = 1; /* of nothing: that is not the server's rate */
    facts.remedy = "do this";
    check(facts, LOAD_VERDICT_INVALID, "population lost: no TLS with a:1: why: do this");
}

static void test_what_the_seconds_and_the_kernel_say(void **state)
{
    struct load_verdict_facts facts = good;
    (void)state;

    facts.rate_trend = (struct load_trend){
        .is_known = true, .is_drift = true, .drift_ratio = -0.5, .halves_ratio = 0.75};
    check(facts, LOAD_VERDICT_SUSPECT,
          "not steady: messages accepted a second went down by 50 % over the measured time "
          "(second half to first: 0.75)");
    facts.rate_trend.is_drift = false;
    facts.p99_trend = (struct load_trend){.is_known = true, .is_drift = true, .drift_ratio = 0.1};
    check(facts, LOAD_VERDICT_SUSPECT, "not steady: the p99 went up by 10 %");
    facts = good;
    facts.somaxconn = "128";
    facts.kernel = (struct load_kernel){.is_known = true, .segments = 10000, .retransmits = 10};
    check(facts, LOAD_VERDICT_VALID, NULL);
    facts.kernel.retransmits = 11;
    check(facts, LOAD_VERDICT_SUSPECT, "11 of 10000 TCP segments");
    facts.kernel = (struct load_kernel){.is_known = true, .listen_overflows = 1};
    check(facts, LOAD_VERDICT_SUSPECT, "net.core.somaxconn (128)");
    facts.kernel.is_known = false;
    check(facts, LOAD_VERDICT_VALID, NULL);
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

/* An open loop that kept its schedule. */
static const struct load_verdict_facts good_open = {
    .started = 990,
    .with_outcome = 990,
    .accepted = 990,
    .acknowledged = 990,
    .measured_ns = 1000000000,
    .asked = 20,
    .reached = 20,
    .clock_cost_ns = 25,
    .clock_source = "tsc",
    .busy_max_ratio = 0.5,
    .is_open = true,
    .due = 990,
    .late = 9,
    .late_own = 9,
    .late_limit_ns = 1000000,
    .littles_ratio = 1.019,
    .busy_worst = 0.85,
    .busy_seconds = 4,
};

static void test_each_reason_of_an_open_loop(void **state)
{
    struct load_verdict_facts facts = good_open;
    (void)state;

    check(facts, LOAD_VERDICT_VALID, NULL);
    facts.late = 990; /* all sessions were busy: the server's doing */
    check(facts, LOAD_VERDICT_VALID, NULL);
    facts.late_own = 10;
    check(facts, LOAD_VERDICT_INVALID, "1.0 % of the messages started more than 1ms late");
    facts = good_open;
    facts.due = 991;
    check(facts, LOAD_VERDICT_INVALID, "991 messages were due, but 990 have an outcome");
    facts.dropped = 1;
    check(facts, LOAD_VERDICT_INVALID, "1 of 991 messages due were dropped");
    facts = good_open;
    facts.busy_worst = 0.86;
    check(facts, LOAD_VERDICT_SUSPECT, "busy 86 % of a second");
    facts.busy_seconds = 5;
    check(facts, LOAD_VERDICT_INVALID, "above 95 % for 5 s");
    facts = good_open;
    facts.littles_ratio = 0.979;
    check(facts, LOAD_VERDICT_INVALID, "Little's law");
    facts.littles_ratio = 1.021;
    check(facts, LOAD_VERDICT_INVALID, "Little's law");
    facts = good_open;
    facts.ceiling_per_s = 1000;
    facts.rate_per_s = 800;
    check(facts, LOAD_VERDICT_VALID, NULL);
    facts.rate_per_s = 801;
    check(facts, LOAD_VERDICT_SUSPECT, "80 % of what this generator can drive at all (1000 msg/s");
    facts = good_open;
    facts.busy_max_ratio = 0.99; /* the busiest second decides */
    check(facts, LOAD_VERDICT_VALID, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_reason),
        cmocka_unit_test(test_each_reason_of_an_open_loop),
        cmocka_unit_test(test_what_the_seconds_and_the_kernel_say),
        cmocka_unit_test(test_invalid_outweighs_suspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
