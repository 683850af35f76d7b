#include "spool/spool_sync.h"

#include "unit/spool/spool_fixture.h"

#define BLOCK       512u
#define MESSAGES    400
#define OPEN_MAX    5
#define CONTENT_MAX 60000u

/* A disk that holds what was synced, and of the rest whatever it likes. */
struct disk {
    struct fixture fixture;
    struct spool_sync sync;
    struct random random;
    uint8_t *image[FIXTURE_SEGMENTS]; /* what is surely on it */
    struct spool_sync_range range;    /* that is out */
    bool is_out;
};

struct told {
    struct spool_id id;
    uint8_t *content;
    uint64_t size;
};

static uint32_t index_of(const struct disk *disk, int file)
{
    assert_true(file >= 0);
    assert_true((uint32_t)file < disk->fixture.count);
    return (uint32_t)file;
}

static void disk_open(struct disk *disk, uint64_t seed)
{
    memset(disk, 0, sizeof(*disk));
    fixture_open(&disk->fixture);
    spool_sync_init(&disk->sync, &disk->fixture.writer);
    random_init(&disk->random, seed, 1);
}

/* A segment is on the disk, with its header, before the writer gets it. */
static void disk_serve(struct disk *disk)
{
    spool_sync_take_sealed(&disk->sync);
    if (!spool_writer_wants_segment(&disk->fixture.writer)) return;
    uint32_t i = disk->fixture.count;
    fixture_give(&disk->fixture);
    disk->fixture.segments[i].file = (int)i;
    disk->image[i] = malloc(FIXTURE_SEGMENT_SIZE);
    assert_non_null(disk->image[i]);
    memcpy(disk->image[i], disk->fixture.memory[i], FIXTURE_SEGMENT_SIZE);
}

static void disk_close(struct disk *disk)
{
    for (uint32_t i = 0; i < disk->fixture.count; i++)
        free(disk->image[i]);
    fixture_close(&disk->fixture);
}

static void disk_begin_sync(struct disk *disk)
{
    if (disk->is_out) return;
    disk->is_out = spool_sync_next(&disk->sync, disk->fixture.clock_ns++, &disk->range);
}

static void disk_complete_sync(struct disk *disk)
{
    if (!disk->is_out) return;
    uint32_t i = index_of(disk, disk->range.file);
    uint64_t offset = disk->range.offset;
    uint64_t size = disk->range.size == 0 ? FIXTURE_SEGMENT_SIZE - offset : disk->range.size;
    memcpy(disk->image[i] + offset, disk->fixture.memory[i] + offset, size);
    disk->is_out = false;
    (void)spool_sync_completed(&disk->sync);
}

/* The power goes: of what was not synced any blocks may have reached the disk. */
static void disk_lose_power(struct disk *disk)
{
    for (uint32_t i = 0; i < disk->fixture.count; i++)
        for (uint64_t at = 0; at < FIXTURE_SEGMENT_SIZE; at += BLOCK)
            if (random_below(&disk->random, 2) == 0)
                memcpy(disk->image[i] + at, disk->fixture.memory[i] + at, BLOCK);
    for (uint32_t i = 0; i < disk->fixture.count; i++)
        memcpy(disk->fixture.memory[i], disk->image[i], FIXTURE_SEGMENT_SIZE);
}

static void put(struct disk *disk, struct spool_message *message, struct bytes slice)
{
    while (spool_message_append(&disk->fixture.writer, message, &slice, disk->fixture.clock_ns++) ==
           SPOOL_NEEDS_SEGMENT)
        disk_serve(disk);
}

static void begin(struct disk *disk, struct spool_message *message)
{
    struct spool_envelope envelope;
    spool_envelope_init(&envelope, &disk->fixture.pool);
    assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_SENDER, BYTES("a@b")));
    while (spool_message_begin(&disk->fixture.writer, message, &envelope,
                               disk->fixture.clock_ns++) == SPOOL_NEEDS_SEGMENT)
        disk_serve(disk);
    spool_envelope_drop(&envelope);
}

static struct spool_id commit(struct disk *disk, struct spool_message *message)
{
    struct spool_id id;
    while (spool_message_commit(&disk->fixture.writer, message, disk->fixture.clock_ns++, &id) ==
           SPOOL_NEEDS_SEGMENT)
        disk_serve(disk);
    return id;
}

static const struct told *find_told(const struct told *told, uint64_t count,
                                    const struct fixture_found *found)
{
    for (uint64_t i = 0; i < count; i++)
        if (told[i].id.number == found->id.number && told[i].id.offset == found->id.offset)
            return &told[i];
    return NULL;
}

