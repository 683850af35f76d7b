#include "audit/audit_relay.h"
#include "unit/audit/audit_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MS   CLOCK_NS_PER_MS
#define BODY 300u

static int setup(void **state)
{
    if (audit_scene_setup(state) != 0) return -1;
    struct audit_scene *scene = *state;
    struct ledger_start start = {
        .run = RUN, .boot = boot_id_read(), .clock_ns = clock_offset_ns(), .format = 2};
    scene->is_relayed = true;
    scene->ledger_size = ledger_put_start(scene->ledger, &start);
    return 0;
}

/* The message as it was sent; its size. */
static uint64_t make(uint8_t *out, uint64_t sequence)
{
    return audit_scene_make(out, RUN, sequence, BODY);
}

/* A ledger's line: sent 1 ms before it was accepted. */
static uint32_t put(uint8_t *out, uint64_t run, uint64_t sequence, enum ledger_state state,
                    uint64_t accepted_ns, uint32_t recipients)
{
    uint8_t message[1024];
    uint64_t size = audit_scene_make(message, run, sequence, BODY);
    struct ledger_entry entry = {
        .run = run,
        .sequence = sequence,
        .size = size,
        .hash = XXH3_64bits(message + size - BODY, BODY),
        .sent_ns = accepted_ns - MS,
        .state = state,
        .recipients = recipients,
        .accepted_ns = state == LEDGER_UNKNOWN ? 0 : accepted_ns,
    };
    return ledger_put_entry(out, &entry);
}

static void note(struct audit_scene *scene, uint64_t sequence, enum ledger_state state,
                 uint64_t accepted_ns, uint32_t recipients)
{
    assert_true(scene->ledger_size + LEDGER_LINE_MAX <= scene->ledger_capacity);
    scene->ledger_size +=
        put(scene->ledger + scene->ledger_size, RUN, sequence, state, accepted_ns, recipients);
}

/* The relay delivers: a header of its own in front. */
static void deliver(struct audit_scene *scene, uint64_t sequence, const char *recipients)
{
    static const char trace[] = "Received: from a (b [127.0.0.1])\r\n\tby c; today\r\n";
    uint8_t message[1024];
    uint64_t trace_size = sizeof(trace) - 1;

    memcpy(message, trace, trace_size);
    uint64_t size = trace_size + make(message + trace_size, sequence);
    scene->clock_ns += MS;
    audit_scene_relay(scene, "a@b", recipients, bytes_make(message, size));
}

static const struct audit_entry *find(const struct audit *audit, uint64_t sequence)
{
    const struct audit_entry *entry = audit_table_find(&audit->table, RUN, sequence);
    assert_non_null(entry);
    return entry;
}

static enum audit_verdict verdict(const struct audit *audit, uint64_t sequence)
{
    return audit_judge(audit, find(audit, sequence));
}

static void deliver_altered(struct audit_scene *scene, uint64_t sequence, const char *recipients)
{
    uint8_t message[1024];
    uint64_t size = make(message, sequence);
    message[size - 3] ^= 1;
    audit_scene_relay(scene, "a@b", recipients, bytes_make(message, size));
}

/* The header of ours comes folded, in other letters and between others. */
static void deliver_rewritten(struct audit_scene *scene, uint64_t sequence)
{
    uint8_t message[1024];
    char text[2048];
    uint64_t size = make(message, sequence);
    int head = snprintf(text, sizeof(text),
                        "To: x@y\r\nx-LOADGEN: v1 run=%016llx\r\n seq=%012llu"
                        "\r\n\tsize=%010u xxh3=%016llx\r\nFrom: a@b\r\n\r\n",
                        (unsigned long long)RUN, (unsigned long long)sequence, BODY,
                        (unsigned long long)XXH3_64bits(message + size - BODY, BODY));
    memcpy(text + head, message + size - BODY, BODY);
    audit_scene_relay(scene, "a@b", "u@x", bytes_make(text, (uint64_t)head + BODY));
}

