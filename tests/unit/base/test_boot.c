#include "base/boot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static void test_id_goes_and_comes_back(void **state)
{
    static const struct boot_id id = {0x0123456789abcdefull, 0xfedcba9876543210ull};
    uint8_t text[BOOT_ID_DIGITS];
    struct boot_id read = {0, 0};
    (void)state;

    boot_id_put(text, id);
    assert_memory_equal(text, "0123456789abcdeffedcba9876543210", BOOT_ID_DIGITS);
    assert_true(boot_id_parse(bytes_make(text, BOOT_ID_DIGITS), &read));
    assert_true(boot_id_equal(read, id));
    read = (struct boot_id){0, 0};
    assert_true(boot_id_parse(BYTES("01234567-89ab-cdef-fedc-ba9876543210"), &read));
    assert_true(boot_id_equal(read, id));
}

static void test_what_is_no_id(void **state)
{
    struct boot_id id;
    (void)state;
    assert_false(boot_id_parse(BYTES(""), &id));
    assert_false(boot_id_parse(BYTES("0123456789abcdeffedcba987654321"), &id));
    assert_false(boot_id_parse(BYTES("0123456789abcdeffedcba98765432100"), &id));
    assert_false(boot_id_parse(BYTES("0123456789abcdeffedcba987654321g"), &id));
    assert_false(boot_id_parse(BYTES("0123456789abcdeg-fedcba9876543210"), &id));
}

static void test_unknown_equals_none(void **state)
{
    static const struct boot_id unknown = {0, 0};
    (void)state;
    assert_false(boot_id_equal(unknown, unknown));
    assert_false(boot_id_equal((struct boot_id){1, 2}, (struct boot_id){1, 3}));
    assert_false(boot_id_equal((struct boot_id){1, 2}, (struct boot_id){3, 2}));
    assert_true(boot_id_equal((struct boot_id){0, 2}, (struct boot_id){0, 2}));
}

static void test_this_machine_has_one(void **state)
{
    char text[64] = {0};
    struct boot_id id = {0, 0};
    (void)state;

    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    assert_non_null(file);
    assert_non_null(fgets(text, 37, file));
    assert_int_equal(fclose(file), 0);
    assert_true(boot_id_parse(bytes_from_text(text), &id));
    assert_true(boot_id_equal(boot_id_read(), id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id_goes_and_comes_back),
        cmocka_unit_test(test_what_is_no_id),
        cmocka_unit_test(test_unknown_equals_none),
        cmocka_unit_test(test_this_machine_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
