/*
 * spool_fixture -- a log in memory: a writer, the segments it was given, and what a reader finds.
 *
 * Owns:       the segments' memory, full of noise before they are used.
 * Bounds:     FIXTURE_SEGMENTS segments of 1 MiB.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "spool/spool_format.h"
#include "spool/spool_reader.h"
#include "spool/spool_writer.h"

#include <stdlib.h>
#include <string.h>

#define FIXTURE_SEGMENTS     24
#define FIXTURE_SEGMENT_SIZE SPOOL_SEGMENT_SIZE_MIN
#define FIXTURE_NOW          1700000000000000000ull

struct fixture {
    struct spool_writer writer;
    struct blocks pool;
    struct spool_segment segments[FIXTURE_SEGMENTS];
    uint8_t *memory[FIXTURE_SEGMENTS];
    uint32_t count;
    uint64_t clock_ns;
};

struct fixture_found {
    struct spool_id id;
    struct bytes envelope;
    uint8_t *content; /* to be freed */
    uint64_t size;
    uint64_t received_ns;
    uint32_t record_count;
    enum spool_reader_verdict verdict;
};

static inline void fixture_open(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->clock_ns = FIXTURE_NOW;
    assert_int_equal(spool_writer_open(&fixture->writer, 3, false), 0);
    assert_int_equal(blocks_open(&fixture->pool, 2048, SPOOL_ENVELOPE_BLOCK_SIZE), 0);
}

static inline void fixture_close(struct fixture *fixture)
{
    assert_int_equal(fixture->pool.taken_count, 0);
    blocks_close(&fixture->pool);
    spool_writer_close(&fixture->writer);
    for (uint32_t i = 0; i < fixture->count; i++)
        free(fixture->memory[i]);
}

/* Numbers leave gaps on purpose: 1, 3, 5, ... */
static inline void fixture_give(struct fixture *fixture)
{
    struct random random;
    uint32_t i = fixture->count++;
    assert_true(i < FIXTURE_SEGMENTS);
    uint8_t *memory = aligned_alloc(4096, FIXTURE_SEGMENT_SIZE);
    assert_non_null(memory);
    random_init(&random, 7, i);
    for (uint64_t at = 0; at < FIXTURE_SEGMENT_SIZE; at += 8) {
        uint64_t noise = random_next(&random);
        memcpy(memory + at, &noise, 8);
    }
    struct spool_format_segment header = {.worker = 3,
                                          .number = 2 * (uint64_t)i + 1,
                                          .capacity = FIXTURE_SEGMENT_SIZE,
                                          .created_ns = fixture->clock_ns,
                                          .salt = random_next(&random)};
    spool_format_put_segment(memory, &header);
    spool_segment_init(&fixture->segments[i], memory, -1, &header);
    fixture->memory[i] = memory;
    spool_writer_give(&fixture->writer, &fixture->segments[i]);
}

/* What a server does when the answer is SPOOL_NEEDS_SEGMENT. */
static inline void fixture_serve(struct fixture *fixture)
{
    (void)spool_writer_take_sealed(&fixture->writer);
    if (spool_writer_wants_segment(&fixture->writer)) fixture_give(fixture);
}

static inline void fixture_begin(struct fixture *fixture, struct spool_message *message,
                                 struct bytes sender)
{
    struct spool_envelope envelope;
    spool_envelope_init(&envelope, &fixture->pool);
    assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_SENDER, sender));
    while (spool_message_begin(&fixture->writer, message, &envelope, fixture->clock_ns++) ==
           SPOOL_NEEDS_SEGMENT)
        fixture_serve(fixture);
    spool_envelope_drop(&envelope);
}

static inline void fixture_append(struct fixture *fixture, struct spool_message *message,
                                  struct bytes slice)
{
    while (spool_message_append(&fixture->writer, message, &slice, fixture->clock_ns++) ==
           SPOOL_NEEDS_SEGMENT)
        fixture_serve(fixture);
    assert_int_equal(slice.size, 0);
}

