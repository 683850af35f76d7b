#include "unit/spool/spool_fixture.h"

#include <xxhash.h>

#define EXPECTED 6

struct expectation {
    struct spool_id id;
    struct bytes sender;
    struct bytes content;
};

/* Six messages, two of them interleaved with others, in one segment. */
static void log_make(struct fixture *fixture, struct expectation expected[EXPECTED])
{
    static const char *const contents[EXPECTED] = {
        "Subject: 0\r\n\r\nzero\r\n",
        "Subject: 1\r\n\r\nfirst half second half",
        "",
        "Subject: 3\r\n\r\nthree pieces, of three sizes\r\n",
        "Subject: 4\r\n\r\nbetween\r\n",
        "Subject: 5\r\n\r\nlast\r\n"};
    static const char *const senders[EXPECTED] = {"zero@a", "one@b", "", "three@c", "4@d", "5@e"};
    struct spool_message one = {0};
    struct spool_message three = {0};

    for (uint32_t i = 0; i < EXPECTED; i++)
        expected[i] =
            (struct expectation){{0}, bytes_from_text(senders[i]), bytes_from_text(contents[i])};
    fixture_open(fixture);
    expected[0].id = fixture_store(fixture, expected[0].sender, expected[0].content);
    struct bytes rest_one = expected[1].content;
    struct bytes rest_three = expected[3].content;
    fixture_begin(fixture, &one, expected[1].sender);
    fixture_append(fixture, &one, bytes_take(&rest_one, 20));
    expected[2].id = fixture_store(fixture, expected[2].sender, expected[2].content);
    fixture_begin(fixture, &three, expected[3].sender);
    fixture_append(fixture, &three, bytes_take(&rest_three, 15));
    fixture_append(fixture, &one, rest_one);
    fixture_append(fixture, &three, bytes_take(&rest_three, 3));
    expected[1].id = fixture_commit(fixture, &one);
    fixture_append(fixture, &three, rest_three);
    expected[4].id = fixture_store(fixture, expected[4].sender, expected[4].content);
    expected[3].id = fixture_commit(fixture, &three);
    expected[5].id = fixture_store(fixture, expected[5].sender, expected[5].content);
}

static const struct expectation *expectation_find(const struct expectation expected[EXPECTED],
                                                  const struct spool_id *id)
{
    for (uint32_t i = 0; i < EXPECTED; i++)
        if (expected[i].id.number == id->number && expected[i].id.offset == id->offset)
            return &expected[i];
    return NULL;
}

/* Whatever is shown as whole is one of those stored, unchanged. How many. */
static uint32_t check_shown(const struct expectation expected[EXPECTED],
                            const struct fixture_found *found, uint32_t count)
{
    uint32_t whole = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (found[i].verdict != SPOOL_READER_WHOLE) continue;
        const struct expectation *wanted = expectation_find(expected, &found[i].id);
        assert_non_null(wanted);
        fixture_expect(&found[i], wanted->id, wanted->sender, wanted->content);
        whole++;
    }
    return whole;
}

static void every_flip(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct expectation expected[EXPECTED];
    struct fixture_found found[EXPECTED];
    uint32_t ends[4];
    uint32_t damaged_count = 0;

    for (uint32_t is_sealed = 0; is_sealed < 2; is_sealed++) {
        log_make(&fixture, expected);
        uint32_t end = fixture.segments[0].appended_end;
        if (is_sealed) spool_writer_seal(&fixture.writer, 1);
        for (uint32_t at = 0; at < end + 64; at++) {
            if (at == 256) at = SPOOL_SEGMENT_HEADER_SIZE; /* the header page's rest is unused */
            for (uint32_t bit = at % 3; bit < 8; bit += 3) {
                fixture.memory[0][at] ^= (uint8_t)(1u << bit);
                uint32_t count = fixture_read(&fixture, found, EXPECTED, ends);
                uint32_t whole = check_shown(expected, found, count);
                assert_true(whole >=
                            EXPECTED - (at >= SPOOL_SEGMENT_HEADER_SIZE)); /* or its copy */
                if (whole < EXPECTED) damaged_count++;
                if (is_sealed && at >= SPOOL_SEGMENT_HEADER_SIZE && whole < EXPECTED)
                    assert_true(ends[SPOOL_READER_DAMAGE] > 0);
                fixture_free(found, count);
                fixture.memory[0][at] ^= (uint8_t)(1u << bit);
            }
        }
        fixture_close(&fixture);
    }
    assert_true(damaged_count > 1000);
}

