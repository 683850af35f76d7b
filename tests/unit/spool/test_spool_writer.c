#include "unit/spool/spool_fixture.h"

/* Content that differs from octet to octet and from message to message. */
static uint8_t *content_make(uint64_t size, uint64_t seed)
{
    uint8_t *content = malloc(size + 1);
    assert_non_null(content);
    for (uint64_t i = 0; i < size; i++)
        content[i] = (uint8_t)random_mix(seed, i);
    return content;
}

static void store_whole(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fixture_found found[4];
    uint32_t ends[4];

    fixture_open(&fixture);
    struct spool_id first =
        fixture_store(&fixture, BYTES("a@b"), BYTES("Subject: x\r\n\r\nbody\r\n"));
    struct spool_id empty = fixture_store(&fixture, BYTES(""), BYTES(""));
    assert_int_equal(first.number, 1);
    assert_int_equal(first.offset, SPOOL_SEGMENT_HEADER_SIZE);
    assert_int_equal(fixture_read(&fixture, found, 4, ends), 2);
    fixture_expect(&found[0], first, BYTES("a@b"), BYTES("Subject: x\r\n\r\nbody\r\n"));
    fixture_expect(&found[1], empty, BYTES(""), BYTES(""));
    assert_int_equal(found[0].record_count, 1);
    assert_int_equal(found[0].received_ns, FIXTURE_NOW + 1); /* the first try had no segment */
    assert_int_equal(ends[SPOOL_READER_DAMAGE], 0);
    assert_int_equal(ends[SPOOL_READER_TORN], 0);
    assert_int_equal(fixture.writer.committed_count, 2);
    assert_int_equal(atomic_load(&fixture.segments[0].committed), 2);
    assert_int_equal(atomic_load(&fixture.segments[0].open_begun), 0);
    fixture_free(found, 2);
    fixture_close(&fixture);
}

static void store_every_split(void **state)
{
    (void)state;
    struct bytes content = BYTES("Subject: x\r\n\r\nfirst line\r\nsecond line\r\n");

    for (uint64_t a = 0; a <= content.size; a++)
        for (uint64_t b = a; b <= content.size; b += 5) {
            static struct fixture fixture;
            struct fixture_found found[2];
            struct spool_message message = {0};
            struct bytes rest = content;
            uint32_t ends[4];

            fixture_open(&fixture);
            fixture_begin(&fixture, &message, BYTES("s"));
            fixture_append(&fixture, &message, bytes_take(&rest, a));
            fixture_append(&fixture, &message, bytes_take(&rest, b - a));
            fixture_append(&fixture, &message, rest);
            struct spool_id id = fixture_commit(&fixture, &message);
            assert_int_equal(fixture_read(&fixture, found, 2, ends), 1);
            fixture_expect(&found[0], id, BYTES("s"), content);
            assert_int_equal(found[0].record_count, 1);
            fixture_free(found, 1);
            fixture_close(&fixture);
        }
}

#define MANY 9

/* Messages in progress at the same time, sliced at random, over many segments. */
static void store_interleaved(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message messages[MANY] = {0};
    struct bytes rests[MANY];
    uint8_t *contents[MANY];
    struct spool_id ids[MANY];
    struct fixture_found found[MANY];
    uint32_t ends[4];
    uint32_t open_count = MANY;
    struct random random;

    random_init(&random, 11, 0);
    fixture_open(&fixture);
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t size = i == 0 ? 3u << 20 : random_below(&random, 300000);
        contents[i] = content_make(size, i);
        rests[i] = bytes_make(contents[i], size);
        uint8_t name = (uint8_t)('a' + i);
        fixture_begin(&fixture, &messages[i], bytes_make(&name, 1));
    }
    uint64_t sizes[MANY];
    for (uint32_t i = 0; i < MANY; i++)
        sizes[i] = rests[i].size;
    while (open_count > 0) {
        uint32_t i = (uint32_t)random_below(&random, MANY);
        if (messages[i].state == SPOOL_MESSAGE_NONE) continue;
        uint64_t size = random_below(&random, 40000);
        if (rests[i].size == 0) {
            ids[i] = fixture_commit(&fixture, &messages[i]);
            open_count--;
        } else {
            if (size > rests[i].size) size = rests[i].size;
            fixture_append(&fixture, &messages[i], bytes_take(&rests[i], size));
        }
    }
    assert_true(fixture.count > 4);
    assert_int_equal(fixture_read(&fixture, found, MANY, ends), MANY);
    assert_int_equal(ends[SPOOL_READER_DAMAGE], 0);
    for (uint32_t k = 0; k < MANY; k++) {
        uint32_t i = fixture_sender(&found[k]).data[0] - (uint32_t)'a';
        uint8_t name = (uint8_t)('a' + i);
        fixture_expect(&found[k], ids[i], bytes_make(&name, 1), bytes_make(contents[i], sizes[i]));
    }
    for (uint32_t i = 0; i < fixture.count; i++)
        assert_int_equal(atomic_load(&fixture.segments[i].open_begun), 0);
    fixture_free(found, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        free(contents[i]);
    fixture_close(&fixture);
}

