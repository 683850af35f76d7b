/*
 * A message begun, appended and committed in segments that are plain memory and are used again in
 * turn: larger together than the caches, as the spool is.
 */
#include "micro.h"

#include "base/blocks.h"
#include "spool/spool_format.h"
#include "spool/spool_writer.h"

#include <stdlib.h>

#define SEGMENTS     6
#define SEGMENT_SIZE (16u << 20)
#define NOW_NS       1700000000000000000ull
#define SALT         0x5eed5a17ull

static struct spool_writer writer;
static struct spool_segment segments[SEGMENTS];
static uint8_t *memory[SEGMENTS];
static struct blocks envelope_blocks;
static struct spool_envelope envelope;
static uint64_t next_number = 1;

static void give_segment(void)
{
    uint32_t index = (uint32_t)(next_number % SEGMENTS);
    struct spool_format_segment header = {
        .number = next_number++, .capacity = SEGMENT_SIZE, .created_ns = NOW_NS, .salt = SALT};
    spool_format_put_segment(memory[index], &header);
    spool_segment_init(&segments[index], memory[index], -1, &header);
    spool_writer_give(&writer, &segments[index]);
}

/* What a worker does when the answer is SPOOL_NEEDS_SEGMENT. */
static void serve(void)
{
    (void)spool_writer_take_sealed(&writer);
    if (spool_writer_wants_segment(&writer)) give_segment();
}

static void store(struct bytes content)
{
    struct spool_message message = {0};
    struct spool_id id;
    while (spool_message_begin(&writer, &message, &envelope, NOW_NS) == SPOOL_NEEDS_SEGMENT)
        serve();
    while (spool_message_append(&writer, &message, &content, NOW_NS) == SPOOL_NEEDS_SEGMENT)
        serve();
    while (spool_message_commit(&writer, &message, NOW_NS, &id) == SPOOL_NEEDS_SEGMENT)
        serve();
}

static uint64_t run_store(const struct micro_case *micro_case, uint64_t rounds)
{
    uint64_t bytes_before = writer.content_bytes;
    uint64_t committed_before = writer.committed_count;
    for (uint64_t round = 0; round < rounds; round++)
        store(bytes_make(micro_content(), micro_case->size));
    CHECK(writer.committed_count == committed_before + rounds);
    return writer.content_bytes - bytes_before;
}

static const struct micro_case cases[] = {
    {"spool_writer", "store 1 KiB", 1024, 0, run_store},
    {"spool_writer", "store 32 KiB", 32768, 0, run_store},
    {"spool_writer", "store 1 MiB", MICRO_CONTENT_MAX, 0, run_store},
};

static void put_envelope(void)
{
    CHECK(blocks_open(&envelope_blocks, 16, SPOOL_ENVELOPE_BLOCK_SIZE) == 0);
    spool_envelope_init(&envelope, &envelope_blocks);
    CHECK(spool_envelope_put(&envelope, SPOOL_ITEM_PEER, BYTES("127.0.0.1:41234")));
    CHECK(spool_envelope_put(&envelope, SPOOL_ITEM_PROTOCOL, BYTES("ESMTP")));
    CHECK(spool_envelope_put(&envelope, SPOOL_ITEM_HELO, BYTES("client.test")));
    CHECK(spool_envelope_put(&envelope, SPOOL_ITEM_SENDER, BYTES("load@client.test")));
    CHECK(spool_envelope_put(&envelope, SPOOL_ITEM_RECIPIENT, BYTES("user123456@sink.test")));
}

struct micro_cases micro_spool_cases(void)
{
    for (uint32_t index = 0; index < SEGMENTS; index++) {
        memory[index] = aligned_alloc(SPOOL_PAGE_SIZE, SEGMENT_SIZE);
        CHECK(memory[index] != NULL);
        memset(memory[index], 1, SEGMENT_SIZE); /* its pages are there before it is measured */
    }
    CHECK(spool_writer_open(&writer, 0, false) == 0);
    put_envelope();
    return (struct micro_cases){cases, sizeof cases / sizeof cases[0]};
}