/* The process is killed when only the first `size` octets of the segment were written. */
static void every_truncation(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct expectation expected[EXPECTED];
    struct fixture_found found[EXPECTED];
    uint32_t ends[4];
    uint32_t last_ends[EXPECTED];
    uint8_t *image = malloc(FIXTURE_SEGMENT_SIZE);
    assert_non_null(image);

    log_make(&fixture, expected);
    uint32_t end = fixture.segments[0].appended_end;
    memcpy(image, fixture.memory[0], FIXTURE_SEGMENT_SIZE);

    /* Where each message's LAST record ends, by the reader's own walk over the whole. */
    struct spool_reader_segment segment;
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    assert_true(spool_reader_segment_open(&segment, bytes_make(image, FIXTURE_SEGMENT_SIZE), 3, 1));
    spool_reader_start(&reader, &segment);
    for (uint32_t i = 0; i < EXPECTED; i++) {
        struct spool_format_record record;
        assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_MESSAGE);
        memcpy(&record, image + message.last_offset, sizeof(record));
        last_ends[i] = message.last_offset + SPOOL_RECORD_HEADER_SIZE + record.payload_size;
    }
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_END);

    for (uint32_t size = SPOOL_SEGMENT_HEADER_SIZE; size <= end; size++) {
        uint32_t due = 0;
        for (uint32_t i = 0; i < EXPECTED; i++)
            due += last_ends[i] <= size;
        memcpy(fixture.memory[0] + SPOOL_SEGMENT_HEADER_SIZE, image + SPOOL_SEGMENT_HEADER_SIZE,
               size - SPOOL_SEGMENT_HEADER_SIZE);
        for (uint32_t i = size; i < end + 128; i++) /* differs from what would have come */
            fixture.memory[0][i] = (uint8_t)(image[i] ^ (size % 2 == 0 ? 0xff : 1));
        uint32_t count = fixture_read(&fixture, found, EXPECTED, ends);
        assert_int_equal(count, due);
        assert_int_equal(check_shown(expected, found, count), due);
        assert_int_equal(ends[SPOOL_READER_DAMAGE], 0);
        fixture_free(found, count);
    }
    free(image);
    fixture_close(&fixture);
}

/* A file cut short: nothing outside it is read, what is whole is shown. */
static void every_short_file(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct expectation expected[EXPECTED];

    log_make(&fixture, expected);
    uint32_t end = fixture.segments[0].appended_end;
    for (uint32_t size = 0; size <= end; size += size < 4000 ? 97 : 1) {
        struct spool_reader_segment segment;
        struct spool_reader reader;
        struct spool_reader_message message;
        struct spool_reader_gap gap;
        uint8_t *file = malloc(size + 1); /* the sanitizer watches its end */
        assert_non_null(file);
        memcpy(file, fixture.memory[0], size);
        bool is_open = spool_reader_segment_open(&segment, bytes_make(file, size), 3, 1);
        assert_int_equal(is_open, size >= SPOOL_SEGMENT_HEADER_SIZE);
        if (is_open) {
            spool_reader_start(&reader, &segment);
            while (spool_reader_next(&reader, &message, &gap) != SPOOL_READER_END)
                continue;
        }
        free(file);
    }
    fixture_close(&fixture);
}

/* After every call the reader shows what is committed so far, no more and no less. */
static void every_step(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message messages[3] = {0};
    struct random random;
    uint32_t committed = 0;

    random_init(&random, 3, 3);
    fixture_open(&fixture);
    for (uint32_t step = 0; step < 150; step++) {
        struct fixture_found found[150];
        uint32_t ends[4];
        struct spool_message *message = &messages[random_below(&random, 3)];
        if (message->state == SPOOL_MESSAGE_NONE) {
            fixture_begin(&fixture, message, BYTES("s"));
        } else if (random_below(&random, 4) == 0) {
            (void)fixture_commit(&fixture, message);
            committed++;
        } else if (random_below(&random, 8) == 0) {
            spool_message_abandon(&fixture.writer, message);
        } else {
            fixture_append(&fixture, message, BYTES("some octets"));
        }
        uint32_t count = fixture_read(&fixture, found, 150, ends);
        assert_int_equal(count, committed);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(found[i].verdict, SPOOL_READER_WHOLE);
        assert_int_equal(ends[SPOOL_READER_DAMAGE] + ends[SPOOL_READER_TORN], 0);
        fixture_free(found, count);
    }
    assert_true(committed > 10);
    for (uint32_t i = 0; i < 3; i++)
        spool_message_abandon(&fixture.writer, &messages[i]);
    fixture_close(&fixture);
}

