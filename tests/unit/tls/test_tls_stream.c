#include "tls/tls_stream.h"

#include "base/clock.h"
#include "tls/tls_credentials.h"
#include "tls/tls_memory.h"
#include "unit/tls/tls_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t ticket_keys[TLS_TICKET_KEYS_SIZE];
static struct tls_credentials *credentials;
static struct tls_pair pair;

static void open_pair(void)
{
    tls_pair_open(&pair,
                  &(struct tls_server_options){
                      .credentials = credentials, .ticket_keys = ticket_keys, .streams = 2},
                  &(struct tls_client_options){.server_name = "sink.test", .streams = 2});
}

static void say(struct tls_end *end, const char *text)
{
    struct bytes octets = bytes_from_text(text);
    assert_true(tls_stream_write(end->stream, &octets));
    assert_int_equal(octets.size, 0);
}

static void assert_received(const struct tls_end *end, const char *text)
{
    assert_true(bytes_equal(bytes_make(end->received, end->received_size), bytes_from_text(text)));
}

static void data_goes_both_ways(void **state)
{
    (void)state;
    open_pair();
    tls_pair_run(&pair, UINT64_MAX);
    assert_int_equal(pair.client.established_count, 1);
    assert_int_equal(pair.server.established_count, 1);
    say(&pair.client, "EHLO a\r\n");
    say(&pair.server, "220 sink\r\n");
    tls_pair_send(&pair.server, &pair.client);
    tls_pair_run(&pair, UINT64_MAX);
    assert_received(&pair.server, "EHLO a\r\n");
    assert_received(&pair.client, "220 sink\r\n");
    tls_stream_end(pair.client.stream);
    tls_pair_run(&pair, UINT64_MAX);
    assert_int_equal(pair.server.last, TLS_ENDED);
    tls_pair_close(&pair);
}

static int set_up(void **state)
{
    char error[TLS_ERROR_MAX];
    (void)state;
    if (!tls_memory_watch()) return 1;
    credentials =
        tls_credentials_make("sink.test", (int64_t)(clock_realtime_ns() / CLOCK_NS_PER_S), error);
    return credentials == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    tls_credentials_close(credentials);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
