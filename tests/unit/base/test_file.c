#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_all_of_it_or_why_not(void **state)
{
    char path[] = "/tmp/ringsink-file-XXXXXX";
    uint64_t size = 0;
    int file = mkstemp(path);

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(write(file, "a\0b\n", 4), 4);
    uint8_t *octets = file_read(path, 4, &size);
    assert_non_null(octets);
    assert_int_equal(size, 4);
    assert_memory_equal(octets, "a\0b\n", 4);
    free(octets);
    assert_null(file_read(path, 3, &size));
    assert_int_equal(errno, EFBIG);
    assert_null(file_read("/tmp", 100, &size));
    assert_int_equal(errno, EINVAL);
    (void)close(file);
    (void)unlink(path);
    assert_null(file_read(path, 100, &size));
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_of_it_or_why_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
