#include "audit/audit_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define MS     ((int64_t)CLOCK_NS_PER_MS)
#define S      ((int64_t)CLOCK_NS_PER_S)
#define OFFSET (1790000000 * S) /* of REALTIME to MONOTONIC, here */
#define NOW    1795000000000000000ull

static const struct boot_id here = {0x1111, 0x2222};
static const struct boot_id there = {0x3333, 0x4444};

static struct audit_clock made;

static struct audit_clock *make(void)
{
    memset(&made, 0, sizeof(made));
    audit_clock_init(&made, here, OFFSET);
    return &made;
}

static struct audit_clock_ledger *add(struct audit_clock *clock, struct boot_id boot,
                                      int64_t start_ns, int64_t end_ns, bool is_probe)
{
    struct ledger_start start = {
        .run = 0x100 + clock->ledger_count, .boot = boot, .clock_ns = start_ns, .format = 2};
    int64_t index = audit_clock_add(clock, &start, is_probe);
    assert_int_equal(index, clock->ledger_count - 1);
    audit_clock_end(clock, end_ns);
    return &clock->ledgers[index];
}

static void assert_no_times(const struct audit_clock *clock, const char *reason)
{
    assert_int_equal(clock->kind, AUDIT_CLOCK_NONE);
    if (strstr(clock->reason, reason) == NULL)
        fail_msg("'%s' is not in '%s'", reason, clock->reason);
}

/* ---- one host ---- */

static void one_host_is_one_clock(void **state)
{
    struct audit_clock *clock = make();
    (void)state;
    add(clock, here, OFFSET + 5, OFFSET - 7, false);
    add(clock, here, OFFSET, OFFSET + 90, false);
    assert_true(audit_clock_is_local(clock));
    audit_clock_judge(clock, NOW, NOW + 1);
    assert_int_equal(clock->kind, AUDIT_CLOCK_MONOTONIC);
    assert_int_equal(clock->uncertainty_ns, 90);
    assert_string_equal(clock->reason, "");
    assert_int_equal(audit_clock_to_spool(clock, NOW + 12345), NOW + 12345);
}

/* A generator that was killed wrote no last line: the first one has to do. */
static void a_ledger_without_its_end(void **state)
{
    struct audit_clock *clock = make();
    struct ledger_start start = {.run = 1, .boot = here, .clock_ns = OFFSET + 3, .format = 2};
    (void)state;
    assert_int_equal(audit_clock_add(clock, &start, false), 0);
    audit_clock_judge(clock, NOW, NOW);
    assert_int_equal(clock->kind, AUDIT_CLOCK_MONOTONIC);
    assert_int_equal(clock->uncertainty_ns, 3);
}

static void one_host_whose_clock_was_set(void **state)
{
    static const struct {
        int64_t start_ns;
        int64_t end_ns;
        bool is_same;
    } rows[] = {
        {OFFSET, OFFSET, true},       {OFFSET + MS - 1, OFFSET - MS + 1, true},
        {OFFSET + MS, OFFSET, false}, {OFFSET - MS, OFFSET, false},
        {OFFSET, OFFSET + MS, false}, {OFFSET, OFFSET - 3600 * S, false},
        {-OFFSET, OFFSET, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct audit_clock *clock = make();
        add(clock, here, rows[i].start_ns, rows[i].end_ns, false);
        assert_int_equal(audit_clock_is_local(clock), rows[i].is_same);
        audit_clock_judge(clock, NOW, NOW);
        if (rows[i].is_same)
            assert_int_equal(clock->kind, AUDIT_CLOCK_MONOTONIC);
        else
            assert_no_times(clock, "clock was set");
    }
}

static void a_ledger_of_format_1(void **state)
{
    struct audit_clock *clock = make();
    struct ledger_start start = {.run = 0xabc, .format = 1};
    (void)state;
    add(clock, here, OFFSET, OFFSET, false);
    assert_int_equal(audit_clock_add(clock, &start, false), 1);
    assert_false(audit_clock_is_local(clock));
    audit_clock_judge(clock, NOW, NOW);
    assert_no_times(clock, "run 0000000000000abc is of format 1");
}

static void another_host_without_probes(void **state)
{
    struct audit_clock *clock = make();
    (void)state;
    add(clock, there, OFFSET, OFFSET, false);
    audit_clock_judge(clock, NOW, NOW);
    assert_no_times(clock, "give --clock LEDGER");
    clock = make();
    add(clock, (struct boot_id){0, 0}, OFFSET, OFFSET, false); /* it could not read its boot id */
    audit_clock_judge(clock, NOW, NOW);
    assert_no_times(clock, "give --clock LEDGER");
}

static void more_ledgers_than_there_is_room_for(void **state)
{
    struct audit_clock *clock = make();
    struct ledger_start start = {.run = 1, .format = 2};
    (void)state;
    for (uint32_t i = 0; i < AUDIT_CLOCK_LEDGERS_MAX; i++)
        assert_int_equal(audit_clock_add(clock, &start, false), i);
    assert_int_equal(audit_clock_add(clock, &start, false), -E2BIG);
}

/* ---- two hosts: the spool's clock is ahead by what `ahead_ns` says ---- */

/* A probe that took so long to the commit, and so long from there to the reply. */
static void probe(struct audit_clock_ledger *ledger, uint64_t sent_ns, int64_t ahead_ns,
                  uint64_t there_ns, uint64_t back_ns)
{
    audit_clock_bound(ledger, sent_ns, sent_ns + there_ns + back_ns,
                      sent_ns + there_ns + (uint64_t)ahead_ns);
}

static void each_probe_bounds_the_offset_from_both_sides(void **state)
{
    struct audit_clock *clock = make();
    struct audit_clock_ledger *ledger = add(clock, there, OFFSET, OFFSET, true);
    (void)state;
    probe(ledger, NOW, -5 * S, 100, 900);
    assert_int_equal(ledger->low_ns, -5 * S - 900);
    assert_int_equal(ledger->high_ns, -5 * S + 100);
    probe(ledger, NOW + 2000, -5 * S, 800, 200);
    assert_int_equal(ledger->low_ns, -5 * S - 200);
    assert_int_equal(ledger->high_ns, -5 * S + 100);
    probe(ledger, NOW + 4000, -5 * S, 10000, 10000); /* tells nothing new */
    assert_int_equal(ledger->low_ns, -5 * S - 200);
    assert_int_equal(ledger->high_ns, -5 * S + 100);
    assert_int_equal(ledger->first_ns, NOW);
    assert_int_equal(ledger->last_ns, NOW + 24000);
    assert_int_equal(ledger->probe_count, 3);
}

/* Probes before and behind a run of 100 s; the offset of the clocks at each. */
static struct audit_clock *measure(int64_t before_ns, int64_t behind_ns, uint64_t there_ns,
                                   uint64_t back_ns)
{
    struct audit_clock *clock = make();
    add(clock, there, OFFSET, OFFSET, false);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW, before_ns, there_ns, back_ns);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + (uint64_t)(100 * S), behind_ns, there_ns,
          back_ns);
    audit_clock_judge(clock, NOW + (uint64_t)S, NOW + (uint64_t)(99 * S));
    return clock;
}

