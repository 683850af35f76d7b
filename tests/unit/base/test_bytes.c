#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static void test_take_splits_the_view(void **state)
{
    struct bytes view = BYTES("head-tail");
    (void)state;
    assert_true(bytes_equal(bytes_take(&view, 5), BYTES("head-")));
    assert_true(bytes_equal(view, BYTES("tail")));
    assert_true(bytes_equal(bytes_take(&view, 4), BYTES("tail")));
    assert_int_equal(view.size, 0);
    assert_int_equal(bytes_take(&view, 0).size, 0);
}

static void test_equality(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool is_equal;
        bool is_equal_ignoring_case;
    } rows[] = {
        {"", "", true, true},      {"a", "a", true, true},         {"a", "A", false, true},
        {"a", "b", false, false},  {"a", "", false, false},        {"EHLO", "ehlO", false, true},
        {"@", "`", false, false},  {"[", "{", false, false},       {"Z", "z", false, true},
        {"ab", "a", false, false}, {"\xc4", "\xe4", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes a = bytes_from_text(rows[i].a);
        struct bytes b = bytes_from_text(rows[i].b);
        assert_int_equal(bytes_equal(a, b), rows[i].is_equal);
        assert_int_equal(bytes_equal_ignoring_case(a, b), rows[i].is_equal_ignoring_case);
    }
    assert_true(bytes_equal(bytes_make(NULL, 0), BYTES("")));
}

static void test_start_with(void **state)
{
    (void)state;
    assert_true(bytes_start_with(BYTES("abc"), BYTES("")));
    assert_true(bytes_start_with(BYTES("abc"), BYTES("ab")));
    assert_true(bytes_start_with(BYTES("abc"), BYTES("abc")));
    assert_false(bytes_start_with(BYTES("abc"), BYTES("abcd")));
    assert_false(bytes_start_with(BYTES("abc"), BYTES("b")));
    assert_true(bytes_start_with(bytes_make(NULL, 0), BYTES("")));
}

static void test_find(void **state)
{
    (void)state;
    assert_int_equal(bytes_find(BYTES("a:b:c"), ':'), 1);
    assert_int_equal(bytes_find(BYTES("abc"), ':'), 3);
    assert_int_equal(bytes_find(BYTES("\0:"), ':'), 1);
    assert_int_equal(bytes_find(bytes_make(NULL, 0), ':'), 0);
}

static void test_to_number(void **state)
{
    static const struct {
        const char *text;
        bool is_number;
        uint64_t number;
    } rows[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"00000000000000000042", true, 42},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"000000000000000000001", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1a", false, 0},
        {"/", false, 0},
        {":", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t number = 0;
        assert_int_equal(bytes_to_number(bytes_from_text(rows[i].text), &number),
                         rows[i].is_number);
        assert_int_equal(number, rows[i].number);
    }
}

static void test_to_number_hex(void **state)
{
    static const struct {
        const char *text;
        bool is_number;
        uint64_t number;
    } rows[] = {
        {"0", true, 0},
        {"ff", true, 255},
        {"FF", true, 255},
        {"0123456789abcdef", true, 0x0123456789abcdef},
        {"ABCDEF", true, 0xabcdef},
        {"ffffffffffffffff", true, UINT64_MAX},
        {"00000000000000000", false, 0},
        {"", false, 0},
        {"g", false, 0},
        {"0x1", false, 0},
        {"@", false, 0},
        {"`", false, 0},
        {"G", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t number = 0;
        assert_int_equal(bytes_to_number_hex(bytes_from_text(rows[i].text), &number),
                         rows[i].is_number);
        assert_int_equal(number, rows[i].number);
    }
}

static void assert_put_as_printf(uint64_t number)
{
    uint8_t out[20];
    char expected[32];
    int size = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)number);
    assert_int_equal(bytes_put_number(out, number), size);
    assert_memory_equal(out, expected, (size_t)size);
}

static void test_put_number_is_what_printf_writes(void **state)
{
    (void)state;
    uint64_t power = 1;
    for (uint32_t digits = 1; digits <= 20; digits++, power *= 10) {
        assert_put_as_printf(power - 1);
        assert_put_as_printf(power);
        assert_put_as_printf(power + power / 7);
    }
    for (uint64_t number = 0; number < 2000; number++)
        assert_put_as_printf(number);
    assert_put_as_printf(12345678901234567890ull);
    assert_put_as_printf(UINT64_MAX);
}

static void test_put_hex(void **state)
{
    uint8_t out[17] = {[16] = '!'};
    (void)state;
    bytes_put_hex(out, 0x0123456789abcdefull);
    assert_memory_equal(out, "0123456789abcdef!", 17);
    bytes_put_hex(out, 0xf);
    assert_memory_equal(out, "000000000000000f!", 17);
}

static void test_escape(void **state)
{
    const struct {
        struct bytes view;
        uint64_t capacity;
        const char *text;
    } rows[] = {
        {BYTES(""), 4, ""},
        {BYTES("abc"), 4, "abc"},
        {BYTES("abcd"), 5, "abcd"},
        {BYTES("abcd"), 4, "..."},
        {BYTES("abcde"), 5, "a..."},
        {BYTES("a\r\nb"), 64, "a\\x0d\\x0ab"},
        {BYTES("\0\x1b\x7f\xff"), 64, "\\x00\\x1b\\x7f\\xff"},
        {BYTES("back\\slash"), 64, "back\\\\slash"},
        {BYTES(" ~"), 64, " ~"},
        {BYTES("\n"), 5, "\\x0a"},
        {BYTES("\n"), 4, "..."},
        {BYTES("ab\n"), 6, "ab..."},
        {BYTES("ab\n"), 7, "ab\\x0a"},
        {BYTES("a\nbcdef"), 9, "a\\x0a..."},
        {BYTES("a\nbcdef"), 8, "a..."},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[65];
        memset(out, '#', sizeof(out));
        bytes_escape(rows[i].view, out, rows[i].capacity);
        assert_string_equal(out, rows[i].text);
        assert_int_equal(out[rows[i].capacity], '#');
    }
}

/* Whatever the room, the text ends in time and never splits an escape. */
static void test_escape_at_every_capacity(void **state)
{
    struct bytes view = BYTES("x\n\\y\xff z\r\n");
    (void)state;
    for (uint64_t capacity = 4; capacity < 48; capacity++) {
        char whole[64];
        char out[64];
        memset(out, '#', sizeof(out));
        bytes_escape(view, whole, sizeof(whole));
        bytes_escape(view, out, capacity);
        uint64_t size = strlen(out);
        assert_true(size < capacity);
        assert_int_equal(out[capacity], '#');
        if (strlen(whole) < capacity) {
            assert_string_equal(out, whole);
            continue;
        }
        assert_string_equal(out + size - 3, "...");
        assert_memory_equal(out, whole, size - 3);
        assert_true(strchr("x\\y\xff z", whole[size - 3]) != NULL); /* a unit starts here */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_splits_the_view),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_start_with),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_to_number),
        cmocka_unit_test(test_to_number_hex),
        cmocka_unit_test(test_put_number_is_what_printf_writes),
        cmocka_unit_test(test_put_hex),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_at_every_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