static inline struct spool_id fixture_commit(struct fixture *fixture, struct spool_message *message)
{
    struct spool_id id;
    while (spool_message_commit(&fixture->writer, message, fixture->clock_ns++, &id) ==
           SPOOL_NEEDS_SEGMENT)
        fixture_serve(fixture);
    return id;
}

static inline struct spool_id fixture_store(struct fixture *fixture, struct bytes sender,
                                            struct bytes content)
{
    struct spool_message message = {0};
    fixture_begin(fixture, &message, sender);
    fixture_append(fixture, &message, content);
    return fixture_commit(fixture, &message);
}

static inline void fixture_copy(struct fixture_found *found, const struct bytes *pieces)
{
    uint64_t at = 0;
    found->content = malloc(found->size + 1);
    assert_non_null(found->content);
    for (uint32_t i = 0; i < found->record_count; i++) {
        if (pieces[i].size > 0) memcpy(found->content + at, pieces[i].data, pieces[i].size);
        at += pieces[i].size;
    }
    assert_int_equal(at, found->size);
}

static inline void fixture_read_one(const struct spool_reader_table *table,
                                    const struct spool_reader_message *message,
                                    struct fixture_found *found)
{
    struct spool_reader_head head;
    struct bytes *pieces = calloc(message->record_count, sizeof(*pieces));
    assert_non_null(pieces);
    *found = (struct fixture_found){.id = message->id, .record_count = message->record_count};
    found->verdict = spool_reader_assemble(table, message, pieces, &head);
    if (found->verdict == SPOOL_READER_WHOLE) {
        found->size = head.content_size;
        found->envelope = head.envelope;
        found->received_ns = head.received_ns;
        fixture_copy(found, pieces);
    }
    free(pieces);
}

static inline void fixture_table(const struct fixture *fixture,
                                 struct spool_reader_segment *segments)
{
    for (uint32_t i = 0; i < fixture->count; i++)
        (void)spool_reader_segment_open(&segments[i],
                                        bytes_make(fixture->memory[i], FIXTURE_SEGMENT_SIZE), 3,
                                        fixture->segments[i].number);
}

/* Everything a reader finds, in an array of `capacity`; how many. `ends` counts events by kind. */
static inline uint32_t fixture_read(const struct fixture *fixture, struct fixture_found *found,
                                    uint32_t capacity, uint32_t ends[4])
{
    struct spool_reader_segment segments[FIXTURE_SEGMENTS];
    uint32_t count = 0;

    fixture_table(fixture, segments);
    struct spool_reader_table table = {segments, fixture->count};
    memset(ends, 0, 4 * sizeof(*ends));
    for (uint32_t i = 0; i < fixture->count; i++) {
        struct spool_reader reader;
        struct spool_reader_message message;
        struct spool_reader_gap gap;
        enum spool_reader_event event;

        if (segments[i].base == NULL) continue;
        spool_reader_start(&reader, &segments[i]);
        do {
            event = spool_reader_next(&reader, &message, &gap);
            ends[event]++;
            if (event != SPOOL_READER_MESSAGE) continue;
            assert_true(count < capacity);
            fixture_read_one(&table, &message, &found[count++]);
        } while (event != SPOOL_READER_END);
    }
    return count;
}

static inline void fixture_free(struct fixture_found *found, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(found[i].content);
}

static inline struct bytes fixture_sender(const struct fixture_found *found)
{
    struct bytes octets = found->envelope;
    struct bytes value;
    enum spool_item item;
    assert_true(spool_envelope_next(&octets, &item, &value));
    assert_int_equal(item, SPOOL_ITEM_SENDER);
    assert_int_equal(octets.size, 0);
    return value;
}

static inline void fixture_expect(const struct fixture_found *found, struct spool_id id,
                                  struct bytes sender, struct bytes content)
{
    assert_int_equal(found->verdict, SPOOL_READER_WHOLE);
    assert_int_equal(found->id.number, id.number);
    assert_int_equal(found->id.offset, id.offset);
    assert_int_equal(found->id.worker, id.worker);
    assert_true(bytes_equal(fixture_sender(found), sender));
    assert_true(bytes_equal(bytes_make(found->content, found->size), content));
}