/* Fills the tail so that exactly `room` octets are left in it. */
static void tail_fill(struct fixture *fixture, uint32_t room)
{
    struct spool_message message = {0};
    fixture_begin(fixture, &message, BYTES("filler"));
    uint32_t size = fixture->writer.tail->capacity - fixture->writer.tail->appended_end - room;
    uint8_t *filler = content_make(size, 1);
    fixture_append(fixture, &message, bytes_make(filler, size));
    (void)fixture_commit(fixture, &message);
    free(filler);
}

/* A group ends at every distance from the segment's end: on a page, and never past the file. */
static void end_group_at_every_room(void **state)
{
    (void)state;
    for (uint32_t room = 0; room <= 2 * SPOOL_PAGE_SIZE; room += room < 66 ? 1 : 331) {
        static struct fixture fixture;
        struct fixture_found found[4];
        uint32_t ends[4];

        fixture_open(&fixture);
        tail_fill(&fixture, room);
        const struct spool_segment *tail = fixture.writer.tail;
        uint32_t filled = spool_format_align(tail->appended_end);
        spool_writer_end_group(&fixture.writer, fixture.clock_ns++);
        assert_int_equal(tail->appended_end % SPOOL_PAGE_SIZE, 0);
        assert_in_range(tail->appended_end - filled, 0, SPOOL_PAGE_SIZE - 1);
        assert_in_range(tail->appended_end, filled, tail->capacity);
        assert_int_equal(tail->record_count, tail->appended_end > filled ? 2 : 1);
        struct spool_id id = fixture_store(&fixture, BYTES("a@b"), BYTES("next"));
        assert_int_equal(fixture_read(&fixture, found, 4, ends), 2);
        fixture_expect(&found[1], id, BYTES("a@b"), BYTES("next"));
        assert_int_equal(ends[SPOOL_READER_DAMAGE], 0);
        fixture_free(found, 2);
        fixture_close(&fixture);
    }
}

/* The second message meets the segment's end at every distance. */
static void roll_at_every_room(void **state)
{
    (void)state;
    uint8_t *content = content_make(700, 5);

    for (uint32_t room = 0; room < 900; room += room < 260 ? 1 : 37) {
        static struct fixture fixture;
        struct fixture_found found[4];
        uint32_t ends[4];

        fixture_open(&fixture);
        tail_fill(&fixture, room);
        struct spool_id id =
            fixture_store(&fixture, BYTES("someone@example.org"), bytes_make(content, 700));
        assert_int_equal(fixture_read(&fixture, found, 4, ends), 2);
        fixture_expect(&found[1], id, BYTES("someone@example.org"), bytes_make(content, 700));
        assert_int_equal(ends[SPOOL_READER_DAMAGE] + ends[SPOOL_READER_TORN], 0);
        fixture_free(found, 2);
        fixture_close(&fixture);
    }
    free(content);
}

/* LAST stands alone when another message came between and the segment is full. */
static void commit_needs_segment(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message message = {0};
    struct fixture_found found[4];
    struct spool_id id;
    uint32_t ends[4];

    fixture_open(&fixture);
    fixture_begin(&fixture, &message, BYTES("slow"));
    fixture_append(&fixture, &message, BYTES("early"));
    tail_fill(&fixture, 0);
    assert_int_equal(spool_message_commit(&fixture.writer, &message, 1, &id), SPOOL_NEEDS_SEGMENT);
    assert_int_equal(spool_message_commit(&fixture.writer, &message, 1, &id), SPOOL_NEEDS_SEGMENT);
    assert_int_equal(message.state, SPOOL_MESSAGE_OPEN);
    id = fixture_commit(&fixture, &message);
    assert_int_equal(fixture_read(&fixture, found, 4, ends), 2);
    fixture_expect(&found[1], id, BYTES("slow"), BYTES("early"));
    assert_int_equal(found[1].record_count, 2);
    assert_int_equal(atomic_load(&fixture.segments[1].committed), 1);
    fixture_free(found, 2);
    fixture_close(&fixture);
}