enum {
    PLAIN = 1,
    REWRITTEN,
    SPLIT,
    LOST,
    TWICE,
    ONE_TWICE,
    ALTERED,
    HALF,
    REFUSED,
    REFUSED_PRESENT,
    UNKNOWN,
    UNKNOWN_HALF,
    UNKNOWN_TWICE,
    ALTERED_TWICE,
    NOT_COUNTED,
    BY_NULL_SENDER,
    LAST
};

static void plant(struct audit_scene *scene)
{
    for (uint64_t sequence = PLAIN; sequence < LAST; sequence++) {
        enum ledger_state state = LEDGER_ACKED;
        if (sequence == REFUSED || sequence == REFUSED_PRESENT) state = LEDGER_REFUSED;
        if (sequence >= UNKNOWN && sequence <= UNKNOWN_TWICE) state = LEDGER_UNKNOWN;
        bool has_two = sequence == SPLIT || sequence == ONE_TWICE || sequence == HALF ||
                       sequence == UNKNOWN_HALF;
        note(scene, sequence, state, NOW, sequence == NOT_COUNTED ? 0 : has_two ? 2 : 1);
    }
    deliver(scene, PLAIN, "u@x");
    deliver_rewritten(scene, REWRITTEN);
    deliver(scene, SPLIT, "u@x");
    deliver(scene, TWICE, "u@x");
    deliver(scene, ONE_TWICE, "u@x v@y");
    deliver(scene, SPLIT, "u@y");
    deliver(scene, TWICE, "u@X");
    deliver(scene, ONE_TWICE, "v@Y");
    deliver_altered(scene, ALTERED, "u@x");
    deliver(scene, HALF, "u@x");
    deliver(scene, REFUSED_PRESENT, "u@x");
    deliver(scene, UNKNOWN_HALF, "u@x");
    deliver(scene, UNKNOWN_TWICE, "u@x");
    deliver(scene, UNKNOWN_TWICE, "u@x");
    deliver(scene, ALTERED_TWICE, "u@x");
    deliver_altered(scene, ALTERED_TWICE, "u@x");
    deliver(scene, NOT_COUNTED, "u@x v@x w@x");
    uint8_t message[1024];
    audit_scene_relay(scene, "", "u@x", bytes_make(message, make(message, BY_NULL_SENDER)));
    audit_scene_relay(scene, "a@b", "u@x", bytes_make(message, make(message, 99)));
    audit_scene_relay(scene, "", "a@b", BYTES("Subject: failed\r\n\r\nX-Loadgen: v1 run=0\r\n"));
    audit_scene_relay(scene, "", "a@b",
                      bytes_make(message, audit_scene_make(message, RUN + 1, 1, BODY)));
    audit_scene_relay(scene, "a@b", "c@d", BYTES("Subject: hello\r\n\r\nno number\r\n"));
}

/* Exactly the planted faults are told, each by its word. */
static void planted_faults(void **state)
{
    static const enum audit_verdict verdicts[LAST] = {
        [LOST] = AUDIT_LOST,
        [TWICE] = AUDIT_DUPLICATED,
        [ONE_TWICE] = AUDIT_DUPLICATED,
        [ALTERED] = AUDIT_CORRUPT,
        [HALF] = AUDIT_PARTIAL,
        [REFUSED_PRESENT] = AUDIT_REFUSED_PRESENT,
        [UNKNOWN_TWICE] = AUDIT_DUPLICATED,
        [ALTERED_TWICE] = AUDIT_CORRUPT,
    };
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct audit_relay relay;

    plant(scene);
    audit_scene_examine(scene, &audit, &report);
    for (uint64_t sequence = PLAIN; sequence < LAST; sequence++)
        if (verdict(&audit, sequence) != verdicts[sequence])
            fail_msg("%llu: %d", (unsigned long long)sequence, (int)verdict(&audit, sequence));
    assert_int_equal(report.acknowledged, 11);
    assert_int_equal(report.found, 10);
    assert_int_equal(report.lost, 1);
    assert_int_equal(report.partial, 1);
    assert_int_equal(report.duplicated, 4);
    assert_int_equal(report.corrupt, 2);
    assert_int_equal(report.refused_present, 1);
    assert_int_equal(report.unknown_present, 2);
    assert_int_equal(report.expired, 0);
    assert_int_equal(audit.bounced, 2);
    assert_int_equal(audit.others, 1);
    assert_int_equal(audit.unlisted, 1);
    assert_int_equal(audit.stored.total_count, 0);

    assert_int_equal(audit_relay_open(&relay, &audit), 0);
    assert_int_equal(relay.delivered, 9);
    assert_int_equal(relay.recipients_expected, 13);
    assert_int_equal(relay.recipients_delivered, 1 + 1 + 2 + 1 + 2 + 1 + 1 + 1 + 3 + 1);
    assert_int_equal(relay.duplicate_copies, 4);
    audit_relay_close(&relay);
    audit_close(&audit);
}

