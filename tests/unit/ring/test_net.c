#include "ring/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct good {
    const char *text;
    uint16_t default_port;
    int family;
    const char *expected;
};

static void addresses_are_read(void **state)
{
    static const struct good goods[] = {
        {"127.0.0.1:2525", 0, AF_UNSPEC, "127.0.0.1:2525"},
        {"inet:127.0.0.1:2525", 0, AF_UNSPEC, "127.0.0.1:2525"},
        {"127.0.0.1", 25, AF_UNSPEC, "127.0.0.1:25"},
        {"[::1]:2525", 0, AF_UNSPEC, "[::1]:2525"},
        {"[::1]", 25, AF_UNSPEC, "[::1]:25"},
        {"::1", 25, AF_UNSPEC, "[::1]:25"},
        {":2525", 0, AF_INET, "0.0.0.0:2525"},
        {"2525", 0, AF_INET, "0.0.0.0:2525"},
        {":2525", 0, AF_INET6, "[::]:2525"},
        {"127.255.0.9:65535", 0, AF_INET, "127.255.0.9:65535"},
        {"unix:/tmp/sink.sock", 25, AF_INET6, "unix:/tmp/sink.sock"},
        {"unix:127.0.0.1:25", 0, AF_UNSPEC, "unix:127.0.0.1:25"},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        struct net_address found[4];
        char error[NET_ERROR_MAX] = "";
        char text[NET_TEXT_MAX];
        assert_true(net_resolve(goods[i].text, goods[i].default_port, goods[i].family, found, 4,
                                error) >= 1);
        assert_string_equal(net_format(text, &found[0]), goods[i].expected);
    }
}

static void nonsense_gets_a_sentence(void **state)
{
    static const char *const bads[] = {"",       "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:smtp",
                                       "[::1",   "[::1]2525",   "127.0.0.1:-1",    "256.1.1.1:25",
                                       "a b:25", "unix:"};
    (void)state;
    for (unsigned i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct net_address found[4];
        char error[NET_ERROR_MAX] = "";
        assert_int_equal(net_resolve(bads[i], 0, AF_UNSPEC, found, 4, error), 0);
        assert_true(strlen(error) > 10);
    }
}

static void loopback_is_known(void **state)
{
    static const struct good cases[] = {
        {"127.0.0.1:1", 0, AF_INET, "yes"}, {"127.9.9.9:1", 0, AF_INET, "yes"},
        {"128.0.0.1:1", 0, AF_INET, "no"},  {"[::1]:1", 0, AF_INET6, "yes"},
        {"[::2]:1", 0, AF_INET6, "no"},     {"unix:sink", 0, AF_UNSPEC, "yes"},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_address found;
        char error[NET_ERROR_MAX];
        assert_int_equal(net_resolve(cases[i].text, 0, cases[i].family, &found, 1, error), 1);
        assert_int_equal(net_is_loopback(&found), strcmp(cases[i].expected, "yes") == 0);
    }
}

static void the_same_is_known(void **state)
{
    static const char *const texts[] = {"127.0.0.1:25", "127.0.0.1:26", "127.0.0.2:25",
                                        "[::1]:25",     "unix:25",      "unix:26"};
    struct net_address found[2];
    char error[NET_ERROR_MAX];
    (void)state;
    for (unsigned i = 0; i < 36; i++) {
        assert_int_equal(net_resolve(texts[i / 6], 0, AF_UNSPEC, &found[0], 1, error), 1);
        assert_int_equal(net_resolve(texts[i % 6], 0, AF_UNSPEC, &found[1], 1, error), 1);
        assert_int_equal(net_is_same(&found[0], &found[1]), i / 6 == i % 6);
    }
}

static void ports_are_told(void **state)
{
    static const char *const texts[] = {"127.0.0.1:25", "[::1]:25", "unix:25"};
    static const uint16_t ports[] = {25, 25, 0};
    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct net_address found;
        char error[NET_ERROR_MAX];
        assert_int_equal(net_resolve(texts[i], 0, AF_UNSPEC, &found, 1, error), 1);
        assert_int_equal(net_port(&found), ports[i]);
        assert_int_equal(net_is_unix(&found), ports[i] == 0);
    }
}

/* The other end of a TCP socket, and a socket that has none. */
static void peers_are_told(void **state)
{
    struct net_address any;
    char error[NET_ERROR_MAX];
    char text[NET_TEXT_MAX];
    char expected[NET_TEXT_MAX];
    (void)state;
    assert_int_equal(net_resolve("127.0.0.1:1", 0, AF_INET, &any, 1, error), 1);
    memset((char *)&any.storage + 2, 0, 2);
    int listener = net_listen(&any, 1);
    assert_true(listener >= 0);
    struct net_address bound = {.size = sizeof bound.storage};
    assert_int_equal(getsockname(listener, (void *)&bound.storage, &bound.size), 0);
    int client = net_socket(&bound);
    assert_int_equal(connect(client, (void *)&bound.storage, bound.size), 0);
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    assert_true(net_format_peer(text, client));
    assert_string_equal(text, net_format(expected, &bound));
    assert_false(net_format_peer(text, listener));
    assert_false(net_has_input(server));
    assert_int_equal(write(client, "x", 1), 1);
    assert_true(net_has_input(server));
    assert_true(net_has_input(server)); /* it is still there */
    close(server);
    close(client);
    close(listener);
}

/* Two of ours may share an address; a check without SO_REUSEPORT sees that one has it. */
static void used_addresses_are_seen(void **state)
{
    struct net_address any;
    char error[NET_ERROR_MAX];
    (void)state;
    assert_int_equal(net_resolve("127.0.0.1:1", 0, AF_INET, &any, 1, error), 1);
    memset((char *)&any.storage + 2, 0, 2); /* port 0: the kernel chooses */
    int first = net_listen(&any, 1);
    assert_true(first >= 0);
    struct net_address bound = {.size = sizeof bound.storage};
    assert_int_equal(getsockname(first, (void *)&bound.storage, &bound.size), 0);
    assert_true(net_check_free(&bound) < 0);
    int second = net_listen(&bound, 1);
    assert_true(second >= 0);
    close(second);
    close(first);
    assert_int_equal(net_check_free(&bound), 0);
}

static void hosts_are_told(void **state)
{
    static const char *const hosts[][2] = {{"mx.test:25", "mx.test"},
                                           {"mx.test", "mx.test"},
                                           {"[::1]:25", "::1"},
                                           {"::1", "::1"},
                                           {"inet:127.0.0.1:25", "127.0.0.1"}};
    static const char *const none[] = {":25", "25", "unix:/tmp/x", "", "[::1", "inet:25"};
    char host[NET_HOST_MAX];
    (void)state;

    for (size_t index = 0; index < sizeof hosts / sizeof hosts[0]; index++) {
        assert_true(net_host(host, hosts[index][0]));
        assert_string_equal(host, hosts[index][1]);
    }
    for (size_t index = 0; index < sizeof none / sizeof none[0]; index++)
        assert_false(net_host(host, none[index]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),      cmocka_unit_test(nonsense_gets_a_sentence),
        cmocka_unit_test(loopback_is_known),       cmocka_unit_test(ports_are_told),
        cmocka_unit_test(the_same_is_known),       cmocka_unit_test(peers_are_told),
        cmocka_unit_test(used_addresses_are_seen), cmocka_unit_test(hosts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
