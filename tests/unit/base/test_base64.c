#include "base/base64.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* RFC 4648 10. */
static const struct {
    const char *octets;
    const char *text;
} pairs[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff", "+/8="},
};

static void test_both_ways(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[16];
        uint8_t octets[16];
        uint64_t size = 99;
        struct bytes plain = bytes_from_text(pairs[i].octets);
        struct bytes encoded = bytes_from_text(pairs[i].text);
        assert_int_equal(base64_encoded_size(plain.size), encoded.size);
        base64_encode(plain, text);
        assert_memory_equal(text, encoded.data, encoded.size);
        assert_true(base64_decode(encoded, octets, &size));
        assert_int_equal(size, plain.size);
        assert_memory_equal(octets, plain.data, size);
    }
}

static void test_every_octet(void **state)
{
    uint8_t octets[256];
    uint8_t back[256];
    char text[344];
    uint64_t size;
    (void)state;
    for (int i = 0; i < 256; i++)
        octets[i] = (uint8_t)i;
    for (uint64_t length = 0; length <= 256; length++) {
        base64_encode(bytes_make(octets, length), text);
        struct bytes encoded = bytes_make(text, base64_encoded_size(length));
        assert_true(base64_decode(encoded, back, &size));
        assert_int_equal(size, length);
        assert_memory_equal(back, octets, length);
    }
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {
        "Z",     "Zg",   "Zg=",  "Zg==Zg==", "Z===",     "====", "=",    "Zm9v\n", " Zm9",
        "Zm9v ", "Zh==", "Zm9=", "Zm-v",     "Zm9vZm_v", "Zg=a", "Z=ga", "Zm9v*",  "Zm9v=",
    };
    uint8_t octets[16];
    uint64_t size;
    (void)state;
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(base64_decode(bytes_from_text(wrong[i]), octets, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_every_octet),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
