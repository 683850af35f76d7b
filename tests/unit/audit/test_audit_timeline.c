#include "audit/audit_timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#define BEGIN 1795000000123456789ull
#define S     CLOCK_NS_PER_S
#define MS    CLOCK_NS_PER_MS

static struct audit_timeline timeline;
static struct audit_timeline_row row;

static void begin(uint64_t capacity)
{
    assert_int_equal(audit_timeline_open(&timeline, BEGIN, capacity), 0);
}

/* `waited_ns` AUDIT_TIMELINE_UNKNOWN: never delivered. */
static void message(uint64_t accepted_ns, uint64_t waited_ns)
{
    audit_timeline_accept(&timeline, BEGIN + accepted_ns);
    if (waited_ns != AUDIT_TIMELINE_UNKNOWN)
        audit_timeline_deliver(&timeline, BEGIN + accepted_ns, waited_ns);
}

static void assert_row(uint32_t second, uint64_t accepted, uint64_t delivered, uint64_t backlog)
{
    assert_true(audit_timeline_next(&timeline, &row));
    assert_int_equal(row.second, second);
    assert_int_equal(row.accepted, accepted);
    assert_int_equal(row.delivered, delivered);
    assert_int_equal(row.backlog, backlog);
}

static void assert_end(void)
{
    assert_false(audit_timeline_next(&timeline, &row));
    audit_timeline_close(&timeline);
}

static void nothing_has_no_rows(void **state)
{
    (void)state;
    begin(0);
    audit_timeline_begin(&timeline);
    assert_end();
}

static void a_backlog_grows_and_drains(void **state)
{
    (void)state;
    begin(6);
    message(0, 0);
    message(0, 2 * S); /* in second 2 */
    message(S - 1, 1); /* in second 1 */
    message(S, 3 * S - 1);
    message(S + 1, 3 * S);
    message(2 * S, AUDIT_TIMELINE_UNKNOWN);
    audit_timeline_begin(&timeline);
    assert_row(0, 3, 1, 2);
    assert_row(1, 2, 1, 3);
    assert_row(2, 1, 1, 3);
    assert_row(3, 0, 1, 2);
    assert_row(4, 0, 1, 1); /* one was never delivered */
    assert_int_equal(row.max_ns, 3 * S);
    assert_end();
}

static void seconds_without_events_have_rows(void **state)
{
    (void)state;
    begin(2);
    message(0, 3 * S);
    message(5 * S, AUDIT_TIMELINE_UNKNOWN);
    audit_timeline_begin(&timeline);
    assert_row(0, 1, 0, 1);
    assert_int_equal(row.max_ns, AUDIT_TIMELINE_UNKNOWN);
    assert_row(1, 0, 0, 1);
    assert_row(2, 0, 0, 1);
    assert_row(3, 0, 1, 0);
    assert_row(4, 0, 0, 0);
    assert_row(5, 1, 0, 1);
    assert_end();
}

/* Ten samples beyond a percentile, or none is told; whichever order they came in. */
static void percentiles_of_a_second(void **state)
{
    static const struct {
        uint64_t count;
        uint64_t p50_ms;
        uint64_t p99_ms;
    } rows[] = {{1, 0, 0},     {19, 0, 0},       {20, 10, 0},     {21, 11, 0},
                {999, 500, 0}, {1000, 500, 990}, {1001, 501, 991}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(rows[i].count);
        for (uint64_t waited_ms = rows[i].count; waited_ms > 0; waited_ms--)
            message((1000 - (waited_ms < 1000 ? waited_ms : 1000)) * MS, waited_ms * MS);
        audit_timeline_begin(&timeline);
        assert_true(audit_timeline_next(&timeline, &row)); /* all end in the second behind it */
        assert_int_equal(row.max_ns, AUDIT_TIMELINE_UNKNOWN);
        assert_true(audit_timeline_next(&timeline, &row));
        assert_int_equal(row.delivered, rows[i].count);
        assert_int_equal(row.p50_ns,
                         rows[i].p50_ms == 0 ? AUDIT_TIMELINE_UNKNOWN : rows[i].p50_ms * MS);
        assert_int_equal(row.p99_ns,
                         rows[i].p99_ms == 0 ? AUDIT_TIMELINE_UNKNOWN : rows[i].p99_ms * MS);
        assert_int_equal(row.max_ns, rows[i].count * MS);
        assert_end();
    }
}

static void what_is_too_late_is_counted(void **state)
{
    uint64_t last_ns = (uint64_t)AUDIT_TIMELINE_SECONDS_MAX * S;
    (void)state;
    begin(3);
    message(0, last_ns - 1);
    message(0, last_ns);
    message(last_ns, 0);
    assert_int_equal(timeline.left_out, 3);
    audit_timeline_begin(&timeline);
    assert_row(0, 2, 0, 2);
    while (audit_timeline_next(&timeline, &row))
        continue;
    assert_int_equal(row.second, AUDIT_TIMELINE_SECONDS_MAX - 1);
    assert_int_equal(row.backlog, 1);
    audit_timeline_close(&timeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_no_rows),
        cmocka_unit_test(a_backlog_grows_and_drains),
        cmocka_unit_test(seconds_without_events_have_rows),
        cmocka_unit_test(percentiles_of_a_second),
        cmocka_unit_test(what_is_too_late_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