static void copies_are_named_in_order(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;

    scene->is_relayed = false;
    scene->keeps_copies = true;
    plant(scene);
    audit_scene_examine(scene, &audit, &report);
    uint32_t chain = find(&audit, SPLIT)->copies;
    const struct audit_copy *first = audit_deliveries_next(&audit.deliveries, &chain);
    const struct audit_copy *second = audit_deliveries_next(&audit.deliveries, &chain);
    assert_true(first->committed_ns < second->committed_ns);
    assert_true(first->id.offset < second->id.offset);
    assert_int_equal(chain, AUDIT_COPY_NONE);
    assert_int_equal(find(&audit, LOST)->copies, AUDIT_COPY_NONE);
    /* Not relayed: every header counts, and every copy. */
    assert_int_equal(verdict(&audit, PLAIN), AUDIT_CORRUPT);
    assert_int_equal(verdict(&audit, BY_NULL_SENDER), AUDIT_FINE);
    assert_int_equal(report.partial, 0);
    assert_int_equal(audit.bounced, 0);
    assert_int_equal(audit.others, 3);
    audit_close(&audit);
}

/* From the reply to the commit of the copy that made it complete. */
static void waits_by_one_clock(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct audit_relay relay;
    struct audit_timeline timeline;
    struct audit_timeline_row row;

    note(scene, 1, LEDGER_ACKED, NOW + 500 * MS, 2); /* complete at 2 ms: before its reply */
    note(scene, 2, LEDGER_ACKED, NOW, 1);            /* at 3 ms */
    note(scene, 3, LEDGER_ACKED, NOW, 2);            /* at 2 s and 5 ms */
    note(scene, 4, LEDGER_ACKED, NOW, 2);            /* never */
    note(scene, 5, LEDGER_UNKNOWN, NOW, 1);          /* not counted */
    deliver(scene, 1, "a@x");
    deliver(scene, 1, "b@x");
    deliver(scene, 2, "a@x");
    deliver(scene, 3, "a@x");
    deliver(scene, 4, "a@x");
    deliver(scene, 5, "a@x");
    scene->clock_ns = NOW + 2 * S + 4 * MS;
    deliver(scene, 3, "b@x");
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(audit.clock.kind, AUDIT_CLOCK_MONOTONIC);
    assert_int_equal(audit_relay_open(&relay, &audit), 0);
    assert_int_equal(relay.delivered, 3);
    assert_int_equal(relay.waits.total_count, 3);
    assert_int_equal(relay.waits.minimum, 0);
    assert_int_equal(relay.waits.maximum, 2 * S + 5 * MS);
    assert_int_equal(relay.early, 1);
    assert_int_equal(relay.first_accepted_ns, NOW);
    assert_int_equal(relay.last_accepted_ns, NOW + 500 * MS);
    assert_int_equal(relay.first_delivered_ns, NOW + 2 * MS);
    assert_int_equal(relay.last_delivered_ns, NOW + 2 * S + 5 * MS);

    assert_int_equal(audit_relay_timeline(&relay, &audit, &timeline), 0);
    assert_true(audit_timeline_next(&timeline, &row));
    assert_int_equal(row.accepted, 4);
    assert_int_equal(row.delivered, 2);
    assert_int_equal(row.backlog, 2);
    assert_true(audit_timeline_next(&timeline, &row));
    assert_true(audit_timeline_next(&timeline, &row));
    assert_int_equal(row.delivered, 1);
    assert_int_equal(row.backlog, 1);
    assert_false(audit_timeline_next(&timeline, &row));
    audit_timeline_close(&timeline);
    audit_relay_close(&relay);
    audit_close(&audit);
}