static void walk_all(const struct spool_reader_table *table)
{
    for (uint64_t i = 0; i < table->count; i++) {
        struct spool_reader reader;
        struct spool_reader_message message;
        struct spool_reader_gap gap;
        enum spool_reader_event event;
        uint32_t events = 0;

        if (table->segments[i].base == NULL) continue;
        spool_reader_start(&reader, &table->segments[i]);
        while ((event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
            assert_true(++events < 100000);
            if (event != SPOOL_READER_MESSAGE || message.record_count > 100000) continue;
            struct fixture_found found;
            fixture_read_one(table, &message, &found);
            free(found.content);
        }
    }
}

static uint32_t number_any(struct random *random)
{
    static const uint32_t edges[] = {0, 1, 2, 63, 64, 4095, 4096, 4160, 0x7fffffff, UINT32_MAX};
    uint64_t choice = random_below(random, 14);
    if (choice < 10) return edges[choice];
    return (uint32_t)random_next(random) >> random_below(random, 32);
}

/* Records whose checksums hold but that lie about everything else. */
static void lying_records(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_reader_segment segments[FIXTURE_SEGMENTS];
    struct random random;

    random_init(&random, 99, 0);
    for (uint32_t round = 0; round < 300; round++) {
        fixture_open(&fixture);
        fixture_give(&fixture);
        uint64_t salt = fixture.segments[0].salt;
        uint32_t offset = SPOOL_SEGMENT_HEADER_SIZE;
        for (uint32_t i = 0; i < 40; i++) {
            struct spool_format_record record = {
                .magic = spool_format_record_magic(salt),
                .flags = (uint16_t)random_below(&random, 4),
                .worker = 3,
                .number = 1,
                .index = random_below(&random, 10) == 0 ? number_any(&random) : i,
                .chain_index = random_below(&random, 3) == 0 ? number_any(&random)
                                                             : (uint32_t)random_below(&random, 4),
                .first_number = random_below(&random, 4) == 0 ? number_any(&random) : 1,
                .first_offset = random_below(&random, 2) == 0 ? number_any(&random) : offset,
                .previous_offset =
                    random_below(&random, 2) == 0 ? number_any(&random) : SPOOL_SEGMENT_HEADER_SIZE,
                .previous_delta = random_below(&random, 4) == 0 ? number_any(&random) : 0,
                .payload_size = random_below(&random, 20) == 0
                                    ? number_any(&random)
                                    : (uint32_t)random_below(&random, 100),
            };
            uint8_t *payload = fixture.memory[0] + offset + SPOOL_RECORD_HEADER_SIZE;
            uint32_t head = random_below(&random, 2) == 0 ? number_any(&random) : 3;
            memcpy(payload, &head, sizeof(head));
            uint32_t size = record.payload_size < 5000 ? record.payload_size : 0;
            uint64_t hash = XXH3_64bits(payload, size);
            record.checksum = spool_format_record_checksum(&record, hash, salt);
            memcpy(fixture.memory[0] + offset, &record, sizeof(record));
            offset = spool_format_align(offset + SPOOL_RECORD_HEADER_SIZE + size);
        }
        fixture_table(&fixture, segments);
        walk_all(&(struct spool_reader_table){segments, fixture.count});
        fixture_close(&fixture);
    }
}

static void random_bytes(void **state)
{
    (void)state;
    uint8_t *file = malloc(FIXTURE_SEGMENT_SIZE);
    struct spool_reader_segment segment;
    struct random random;

    assert_non_null(file);
    random_init(&random, 5, 5);
    for (uint32_t round = 0; round < 200; round++) {
        for (uint32_t i = 0; i < 8192; i += 8) {
            uint64_t noise = random_next(&random);
            memcpy(file + i, &noise, 8);
        }
        assert_false(spool_reader_segment_open(&segment, bytes_make(file, 8192), 3, 1));
        assert_null(segment.base);
    }
    free(file);
}

/* Every record claims to reach to the end and none holds: looking for one stays cheap. */
static void search_is_bounded(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_reader_segment segments[FIXTURE_SEGMENTS];

    fixture_open(&fixture);
    fixture_give(&fixture);
    for (uint32_t offset = SPOOL_SEGMENT_HEADER_SIZE; offset < FIXTURE_SEGMENT_SIZE; offset += 64) {
        struct spool_format_record record = {
            .magic = spool_format_record_magic(fixture.segments[0].salt),
            .worker = 3,
            .number = 1,
            .index = 9,
            .payload_size = FIXTURE_SEGMENT_SIZE - offset - 64};
        memcpy(fixture.memory[0] + offset, &record, sizeof(record));
    }
    fixture_table(&fixture, segments);
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    spool_reader_start(&reader, &segments[0]);
    uint64_t budget = reader.hash_budget;
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_TORN);
    assert_true(reader.hash_budget < budget);
    assert_true(reader.hash_budget < FIXTURE_SEGMENT_SIZE); /* it gave up, not searched all */
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_END);
    fixture_close(&fixture);
}