static void an_offset_that_stays(void **state)
{
    static const int64_t offsets[] = {0, 7, -7, 3600 * S, -3600 * S, 1000000000 * S};
    (void)state;
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        struct audit_clock *clock = measure(offsets[i], offsets[i], 400, 400);
        assert_int_equal(clock->kind, AUDIT_CLOCK_OFFSET);
        assert_int_equal(clock->uncertainty_ns, 400);
        assert_string_equal(clock->reason, "");
        assert_int_equal(audit_clock_to_spool(clock, NOW + 5), NOW + 5 + (uint64_t)offsets[i]);
    }
}

/* The way there and back need not be alike: the truth is within the uncertainty. */
static void an_unequal_way_is_within_the_uncertainty(void **state)
{
    struct audit_clock *clock = measure(1000, 1000, 100, 900);
    (void)state;
    assert_int_equal(clock->uncertainty_ns, 500);
    int64_t offset_ns = (int64_t)(audit_clock_to_spool(clock, NOW) - NOW);
    assert_int_equal(offset_ns, 600);
    assert_in_range(1000 - offset_ns, 0, clock->uncertainty_ns);
}

static void a_drift_is_followed(void **state)
{
    struct audit_clock *clock = measure(1000, 101000, 50000, 50000);
    uint64_t half_way_ns = NOW + 50000 + (uint64_t)(50 * S);
    (void)state;
    assert_int_equal(clock->kind, AUDIT_CLOCK_OFFSET);
    assert_int_equal(clock->uncertainty_ns, 50000); /* the readings just touch */
    assert_int_equal(audit_clock_to_spool(clock, half_way_ns), half_way_ns + 51000);
    uint64_t quarter_ns = NOW + 50000 + (uint64_t)(25 * S);
    assert_int_equal(audit_clock_to_spool(clock, quarter_ns), quarter_ns + 26000);
    /* Beyond the readings the nearest holds. */
    assert_int_equal(audit_clock_to_spool(clock, NOW - 1), NOW - 1 + 1000);
    assert_int_equal(audit_clock_to_spool(clock, NOW + (uint64_t)(200 * S)),
                     NOW + (uint64_t)(200 * S) + 101000);
}

static void a_drift_beyond_the_readings_is_uncertain(void **state)
{
    struct audit_clock *clock = measure(1000, 1000 - 300000, 50000, 50000);
    (void)state;
    assert_int_equal(clock->kind, AUDIT_CLOCK_OFFSET);
    assert_int_equal(clock->uncertainty_ns, 50000 + (300000 - 100000) / 2);
}

static void the_wider_reading_counts(void **state)
{
    struct audit_clock *clock = make();
    (void)state;
    add(clock, there, OFFSET, OFFSET, false);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW, 0, 30, 30);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + 10000, 0, 1000, 1001);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_int_equal(clock->kind, AUDIT_CLOCK_OFFSET);
    assert_int_equal(clock->uncertainty_ns, 1001);
}