/* What was durable is found, once and whole; nothing is found that was never committed. */
static void check_after_power_loss(struct disk *disk, const struct told *told, uint64_t count)
{
    static struct fixture_found found[MESSAGES];
    uint32_t ends[4];
    disk_lose_power(disk);
    uint32_t found_count = fixture_read(&disk->fixture, found, MESSAGES, ends);
    uint64_t durable_found = 0;
    for (uint32_t i = 0; i < found_count; i++) {
        const struct told *one = find_told(told, count, &found[i]);
        assert_non_null(one);
        bool is_durable = (uint64_t)(one - told) < disk->sync.durable_count;
        if (is_durable) assert_int_equal(found[i].verdict, SPOOL_READER_WHOLE);
        if (found[i].verdict != SPOOL_READER_WHOLE) continue;
        assert_true(bytes_equal(bytes_make(found[i].content, found[i].size),
                                bytes_make(one->content, one->size)));
        if (is_durable) durable_found++;
    }
    assert_int_equal(durable_found, disk->sync.durable_count);
    fixture_free(found, found_count);
}

struct open_message {
    struct spool_message message;
    uint8_t *content;
    uint64_t size;
    uint64_t put_size;
};

static void open_one(struct disk *disk, struct open_message *one)
{
    begin(disk, &one->message);
    one->size = random_below(&disk->random, CONTENT_MAX);
    one->put_size = 0;
    one->content = malloc(one->size + 1);
    assert_non_null(one->content);
    for (uint64_t i = 0; i < one->size; i++)
        one->content[i] = (uint8_t)random_next(&disk->random);
}

static void append_some(struct disk *disk, struct open_message *one)
{
    uint64_t left = one->size - one->put_size;
    uint64_t part = left > 0 ? 1 + random_below(&disk->random, left) : 0;
    put(disk, &one->message, bytes_make(one->content + one->put_size, part));
    one->put_size += part;
}

/* One step of a server's day: messages in progress side by side, syncs that take their time. */
static void step(struct disk *disk, struct open_message *open, struct told *told, uint64_t *count)
{
    struct open_message *one = &open[random_below(&disk->random, OPEN_MAX)];
    uint64_t what = random_below(&disk->random, 12);
    if (what == 0)
        disk_begin_sync(disk);
    else if (what == 1)
        disk_complete_sync(disk);
    else if (one->content == NULL)
        open_one(disk, one);
    else if (what < 9 && one->put_size < one->size)
        append_some(disk, one);
    else if (what == 10) {
        spool_message_abandon(&disk->fixture.writer, &one->message);
        free(one->content);
        one->content = NULL;
    } else {
        put(disk, &one->message,
            bytes_make(one->content + one->put_size, one->size - one->put_size));
        told[*count] = (struct told){commit(disk, &one->message), one->content, one->size};
        (*count)++;
        one->content = NULL;
    }
}

static void test_power_loss(void **state)
{
    static struct disk disk;
    static struct told told[MESSAGES];
    uint64_t durable_in_all = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct open_message open[OPEN_MAX] = {0};
        uint64_t count = 0;
        disk_open(&disk, seed);
        uint64_t steps = random_below(&disk.random, 3000);
        for (uint64_t i = 0; i < steps && count < MESSAGES; i++)
            step(&disk, open, told, &count);
        durable_in_all += disk.sync.durable_count;
        check_after_power_loss(&disk, told, count);
        for (uint64_t i = 0; i < count; i++)
            free(told[i].content);
        for (uint32_t i = 0; i < OPEN_MAX; i++)
            free(open[i].content);
        disk_close(&disk);
    }
    assert_true(durable_in_all > 1000); /* or it showed nothing */
}

static void store(struct disk *disk, struct bytes content)
{
    struct spool_message message = {0};
    begin(disk, &message);
    put(disk, &message, content);
    (void)commit(disk, &message);
}

/* Larger than what a segment has left: the one at the tail is sealed, and given to the sync. */
static void store_over_the_end(struct disk *disk)
{
    uint8_t *content = calloc(1, FIXTURE_SEGMENT_SIZE);
    assert_non_null(content);
    store(disk, bytes_make(content, FIXTURE_SEGMENT_SIZE));
    spool_sync_take_sealed(&disk->sync);
    free(content);
}

/* The next range lies in segment `file`. */
static struct spool_sync_range expect_range(struct disk *disk, int file)
{
    struct spool_sync_range range;
    assert_true(spool_sync_next(&disk->sync, 1, &range));
    assert_int_equal(range.file, file);
    return range;
}

static void expect_nothing_to_sync(struct disk *disk)
{
    struct spool_sync_range range;
    assert_false(spool_sync_next(&disk->sync, 1, &range));
}

/* The range that is out is on the disk: `durable` messages in all are, and no segment is whole. */
static void expect_part_completed(struct disk *disk, uint64_t durable)
{
    assert_null(spool_sync_completed(&disk->sync));
    assert_int_equal(disk->sync.durable_count, durable);
}

/* The same, and segment `file` is whole. */
static void expect_segment_completed(struct disk *disk, int file, uint64_t durable)
{
    assert_int_equal(expect_range(disk, file).size, 0); /* to its end */
    assert_ptr_equal(spool_sync_completed(&disk->sync), &disk->fixture.segments[file]);
    assert_int_equal(disk->sync.durable_count, durable);
}

