#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "spool/spool_envelope.h"

#include <stdlib.h>

/* Items of every size come back as they were put, whatever block they fell into. */
static void round_trip(void **state)
{
    (void)state;
    struct blocks pool;
    struct spool_envelope envelope;
    uint8_t value[3000];

    assert_int_equal(blocks_open(&pool, 64, SPOOL_ENVELOPE_BLOCK_SIZE), 0);
    for (uint32_t i = 0; i < sizeof(value); i++)
        value[i] = (uint8_t)random_mix(1, i);
    for (uint32_t size = 0; size < 1500; size++) {
        uint8_t octets[8192];
        struct bytes found;
        enum spool_item item;

        spool_envelope_init(&envelope, &pool);
        assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_PEER, bytes_make(value, size)));
        assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_RECIPIENT, BYTES("a@b")));
        assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_HELO, bytes_make(value + size, size)));
        assert_int_equal(envelope.size, 3 * 3 + 2 * size + 3);
        spool_envelope_copy(&envelope, octets);
        struct bytes rest = bytes_make(octets, envelope.size);
        assert_true(spool_envelope_next(&rest, &item, &found));
        assert_int_equal(item, SPOOL_ITEM_PEER);
        assert_true(bytes_equal(found, bytes_make(value, size)));
        assert_true(spool_envelope_next(&rest, &item, &found));
        assert_int_equal(item, SPOOL_ITEM_RECIPIENT);
        assert_true(bytes_equal(found, BYTES("a@b")));
        assert_true(spool_envelope_next(&rest, &item, &found));
        assert_int_equal(item, SPOOL_ITEM_HELO);
        assert_true(bytes_equal(found, bytes_make(value + size, size)));
        assert_false(spool_envelope_next(&rest, &item, &found));
        spool_envelope_drop(&envelope);
        assert_int_equal(pool.taken_count, 0);
    }
    blocks_close(&pool);
}

/* With the pool used up a put changes nothing. */
static void pool_runs_out(void **state)
{
    (void)state;
    struct blocks pool;
    struct spool_envelope first;
    struct spool_envelope second;
    uint8_t value[2000] = {0};

    assert_int_equal(blocks_open(&pool, 3, SPOOL_ENVELOPE_BLOCK_SIZE), 0);
    spool_envelope_init(&first, &pool);
    spool_envelope_init(&second, &pool);
    assert_true(spool_envelope_put(&first, SPOOL_ITEM_PEER, bytes_make(value, 501)));
    assert_int_equal(pool.taken_count, 1); /* 504 octets: exactly one block */
    assert_true(spool_envelope_put(&second, SPOOL_ITEM_PEER, bytes_make(value, 1)));
    assert_false(spool_envelope_put(&first, SPOOL_ITEM_PEER, bytes_make(value, 502)));
    assert_int_equal(first.size, 504);
    assert_int_equal(pool.taken_count, 2);
    assert_true(spool_envelope_put(&first, SPOOL_ITEM_PEER, bytes_make(value, 501)));
    assert_false(spool_envelope_put(&first, SPOOL_ITEM_PEER, BYTES("")));
    assert_true(spool_envelope_put(&second, SPOOL_ITEM_PEER, bytes_make(value, 497)));
    assert_false(spool_envelope_put(&second, SPOOL_ITEM_PEER, BYTES("")));
    spool_envelope_drop(&first);
    assert_true(spool_envelope_put(&second, SPOOL_ITEM_PEER, BYTES("")));
    spool_envelope_drop(&second);
    assert_int_equal(pool.taken_count, 0);
    blocks_close(&pool);
}

static void malformed(void **state)
{
    (void)state;
    static const struct {
        const char *octets;
        uint32_t size;
        uint32_t items;
    } rows[] = {
        {"", 0, 0},
        {"\1", 1, 0},
        {"\1\0", 2, 0},
        {"\1\0\0", 3, 1},
        {"\1\1\0", 3, 0},
        {"\0\0\0", 3, 0},          /* END is never written */
        {"\1\1\0x\2\2\0y", 8, 1},  /* the second is cut */
        {"\10\1\0x\1\1\0y", 8, 1}, /* an item of a later version is passed over */
        {"\xff\xff\xff", 3, 0},
    };
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t *copy = malloc(rows[i].size + 1); /* the sanitizer watches its end */
        struct bytes value;
        enum spool_item item;
        uint32_t items = 0;

        assert_non_null(copy);
        memcpy(copy, rows[i].octets, rows[i].size);
        struct bytes rest = bytes_make(copy, rows[i].size);
        while (spool_envelope_next(&rest, &item, &value))
            items++;
        assert_int_equal(items, rows[i].items);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(pool_runs_out),
        cmocka_unit_test(malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