/* Only one sealed segment can wait: the next roll-over has to. */
static void sealed_must_be_taken(void **state)
{
    (void)state;
    static struct fixture fixture;
    uint8_t *content = content_make(3u << 20, 9);
    struct spool_message message = {0};
    struct bytes rest = bytes_make(content, 3u << 20);

    fixture_open(&fixture);
    fixture_begin(&fixture, &message, BYTES("s"));
    fixture_give(&fixture);
    assert_int_equal(spool_message_append(&fixture.writer, &message, &rest, 1),
                     SPOOL_NEEDS_SEGMENT);
    fixture_give(&fixture);
    assert_int_equal(spool_message_append(&fixture.writer, &message, &rest, 1),
                     SPOOL_NEEDS_SEGMENT);
    struct spool_segment *sealed = spool_writer_take_sealed(&fixture.writer);
    assert_ptr_equal(sealed, &fixture.segments[0]);
    assert_null(spool_writer_take_sealed(&fixture.writer));
    uint64_t before = rest.size;
    assert_int_equal(spool_message_append(&fixture.writer, &message, &rest, 1),
                     SPOOL_NEEDS_SEGMENT);
    assert_true(rest.size < before);
    assert_int_equal(message.size, (3u << 20) - rest.size);
    spool_message_abandon(&fixture.writer, &message);
    free(content);
    fixture_close(&fixture);
}

/* An envelope is never split: one that does not fit begins the next segment. */
static void envelope_at_the_end(void **state)
{
    (void)state;
    for (uint32_t room = 64; room < 4000; room += 64) {
        static struct fixture fixture;
        struct fixture_found found[3];
        uint32_t ends[4];
        uint8_t *sender = content_make(2000, 3);

        fixture_open(&fixture);
        tail_fill(&fixture, room);
        struct spool_id id = fixture_store(&fixture, bytes_make(sender, 2000), BYTES("x"));
        assert_int_equal(id.number, room >= 64 + 12 + 3 + 2000 ? 1 : 3);
        assert_int_equal(fixture_read(&fixture, found, 3, ends), 2);
        fixture_expect(&found[1], id, bytes_make(sender, 2000), BYTES("x"));
        fixture_free(found, 2);
        free(sender);
        fixture_close(&fixture);
    }
}

static void envelope_of_greatest_size(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_envelope envelope;
    struct spool_message message = {0};
    uint8_t *value = content_make(UINT16_MAX, 1);
    struct fixture_found found[1];
    struct bytes slice = BYTES("content");
    struct spool_id id;
    uint32_t ends[4];

    fixture_open(&fixture);
    fixture_give(&fixture);
    spool_envelope_init(&envelope, &fixture.pool);
    while (spool_envelope_put(&envelope, SPOOL_ITEM_RECIPIENT, bytes_make(value, UINT16_MAX)))
        continue;
    uint32_t rest = SPOOL_ENVELOPE_MAX - envelope.size;
    assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_RECIPIENT, bytes_make(value, rest - 3)));
    assert_int_equal(envelope.size, SPOOL_ENVELOPE_MAX);
    assert_false(spool_envelope_put(&envelope, SPOOL_ITEM_RECIPIENT, BYTES("")));
    assert_int_equal(spool_message_begin(&fixture.writer, &message, &envelope, 1), SPOOL_DONE);
    assert_int_equal(spool_message_append(&fixture.writer, &message, &slice, 1), SPOOL_DONE);
    assert_int_equal(spool_message_commit(&fixture.writer, &message, 1, &id), SPOOL_DONE);
    assert_int_equal(fixture_read(&fixture, found, 1, ends), 1);
    assert_int_equal(found[0].envelope.size, SPOOL_ENVELOPE_MAX);
    assert_int_equal(found[0].size, 7);
    spool_envelope_drop(&envelope);
    fixture_free(found, 1);
    free(value);
    fixture_close(&fixture);
}

