#include "base/blocks.h"
#include "unit/base/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

static void test_blocks_are_apart_until_all_are_taken(void **state)
{
    struct blocks blocks;
    uint8_t *taken[4];
    (void)state;

    assert_int_equal(blocks_open(&blocks, 4, 128), 0);
    for (int i = 0; i < 4; i++) {
        taken[i] = blocks_take(&blocks);
        assert_non_null(taken[i]);
        assert_int_equal((uintptr_t)taken[i] % 64, 0);
        memset(taken[i], i + 1, 128);
    }
    assert_null(blocks_take(&blocks));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(taken[i][0], i + 1);
        assert_int_equal(taken[i][127], i + 1);
    }
    assert_int_equal(blocks.taken_count, 4);
    blocks_close(&blocks);
}

static void test_last_given_back_is_first_taken(void **state)
{
    struct blocks blocks;
    (void)state;

    assert_int_equal(blocks_open(&blocks, 4, 64), 0);
    void *a = blocks_take(&blocks);
    void *b = blocks_take(&blocks);
    memset(a, 0xff, 64);
    memset(b, 0xff, 64);
    blocks_give_back(&blocks, a);
    blocks_give_back(&blocks, b);
    assert_int_equal(blocks.taken_count, 0);
    assert_ptr_equal(blocks_take(&blocks), b);
    assert_ptr_equal(blocks_take(&blocks), a);
    assert_int_equal(blocks.touched_end, 2);
    blocks_close(&blocks);
}

static void test_every_block_comes_back(void **state)
{
    enum { COUNT = 100 };
    struct blocks blocks;
    void *taken[COUNT];
    (void)state;

    assert_int_equal(blocks_open(&blocks, COUNT, 64), 0);
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < COUNT; i++)
            assert_non_null(taken[i] = blocks_take(&blocks));
        assert_null(blocks_take(&blocks));
        for (int i = 0; i < COUNT; i++)
            blocks_give_back(&blocks, taken[(i * 37 + turn) % COUNT]);
        assert_int_equal(blocks.taken_count, 0);
    }
    blocks_close(&blocks);
}

static void test_untouched_blocks_cost_no_memory(void **state)
{
    struct blocks blocks;
    unsigned char pages[1024];
    uint32_t resident = 0;
    (void)state;

    assert_int_equal(blocks_open(&blocks, 1024, 4096), 0);
    assert_int_equal(madvise(blocks.memory, 1024 * 4096, MADV_NOHUGEPAGE), 0);
    for (int i = 0; i < 3; i++)
        memset(blocks_take(&blocks), 1, 4096);
    assert_int_equal(mincore(blocks.memory, 1024 * 4096, pages), 0);
    for (uint32_t i = 0; i < 1024; i++)
        resident += pages[i] & 1u;
    assert_int_equal(resident, 3);
    blocks_close(&blocks);
}

static void test_absurd_size_is_an_error(void **state)
{
    struct blocks blocks;
    (void)state;
    assert_true(blocks_open(&blocks, 1u << 30, 1ull << 33) < 0);
}

#ifdef RINGSINK_SLOW_CHECKS
static struct blocks misused;

static void give_back_twice(void)
{
    void *block = blocks_take(&misused);
    blocks_take(&misused); /* stays out, so that the count alone does not tell */
    blocks_give_back(&misused, block);
    blocks_give_back(&misused, block);
}

static void write_to_what_was_given_back(void)
{
    uint8_t *block = blocks_take(&misused);
    blocks_give_back(&misused, block);
    block[63] = 1;
}

static void test_misuse_of_a_free_block_is_seen(void **state)
{
    struct capture capture;
    (void)state;
    assert_int_equal(blocks_open(&misused, 4, 64), 0);
    assert_int_not_equal(capture_child(&capture, give_back_twice), 0);
    assert_non_null(strstr(capture.text, "use-after-poison"));
    assert_int_not_equal(capture_child(&capture, write_to_what_was_given_back), 0);
    assert_non_null(strstr(capture.text, "use-after-poison"));
    blocks_close(&misused);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_apart_until_all_are_taken),
        cmocka_unit_test(test_last_given_back_is_first_taken),
        cmocka_unit_test(test_every_block_comes_back),
        cmocka_unit_test(test_untouched_blocks_cost_no_memory),
        cmocka_unit_test(test_absurd_size_is_an_error),
#ifdef RINGSINK_SLOW_CHECKS
        cmocka_unit_test(test_misuse_of_a_free_block_is_seen),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
