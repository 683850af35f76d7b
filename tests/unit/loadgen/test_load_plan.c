#include "loadgen/load_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

static void test_workers_are_chosen_by_connections_and_cores(void **state)
{
    static const struct {
        uint64_t connections;
        uint32_t cores;
        uint32_t workers;
    } rows[] = {{1, 8, 1},   {63, 8, 1},    {64, 8, 1},    {127, 8, 1},   {128, 8, 2},
                {512, 8, 8}, {10000, 8, 8}, {10000, 1, 1}, {640, 64, 10}, {1000000, 4000, 256}};
    (void)state;

    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++)
        assert_int_equal(load_plan_choose_workers(rows[index].connections, rows[index].cores),
                         rows[index].workers);
}

static void test_shares_add_up(void **state)
{
    (void)state;
    for (uint64_t connections = 1; connections < 40; connections += 3)
        for (uint64_t messages = 1; messages < 200; messages += 7)
            for (uint32_t workers = 1; workers < 9; workers++) {
                struct load_plan plan =
                    load_plan_make(connections, messages, LOAD_PLAN_UNLIMITED, 1, workers);
                uint64_t connection_sum = 0;
                uint64_t message_sum = 0;
                for (uint32_t worker = 0; worker < plan.workers; worker++) {
                    struct load_share share = load_plan_share(&plan, worker);
                    assert_true(share.connections > 0);
                    assert_true(share.messages > 0);
                    connection_sum += share.connections;
                    message_sum += share.messages;
                }
                assert_int_equal(connection_sum, connections < messages ? connections : messages);
                assert_int_equal(message_sum, messages);
                assert_true(plan.workers <= workers);
            }
}

static void test_shares_differ_by_one_at_most(void **state)
{
    struct load_plan plan = load_plan_make(10, 23, 5, 1, 4);
    (void)state;

    assert_int_equal(plan.workers, 4);
    assert_int_equal(load_plan_share(&plan, 0).connections, 3);
    assert_int_equal(load_plan_share(&plan, 1).connections, 3);
    assert_int_equal(load_plan_share(&plan, 2).connections, 2);
    assert_int_equal(load_plan_share(&plan, 3).connections, 2);
    assert_int_equal(load_plan_share(&plan, 2).messages, 6);
    assert_int_equal(load_plan_share(&plan, 3).messages, 5);
    assert_int_equal(load_plan_share(&plan, 3).per_connection, 5);
}

static void test_sequences_are_unique_and_without_gaps(void **state)
{
    struct load_plan plan = load_plan_make(9, 100, LOAD_PLAN_UNLIMITED, LOAD_PLAN_UNLIMITED, 3);
    uint32_t seen[101] = {0};
    (void)state;

    for (uint32_t worker = 0; worker < 3; worker++) {
        struct load_share share = load_plan_share(&plan, worker);
        load_share_begin(&share, &plan, 1);
        while (load_share_may_start(&share, 2))
            seen[load_share_start(&share)]++;
    }
    assert_int_equal(seen[0], 0);
    for (uint32_t sequence = 1; sequence <= 100; sequence++)
        assert_int_equal(seen[sequence], 1);
}

static void test_nothing_starts_before_the_begin_or_after_the_end(void **state)
{
    struct load_plan plan = load_plan_make(1, LOAD_PLAN_UNLIMITED, 1, 1000, 1);
    struct load_share share = load_plan_share(&plan, 0);
    (void)state;

    assert_false(load_share_may_start(&share, 1));
    load_share_begin(&share, &plan, 500);
    assert_true(load_share_may_start(&share, 500));
    assert_true(load_share_may_start(&share, 1499));
    assert_false(load_share_may_start(&share, 1500));
    load_share_stop(&share);
    assert_false(load_share_may_start(&share, 600));
}

static void test_without_a_duration_the_count_decides(void **state)
{
    struct load_plan plan = load_plan_make(1, 2, 1, LOAD_PLAN_UNLIMITED, 1);
    struct load_share share = load_plan_share(&plan, 0);
    (void)state;

    load_share_begin(&share, &plan, UINT64_MAX / 2);
    assert_int_equal(load_share_start(&share), 1);
    assert_true(load_share_may_start(&share, UINT64_MAX - 1));
    assert_int_equal(load_share_start(&share), 2);
    assert_false(load_share_may_start(&share, UINT64_MAX / 2 + 1));
}

static void test_a_message_taken_back_starts_again(void **state)
{
    struct load_plan plan = load_plan_make(1, 1, 1, LOAD_PLAN_UNLIMITED, 1);
    struct load_share share = load_plan_share(&plan, 0);
    (void)state;

    load_share_begin(&share, &plan, 1);
    (void)load_share_start(&share);
    load_share_take_back(&share);
    assert_int_equal(share.started, 0);
    assert_true(load_share_may_start(&share, 2));
    load_share_start_again(&share);
    assert_int_equal(share.started, 1);
    assert_false(load_share_may_start(&share, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_are_chosen_by_connections_and_cores),
        cmocka_unit_test(test_shares_add_up),
        cmocka_unit_test(test_shares_differ_by_one_at_most),
        cmocka_unit_test(test_sequences_are_unique_and_without_gaps),
        cmocka_unit_test(test_nothing_starts_before_the_begin_or_after_the_end),
        cmocka_unit_test(test_without_a_duration_the_count_decides),
        cmocka_unit_test(test_a_message_taken_back_starts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