static void abandon_at_tail_gives_room_back(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message message = {0};
    struct fixture_found found[2];
    uint32_t ends[4];

    fixture_open(&fixture);
    struct spool_id first = fixture_store(&fixture, BYTES("a"), BYTES("one"));
    uint32_t end = fixture.writer.tail->appended_end;
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t *content = content_make(50000, 2);
        fixture_begin(&fixture, &message, BYTES("gone"));
        fixture_append(&fixture, &message, bytes_make(content, 50000));
        spool_message_abandon(&fixture.writer, &message);
        assert_int_equal(message.state, SPOOL_MESSAGE_NONE);
        assert_int_equal(spool_format_align(end), fixture.writer.tail->appended_end);
        free(content);
    }
    struct spool_id second = fixture_store(&fixture, BYTES("b"), BYTES("two"));
    assert_int_equal(second.offset, spool_format_align(end));
    assert_int_equal(fixture.writer.abandoned_count, 3);
    assert_int_equal(fixture_read(&fixture, found, 2, ends), 2);
    fixture_expect(&found[0], first, BYTES("a"), BYTES("one"));
    fixture_expect(&found[1], second, BYTES("b"), BYTES("two"));
    fixture_free(found, 2);
    fixture_close(&fixture);
}

static void abandon_in_the_middle(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message gone = {0};
    struct spool_message kept = {0};
    struct fixture_found found[2];
    uint32_t ends[4];

    fixture_open(&fixture);
    fixture_begin(&fixture, &gone, BYTES("gone"));
    fixture_begin(&fixture, &kept, BYTES("kept"));
    fixture_append(&fixture, &gone, BYTES("x"));
    fixture_append(&fixture, &kept, BYTES("y"));
    assert_int_equal(atomic_load(&fixture.segments[0].open_begun), 2);
    spool_message_abandon(&fixture.writer, &gone);
    assert_int_equal(atomic_load(&fixture.segments[0].open_begun), 1);
    fixture_append(&fixture, &kept, BYTES("z"));
    struct spool_id id = fixture_commit(&fixture, &kept);
    assert_int_equal(fixture_read(&fixture, found, 2, ends), 1);
    fixture_expect(&found[0], id, BYTES("kept"), BYTES("yz"));
    assert_int_equal(found[0].record_count, 2);
    fixture_free(found, 1);
    fixture_close(&fixture);
}

static void failed_message_swallows_octets(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message message = {0};
    struct bytes slice = BYTES("more");
    struct fixture_found found[1];
    uint32_t ends[4];

    fixture_open(&fixture);
    spool_message_fail(&fixture.writer, &message);
    assert_int_equal(message.state, SPOOL_MESSAGE_NONE);
    fixture_begin(&fixture, &message, BYTES("f"));
    spool_message_fail(&fixture.writer, &message);
    spool_message_fail(&fixture.writer, &message);
    assert_int_equal(message.state, SPOOL_MESSAGE_FAILED);
    assert_int_equal(atomic_load(&fixture.segments[0].open_begun), 0);
    assert_int_equal(spool_message_append(&fixture.writer, &message, &slice, 1), SPOOL_DONE);
    assert_int_equal(slice.size, 0);
    spool_message_abandon(&fixture.writer, &message);
    assert_int_equal(message.state, SPOOL_MESSAGE_NONE);
    assert_int_equal(fixture.writer.abandoned_count, 1);
    assert_int_equal(fixture_read(&fixture, found, 1, ends), 0);
    fixture_close(&fixture);
}

/* Sealing in the middle of a message: it is not lost if a segment comes, nor shown if not. */
static void seal_and_go_on(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct spool_message message = {0};
    struct fixture_found found[1];
    uint32_t ends[4];

    fixture_open(&fixture);
    fixture_begin(&fixture, &message, BYTES("s"));
    fixture_give(&fixture);
    fixture_append(&fixture, &message, BYTES("one"));
    spool_writer_seal(&fixture.writer, 5);
    assert_ptr_equal(spool_writer_take_sealed(&fixture.writer), &fixture.segments[0]);
    assert_int_equal(fixture_read(&fixture, found, 1, ends), 0);
    assert_int_equal(ends[SPOOL_READER_DAMAGE] + ends[SPOOL_READER_TORN], 0);
    struct spool_segment *unused = spool_writer_take_next(&fixture.writer);
    assert_ptr_equal(unused, &fixture.segments[1]);
    assert_null(spool_writer_take_next(&fixture.writer));
    spool_writer_give(&fixture.writer, unused);
    fixture_append(&fixture, &message, BYTES("two"));
    struct spool_id id = fixture_commit(&fixture, &message);
    assert_int_equal(fixture_read(&fixture, found, 1, ends), 1);
    fixture_expect(&found[0], id, BYTES("s"), BYTES("onetwo"));
    fixture_free(found, 1);
    fixture_close(&fixture);
}