/* The sync that is out fails: of all that was stored only `content` is left. */
static void expect_left_by_failure(struct disk *disk, struct bytes content)
{
    struct fixture_found found[4];
    uint32_t ends[4];
    spool_sync_failed(&disk->sync);
    assert_int_equal(disk->sync.durable_count, 1);
    assert_int_equal(fixture_read(&disk->fixture, found, 4, ends), 1);
    assert_true(bytes_equal(bytes_make(found[0].content, found[0].size), content));
    assert_int_equal(ends[SPOOL_READER_DAMAGE], 0);
    assert_int_equal(ends[SPOOL_READER_TORN], 0);
    fixture_free(found, 1);
}

/* One range at a time; what comes meanwhile waits for the next round. */
static void test_rounds(void **state)
{
    static struct disk disk;
    (void)state;
    disk_open(&disk, 1);
    expect_nothing_to_sync(&disk);
    store(&disk, BYTES("one"));
    struct spool_sync_range first = expect_range(&disk, 0);
    assert_int_equal(first.offset, 0); /* with the header page */
    assert_int_equal(first.size % SPOOL_PAGE_SIZE, 0);
    store(&disk, BYTES("two"));
    expect_nothing_to_sync(&disk);
    assert_int_equal(disk.sync.durable_count, 0);
    expect_part_completed(&disk, 1);
    assert_int_equal(expect_range(&disk, 0).offset, first.size); /* no page twice */
    expect_part_completed(&disk, 2);
    expect_nothing_to_sync(&disk);
    disk_close(&disk);
}

/* A message over three segments is durable once all of them are; sealed ones are given back. */
static void test_segments_in_order(void **state)
{
    static struct disk disk;
    uint8_t *content = calloc(1, 2 * FIXTURE_SEGMENT_SIZE);
    (void)state;
    disk_open(&disk, 1);
    store(&disk, bytes_make(content, 2 * FIXTURE_SEGMENT_SIZE));
    disk_serve(&disk);
    expect_segment_completed(&disk, 0, 0);
    expect_segment_completed(&disk, 1, 0);
    (void)expect_range(&disk, 2);
    expect_part_completed(&disk, 1);
    free(content);
    disk_close(&disk);
}

/* Sealed while a part of it is being synced: that part is not the whole. */
static void test_sealed_while_out(void **state)
{
    static struct disk disk;
    (void)state;
    disk_open(&disk, 1);
    store(&disk, BYTES("one"));
    (void)expect_range(&disk, 0);
    store_over_the_end(&disk);
    expect_part_completed(&disk, 1); /* what it covered, and nothing more */
    expect_segment_completed(&disk, 0, 1);
    (void)expect_range(&disk, 1);
    expect_part_completed(&disk, 2);
    disk_close(&disk);
}

/* A segment is on the disk, the range behind it fails: the first one's messages can't be refused.
 */
static void test_failure_in_mid_round(void **state)
{
    static struct disk disk;
    (void)state;
    disk_open(&disk, 1);
    store(&disk, BYTES("in the first segment"));
    store_over_the_end(&disk);
    expect_segment_completed(&disk, 0, 1);
    (void)expect_range(&disk, 1);
    expect_left_by_failure(&disk, BYTES("in the first segment"));
    disk_close(&disk);
}

/* The same where a part of a tail was synced that has been sealed since. */
static void test_failure_after_a_part(void **state)
{
    static struct disk disk;
    (void)state;
    disk_open(&disk, 1);
    store(&disk, BYTES("a part"));
    (void)expect_range(&disk, 0);
    store_over_the_end(&disk);
    expect_part_completed(&disk, 1);
    (void)expect_range(&disk, 0);
    expect_left_by_failure(&disk, BYTES("a part"));
    disk_close(&disk);
}

/* After a failed sync: what was durable stays, what was not is revoked, nothing more is synced. */
static void test_failed_sync(void **state)
{
    static struct disk disk;
    (void)state;
    disk_open(&disk, 1);
    store(&disk, BYTES("durable"));
    (void)expect_range(&disk, 0);
    expect_part_completed(&disk, 1);
    store(&disk, BYTES("in the round"));
    (void)expect_range(&disk, 0);
    store(&disk, BYTES("behind it"));
    expect_left_by_failure(&disk, BYTES("durable"));
    expect_nothing_to_sync(&disk);
    disk_close(&disk);
}

/* Pages that faulted are empty memory now: there is nothing left to revoke there. */
static void test_failure_after_a_fault(void **state)
{
    static struct disk disk;
    (void)state;
    disk_open(&disk, 1);
    store(&disk, BYTES("one"));
    store(&disk, BYTES("two"));
    disk_begin_sync(&disk);
    memset(disk.fixture.memory[0], 0, FIXTURE_SEGMENT_SIZE);
    spool_sync_failed(&disk.sync);
    assert_int_equal(disk.sync.durable_count, 0);
    for (uint32_t i = 0; i < FIXTURE_SEGMENT_SIZE; i++)
        assert_int_equal(disk.fixture.memory[0][i], 0);
    disk_close(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_segments_in_order),
        cmocka_unit_test(test_sealed_while_out),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_power_loss),
        cmocka_unit_test(test_failure_in_mid_round),
        cmocka_unit_test(test_failure_after_a_part),
        cmocka_unit_test(test_failure_after_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
