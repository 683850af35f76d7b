#include "audit/audit.h"
#include "unit/audit/audit_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Exactly the planted faults are reported. */
static void planted_faults(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    uint8_t message[4096];

    for (uint64_t sequence = 1; sequence <= 20; sequence++) {
        audit_scene_note(scene, RUN, sequence, LEDGER_ACKED);
        if (sequence == 3) continue; /* lost */
        if (sequence == 5) {         /* corrupt: one octet of the body */
            uint64_t size = audit_scene_make(message, RUN, 5, 105);
            message[size - 7] ^= 1;
            audit_scene_store(scene, bytes_make(message, size));
            continue;
        }
        if (sequence == 6) { /* corrupt: a header more than was sent */
            memcpy(message, "X-A: b\r\n", 8);
            uint64_t size = audit_scene_make(message + 8, RUN, 6, 106);
            audit_scene_store(scene, bytes_make(message, 8 + size));
            continue;
        }
        if (sequence == 7) { /* corrupt: another body under the same number, sound in itself */
            uint64_t size = audit_scene_make(message, RUN, 7, 107);
            message[size - 1] ^= 1;
            ledger_put_header(message, RUN, 7, 107, XXH3_64bits(message + size - 107, 107));
            audit_scene_store(scene, bytes_make(message, size));
            continue;
        }
        audit_scene_deliver(scene, RUN, sequence);
        if (sequence == 9 || sequence == 10) audit_scene_deliver(scene, RUN, sequence);
    }
    for (uint64_t sequence = 21; sequence <= 24; sequence++)
        audit_scene_note(scene, RUN, sequence, LEDGER_REFUSED);
    audit_scene_deliver(scene, RUN, 22);
    for (uint64_t sequence = 25; sequence <= 29; sequence++)
        audit_scene_note(scene, RUN, sequence, LEDGER_UNKNOWN);
    audit_scene_deliver(scene, RUN, 26);
    audit_scene_deliver(scene, RUN, 27);
    audit_scene_deliver(scene, RUN, 99);     /* in no ledger */
    audit_scene_deliver(scene, RUN + 1, 26); /* another run's */
    audit_scene_store(scene, BYTES("Subject: hello\r\n\r\nno number\r\n"));

    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(report.acknowledged, 20);
    assert_int_equal(report.found, 19);
    assert_int_equal(report.lost, 1);
    assert_int_equal(report.corrupt, 3);
    assert_int_equal(report.duplicated, 2);
    assert_int_equal(report.refused, 4);
    assert_int_equal(report.refused_present, 1);
    assert_int_equal(report.unknown, 5);
    assert_int_equal(report.unknown_present, 2);
    assert_int_equal(report.expired, 0);
    assert_int_equal(report.unseen_runs, 0);
    assert_int_equal(audit.unlisted, 1);
    assert_int_equal(audit.others, 2);
    assert_int_equal(audit.damaged, 0);
    assert_int_equal(audit.stored.total_count, 19);
    /* audit_scene_deliver() stores 1 ms after audit_scene_note(); those that audit_scene_store()
     * keeps have no delay */
    assert_true(histogram_percentile(&audit.stored, 50) >= 990000);
    assert_true(histogram_percentile(&audit.stored, 50) <= 1010000);
    for (uint64_t i = 0; i < audit.table.count; i++) {
        uint64_t sequence = audit.table.entries[i].ledger.sequence;
        enum audit_verdict wanted = sequence == 3                     ? AUDIT_LOST
                                    : sequence >= 5 && sequence <= 7  ? AUDIT_CORRUPT
                                    : sequence == 9 || sequence == 10 ? AUDIT_DUPLICATED
                                    : sequence == 22                  ? AUDIT_REFUSED_PRESENT
                                                                      : AUDIT_FINE;
        assert_int_equal(audit_judge(&audit, &audit.table.entries[i]), wanted);
    }
    audit_close(&audit);
}

