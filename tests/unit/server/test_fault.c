#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/fault.h"

#include <sys/mman.h>
#include <unistd.h>

#define PAGE SPOOL_PAGE_SIZE

/* A range that is read, of a file that is cut short underneath: zeros for what is gone, and a
 * count. */
static void reading_what_is_gone(void **state)
{
    (void)state;
    int file = memfd_create("segment", 0);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, 4 * PAGE), 0);
    assert_int_equal(pwrite(file, "abcd", 4, PAGE - 4), 4);
    const volatile uint8_t *base = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    assert_true(base != MAP_FAILED);
    assert_int_equal(ftruncate(file, PAGE), 0);
    fault_install();
    assert_int_equal(fault_watch_reading((const uint8_t *)(uintptr_t)base, 4 * PAGE), 0);
    assert_int_equal(base[PAGE - 1], 'd');
    assert_int_equal(base[PAGE + 7], 0);
    assert_int_equal(base[2 * PAGE - 1], 0);
    assert_int_equal(base[4 * PAGE - 1], 0);
    assert_int_equal(fault_watch_reading(NULL, 0), 2);
    assert_int_equal(fault_watch_reading(NULL, 0), 0);
    assert_int_equal(fault_count(), 0); /* no message suffered */
    (void)munmap((void *)(uintptr_t)base, 4 * PAGE);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reading_what_is_gone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
