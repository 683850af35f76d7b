#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)

struct sizes {
    uint64_t free_bytes;
    uint64_t used_bytes;
    uint64_t threads;
    uint64_t spool_size; /* given, or 0 */
    uint64_t expected_spool;
    uint64_t expected_segment;
    uint64_t expected_limit;
};

static void sizes_follow_the_space(void **state)
{
    static const struct sizes cases[] = {
        /* half the free space, at most 16 GiB; spool / (8 x workers), 1 to 64 MiB; at most spool /
           4 */
        {100 * GIB, 0, 2, 0, 16 * GIB, 64 * MIB, 50 * MIB},
        {2 * GIB, 0, 2, 0, 1 * GIB, 64 * MIB, 50 * MIB},
        {1 * GIB, 1 * GIB, 2, 0, 1 * GIB, 64 * MIB, 50 * MIB},
        {100 * GIB, 0, 2, 64 * MIB, 64 * MIB, 4 * MIB, 16 * MIB},
        {100 * GIB, 0, 1, 8 * MIB, 8 * MIB, 1 * MIB, 2 * MIB},
        {100 * GIB, 0, 64, 1 * GIB, 1 * GIB, 2 * MIB, 50 * MIB},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config = {.durability = CONFIG_PAGE,
                                .threads = cases[i].threads,
                                .spool_size = cases[i].spool_size};
        config_settle_sizes(&config, cases[i].free_bytes, cases[i].used_bytes);
        assert_int_equal(config.spool_size, cases[i].expected_spool);
        assert_int_equal(config.segment_size, cases[i].expected_segment);
        assert_int_equal(config.size_limit, cases[i].expected_limit);
    }
}

/* The exit status of settling the sizes in a child. */
static int status_of(struct config config)
{
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        config_settle_sizes(&config, 100 * GIB, 0);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of((struct config){.threads = 4, .spool_size = 11 * MIB}), 2);
    assert_int_equal(status_of((struct config){.threads = 4, .spool_size = 12 * MIB}), 0);
    assert_int_equal(status_of((struct config){.durability = CONFIG_PAGE,
                                               .threads = 1,
                                               .spool_size = 64 * MIB,
                                               .size_limit = 17 * MIB}),
                     2);
    assert_int_equal(status_of((struct config){.durability = CONFIG_DISCARD,
                                               .threads = 1,
                                               .spool_size = 64 * MIB,
                                               .size_limit = 17 * MIB}),
                     0);
}

static void every_worker_has_a_cpu(void **state)
{
    struct config config;
    char program[] = "ringsink";
    char threads[] = "-t7";
    char quiet[] = "-q";
    char address[] = "127.0.0.1:2525";
    char *arguments[] = {program, threads, quiet, address, NULL};
    (void)state;
    config_load(&config, 4, arguments);
    assert_int_equal(config.threads, 7);
    assert_int_equal(config.listen_count, 1);
    assert_false(config.listens[0].is_default);
    assert_true(config.max_connections > 0);
    assert_true(strlen(config.hostname) > 0);
    for (int worker = 0; worker < 7; worker++)
        assert_true(config.cpus[worker] >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_space),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(every_worker_has_a_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
