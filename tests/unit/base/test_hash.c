#include "base/hash.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <xxhash.h>

#define SIZE_MAX_HERE 70000

static uint8_t *octets;

/* The end of the octets is the end of an allocation: the sanitizer sees who looks behind it. */
static const uint8_t *last(uint64_t size)
{
    return octets + SIZE_MAX_HERE - size;
}

/* The library's plain entry point is not what hash.c calls. */
static void test_is_the_plain_one(void **state)
{
    (void)state;
    for (uint64_t size = 0; size < 5000; size++)
        assert_int_equal(hash_octets(last(size), size), XXH3_64bits(last(size), size));
    for (uint64_t size = 5000; size <= SIZE_MAX_HERE; size += 97)
        assert_int_equal(hash_octets(last(size), size), XXH3_64bits(last(size), size));
}

static void test_parts_are_the_same(void **state)
{
    struct hash hash;
    struct random random;
    (void)state;
    random_init(&random, 3, 0);
    assert_int_equal(hash_open(&hash), 0);
    for (uint32_t run = 0; run < 20000; run++) {
        uint64_t size = random_below(&random, run % 2 == 0 ? 3000 : SIZE_MAX_HERE + 1);
        const uint8_t *next = last(size);
        hash_begin(&hash);
        for (uint64_t left = size, part; left > 0; left -= part, next += part) {
            part = 1 + random_below(&random, left);
            hash_take(&hash, next, part);
        }
        assert_int_equal(hash_end(&hash), XXH3_64bits(last(size), size));
    }
    hash_close(&hash);
    assert_null(hash.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_the_plain_one),
        cmocka_unit_test(test_parts_are_the_same),
    };
    struct random random;
    octets = malloc(SIZE_MAX_HERE);
    if (octets == NULL) return 1;
    random_init(&random, 1, 0);
    for (uint64_t i = 0; i < SIZE_MAX_HERE; i++)
        octets[i] = (uint8_t)random_below(&random, 256);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(octets);
    return failed;
}
