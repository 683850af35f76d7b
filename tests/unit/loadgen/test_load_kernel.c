#include "loadgen/load_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[] = "/tmp/test_load_kernel.XXXXXX";

static void put(const char *name, const char *text)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_counters_are_found_by_name(void **state)
{
    struct load_kernel kernel;
    (void)state;

    put("snmp", "Ip: Forwarding OutSegs\nIp: 1 99\n"
                "Tcp: RtoAlgorithm MaxConn InSegs OutSegs RetransSegs\nTcp: 1 -1 10 20 3\n");
    put("netstat", "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 7 8\n");
    load_kernel_read(&kernel, directory);
    assert_true(kernel.is_known);
    assert_int_equal(kernel.segments, 20);
    assert_int_equal(kernel.retransmits, 3);
    assert_int_equal(kernel.listen_overflows, 7);
    put("netstat", "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 0 8\n");
    load_kernel_read(&kernel, directory);
    assert_false(kernel.is_known);
    put("netstat", "TcpExt: ListenOverflows\nTcpExt: 7x\n");
    load_kernel_read(&kernel, directory);
    assert_false(kernel.is_known);
    load_kernel_read(&kernel, "/absent");
    assert_false(kernel.is_known);
}

static void test_this_kernel_has_them(void **state)
{
    struct load_kernel before;
    struct load_kernel after;
    (void)state;

    load_kernel_read(&before, "/proc/net");
    load_kernel_read(&after, "/proc/net");
    assert_true(before.is_known);
    struct load_kernel since = load_kernel_since(&before, &after);
    assert_true(since.is_known);
    assert_true(since.segments <= after.segments);
    before.is_known = false;
    assert_false(load_kernel_since(&before, &after).is_known);
}

static int open_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int remove_directory(void **state)
{
    char path[64];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/snmp", directory);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/netstat", directory);
    (void)unlink(path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_are_found_by_name),
        cmocka_unit_test(test_this_kernel_has_them),
    };
    return cmocka_run_group_tests(tests, open_directory, remove_directory);
}
