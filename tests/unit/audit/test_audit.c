#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "audit/audit.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#define SIZE (1u << 20)
#define NOW  1700000000000000000ull
#define S    CLOCK_NS_PER_S
#define RUN  0xabcdef0123456789ull

/* A spool in a temporary directory with one worker, and a ledger. */
struct scene {
    char root[64];
    struct spool_directory directory;
    struct spool_writer writer;
    struct spool_segment segments[32];
    struct blocks pool;
    uint32_t count;
    uint64_t clock_ns;
    uint8_t *ledger;
    uint64_t ledger_size;
    uint64_t ledger_capacity;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    char path[128];
    if (scene == NULL) return -1;
    (void)snprintf(scene->root, sizeof(scene->root), "/tmp/test_audit.XXXXXX");
    if (mkdtemp(scene->root) == NULL) return -1;
    (void)snprintf(path, sizeof(path), "%s/spool", scene->root);
    if (spool_directory_open(&scene->directory, path) != 0) return -1;
    if (spool_writer_open(&scene->writer, 0, false) != 0) return -1;
    if (blocks_open(&scene->pool, 4, SPOOL_ENVELOPE_BLOCK_SIZE) != 0) return -1;
    scene->clock_ns = NOW;
    scene->ledger_capacity = 1 << 16;
    scene->ledger = malloc(scene->ledger_capacity);
    if (scene->ledger == NULL) return -1;
    scene->ledger_size = ledger_put_start(scene->ledger, &(struct ledger_start){.run = RUN});
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    spool_writer_close(&scene->writer);
    for (uint32_t i = 0; i < scene->count; i++)
        spool_directory_release(&scene->segments[i]);
    spool_directory_close(&scene->directory);
    blocks_close(&scene->pool);
    char *arguments[] = {(char[]){"rm"}, (char[]){"-rf"}, scene->root, NULL};
    pid_t child = fork();
    if (child == 0) {
        (void)execv("/bin/rm", arguments);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
    free(scene->ledger);
    free(scene);
    return 0;
}

static void serve(struct scene *scene)
{
    (void)spool_writer_take_sealed(&scene->writer);
    if (!spool_writer_wants_segment(&scene->writer)) return;
    uint32_t i = scene->count++;
    assert_true(i < 32);
    assert_int_equal(spool_directory_create(&scene->directory, &scene->segments[i], 0,
                                            (uint64_t)i + 1, SIZE, scene->clock_ns),
                     0);
    spool_writer_give(&scene->writer, &scene->segments[i]);
}

static void begin(struct scene *scene, struct spool_message *message)
{
    struct spool_envelope envelope;
    spool_envelope_init(&envelope, &scene->pool);
    while (spool_message_begin(&scene->writer, message, &envelope, scene->clock_ns) != SPOOL_DONE)
        serve(scene);
}

static void append(struct scene *scene, struct spool_message *message, struct bytes slice)
{
    while (spool_message_append(&scene->writer, message, &slice, scene->clock_ns) != SPOOL_DONE)
        serve(scene);
}

static void commit(struct scene *scene, struct spool_message *message)
{
    struct spool_id id;
    while (spool_message_commit(&scene->writer, message, scene->clock_ns, &id) != SPOOL_DONE)
        serve(scene);
}

static void store(struct scene *scene, struct bytes content)
{
    struct spool_message message = {0};
    begin(scene, &message);
    append(scene, &message, content);
    commit(scene, &message);
}

static void roll(struct scene *scene)
{
    spool_writer_seal(&scene->writer, scene->clock_ns);
    (void)spool_writer_take_sealed(&scene->writer);
}

/* Message `sequence` of run `run`, as the generator makes it; its size. */
static uint64_t message_make(uint8_t *out, uint64_t run, uint64_t sequence, uint64_t body_size)
{
    uint8_t *body = out + LEDGER_HEADER_SIZE + 2;
    for (uint64_t i = 0; i < body_size; i++)
        body[i] = (uint8_t)('a' + (sequence + i) % 26);
    ledger_put_header(out, run, sequence, body_size, XXH3_64bits(body, body_size));
    memcpy(out + LEDGER_HEADER_SIZE, "\r\n", 2);
    return LEDGER_HEADER_SIZE + 2 + body_size;
}

/* The ledger's line about it, sent at the scene's present. */
static void note(struct scene *scene, uint64_t run, uint64_t sequence, enum ledger_state state)
{
    uint8_t message[4096];
    uint64_t size = message_make(message, run, sequence, 100 + sequence % 100);
    struct ledger_entry entry = {
        .run = run,
        .sequence = sequence,
        .size = size,
        .hash = XXH3_64bits(message + LEDGER_HEADER_SIZE + 2, size - LEDGER_HEADER_SIZE - 2),
        .sent_ns = scene->clock_ns,
        .state = state};
    if (scene->ledger_size + LEDGER_LINE_MAX > scene->ledger_capacity) {
        scene->ledger_capacity *= 2;
        scene->ledger = realloc(scene->ledger, scene->ledger_capacity);
        assert_non_null(scene->ledger);
    }
    scene->ledger_size += ledger_put_entry(scene->ledger + scene->ledger_size, &entry);
}

static void deliver(struct scene *scene, uint64_t run, uint64_t sequence)
{
    uint8_t message[4096];
    uint64_t size = message_make(message, run, sequence, 100 + sequence % 100);
    scene->clock_ns += 1000000;
    store(scene, bytes_make(message, size));
}

static void examine(struct scene *scene, struct audit *audit, struct audit_report *report)
{
    struct spool_archive archive;

    assert_int_equal(audit_open(audit), 0);
    assert_int_equal(audit_add_ledger(audit, bytes_make(scene->ledger, scene->ledger_size)), 0);
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    for (uint64_t i = 0; i < archive.count; i++) {
        if (audit_can_skip(audit, &archive, i))
            audit->skipped_segments++;
        else
            assert_int_equal(audit_segment(audit, &archive, i), 0);
    }
    assert_int_equal(audit_finish(audit, &archive), 0);
    audit_sum(audit, report);
    spool_archive_close(&archive);
}

/* Exactly the planted faults are reported. */
static void planted_faults(void **state)
{
    struct scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    uint8_t message[4096];

    for (uint64_t sequence = 1; sequence <= 20; sequence++) {
        note(scene, RUN, sequence, LEDGER_ACKED);
        if (sequence == 3) continue; /* lost */
        if (sequence == 5) {         /* corrupt: one octet of the body */
            uint64_t size = message_make(message, RUN, 5, 105);
            message[size - 7] ^= 1;
            store(scene, bytes_make(message, size));
            continue;
        }
        if (sequence == 6) { /* corrupt: a header more than was sent */
            memcpy(message, "X-A: b\r\n", 8);
            uint64_t size = message_make(message + 8, RUN, 6, 106);
            store(scene, bytes_make(message, 8 + size));
            continue;
        }
        if (sequence == 7) { /* corrupt: another body under the same number, sound in itself */
            uint64_t size = message_make(message, RUN, 7, 107);
            message[size - 1] ^= 1;
            ledger_put_header(message, RUN, 7, 107, XXH3_64bits(message + size - 107, 107));
            store(scene, bytes_make(message, size));
            continue;
        }
        deliver(scene, RUN, sequence);
        if (sequence == 9 || sequence == 10) deliver(scene, RUN, sequence);
    }
    for (uint64_t sequence = 21; sequence <= 24; sequence++)
        note(scene, RUN, sequence, LEDGER_REFUSED);
    deliver(scene, RUN, 22);
    for (uint64_t sequence = 25; sequence <= 29; sequence++)
        note(scene, RUN, sequence, LEDGER_UNKNOWN);
    deliver(scene, RUN, 26);
    deliver(scene, RUN, 27);
    deliver(scene, RUN, 99);     /* in no ledger */
    deliver(scene, RUN + 1, 26); /* another run's */
    store(scene, BYTES("Subject: hello\r\n\r\nno number\r\n"));

    examine(scene, &audit, &report);
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
    /* deliver() stores 1 ms after note(); those that store() keeps have no delay */
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
    struct scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct spool_message slow = {0};
    uint64_t body_size = 1500000;
    uint8_t *message = malloc(body_size + 200);

    assert_non_null(message);
    uint64_t size = message_make(message, RUN, 7, body_size);
    struct bytes rest = bytes_make(message, size);
    struct ledger_entry entry = {.run = RUN,
                                 .sequence = 7,
                                 .size = size,
                                 .hash = XXH3_64bits(message + size - body_size, body_size),
                                 .sent_ns = NOW,
                                 .state = LEDGER_ACKED};
    scene->ledger_size += ledger_put_entry(scene->ledger + scene->ledger_size, &entry);
    begin(scene, &slow);
    append(scene, &slow, bytes_take(&rest, 40)); /* in the middle of the header */
    note(scene, RUN, 8, LEDGER_ACKED);
    deliver(scene, RUN, 8);
    append(scene, &slow, bytes_take(&rest, 700000));
    note(scene, RUN, 9, LEDGER_ACKED);
    deliver(scene, RUN, 9);
    append(scene, &slow, rest);
    commit(scene, &slow);
    examine(scene, &audit, &report);
    assert_int_equal(report.found, 3);
    assert_int_equal(report.lost + report.corrupt + report.duplicated, 0);
    audit_close(&audit);

    /* One octet of it flips on the disk: it is not shown, so it is lost. */
    scene->segments[0].base[500000] ^= 1;
    examine(scene, &audit, &report);
    assert_int_equal(report.found, 2);
    assert_int_equal(report.lost, 1);
    assert_int_equal(audit.damaged, 1);
    audit_close(&audit);
    free(message);
}

/* Freed segments excuse only what was sent before they were sealed. */
static void expired_and_lost(void **state)
{
    struct scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct spool_file *files;
    struct spool_message slow = {0};

    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        note(scene, RUN, sequence, LEDGER_ACKED);
        if (sequence == 5) begin(scene, &slow); /* its head will be freed */
        if (sequence == 15) append(scene, &slow, BYTES("X"));
        if (sequence == 25) commit(scene, &slow);
        if (sequence != 12 && sequence != 13 && sequence != 35) deliver(scene, RUN, sequence);
        scene->clock_ns += S;
        if (sequence % 10 == 9) roll(scene);
    }
    examine(scene, &audit, &report);
    assert_int_equal(report.found, 37);
    assert_int_equal(report.lost, 3);
    assert_int_equal(report.expired, 0);
    audit_close(&audit);