/* A message in several records over two segments is put together and found sound. */
static void message_in_pieces(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct spool_message slow = {0};
    uint64_t body_size = 1500000;
    uint8_t *message = malloc(body_size + 200);

    assert_non_null(message);
    uint64_t size = audit_scene_make(message, RUN, 7, body_size);
    struct bytes rest = bytes_make(message, size);
    struct ledger_entry entry = {.run = RUN,
                                 .sequence = 7,
                                 .size = size,
                                 .hash = XXH3_64bits(message + size - body_size, body_size),
                                 .sent_ns = NOW,
                                 .state = LEDGER_ACKED};
    scene->ledger_size += ledger_put_entry(scene->ledger + scene->ledger_size, &entry);
    audit_scene_begin(scene, &slow);
    audit_scene_append(scene, &slow, bytes_take(&rest, 40)); /* in the middle of the header */
    audit_scene_note(scene, RUN, 8, LEDGER_ACKED);
    audit_scene_deliver(scene, RUN, 8);
    audit_scene_append(scene, &slow, bytes_take(&rest, 700000));
    audit_scene_note(scene, RUN, 9, LEDGER_ACKED);
    audit_scene_deliver(scene, RUN, 9);
    audit_scene_append(scene, &slow, rest);
    audit_scene_commit(scene, &slow);
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(report.found, 3);
    assert_int_equal(report.lost + report.corrupt + report.duplicated, 0);
    audit_close(&audit);

    /* One octet of it flips on the disk: it is not shown, so it is lost. */
    scene->segments[0].base[500000] ^= 1;
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(report.found, 2);
    assert_int_equal(report.lost, 1);
    assert_int_equal(audit.damaged, 1);
    audit_close(&audit);
    free(message);
}

/* Freed segments excuse only what was sent before they were sealed. */
static void expired_and_lost(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct spool_file *files;
    struct spool_message slow = {0};

    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        audit_scene_note(scene, RUN, sequence, LEDGER_ACKED);
        if (sequence == 5) audit_scene_begin(scene, &slow); /* its head will be freed */
        if (sequence == 15) audit_scene_append(scene, &slow, BYTES("X"));
        if (sequence == 25) audit_scene_commit(scene, &slow);
        if (sequence != 12 && sequence != 13 && sequence != 35)
            audit_scene_deliver(scene, RUN, sequence);
        scene->clock_ns += S;
        if (sequence % 10 == 9) audit_scene_roll(scene);
    }
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(report.found, 37);
    assert_int_equal(report.lost, 3);
    assert_int_equal(report.expired, 0);
    audit_close(&audit);

    assert_int_equal(spool_directory_list(&scene->directory, &files), 4);
    assert_int_equal(spool_directory_trim(&scene->directory, &files[0]), 0);
    free(files);
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(audit.headless, 1);
    assert_int_equal(report.found, 27);
    /* 0..9 were freed. 12 and 13 were sent later, but before the headless message was committed:
     * it may be one of them, not both; 35 was sent after all that. */
    assert_int_equal(report.expired, 11);
    assert_int_equal(report.lost, 2);
    audit_close(&audit);
}

/* No headless message: what was sent after the seal is lost. */
static void lost_in_spite_of_recycling(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct spool_file *files;

    for (uint64_t sequence = 0; sequence < 20; sequence++) {
        audit_scene_note(scene, RUN, sequence, LEDGER_ACKED);
        if (sequence != 12) audit_scene_deliver(scene, RUN, sequence);
        scene->clock_ns += S;
        if (sequence == 9) audit_scene_roll(scene);
    }
    assert_int_equal(spool_directory_list(&scene->directory, &files), 2);
    assert_int_equal(spool_directory_trim(&scene->directory, &files[0]), 0);
    free(files);
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(report.expired, 10);
    assert_int_equal(report.lost, 1);
    assert_int_equal(report.found, 9);
    audit_close(&audit);
}

static void unseen_run(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;

    audit_scene_note(scene, RUN, 1, LEDGER_ACKED);
    audit_scene_deliver(scene, RUN, 1);
    audit_scene_note(scene, RUN + 5, 1, LEDGER_ACKED);
    audit_scene_note(scene, RUN + 5, 2, LEDGER_ACKED);
    audit_scene_note(scene, RUN + 6, 1, LEDGER_REFUSED); /* need not have been seen */
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(report.unseen_runs, 1);
    assert_int_equal(report.lost, 2);
    assert_int_equal(report.lost_unseen, 2);
    audit_close(&audit);
}