/* One broken record in the middle costs its own message; what comes later is found again. */
static void damage_is_told(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_reader_segment segments[FIXTURE_SEGMENTS];
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;

    fixture_open(&fixture);
    struct spool_id ids[4];
    for (uint32_t i = 0; i < 4; i++)
        ids[i] = fixture_store(&fixture, BYTES("s"), BYTES("some content"));
    fixture.memory[0][ids[1].offset + 70] ^= 1;
    fixture.memory[0][ids[2].offset + 45] ^= 1; /* its length */
    fixture_table(&fixture, segments);
    spool_reader_start(&reader, &segments[0]);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_MESSAGE);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_DAMAGE);
    assert_int_equal(gap.offset, ids[1].offset);
    assert_int_equal(gap.end, ids[3].offset);
    assert_int_equal(gap.record_count, 2);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_MESSAGE);
    assert_int_equal(message.id.offset, ids[3].offset);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_END);

    /* The last record: torn while the segment is open, damage once it was sealed. */
    fixture.memory[0][ids[3].offset + 70] ^= 1;
    spool_reader_start(&reader, &segments[0]);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_MESSAGE);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_TORN);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_END);
    spool_writer_seal(&fixture.writer, 9);
    fixture_table(&fixture, segments);
    spool_reader_start(&reader, &segments[0]);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_MESSAGE);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_DAMAGE);
    assert_int_equal(gap.record_count, 3);
    assert_int_equal(gap.end, segments[0].sealed_end);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_END);
    fixture_close(&fixture);
}

/* A seal is not believed where the walk finds otherwise: that is told, and all messages are shown.
 */
static void seals_that_lie(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct fixture_found found[8];
    uint32_t ends[4];
    struct spool_format_mark right;

    fixture_open(&fixture);
    for (uint32_t i = 0; i < 4; i++)
        (void)fixture_store(&fixture, BYTES("s"), BYTES("some content"));
    uint64_t salt = fixture.segments[0].salt;
    spool_writer_seal(&fixture.writer, 9);
    assert_true(spool_format_get_mark(fixture.memory[0], SPOOL_MARK_SEALED, salt, &right));
    const struct spool_format_mark lies[] = {
        {.end = right.end, .record_count = 3},
        {.end = right.end, .record_count = 0},
        {.end = right.end, .record_count = 5},
        {.end = right.end + 64, .record_count = 4},
        {.end = right.end - 64, .record_count = 4},
        {.end = SPOOL_SEGMENT_HEADER_SIZE + 64, .record_count = 2},
        {.end = UINT32_MAX - 1, .record_count = 4},
        {.end = 1, .record_count = UINT32_MAX},
    };
    for (uint32_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        spool_format_put_mark(fixture.memory[0], SPOOL_MARK_SEALED, salt, lies[i]);
        fixture_free(found, fixture_read(&fixture, found, 8, ends));
        assert_int_equal(ends[SPOOL_READER_MESSAGE], 4);
        assert_int_equal(ends[SPOOL_READER_DAMAGE], 1);
        assert_int_equal(ends[SPOOL_READER_END], 1);
    }
    spool_format_put_mark(fixture.memory[0], SPOOL_MARK_SEALED, salt, right);
    fixture_free(found, fixture_read(&fixture, found, 8, ends));
    assert_int_equal(ends[SPOOL_READER_MESSAGE], 4);
    assert_int_equal(ends[SPOOL_READER_DAMAGE], 0);
    fixture_close(&fixture);
}

