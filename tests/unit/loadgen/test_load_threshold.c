#include "loadgen/load_threshold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define MS 1000000ull

static struct load_tally tally;

/* 10,000 due, of which 9,900 accepted in 1 .. 9,900 ms; service is half of that, dot a tenth. */
static int open_tally(void **state)
{
    (void)state;
    assert_int_equal(load_tally_open(&tally), 0);
    tally.due = 10000;
    tally.started = 9990;
    tally.outcomes[LOAD_OUTCOME_ACCEPTED] = 9900;
    tally.outcomes[LOAD_OUTCOME_REJECT] = 90;
    tally.dropped = 10;
    for (uint64_t index = 1; index <= 9900; index++) {
        histogram_record(&tally.response, index * MS);
        histogram_record(&tally.service, index * MS / 2);
        histogram_record(&tally.phases[LOAD_PHASE_DOT], index * MS / 10);
    }
    return 0;
}

static int close_tally(void **state)
{
    (void)state;
    load_tally_close(&tally);
    return 0;
}

static struct load_threshold_outcome judge(const char *text, bool is_open)
{
    struct load_threshold threshold;
    if (!load_threshold_parse(&threshold, text)) fail_msg("'%s' is no threshold", text);
    return load_threshold_judge(&threshold, &tally, is_open, 2500.5);
}

static void test_what_holds_and_what_does_not(void **state)
{
    static const struct {
        const char *text;
        bool is_open;
        bool passes;
    } rows[] = {
        {"p50<5s", true, true},
        {"p50<4.9s", true, false},
        {"p50<2.5s", false, true},
        {"p50<2.4s", false, false},
        {"response.p99<9.9s", true, true},
        {"service.p99<5s", true, true},
        {"dot.p99<1s", true, true},
        {"dot.p99<900ms", true, false},
        {"min>=1ms", true, true},
        {"min>1ms", true, false},
        {"max<=9.9s", true, true},
        {"max<9.9s", true, false},
        {"mean<5s", true, true},
        {"mean<4.9s", true, false},
        {"fail<1.1%", true, true},
        {"fail<1%", true, false},
        {"fail<=1%", true, true},
        {"fail<0.011", true, true},
        {"rate>=2.5k", true, true},
        {"rate>2501", true, false},
        {"within(990ms)>=9.8%", true, true},
        {"within(990ms)>10%", true, false},
        {"within(1h)>=99%", true, true},
        {"within(1h)>99.1%", true, false},
        {"p99.99<1h", true, false}, /* too few samples lie beyond it: not known */
    };
    (void)state;
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++)
        if (judge(rows[index].text, rows[index].is_open).has_passed != rows[index].passes)
            fail_msg("%s: not %d", rows[index].text, rows[index].passes);
    assert_false(judge("p99.99<1h", true).is_known);
}

static void test_a_fast_failure_does_not_help(void **state)
{
    (void)state;
    double before = judge("within(1s)>50%", true).value;
    tally.outcomes[LOAD_OUTCOME_REJECT] += 500;
    tally.due += 500;
    assert_true(judge("within(1s)>50%", true).value < before);
}

static void test_what_is_no_threshold(void **state)
{
    static const char *const wrong[] = {
        "",        "p99",    "p99<",    "p99<fast",      "p0<1s",     "p100<1s",      "p<1s",
        "p99=1s",  "fail<2", "fail<x%", "rate>",         "rate>5x",   "within(1s>5%", "within()>5%",
        "speed>1", "dot<1s", "p99 <1s", "within(1s)>5s", "dot.p99<5%"};
    struct load_threshold threshold;
    (void)state;
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++)
        if (load_threshold_parse(&threshold, wrong[index])) fail_msg("'%s'", wrong[index]);
}

static void test_nothing_measured_is_nothing_reached(void **state)
{
    struct load_tally nothing;
    struct load_threshold threshold;
    (void)state;
    assert_int_equal(load_tally_open(&nothing), 0);
    assert_true(load_threshold_parse(&threshold, "p50<1h"));
    assert_false(load_threshold_judge(&threshold, &nothing, true, 0).has_passed);
    assert_true(load_threshold_parse(&threshold, "fail<100%"));
    assert_false(load_threshold_judge(&threshold, &nothing, true, 0).has_passed);
    load_tally_close(&nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_holds_and_what_does_not),
        cmocka_unit_test(test_a_fast_failure_does_not_help),
        cmocka_unit_test(test_what_is_no_threshold),
        cmocka_unit_test(test_nothing_measured_is_nothing_reached),
    };
    return cmocka_run_group_tests(tests, open_tally, close_tally);
}