static void readings_in_any_order_and_number(void **state)
{
    struct audit_clock *clock = make();
    (void)state;
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + 40000, 300, 10, 10);
    add(clock, there, OFFSET, OFFSET, false);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW, 100, 10, 10);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + 20000, 100, 10, 10);
    audit_clock_judge(clock, NOW + 1000, NOW + 39000);
    assert_int_equal(clock->kind, AUDIT_CLOCK_OFFSET);
    assert_int_equal(clock->uncertainty_ns, 10 + 90);
    assert_int_equal(audit_clock_to_spool(clock, NOW + 10010), NOW + 10110);
    assert_int_equal(audit_clock_to_spool(clock, NOW + 30010), NOW + 30210);
}

/* What the generator's own clock moved, below a millisecond, is not known to the readings. */
static void a_small_movement_adds(void **state)
{
    struct audit_clock *clock = make();
    (void)state;
    add(clock, there, OFFSET, OFFSET + 700, false);
    probe(add(clock, there, OFFSET - 20, OFFSET, true), NOW, 0, 30, 30);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + 10000, 0, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_int_equal(clock->kind, AUDIT_CLOCK_OFFSET);
    assert_int_equal(clock->uncertainty_ns, 730);
}

static void what_probes_can_not_tell(void **state)
{
    struct audit_clock *clock = make();
    (void)state;
    /* One reading. */
    add(clock, there, OFFSET, OFFSET, false);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW, 0, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_no_times(clock, "before the run and from behind it");
    /* Two, both before the end. */
    clock = make();
    add(clock, there, OFFSET, OFFSET, false);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW, 0, 30, 30);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + 1500, 0, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_no_times(clock, "before the run and from behind it");
    /* None arrived. */
    clock = make();
    add(clock, there, OFFSET, OFFSET, false);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW, 0, 30, 30);
    add(clock, there, OFFSET, OFFSET, true);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_no_times(clock, "no probe of run 0000000000000102");
    /* The spool's clock was set by a second between two of them. */
    clock = make();
    add(clock, there, OFFSET, OFFSET, false);
    struct audit_clock_ledger *ledger = add(clock, there, OFFSET, OFFSET, true);
    probe(ledger, NOW, 0, 30, 30);
    probe(ledger, NOW + 100, S, 30, 30);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + 5000, S, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_no_times(clock, "contradict each other by 1000.000 ms");
    /* The generator's was set between the probes and the run. */
    clock = make();
    add(clock, there, OFFSET + MS, OFFSET + MS, false);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW, 0, 30, 30);
    probe(add(clock, there, OFFSET, OFFSET, true), NOW + 5000, 0, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_no_times(clock, "generator's clock was set");
    /* The probes are a third machine's. */
    clock = make();
    add(clock, there, OFFSET, OFFSET, false);
    probe(add(clock, here, OFFSET, OFFSET, true), NOW, 0, 30, 30);
    probe(add(clock, here, OFFSET, OFFSET, true), NOW + 5000, 0, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_no_times(clock, "different machines");
}

/* On one host probes are not needed; where its clock was set behind the run, they help. */
static void probes_on_one_host(void **state)
{
    struct audit_clock *clock = make();
    (void)state;
    add(clock, here, OFFSET, OFFSET, false);
    probe(add(clock, here, OFFSET, OFFSET, true), NOW, 0, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_int_equal(clock->kind, AUDIT_CLOCK_MONOTONIC);
    clock = make();
    add(clock, here, OFFSET + S, OFFSET + S, false);
    probe(add(clock, here, OFFSET + S, OFFSET + S, true), NOW, 0, 30, 30);
    probe(add(clock, here, OFFSET + S, OFFSET + S, true), NOW + 5000, 0, 30, 30);
    audit_clock_judge(clock, NOW + 1000, NOW + 2000);
    assert_int_equal(clock->kind, AUDIT_CLOCK_OFFSET);
    assert_int_equal(clock->uncertainty_ns, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_host_is_one_clock),
        cmocka_unit_test(a_ledger_without_its_end),
        cmocka_unit_test(one_host_whose_clock_was_set),
        cmocka_unit_test(a_ledger_of_format_1),
        cmocka_unit_test(another_host_without_probes),
        cmocka_unit_test(more_ledgers_than_there_is_room_for),
        cmocka_unit_test(each_probe_bounds_the_offset_from_both_sides),
        cmocka_unit_test(an_offset_that_stays),
        cmocka_unit_test(an_unequal_way_is_within_the_uncertainty),
        cmocka_unit_test(a_drift_is_followed),
        cmocka_unit_test(a_drift_beyond_the_readings_is_uncertain),
        cmocka_unit_test(the_wider_reading_counts),
        cmocka_unit_test(readings_in_any_order_and_number),
        cmocka_unit_test(a_small_movement_adds),
        cmocka_unit_test(what_probes_can_not_tell),
        cmocka_unit_test(probes_on_one_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
