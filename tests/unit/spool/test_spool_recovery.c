#include "spool_fixture.h"

#include "spool/spool_recovery.h"

/* What recovery finds in the fixture's first segment. */
static struct spool_recovery walk(const struct fixture *fixture)
{
    struct spool_recovery recovery;
    assert_true(
        spool_recovery_walk(&recovery, bytes_make(fixture->memory[0], FIXTURE_SEGMENT_SIZE), 3, 1));
    return recovery;
}

/* It gets its seal; then the events by kind that a reader meets. */
static void seal_and_read(const struct fixture *fixture, const struct spool_recovery *recovery,
                          uint32_t ends[4])
{
    struct fixture_found found[8];
    spool_format_put_mark(fixture->memory[0], SPOOL_MARK_SEALED, recovery->salt, recovery->seal);
    fixture_free(found, fixture_read(fixture, found, 8, ends));
}

/* Sealed by recovery or by the writer: the same seal, but for its time. */
static void as_the_writer_would(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_format_mark mark;
    uint32_t ends[4];

    fixture_open(&fixture);
    struct spool_message open = {0};
    for (uint32_t i = 0; i < 3; i++)
        (void)fixture_store(&fixture, BYTES("s"), BYTES("some content"));
    uint64_t last_ns = fixture.clock_ns - 1;
    fixture_begin(&fixture, &open, BYTES("never finished"));
    fixture_append(&fixture, &open, BYTES("octets without a header"));
    struct spool_recovery recovery = walk(&fixture);
    assert_int_equal(recovery.message_count, 3);
    assert_int_equal(recovery.seal.record_count, 3);
    assert_int_equal(recovery.seal.time_ns, last_ns);
    assert_int_equal(recovery.torn.end, 0);
    assert_int_equal(recovery.damage_count, 0);
    spool_message_abandon(&fixture.writer, &open);
    spool_writer_seal(&fixture.writer, 9);
    assert_true(spool_format_get_mark(fixture.memory[0], SPOOL_MARK_SEALED, recovery.salt, &mark));
    assert_int_equal(recovery.seal.end, spool_format_align(mark.end));
    seal_and_read(&fixture, &recovery, ends);
    assert_int_equal(ends[SPOOL_READER_MESSAGE], 3);
    assert_int_equal(ends[SPOOL_READER_DAMAGE] + ends[SPOOL_READER_TORN], 0);
    fixture_close(&fixture);
}

/* Begun, and nothing in it: sealed as empty, at the time when it was begun. */
static void empty(void **state)
{
    (void)state;
    static struct fixture fixture;
    uint32_t ends[4];

    fixture_open(&fixture);
    fixture_give(&fixture);
    spool_format_put_mark(fixture.memory[0], SPOOL_MARK_OPENED, fixture.segments[0].salt,
                          (struct spool_format_mark){.time_ns = FIXTURE_NOW + 77});
    struct spool_recovery recovery = walk(&fixture);
    assert_int_equal(recovery.message_count, 0);
    assert_int_equal(recovery.seal.end, SPOOL_SEGMENT_HEADER_SIZE);
    assert_int_equal(recovery.seal.time_ns, FIXTURE_NOW + 77);
    seal_and_read(&fixture, &recovery, ends);
    assert_int_equal(ends[SPOOL_READER_DAMAGE] + ends[SPOOL_READER_TORN], 0);
    fixture_close(&fixture);
}

/* A hole is told by a reader of the sealed segment too; a torn end is not asked about again. */
static void hole_and_torn_end(void **state)
{
    (void)state;
    static struct fixture fixture;
    char text[SPOOL_RECOVERY_TEXT_MAX];
    uint32_t ends[4];
    struct spool_id ids[5];

    fixture_open(&fixture);
    for (uint32_t i = 0; i < 5; i++)
        ids[i] = fixture_store(&fixture, BYTES("s"), BYTES("some content"));
    fixture.memory[0][ids[1].offset + 80] ^= 1;
    fixture.memory[0][ids[4].offset + 80] ^= 1;
    struct spool_recovery recovery = walk(&fixture);
    assert_int_equal(recovery.message_count, 3);
    assert_int_equal(recovery.damage_count, 1);
    assert_int_equal(recovery.damage.offset, ids[1].offset);
    assert_int_equal(recovery.damage.end, ids[2].offset);
    assert_int_equal(recovery.torn.offset, ids[4].offset);
    assert_int_equal(recovery.torn.end, fixture.segments[0].appended_end);
    assert_int_equal(recovery.seal.end, ids[4].offset);
    assert_int_equal(recovery.seal.record_count, 4);
    (void)spool_recovery_format(text, &recovery);
    assert_non_null(strstr(text, "3 messages up to offset "));
    assert_non_null(strstr(text, "; damaged at offset "));
    assert_non_null(strstr(text, "; torn at offset "));
    seal_and_read(&fixture, &recovery, ends);
    assert_int_equal(ends[SPOOL_READER_MESSAGE], 3);
    assert_int_equal(ends[SPOOL_READER_DAMAGE], 1);
    assert_int_equal(ends[SPOOL_READER_TORN], 0);
    fixture_close(&fixture);
}

/* The clock was set back while the segment was written: its newest message is not its last. */
static void clock_set_back(void **state)
{
    (void)state;
    static struct fixture fixture;

    fixture_open(&fixture);
    fixture.clock_ns = FIXTURE_NOW + 1000000;
    (void)fixture_store(&fixture, BYTES("s"), BYTES("later"));
    uint64_t newest_ns = fixture.clock_ns - 1;
    fixture.clock_ns = FIXTURE_NOW;
    (void)fixture_store(&fixture, BYTES("s"), BYTES("earlier"));
    assert_int_equal(walk(&fixture).seal.time_ns, newest_ns);
    fixture_close(&fixture);
}

/* A crash while the seal is written: it is not there, and recovery finds the same again. */
static void second_crash(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_reader_segment segments[FIXTURE_SEGMENTS];
    uint8_t whole[sizeof(struct spool_format_mark)];

    fixture_open(&fixture);
    (void)fixture_store(&fixture, BYTES("s"), BYTES("some content"));
    uint8_t *place = fixture.memory[0] + SPOOL_MARK_SEALED;
    struct spool_recovery first = walk(&fixture);
    spool_format_put_mark(fixture.memory[0], SPOOL_MARK_SEALED, first.salt, first.seal);
    memcpy(whole, place, sizeof(whole));
    for (uint32_t size = 0; size < sizeof(whole); size++) {
        memset(place, 0, sizeof(whole));
        memcpy(place, whole, size);
        if (memcmp(place, whole, sizeof(whole)) == 0) continue; /* the rest was zeros */
        fixture_table(&fixture, segments);
        assert_int_equal(segments[0].sealed_end, 0);
        struct spool_recovery again = walk(&fixture);
        assert_memory_equal(&again.seal, &first.seal, sizeof(first.seal));
    }
    fixture_close(&fixture);
}

static void not_that_segment(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_recovery recovery;

    fixture_open(&fixture);
    fixture_give(&fixture);
    struct bytes file = bytes_make(fixture.memory[0], FIXTURE_SEGMENT_SIZE);
    assert_false(spool_recovery_walk(&recovery, file, 3, 2));
    assert_false(spool_recovery_walk(&recovery, file, 2, 1));
    assert_false(spool_recovery_walk(&recovery, bytes_make(file.data, 100), 3, 1));
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_writer_would), cmocka_unit_test(empty),
        cmocka_unit_test(hole_and_torn_end),   cmocka_unit_test(clock_set_back),
        cmocka_unit_test(not_that_segment),    cmocka_unit_test(second_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
