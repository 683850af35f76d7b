/* Whose turn it is to shake hands: so many at most, the others in order, whoever gave up skipped.
 */
#include "server/channel.h"

#include "tls/tls_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CONNECTIONS 8u

struct fixture {
    struct tls_credentials *credentials;
    struct channels channels;
    struct counters counters;
};

/* Never looked into: a channel only names its connection. */
static char connections[CONNECTIONS];

static struct connection *connection_at(uint32_t index)
{
    return (struct connection *)(void *)&connections[index];
}

static void open_fixture(struct fixture *fixture, uint32_t shaking_max)
{
    static const uint8_t ticket_keys[TLS_TICKET_KEYS_SIZE];
    char error[TLS_ERROR_MAX];
    memset(fixture, 0, sizeof *fixture);
    fixture->credentials = tls_credentials_make("sink.test", 1800000000, error);
    assert_non_null(fixture->credentials);
    struct tls_server_options options = {
        .credentials = fixture->credentials, .ticket_keys = ticket_keys, .streams = CONNECTIONS};
    struct tls_context *context = tls_context_open_server(&options, error);
    assert_non_null(context);
    assert_int_equal(
        channels_open(&fixture->channels, context, &fixture->counters, CONNECTIONS, shaking_max),
        0);
}

static void close_fixture(struct fixture *fixture)
{
    assert_int_equal(fixture->channels.shaking_count, 0);
    channels_close(&fixture->channels);
    tls_credentials_close(fixture->credentials);
}

static void turns_come_in_order(void **state)
{
    struct fixture fixture;
    struct channel *channel[6];
    (void)state;
    open_fixture(&fixture, 2);
    struct channels *channels = &fixture.channels;
    for (uint32_t i = 0; i < 6; i++) {
        channel[i] = channel_open(channels, connection_at(i));
        assert_non_null(channel[i]);
        assert_true(channel_is_pending(channel[i]));
        assert_int_equal(channel_begin(channels, channel[i]),
                         i < 2 ? CHANNEL_BEGUN : CHANNEL_QUEUED);
        assert_true(i < 2 ? channel[i]->stream != NULL : channel[i]->stream == NULL);
    }
    assert_null(channels_next(channels)); /* no turn is free */
    channel_close(channels, channel[2]);  /* it gave up waiting */
    channel_close(channels, channel[0]);
    assert_ptr_equal(channels_next(channels), channel[3]);
    assert_int_equal(channel_begin(channels, channel[3]), CHANNEL_BEGUN);
    assert_null(channels_next(channels));
    channel_close(channels, channel[1]);
    channel_close(channels, channel[3]);
    assert_ptr_equal(channels_next(channels), channel[4]);
    channel_close(channels, channel[4]); /* named, but its connection is closing */
    assert_ptr_equal(channels_next(channels), channel[5]);
    assert_int_equal(channel_begin(channels, channel[5]), CHANNEL_BEGUN);
    channel_close(channels, channel[5]);
    assert_null(channels_next(channels));
    assert_int_equal(channels->pool.taken_count, 0);
    assert_int_equal(counter_read(&fixture.counters.tls_waits), 4);
    close_fixture(&fixture);
}

/* Each came, asked for its turn, and went, while nobody's handshake ended. */
static void who_gave_up_takes_nobody_s_place(void **state)
{
    struct fixture fixture;
    (void)state;
    open_fixture(&fixture, 1);
    struct channels *channels = &fixture.channels;
    struct channel *shaking = channel_open(channels, connection_at(0));
    assert_int_equal(channel_begin(channels, shaking), CHANNEL_BEGUN);
    assert_false(channels_have_turn(channels));
    struct channel *patient = channel_open(channels, connection_at(1));
    assert_int_equal(channel_begin(channels, patient), CHANNEL_QUEUED);
    for (uint32_t i = 0; i < 10 * CONNECTIONS; i++) {
        struct channel *hasty = channel_open(channels, connection_at(2));
        assert_non_null(hasty);
        assert_int_equal(channel_begin(channels, hasty), CHANNEL_QUEUED);
        channel_close(channels, hasty);
    }
    struct channel *last = channel_open(channels, connection_at(2));
    assert_int_equal(channel_begin(channels, last), CHANNEL_QUEUED);
    channel_close(channels, shaking);
    assert_true(channels_have_turn(channels));
    assert_ptr_equal(channels_next(channels), patient);
    channel_close(channels, patient);
    assert_ptr_equal(channels_next(channels), last);
    channel_close(channels, last);
    assert_null(channels_next(channels));
    assert_false(channels_have_turn(channels));
    assert_int_equal(channels->pool.taken_count, 0);
    close_fixture(&fixture);
}

static void a_failed_handshake_frees_its_turn(void **state)
{
    struct fixture fixture;
    struct bytes garbage = BYTES("EHLO client.test\r\n");
    struct bytes nothing = bytes_make(NULL, 0);
    (void)state;
    open_fixture(&fixture, 1);
    struct channel *first = channel_open(&fixture.channels, connection_at(0));
    struct channel *second = channel_open(&fixture.channels, connection_at(1));
    assert_int_equal(channel_begin(&fixture.channels, first), CHANNEL_BEGUN);
    assert_int_equal(channel_begin(&fixture.channels, second), CHANNEL_QUEUED);
    assert_int_equal(channel_step(&fixture.channels, first, &nothing), TLS_WANT_INPUT);
    assert_int_equal(channel_step(&fixture.channels, first, &garbage), TLS_FAILED);
    assert_false(channel_is_pending(first));
    assert_false(channel_is_plain(first)); /* nothing more leaves as it is */
    assert_ptr_equal(channels_next(&fixture.channels), second);
    assert_int_equal(channel_step(&fixture.channels, first, &garbage), TLS_FAILED);
    assert_int_equal(channel_begin(&fixture.channels, second), CHANNEL_BEGUN);
    channel_close(&fixture.channels, first);
    assert_int_equal(fixture.channels.shaking_count, 1);
    channel_close(&fixture.channels, second);
    close_fixture(&fixture);
}

static void memory_that_is_used_up_is_a_refusal(void **state)
{
    struct fixture fixture;
    (void)state;
    open_fixture(&fixture, 4);
    struct channel *channel = channel_open(&fixture.channels, connection_at(0));
    tls_memory_set_bound(1);
    assert_int_equal(channel_begin(&fixture.channels, channel), CHANNEL_REFUSED);
    assert_int_equal(fixture.channels.shaking_count, 0);
    tls_memory_set_bound(0);
    assert_int_equal(channel_begin(&fixture.channels, channel), CHANNEL_BEGUN);
    channel_close(&fixture.channels, channel);
    close_fixture(&fixture);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_come_in_order),
        cmocka_unit_test(who_gave_up_takes_nobody_s_place),
        cmocka_unit_test(a_failed_handshake_frees_its_turn),
        cmocka_unit_test(memory_that_is_used_up_is_a_refusal),
    };
    if (!tls_memory_watch()) return 1; /* before OpenSSL allocates */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