    assert_int_equal(spool_directory_list(&scene->directory, &files), 4);
    assert_int_equal(spool_directory_trim(&scene->directory, &files[0]), 0);
    free(files);
    examine(scene, &audit, &report);
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
    struct scene *scene = *state;
    struct audit audit;
    struct audit_report report;
    struct spool_file *files;

    for (uint64_t sequence = 0; sequence < 20; sequence++) {
        note(scene, RUN, sequence, LEDGER_ACKED);
        if (sequence != 12) deliver(scene, RUN, sequence);
        scene->clock_ns += S;
        if (sequence == 9) roll(scene);
    }
    assert_int_equal(spool_directory_list(&scene->directory, &files), 2);
    assert_int_equal(spool_directory_trim(&scene->directory, &files[0]), 0);
    free(files);
    examine(scene, &audit, &report);
    assert_int_equal(report.expired, 10);
    assert_int_equal(report.lost, 1);
    assert_int_equal(report.found, 9);
    audit_close(&audit);
}

static void unseen_run(void **state)
{
    struct scene *scene = *state;
    struct audit audit;
    struct audit_report report;

    note(scene, RUN, 1, LEDGER_ACKED);
    deliver(scene, RUN, 1);
    note(scene, RUN + 5, 1, LEDGER_ACKED);
    note(scene, RUN + 5, 2, LEDGER_ACKED);
    note(scene, RUN + 6, 1, LEDGER_REFUSED); /* need not have been seen */
    examine(scene, &audit, &report);
    assert_int_equal(report.unseen_runs, 1);
    assert_int_equal(report.lost, 2);
    assert_int_equal(report.lost_unseen, 2);
    audit_close(&audit);
}

/* Segments that the log had left long before the first message was sent are passed over. */
static void old_segments_are_skipped(void **state)
{
    struct scene *scene = *state;
    struct audit audit;
    struct audit_report report;

    for (uint32_t i = 0; i < 3; i++) {
        deliver(scene, RUN + 9, i);
        roll(scene);
        scene->clock_ns += 60 * S;
    }
    for (uint64_t sequence = 0; sequence < 3; sequence++) {
        note(scene, RUN, sequence, LEDGER_ACKED);
        deliver(scene, RUN, sequence);
    }
    examine(scene, &audit, &report);
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
        cmocka_unit_test_setup_teardown(planted_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(message_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(expired_and_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_in_spite_of_recycling, setup, teardown),
        cmocka_unit_test_setup_teardown(unseen_run, setup, teardown),
        cmocka_unit_test_setup_teardown(old_segments_are_skipped, setup, teardown),
        cmocka_unit_test(ledgers),
        cmocka_unit_test(many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