/* Segments that the log had left long before the first message was sent are passed over. */
static void old_segments_are_skipped(void **state)
{
    struct audit_scene *scene = *state;
    struct audit audit;
    struct audit_report report;

    for (uint32_t i = 0; i < 3; i++) {
        audit_scene_deliver(scene, RUN + 9, i);
        audit_scene_roll(scene);
        scene->clock_ns += 60 * S;
    }
    for (uint64_t sequence = 0; sequence < 3; sequence++) {
        audit_scene_note(scene, RUN, sequence, LEDGER_ACKED);
        audit_scene_deliver(scene, RUN, sequence);
    }
    audit_scene_examine(scene, &audit, &report);
    assert_int_equal(audit.skipped_segments, 2);
    assert_int_equal(report.found, 3);
    assert_int_equal(report.lost, 0);
    audit_close(&audit);
}

static void ledgers(void **state)
{
    (void)state;
    static const char start[] = "# ringsink-ledger/1 run=00000000000000aa\n";
    static const char lines[] = "00000000000000aa 1 10 00000000000000ff 1000 refused\n"
                                "00000000000000aa 1 10 00000000000000ff 900 acked\n"
                                "00000000000000aa 1 10 00000000000000ff 1100 unknown\n"
                                "# a comment\n\n"
                                "00000000000000ab 2 10 00000000000000ff 1000 unknown\n"
                                "00000000000000aa 3 10 00000000000000ff 10";
    struct audit audit;
    char text[1024];

    assert_int_equal(audit_open(&audit), 0);
    assert_int_equal(audit_add_ledger(&audit, BYTES("")), -EBADMSG);
    assert_int_equal(audit_add_ledger(&audit, BYTES("From: a@b\n")), -EBADMSG);
    assert_int_equal(audit_add_ledger(&audit, bytes_from_text(start)), 0);
    assert_int_equal(audit.table.count, 0);
    (void)snprintf(text, sizeof(text), "%s%s", start, lines);
    assert_int_equal(audit_add_ledger(&audit, bytes_from_text(text)), 0);
    assert_int_equal(audit.table.count, 2);
    assert_int_equal(audit.run_count, 2);
    assert_int_equal(audit.repeated_lines, 2);
    assert_int_equal(audit.bad_lines, 1); /* the generator was killed in its last line */
    assert_int_equal(audit.table.entries[0].ledger.state, LEDGER_ACKED);
    assert_int_equal(audit.table.entries[0].ledger.sent_ns, 900);
    assert_int_equal(audit.first_sent_ns, 900);
    audit_close(&audit);
}

#define MANY 300000

static void many_lines(void **state)
{
    (void)state;
    struct audit audit;
    struct audit_report report;
    uint8_t *text = malloc(LEDGER_LINE_MAX * (uint64_t)(MANY + 1));
    assert_non_null(text);
    uint64_t size = ledger_put_start(text, &(struct ledger_start){.run = RUN});
    for (uint64_t i = 0; i < MANY; i++) {
        struct ledger_entry entry = {
            .run = RUN, .sequence = i, .sent_ns = NOW, .state = LEDGER_ACKED};
        size += ledger_put_entry(text + size, &entry);
    }
    assert_int_equal(audit_open(&audit), 0);
    assert_int_equal(audit_add_ledger(&audit, bytes_make(text, size)), 0);
    assert_int_equal(audit.table.count, MANY);
    assert_int_equal(audit_add_ledger(&audit, bytes_make(text, size)), 0);
    assert_int_equal(audit.table.count, MANY);
    assert_int_equal(audit.repeated_lines, MANY);
    audit_sum(&audit, &report);
    assert_int_equal(report.lost, MANY);
    audit_close(&audit);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(planted_faults, audit_scene_setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(message_in_pieces, audit_scene_setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(expired_and_lost, audit_scene_setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(lost_in_spite_of_recycling, audit_scene_setup,
                                        audit_scene_teardown),
        cmocka_unit_test_setup_teardown(unseen_run, audit_scene_setup, audit_scene_teardown),
        cmocka_unit_test_setup_teardown(old_segments_are_skipped, audit_scene_setup,
                                        audit_scene_teardown),
        cmocka_unit_test(ledgers),
        cmocka_unit_test(many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
