#include "ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_NS     2000000000ull
#define BUFFERS     4
#define BUFFER_SIZE 64

struct fixture {
    struct ring *ring;
    int ours;
    int peer;
};

static int open_fixture(void **state)
{
    static struct fixture fixture;
    struct ring_options options = {
        .submissions = 8, .completions = 64, .buffer_count = BUFFERS, .buffer_size = BUFFER_SIZE};
    int error = 0;
    int pair[2];
    fixture.ring = ring_open(&options, &error);
    if (fixture.ring == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return -1;
    fixture.ours = pair[0];
    fixture.peer = pair[1];
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    ring_close(fixture->ring);
    if (fixture->ours >= 0) close(fixture->ours);
    close(fixture->peer);
    return 0;
}

static struct ring_token token(enum ring_op op)
{
    return (struct ring_token){op, 7, 3};
}

/* The next completion, entering the ring until there is one. */
static struct ring_completion await(struct ring *ring)
{
    struct ring_completion completion = {0};
    for (int tries = 0; tries < 10; tries++) {
        if (ring_next(ring, &completion)) return completion;
        assert_int_equal(ring_enter(ring, LONG_NS), 0);
    }
    fail_msg("no completion came");
    return completion;
}

static void receive_goes_on_and_ends(void **state)
{
    struct fixture *fixture = *state;
    ring_receive(fixture->ring, fixture->ours, token(RING_OP_RECEIVE), false);
    for (int round = 0; round < 3 * BUFFERS; round++) {
        assert_int_equal(write(fixture->peer, "hello", 5), 5);
        struct ring_completion completion = await(fixture->ring);
        assert_int_equal(completion.token.op, RING_OP_RECEIVE);
        assert_int_equal(completion.token.slot, 7);
        assert_int_equal(completion.token.generation, 3);
        assert_true(completion.has_buffer);
        assert_false(completion.is_last);
        assert_int_equal(completion.data.size, 5);
        assert_memory_equal(completion.data.data, "hello", 5);
        assert_int_equal(ring_buffers_out(fixture->ring), 1);
        ring_give_back(fixture->ring, completion.buffer);
    }
    assert_int_equal(ring_buffers_out(fixture->ring), 0);
    shutdown(fixture->peer, SHUT_WR);
    struct ring_completion end = await(fixture->ring);
    assert_int_equal(end.result, 0);
    assert_true(end.is_last);
    assert_false(end.has_buffer);
}

static void buffers_run_out_and_come_back(void **state)
{
    struct fixture *fixture = *state;
    uint8_t data[BUFFERS * BUFFER_SIZE + 10];
    uint16_t out[BUFFERS];
    memset(data, 'x', sizeof data);
    ring_receive(fixture->ring, fixture->ours, token(RING_OP_RECEIVE), false);
    assert_int_equal(write(fixture->peer, data, sizeof data), sizeof data);
    uint64_t received = 0;
    uint32_t count = 0;
    struct ring_completion completion = await(fixture->ring);
    while (completion.result != -ENOBUFS) {
        assert_true(completion.has_buffer);
        assert_true(count < BUFFERS);
        out[count++] = completion.buffer;
        received += completion.data.size;
        completion = await(fixture->ring);
    }
    assert_true(completion.is_last);
    assert_int_equal(count, BUFFERS);
    assert_int_equal(received, BUFFERS * BUFFER_SIZE);
    assert_int_equal(ring_counts(fixture->ring).no_buffers, 1);
    for (uint32_t i = 0; i < count; i++)
        ring_give_back(fixture->ring, out[i]);
    ring_receive(fixture->ring, fixture->ours, token(RING_OP_RECEIVE), false);
    completion = await(fixture->ring);
    assert_int_equal(completion.data.size, 10);
    ring_give_back(fixture->ring, completion.buffer);
}

static void send_and_cancel(void **state)
{
    struct fixture *fixture = *state;
    char read_back[8];
    ring_send(fixture->ring, fixture->ours, BYTES("250 Ok\r\n"), token(RING_OP_SEND));
    struct ring_completion sent = await(fixture->ring);
    assert_int_equal(sent.token.op, RING_OP_SEND);
    assert_int_equal(sent.result, 8);
    assert_int_equal(read(fixture->peer, read_back, sizeof read_back), 8);
    assert_memory_equal(read_back, "250 Ok\r\n", 8);

    ring_receive(fixture->ring, fixture->ours, token(RING_OP_RECEIVE), false);
    ring_cancel(fixture->ring, token(RING_OP_RECEIVE), token(RING_OP_CANCEL));
    bool saw_end = false;
    bool saw_cancel = false;
    while (!saw_end || !saw_cancel) {
        struct ring_completion completion = await(fixture->ring);
        if (completion.token.op == RING_OP_RECEIVE) {
            assert_int_equal(completion.result, -ECANCELED);
            saw_end = completion.is_last;
        } else {
            assert_int_equal(completion.token.op, RING_OP_CANCEL);
            saw_cancel = true;
        }
    }
}

static void more_submits_than_entries(void **state)
{
    struct fixture *fixture = *state;
    char read_back[64];
    for (int i = 0; i < 32; i++)
        ring_send(fixture->ring, fixture->ours, BYTES("x"), token(RING_OP_SEND));
    for (int i = 0; i < 32; i++)
        assert_int_equal(await(fixture->ring).result, 1);
    assert_int_equal(read(fixture->peer, read_back, sizeof read_back), 32);
}

static void waiting_ends_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct ring_completion completion;
    assert_int_equal(ring_enter(fixture->ring, 1000000), 0);
    assert_false(ring_next(fixture->ring, &completion));
}

