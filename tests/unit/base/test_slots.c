#include "base/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct item {
    struct slot slot;
    uint64_t payload[5];
};

static void test_take_until_full(void **state)
{
    struct slots slots;
    struct item *items[3];
    (void)state;

    assert_int_equal(slots_open(&slots, 3, sizeof(struct item)), 0);
    for (uint32_t i = 0; i < 3; i++) {
        items[i] = slots_take(&slots);
        assert_non_null(items[i]);
        assert_int_equal(slots_index(&slots, items[i]), i);
        assert_ptr_equal(slots_at(&slots, i), items[i]);
        assert_int_equal(items[i]->slot.generation, 1);
        assert_true(items[i]->slot.is_taken);
    }
    assert_int_equal(slots.taken_count, 3);
    assert_null(slots_take(&slots));
    slots_give_back(&slots, items[1]);
    assert_ptr_equal(slots_take(&slots), items[1]);
    assert_null(slots_take(&slots));
    slots_close(&slots);
}

static void test_last_given_back_is_first_taken(void **state)
{
    struct slots slots;
    (void)state;

    assert_int_equal(slots_open(&slots, 8, sizeof(struct item)), 0);
    struct item *a = slots_take(&slots);
    struct item *b = slots_take(&slots);
    slots_give_back(&slots, a);
    slots_give_back(&slots, b);
    assert_ptr_equal(slots_take(&slots), b);
    assert_ptr_equal(slots_take(&slots), a);
    assert_int_equal(slots.touched_end, 2);
    slots_close(&slots);
}

static void test_a_new_life_is_zero_with_a_new_generation(void **state)
{
    static const uint64_t zeros[5];
    struct slots slots;
    (void)state;

    assert_int_equal(slots_open(&slots, 2, sizeof(struct item)), 0);
    struct item *item = slots_take(&slots);
    assert_memory_equal(item->payload, zeros, sizeof(zeros));
    memset(item->payload, 0xee, sizeof(item->payload));
    slots_give_back(&slots, item);
    item = slots_take(&slots);
    assert_memory_equal(item->payload, zeros, sizeof(zeros));
    assert_int_equal(item->slot.generation, 2);
    slots_close(&slots);
}

static void test_find_wants_the_life(void **state)
{
    struct slots slots;
    (void)state;

    assert_int_equal(slots_open(&slots, 2, sizeof(struct item)), 0);
    assert_null(slots_find(&slots, 0, 0));
    assert_null(slots_find(&slots, 0, 1));
    struct item *item = slots_take(&slots);
    assert_ptr_equal(slots_find(&slots, 0, 1), item);
    assert_null(slots_find(&slots, 0, 2));
    assert_null(slots_find(&slots, 1, 1));
    assert_null(slots_find(&slots, SLOTS_NONE, 1));
    slots_give_back(&slots, item);
    assert_null(slots_find(&slots, 0, 1));
    assert_null(slots_find(&slots, 0, 2)); /* nobody lives there now */
    assert_ptr_equal(slots_take(&slots), item);
    assert_null(slots_find(&slots, 0, 1));
    assert_ptr_equal(slots_find(&slots, 0, 2), item);
    slots_close(&slots);
}

static void test_generation_skips_zero(void **state)
{
    struct slots slots;
    (void)state;

    assert_int_equal(slots_open(&slots, 1, sizeof(struct item)), 0);
    struct item *item = slots_take(&slots);
    item->slot.generation = UINT32_MAX;
    slots_give_back(&slots, item);
    item = slots_take(&slots);
    assert_int_equal(item->slot.generation, 1);
    slots_close(&slots);
}

static uint64_t resident_pages(const void *memory, uint64_t size)
{
    static unsigned char pages[1 << 16];
    uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t count = (size + page_size - 1) / page_size;
    uint64_t resident = 0;

    assert_true(count <= sizeof(pages));
    assert_int_equal(mincore((void *)(uintptr_t)memory, size, pages), 0);
    for (uint64_t i = 0; i < count; i++)
        resident += pages[i] & 1;
    return resident;
}

static void test_untouched_slots_cost_no_memory(void **state)
{
    struct slots slots;
    uint64_t size = 65536 * 1024ull;
    (void)state;

    assert_int_equal(slots_open(&slots, 65536, 1024), 0);
    assert_int_equal(madvise(slots.memory, size, MADV_NOHUGEPAGE), 0);
    for (int i = 0; i < 4; i++)
        assert_non_null(slots_take(&slots));
    assert_in_range(resident_pages(slots.memory, size), 1, 2);
    slots_close(&slots);
}

static void test_absurd_size_is_an_error(void **state)
{
    struct slots slots;
    (void)state;
    assert_true(slots_open(&slots, 1u << 30, 1ull << 33) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_until_full),
        cmocka_unit_test(test_last_given_back_is_first_taken),
        cmocka_unit_test(test_a_new_life_is_zero_with_a_new_generation),
        cmocka_unit_test(test_find_wants_the_life),
        cmocka_unit_test(test_generation_skips_zero),
        cmocka_unit_test(test_untouched_slots_cost_no_memory),
        cmocka_unit_test(test_absurd_size_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
