#include "base/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int number;
    struct queue_link link;
};

static int pop_number(struct queue *queue)
{
    struct queue_link *link = queue_pop(queue);
    return link == NULL ? -1 : QUEUE_OWNER(link, struct item, link)->number;
}

static void test_first_in_first_out(void **state)
{
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct queue queue = {0};
    (void)state;

    assert_true(queue_is_empty(&queue));
    assert_int_equal(pop_number(&queue), -1);
    for (int i = 0; i < 3; i++)
        queue_push(&queue, &items[i].link);
    assert_false(queue_is_empty(&queue));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pop_number(&queue), i);
    assert_true(queue_is_empty(&queue));
}

static void test_push_front_goes_first_and_keeps_the_tail(void **state)
{
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct queue queue = {0};
    (void)state;

    queue_push_front(&queue, &items[0].link);
    queue_push(&queue, &items[1].link);
    queue_push_front(&queue, &items[2].link);
    assert_int_equal(pop_number(&queue), 2);
    assert_int_equal(pop_number(&queue), 0);
    assert_int_equal(pop_number(&queue), 1);
    assert_int_equal(pop_number(&queue), -1);
}

static void test_an_emptied_queue_takes_again(void **state)
{
    struct item item = {.number = 7};
    struct queue queue = {0};
    (void)state;

    for (int i = 0; i < 3; i++) {
        queue_push(&queue, &item.link);
        assert_int_equal(pop_number(&queue), 7);
        assert_null(item.link.next);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_push_front_goes_first_and_keeps_the_tail),
        cmocka_unit_test(test_an_emptied_queue_takes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