#define AHEAD (40 * S) /* so far the spool's clock is ahead of the generator's */

/* A ledger of one probe, which took 2 us, and the probe in the spool. */
static uint64_t put_probe(struct audit_scene *scene, uint8_t *out, uint64_t run, uint64_t sent_ns)
{
    static const struct boot_id boot = {7, 7};
    struct ledger_start start = {.run = run, .boot = boot, .clock_ns = 5, .format = 2};
    uint8_t message[1024];
    uint64_t size = audit_scene_make(message, run, 1, BODY);
    struct ledger_entry entry = {.run = run,
                                 .sequence = 1,
                                 .size = size,
                                 .hash = XXH3_64bits(message + size - BODY, BODY),
                                 .sent_ns = sent_ns,
                                 .state = LEDGER_ACKED,
                                 .recipients = 1,
                                 .accepted_ns = sent_ns + 2000};

    scene->clock_ns = sent_ns + 1000 + AHEAD;
    audit_scene_relay(scene, "a@b", "u@x", bytes_make(message, size));
    uint64_t text_size = ledger_put_start(out, &start);
    text_size += ledger_put_entry(out + text_size, &entry);
    return text_size + ledger_put_end(out + text_size, 5);
}

static void waits_by_two_clocks(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct audit_relay relay;
    static uint8_t ledgers[2][1024];
    uint64_t value_ns;

    struct ledger_start start = {.run = RUN, .boot = {7, 7}, .clock_ns = 5, .format = 2};
    scene->ledger_size = ledger_put_start(scene->ledger, &start);
    scene->probes[0] = bytes_make(ledgers[0], put_probe(scene, ledgers[0], 100, NOW - 10 * S));
    /* The log goes on, long before the first message was sent by the spool's clock. */
    audit_scene_roll(scene);
    scene->clock_ns = NOW + AHEAD;
    for (uint64_t sequence = 1; sequence <= 100; sequence++) {
        note(scene, sequence, LEDGER_ACKED, NOW, 1);
        scene->clock_ns = NOW + AHEAD + sequence * 20 - MS; /* 20 ns to 2 us */
        deliver(scene, sequence, "u@x");
    }
    scene->probes[1] = bytes_make(ledgers[1], put_probe(scene, ledgers[1], 101, NOW + 10 * S));
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(audit.clock.kind, AUDIT_CLOCK_OFFSET);
    assert_int_equal(audit.clock.uncertainty_ns, 1000);
    assert_int_equal(audit.skipped_segments, 0); /* their clocks may be apart by anything */
    assert_int_equal(audit.others, 0);           /* probes are none */
    assert_int_equal(report.found, 100);
    assert_int_equal(report.lost + report.duplicated + report.unseen_runs, 0);
    assert_int_equal(audit_relay_open(&relay, &audit), 0);
    assert_int_equal(relay.waits.total_count, 100);
    assert_int_equal(relay.waits.minimum, 20);
    assert_int_equal(relay.waits.maximum, 2000);
    assert_int_equal(relay.first_accepted_ns, NOW + AHEAD);
    assert_int_equal(relay.early, 0);
    /* What is below the uncertainty is not told, nor what has fewer than ten beyond it. */
    assert_false(audit_relay_percentile(&relay, &audit, 49, &value_ns));
    assert_true(audit_relay_percentile(&relay, &audit, 90, &value_ns));
    assert_in_range(value_ns, 1799, 1801);
    assert_false(audit_relay_percentile(&relay, &audit, 91, &value_ns));
    assert_false(audit_relay_is_sure(&audit, 999));
    assert_true(audit_relay_is_sure(&audit, 1000));
    audit_relay_close(&relay);
    audit_close(&audit);
}