/* A message over three segments: its verdict when one of them is gone, unreadable or damaged. */
static void chain_over_segments(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_reader_segment segments[FIXTURE_SEGMENTS];
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    struct spool_reader_head head;
    struct bytes pieces[8];
    uint8_t *content = calloc(1, 5u << 19);

    assert_non_null(content);
    fixture_open(&fixture);
    struct spool_id id = fixture_store(&fixture, BYTES("s"), bytes_make(content, 5u << 19));
    assert_int_equal(fixture.count, 3);
    fixture_table(&fixture, segments);
    spool_reader_start(&reader, &segments[2]);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_MESSAGE);
    assert_int_equal(message.id.offset, id.offset);
    assert_int_equal(message.id.number, 1);
    assert_int_equal(message.record_count, 3);
    struct spool_reader_table table = {segments, 3};
    assert_int_equal(spool_reader_assemble(&table, &message, pieces, &head), SPOOL_READER_WHOLE);
    assert_int_equal(head.content_size, 5u << 19);

    table = (struct spool_reader_table){segments + 1, 2};
    assert_int_equal(spool_reader_assemble(&table, &message, pieces, &head), SPOOL_READER_EXPIRED);
    table = (struct spool_reader_table){segments, 3};
    segments[1].base = NULL;
    assert_int_equal(spool_reader_assemble(&table, &message, pieces, &head), SPOOL_READER_DAMAGED);
    fixture_table(&fixture, segments);
    fixture.memory[1][500000] ^= 1;
    assert_int_equal(spool_reader_assemble(&table, &message, pieces, &head), SPOOL_READER_DAMAGED);
    fixture.memory[1][500000] ^= 1;
    assert_int_equal(spool_reader_assemble(&table, &message, pieces, &head), SPOOL_READER_WHOLE);
    free(content);
    fixture_close(&fixture);
}

/* A segment that was given a new life answers so, and none of its old records is valid in it. */
static void recycled_underneath(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct expectation expected[EXPECTED];
    struct spool_reader_segment segment;
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    struct bytes file;

    log_make(&fixture, expected);
    file = bytes_make(fixture.memory[0], FIXTURE_SEGMENT_SIZE);
    assert_true(spool_reader_segment_open(&segment, file, 3, 1));
    assert_true(spool_reader_segment_is_current(&segment));
    /* The same number again, as if the spool had been deleted: the salt still tells. */
    struct spool_format_segment header = {
        .worker = 3, .number = 1, .capacity = FIXTURE_SEGMENT_SIZE, .salt = 12345};
    spool_format_put_segment(fixture.memory[0], &header);
    assert_false(spool_reader_segment_is_current(&segment));
    assert_false(spool_reader_segment_open(&segment, file, 3, 2));
    assert_false(spool_reader_segment_open(&segment, file, 4, 1));
    assert_true(spool_reader_segment_open(&segment, file, 3, 1));
    spool_reader_start(&reader, &segment);
    assert_int_equal(spool_reader_next(&reader, &message, &gap), SPOOL_READER_END);
    fixture_close(&fixture);
}

/* A client sends what would be a valid record here, were it not for the salt, then goes away. */
static void forged_record(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message message = {0};
    struct fixture_found found[2];
    uint32_t ends[4];
    uint8_t forged[8192] = {0};

    fixture_open(&fixture);
    fixture_begin(&fixture, &message, BYTES("attacker"));
    uint32_t content_start = fixture.segments[0].appended_end;
    for (uint32_t at = spool_format_align(content_start); at + 64 < content_start + sizeof(forged);
         at += 64) {
        struct spool_format_record record = {.magic = spool_format_record_magic(0),
                                             .flags = SPOOL_RECORD_FIRST | SPOOL_RECORD_LAST,
                                             .worker = 3,
                                             .number = 1,
                                             .index = 1,
                                             .first_number = 1,
                                             .first_offset = at};
        record.checksum = spool_format_record_checksum(&record, XXH3_64bits("", 0), 0);
        memcpy(forged + (at - content_start), &record, sizeof(record));
    }
    fixture_append(&fixture, &message, bytes_make(forged, sizeof(forged)));
    spool_message_abandon(&fixture.writer, &message);
    struct spool_id id = fixture_store(&fixture, BYTES("honest"), BYTES("body"));
    assert_int_equal(fixture_read(&fixture, found, 2, ends), 1);
    fixture_expect(&found[0], id, BYTES("honest"), BYTES("body"));
    assert_int_equal(ends[SPOOL_READER_DAMAGE] + ends[SPOOL_READER_TORN], 0);
    fixture_free(found, 1);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flip),          cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_short_file),    cmocka_unit_test(every_step),
        cmocka_unit_test(lying_records),       cmocka_unit_test(random_bytes),
        cmocka_unit_test(search_is_bounded),   cmocka_unit_test(damage_is_told),
        cmocka_unit_test(seals_that_lie),      cmocka_unit_test(chain_over_segments),
        cmocka_unit_test(recycled_underneath), cmocka_unit_test(forged_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