static void eventfd_wakes(void **state)
{
    struct fixture *fixture = *state;
    uint64_t value = 0;
    int wake = eventfd(0, 0);
    ring_read(fixture->ring, wake, &value, sizeof value, token(RING_OP_READ));
    assert_int_equal(eventfd_write(wake, 5), 0);
    struct ring_completion completion = await(fixture->ring);
    assert_int_equal(completion.result, sizeof value);
    assert_int_equal(value, 5);
    close(wake);
}

/* One accept takes one client, is told whether more come, and can be cancelled while it waits. */
static void accept_once(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX}; /* the kernel chooses a name */
    socklen_t size = sizeof name;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (void *)&name, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (void *)&name, &size), 0);
    int clients[2];
    for (int i = 0; i < 2; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(clients[i], (void *)&name, size), 0);
    }
    for (int i = 0; i < 2; i++) {
        ring_accept_once(fixture->ring, listener, token(RING_OP_ACCEPT));
        struct ring_completion completion = await(fixture->ring);
        assert_true(completion.result >= 0);
        assert_true(completion.is_last);
        assert_int_equal(fcntl(completion.result, F_GETFD), FD_CLOEXEC);
        close(completion.result);
    }
    ring_accept_once(fixture->ring, listener, token(RING_OP_ACCEPT));
    ring_cancel(fixture->ring, token(RING_OP_ACCEPT), token(RING_OP_CANCEL));
    for (int i = 0; i < 2; i++) {
        struct ring_completion completion = await(fixture->ring);
        if (completion.token.op == RING_OP_ACCEPT) assert_int_equal(completion.result, -ECANCELED);
    }
    close(clients[0]);
    close(clients[1]);
    close(listener);
}

static void closing_a_socket(void **state)
{
    struct fixture *fixture = *state;
    char octet;
    ring_close_socket(fixture->ring, fixture->ours, token(RING_OP_CLOSE));
    assert_int_equal(await(fixture->ring).result, 0);
    fixture->ours = -1;
    assert_int_equal(read(fixture->peer, &octet, 1), 0);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(receive_goes_on_and_ends), RING_TEST(buffers_run_out_and_come_back),
        RING_TEST(send_and_cancel),          RING_TEST(more_submits_than_entries),
        RING_TEST(waiting_ends_in_time),     RING_TEST(eventfd_wakes),
        RING_TEST(closing_a_socket),         RING_TEST(accept_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