/* Another host and no probes: nothing is compared, but all is judged. */
static void no_clock_no_times(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct audit_relay relay;
    struct audit_timeline timeline;
    struct audit_timeline_row row;

    struct ledger_start start = {.run = RUN, .boot = {7, 7}, .clock_ns = 5, .format = 2};
    scene->ledger_size = ledger_put_start(scene->ledger, &start);
    note(scene, 1, LEDGER_ACKED, NOW + 3600 * S, 1);
    note(scene, 2, LEDGER_ACKED, NOW + 3600 * S, 1);
    deliver(scene, 1, "u@x");
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(audit.clock.kind, AUDIT_CLOCK_NONE);
    assert_int_equal(report.lost, 1);
    assert_int_equal(audit_relay_open(&relay, &audit), 0);
    assert_int_equal(relay.delivered, 1);
    assert_int_equal(relay.waits.total_count, 0);
    assert_int_equal(relay.early, 0);
    assert_int_equal(audit_relay_timeline(&relay, &audit, &timeline), 0);
    assert_true(audit_timeline_next(&timeline, &row));
    assert_int_equal(row.accepted, 2);
    assert_int_equal(row.delivered, 0);
    assert_false(audit_timeline_next(&timeline, &row));
    audit_timeline_close(&timeline);
    audit_relay_close(&relay);
    audit_close(&audit);
}

/* Of a ledger of format 1 the copies are judged by what is known. */
static void a_ledger_of_format_1(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct audit_relay relay;
    uint8_t line[LEDGER_LINE_MAX];

    scene->ledger_size = (uint64_t)snprintf(
        (char *)scene->ledger, 64, "# ringsink-ledger/1 run=%016llx\n", (unsigned long long)RUN);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        struct bytes text = bytes_make(line, put(line, RUN, sequence, LEDGER_ACKED, NOW, 1));
        uint64_t size = text.size;
        for (uint32_t fields = 0; fields < 2; size--) /* the last two are cut off */
            fields += line[size - 1] == ' ';
        memcpy(scene->ledger + scene->ledger_size, line, size);
        scene->ledger[scene->ledger_size + size] = '\n';
        scene->ledger_size += size + 1;
    }
    deliver(scene, 1, "u@x v@x");
    deliver(scene, 2, "u@x");
    deliver(scene, 2, "u@x");
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(audit.bad_lines, 0);
    assert_int_equal(verdict(&audit, 1), AUDIT_FINE);
    assert_int_equal(verdict(&audit, 2), AUDIT_DUPLICATED);
    assert_int_equal(verdict(&audit, 3), AUDIT_LOST);
    assert_int_equal(audit_relay_open(&relay, &audit), 0);
    assert_int_equal(relay.delivered, 2);
    assert_int_equal(relay.recipients_expected, 0);
    assert_int_equal(relay.first_accepted_ns, 0);
    assert_int_equal(relay.waits.total_count, 0);
    audit_relay_close(&relay);
    audit_close(&audit);
}

/* Recycling may have taken the other half; what was sent later lacks it for sure. */
static void a_part_may_have_expired(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct spool_file *files;

    note(scene, 1, LEDGER_ACKED, NOW, 2);
    deliver(scene, 1, "a@x");
    audit_scene_roll(scene);
    scene->clock_ns += S;
    note(scene, 2, LEDGER_ACKED, scene->clock_ns, 2);
    deliver(scene, 1, "b@x");
    deliver(scene, 2, "b@x");
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(verdict(&audit, 1), AUDIT_FINE);
    assert_int_equal(verdict(&audit, 2), AUDIT_PARTIAL);
    audit_close(&audit);
    assert_int_equal(spool_directory_list(&scene->directory, &files), 2);
    assert_int_equal(spool_directory_trim(&scene->directory, &files[0]), 0);
    free(files);
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(verdict(&audit, 1), AUDIT_EXPIRED);
    assert_int_equal(verdict(&audit, 2), AUDIT_PARTIAL);
    assert_int_equal(report.expired, 1);
    assert_int_equal(report.partial, 1);
    assert_int_equal(report.lost, 0);
    audit_close(&audit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(planted_faults, setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(copies_are_named_in_order, setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(waits_by_one_clock, setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(waits_by_two_clocks, setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(no_clock_no_times, setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(a_ledger_of_format_1, setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(a_part_may_have_expired, setup, audit_scene_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