static void discard_only_names(void **state)
{
    (void)state;
    struct spool_writer writer;
    struct spool_message message = {0};
    struct spool_envelope envelope;
    struct blocks pool;
    struct spool_id id;

    assert_int_equal(blocks_open(&pool, 4, SPOOL_ENVELOPE_BLOCK_SIZE), 0);
    spool_envelope_init(&envelope, &pool);
    assert_int_equal(spool_writer_open(&writer, 2, true), 0);
    assert_false(spool_writer_wants_segment(&writer));
    for (uint32_t i = 0; i < 3; i++) {
        struct bytes slice = BYTES("12345");
        assert_int_equal(spool_message_begin(&writer, &message, &envelope, 1), SPOOL_DONE);
        assert_int_equal(spool_message_append(&writer, &message, &slice, 1), SPOOL_DONE);
        assert_int_equal(slice.size, 0);
        assert_int_equal(spool_message_commit(&writer, &message, 1, &id), SPOOL_DONE);
        assert_int_equal(id.worker, 2);
        assert_int_equal(id.number, 0);
        assert_int_equal(id.offset, i);
    }
    assert_int_equal(spool_message_begin(&writer, &message, &envelope, 1), SPOOL_DONE);
    spool_message_abandon(&writer, &message);
    assert_int_equal(writer.committed_count, 3);
    assert_int_equal(writer.content_bytes, 15);
    assert_int_equal(writer.abandoned_count, 1);
    spool_writer_close(&writer);
    blocks_close(&pool);
}

static void id_round_trip(void **state)
{
    (void)state;
    static const struct spool_id ids[] = {
        {0, 0, 0}, {1, 4096, 0}, {UINT64_MAX, UINT32_MAX, 99}, {10000000001ull, 64, 10}};
    static const char *const wrong[] = {"",       "1",       "1.2",   "1.2.",           "1..3",
                                        ".1.2",   "1.2.3.4", "1.2.x", "1.2.4294967296", "100.1.2",
                                        "-1.2.3", " 1.2.3",  "1.2.3 "};

    for (uint32_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        uint8_t text[SPOOL_ID_TEXT_MAX];
        struct spool_id again;
        uint32_t size = spool_id_put(text, &ids[i]);
        assert_true(size <= SPOOL_ID_TEXT_MAX);
        assert_true(spool_id_parse(bytes_make(text, size), &again));
        assert_int_equal(again.number, ids[i].number);
        assert_int_equal(again.offset, ids[i].offset);
        assert_int_equal(again.worker, ids[i].worker);
    }
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct spool_id id;
        assert_false(spool_id_parse(bytes_from_text(wrong[i]), &id));
    }
    uint8_t text[SPOOL_ID_TEXT_MAX];
    assert_int_equal(spool_id_put(text, &(struct spool_id){7, 4096, 3}), 8);
    assert_memory_equal(text, "3.7.4096", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_whole),
        cmocka_unit_test(store_every_split),
        cmocka_unit_test(store_interleaved),
        cmocka_unit_test(end_group_at_every_room),
        cmocka_unit_test(roll_at_every_room),
        cmocka_unit_test(commit_needs_segment),
        cmocka_unit_test(sealed_must_be_taken),
        cmocka_unit_test(envelope_at_the_end),
        cmocka_unit_test(envelope_of_greatest_size),
        cmocka_unit_test(abandon_at_tail_gives_room_back),
        cmocka_unit_test(abandon_in_the_middle),
        cmocka_unit_test(failed_message_swallows_octets),
        cmocka_unit_test(seal_and_go_on),
        cmocka_unit_test(discard_only_names),
        cmocka_unit_test(id_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
