#include "ring/net_unix.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char home[32];
    char path[64];
    struct net_address address;
};

static int open_fixture(void **state)
{
    static struct fixture fixture;
    char text[80];
    char error[NET_ERROR_MAX];
    (void)snprintf(fixture.home, sizeof fixture.home, "/tmp/net-unix-XXXXXX");
    if (mkdtemp(fixture.home) == NULL) return -1;
    (void)snprintf(fixture.path, sizeof fixture.path, "%s/socket", fixture.home);
    (void)snprintf(text, sizeof text, "unix:%s", fixture.path);
    if (!net_unix_parse(text, &fixture.address, error)) return -1;
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    const struct fixture *fixture = *state;
    (void)unlink(fixture->path);
    return rmdir(fixture->home);
}

static void paths_have_a_limit(void **state)
{
    char text[5 + NET_UNIX_PATH_MAX + 2] = "unix:";
    char formatted[NET_TEXT_MAX];
    char error[NET_ERROR_MAX] = "";
    struct net_address address;
    (void)state;
    memset(text + 5, 'x', NET_UNIX_PATH_MAX + 1);
    assert_false(net_unix_parse(text, &address, error));
    assert_non_null(strstr(error, "107"));
    assert_non_null(strstr(error, "108"));
    text[5 + NET_UNIX_PATH_MAX] = '\0';
    assert_true(net_unix_parse(text, &address, error));
    assert_string_equal(net_format(formatted, &address), text); /* whole */
    assert_false(net_unix_parse("unix:", &address, error));
}

static void a_free_path_is_bound_and_removed(void **state)
{
    const struct fixture *fixture = *state;
    assert_int_equal(net_unix_check_free(&fixture->address), 0);
    assert_int_equal(net_unix_inode(&fixture->address), 0);
    int file = net_unix_bind(&fixture->address);
    assert_true(file >= 0);
    uint64_t inode = net_unix_inode(&fixture->address);
    assert_true(inode != 0);
    assert_int_equal(net_unix_remove(&fixture->address, inode + 1), 0); /* another one's: stays */
    assert_int_equal(net_unix_inode(&fixture->address), inode);
    assert_int_equal(net_unix_remove(&fixture->address, inode), 0);
    assert_int_equal(net_unix_inode(&fixture->address), 0);
    assert_int_equal(net_unix_remove(&fixture->address, inode), 0);
    close(file);
}

static void a_served_socket_is_in_use(void **state)
{
    const struct fixture *fixture = *state;
    int file = net_unix_bind(&fixture->address);
    assert_int_equal(listen(file, 0), 0);
    uint64_t inode = net_unix_inode(&fixture->address);
    /* Each asks by a connect that nobody accepts: soon the backlog is full, which is no freedom. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(net_unix_check_free(&fixture->address), -EADDRINUSE);
    assert_int_equal(net_unix_bind(&fixture->address), -EADDRINUSE);
    assert_int_equal(net_unix_inode(&fixture->address), inode);
    close(file);
}

static void a_stale_file_is_replaced(void **state)
{
    const struct fixture *fixture = *state;
    int file = net_unix_bind(&fixture->address);
    assert_int_equal(listen(file, 1), 0);
    close(file);
    assert_int_equal(net_unix_check_free(&fixture->address), 0);
    file = net_unix_bind(&fixture->address);
    assert_true(file >= 0);
    close(file);
}

static void what_is_no_socket_is_not_touched(void **state)
{
    const struct fixture *fixture = *state;
    struct stat status;
    FILE *file = fopen(fixture->path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(net_unix_check_free(&fixture->address), -ENOTSOCK);
    assert_int_equal(net_unix_bind(&fixture->address), -ENOTSOCK);
    assert_int_equal(lstat(fixture->path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    /* Nor is a socket of another kind that somebody reads from. */
    assert_int_equal(unlink(fixture->path), 0);
    int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(datagram, (const void *)&fixture->address.storage, fixture->address.size),
                     0);
    assert_int_equal(net_unix_bind(&fixture->address), -EADDRINUSE);
    close(datagram);
}

/* Two workers may be after one client: who comes late must not hang. */
static void an_accept_gives_up(void **state)
{
    const struct fixture *fixture = *state;
    int file = net_unix_bind(&fixture->address);
    assert_int_equal(listen(file, 1), 0);
    assert_int_equal(accept(file, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    close(file);
}

static void the_peer_is_named(void **state)
{
    int pair[2];
    char text[NET_TEXT_MAX];
    char expected[NET_TEXT_MAX];
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    (void)snprintf(expected, sizeof expected, "unix:pid=%d,uid=%u", getpid(), getuid());
    assert_true(net_format_peer(text, pair[0]));
    assert_string_equal(text, expected);
    close(pair[0]);
    close(pair[1]);
}

#define NET_UNIX_TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_have_a_limit),
        NET_UNIX_TEST(a_free_path_is_bound_and_removed),
        NET_UNIX_TEST(a_served_socket_is_in_use),
        NET_UNIX_TEST(a_stale_file_is_replaced),
        NET_UNIX_TEST(what_is_no_socket_is_not_touched),
        NET_UNIX_TEST(an_accept_gives_up),
        cmocka_unit_test(the_peer_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
