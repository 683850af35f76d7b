#include "server/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS    CLOCK_NS_PER_MS
#define S     CLOCK_NS_PER_S
#define START (1000 * S)

/* One connection that began at START; its timer is looked at in steps of a millisecond. */
struct client {
    struct deadline_rules rules;
    struct wheel wheel;
    struct deadline deadline;
    struct smtp_session session;
    uint64_t now_ns;
    bool is_request_due;
};

static void client_open(struct client *client, const struct deadline_rules *rules)
{
    *client = (struct client){.rules = *rules, .now_ns = START, .is_request_due = true};
    assert_int_equal(wheel_open(&client->wheel, 256, MS, START), 0);
    client->session.state = SMTP_IDLE;
    deadline_begin(&client->deadline, &client->rules, &client->wheel, START);
}

/* Runs until the verdict is not DEADLINE_KEPT; milliseconds since START, or UINT64_MAX at `end`. */
static uint64_t run(struct client *client, enum deadline_verdict expected, uint64_t end_ms)
{
    for (; client->now_ns <= START + end_ms * MS; client->now_ns += MS) {
        if (wheel_expire(&client->wheel, client->now_ns) == NULL) continue;
        enum deadline_verdict verdict =
            deadline_fired(&client->deadline, &client->rules, &client->wheel, &client->session,
                           client->is_request_due, client->now_ns);
        if (verdict == DEADLINE_KEPT) {
            assert_true(wheel_is_armed(&client->deadline.timer));
            continue;
        }
        assert_int_equal(verdict, expected);
        assert_false(wheel_is_armed(&client->deadline.timer));
        return (client->now_ns - START) / MS;
    }
    return UINT64_MAX;
}

static void client_close(struct client *client)
{
    wheel_disarm(&client->wheel, &client->deadline.timer);
    wheel_close(&client->wheel);
}

static const struct deadline_rules rules = {
    .idle_timeout_ns = 10 * S, .command_timeout_ns = 2 * S, .min_data_rate = 100};

static void silence(void **state)
{
    struct client client;
    (void)state;
    client_open(&client, &rules);
    assert_int_equal(run(&client, DEADLINE_IDLE, 9000), UINT64_MAX);
    deadline_touch(&client.deadline, client.now_ns); /* at 9001 ms */
    assert_in_range(run(&client, DEADLINE_IDLE, 30000), 19001, 19003);
    client_close(&client);
}

/* A command that began 1.5 s after the connection; nothing but the connection armed the timer. */
static void slow_command(void **state)
{
    struct client client;
    (void)state;
    client_open(&client, &rules);
    assert_int_equal(run(&client, DEADLINE_SLOW, 1500), UINT64_MAX);
    deadline_begin_request(&client.deadline, &client.rules, client.now_ns); /* at 1501 ms */
    client.session.stash_size = 4;
    assert_in_range(run(&client, DEADLINE_SLOW, 30000), 3501, 3503);
    client_close(&client);
}

/* What is held, or waits for us, is no fault of the client: its request has no end. */
static void request_that_is_not_due(void **state)
{
    struct client client;
    (void)state;
    client_open(&client, &rules);
    deadline_begin_request(&client.deadline, &client.rules, START);
    client.session.stash_size = 4;
    client.is_request_due = false;
    assert_in_range(run(&client, DEADLINE_IDLE, 30000), 10000, 10002);
    client_close(&client);
}

/* A handshake ends by its own timeout; the worker's stalls are not the client's. */
static void handshake(void **state)
{
    struct client client;
    struct deadline_rules with_handshake = rules;
    (void)state;
    with_handshake.handshake_timeout_ns = 1 * S;
    client_open(&client, &with_handshake);
    deadline_begin_handshake(&client.deadline, &client.rules, &client.wheel, START);
    assert_int_equal(client.deadline.timer.due_ns, START + 1 * S);
    assert_false(deadline_handshake_is_over(&client.deadline, &client.rules, &client.wheel,
                                            START + 999 * (S / 1000)));
    assert_int_equal(client.deadline.timer.due_ns, START + 1 * S);
    assert_true(
        deadline_handshake_is_over(&client.deadline, &client.rules, &client.wheel, START + 1 * S));
    deadline_stall(&client.rules, START + S / 2);
    deadline_end_stall(&client.rules, START + 2 * S);
    assert_false(
        deadline_handshake_is_over(&client.deadline, &client.rules, &client.wheel, START + 2 * S));
    assert_int_equal(client.deadline.timer.due_ns, START + 2 * S + S / 2);
    client_close(&client);
}

/* Content has the command timeout, and a second more for each 100 octets of it. */
static void content(void **state)
{
    static const struct {
        uint64_t rate;
        uint64_t stored;
        uint64_t drained;
        uint64_t slow_ms; /* UINT64_MAX: not before it is idle */
    } rows[] = {
        {100, 0, 0, 2000},  {100, 250, 0, 4500}, {100, 100, 150, 4500},
        {100, 99, 0, 2990}, {3, 10, 0, 5333},    {0, 0, 0, UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client client;
        struct deadline_rules with_rate = rules;
        with_rate.min_data_rate = rows[i].rate;
        client_open(&client, &with_rate);
        deadline_begin_request(&client.deadline, &client.rules, START);
        client.session.state = SMTP_IN_DATA;
        client.session.message_size = rows[i].stored;
        client.session.drained_size = (uint32_t)rows[i].drained;
        uint64_t ended_ms = run(&client, DEADLINE_SLOW, 9000);
        if (rows[i].slow_ms == UINT64_MAX)
            assert_int_equal(ended_ms, UINT64_MAX);
        else
            assert_in_range(ended_ms, rows[i].slow_ms, rows[i].slow_ms + 2);
        client_close(&client);
    }
}

/* Two stalls of 700 ms and 800 ms, the second of them in progress when the time would be over. */
static void time_stands_still_in_a_stall(void **state)
{
    struct client client;
    (void)state;
    client_open(&client, &rules);
    deadline_begin_request(&client.deadline, &client.rules, START);
    client.session.stash_size = 1;
    deadline_stall(&client.rules, START + 500 * MS);
    assert_int_equal(deadline_time_ms(&client.rules, START + 900 * MS),
                     deadline_time_ms(&client.rules, START + 600 * MS));
    deadline_end_stall(&client.rules, START + 1200 * MS);
    assert_int_equal(run(&client, DEADLINE_SLOW, 2600), UINT64_MAX);
    deadline_stall(&client.rules, START + 2600 * MS); /* 1900 ms of its own are used */
    assert_int_equal(run(&client, DEADLINE_SLOW, 3400), UINT64_MAX);
    deadline_end_stall(&client.rules, START + 3400 * MS);
    assert_in_range(run(&client, DEADLINE_SLOW, 30000), 3500, 3502);
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence),
        cmocka_unit_test(slow_command),
        cmocka_unit_test(request_that_is_not_due),
        cmocka_unit_test(handshake),
        cmocka_unit_test(content),
        cmocka_unit_test(time_stands_still_in_a_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
