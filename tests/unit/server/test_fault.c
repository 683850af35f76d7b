#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/fault.h"
#include "spool/spool_sync.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE SPOOL_PAGE_SIZE

/* A range that is read, of a file that is cut short underneath: zeros for what is gone, and a
 * count. */
static void reading_what_is_gone(void **state)
{
    (void)state;
    int file = memfd_create("segment", 0);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, 4 * PAGE), 0);
    assert_int_equal(pwrite(file, "abcd", 4, PAGE - 4), 4);
    const volatile uint8_t *base = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    assert_true(base != MAP_FAILED);
    assert_int_equal(ftruncate(file, PAGE), 0);
    fault_install();
    assert_int_equal(fault_watch_reading((const uint8_t *)(uintptr_t)base, 4 * PAGE), 0);
    assert_int_equal(base[PAGE - 1], 'd');
    assert_int_equal(base[PAGE + 7], 0);
    assert_int_equal(base[2 * PAGE - 1], 0);
    assert_int_equal(base[4 * PAGE - 1], 0);
    assert_int_equal(fault_watch_reading(NULL, 0), 2);
    assert_int_equal(fault_watch_reading(NULL, 0), 0);
    assert_int_equal(fault_count(), 0); /* no message suffered */
    (void)munmap((void *)(uintptr_t)base, 4 * PAGE);
    close(file);
}

/* Like what a steward prepares. */
static void segment_map(struct spool_segment *segment, uint64_t number)
{
    struct spool_format_segment header = {
        .number = number, .capacity = SPOOL_SEGMENT_SIZE_MIN, .salt = number};
    int file = memfd_create("segment", 0);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, (off_t)header.capacity), 0);
    uint8_t *base = mmap(NULL, header.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_true(base != MAP_FAILED);
    spool_format_put_segment(base, &header);
    spool_segment_init(segment, base, file, &header);
}

static void segment_unmap(struct spool_segment *segment)
{
    (void)munmap(segment->base, segment->capacity);
    close(segment->file);
}

static void store(struct spool_writer *writer)
{
    struct spool_message message = {0};
    struct spool_envelope envelope;
    struct blocks pool;
    struct spool_id id;

    assert_int_equal(blocks_open(&pool, 1, SPOOL_ENVELOPE_BLOCK_SIZE), 0);
    spool_envelope_init(&envelope, &pool);
    assert_int_equal(spool_message_begin(writer, &message, &envelope, 1), SPOOL_DONE);
    assert_int_equal(spool_message_commit(writer, &message, 2, &id), SPOOL_DONE);
    blocks_close(&pool);
}

/*
 * A sync fails, and no segment takes a store any more: neither that which was out, nor one behind
 * it, nor the one the writer has just sealed, nor the tail. Each fault is survived.
 */
static void revoking_what_is_gone(void **state)
{
    struct spool_segment segments[4];
    struct spool_writer writer;
    struct spool_sync sync;
    struct spool_sync_range range;

    (void)state;
    fault_install();
    assert_int_equal(spool_writer_open(&writer, 0, false), 0);
    spool_sync_init(&sync, &writer);
    fault_watch(&writer);
    for (uint32_t i = 0; i < 4; i++) {
        segment_map(&segments[i], i + 1);
        spool_writer_give(&writer, &segments[i]);
        store(&writer);
        if (i < 3) spool_writer_seal(&writer, 3);
        if (i < 2) spool_sync_take_sealed(&sync);
        if (i == 1) assert_true(spool_sync_next(&sync, 4, &range));
    }
    assert_int_equal(range.file, segments[0].file);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(ftruncate(segments[i].file, 0), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_false(atomic_load(&segments[i].has_lost_pages));
    uint32_t before = fault_count();
    spool_sync_failed(&sync);
    assert_int_equal(fault_count() - before, 4);
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(spool_sync_take_failed(&sync), &segments[i]);
    assert_null(spool_sync_take_failed(&sync));
    fault_watch(NULL);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(atomic_load(&segments[i].has_lost_pages));
        segment_unmap(&segments[i]);
    }
    spool_writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reading_what_is_gone),
                                       cmocka_unit_test(revoking_what_is_gone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
