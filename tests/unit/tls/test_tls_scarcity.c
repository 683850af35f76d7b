/*
 * OpenSSL gets no memory at one point, at each in turn: the stream is not opened, or fails and says
 * so, or does without; nothing is lost, and the next connection is none the worse.
 */
#include "tls/tls_stream.h"

#include "unit/tls/tls_pair.h"
#include "unit/tls/tls_shared.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

#define NEVER      UINT64_MAX
#define KEPT_MAX   64 /* blocks that OpenSSL may keep of what it met for the first time */
#define TURNS      6
#define POINTS_MAX 5000u

static struct tls_pair pair;
static uint64_t asked;  /* how often OpenSSL asked for memory */
static uint64_t absent; /* which time it gets none            */
static int64_t held;    /* blocks */

static bool is_absent(void)
{
    return asked++ == absent;
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    void *memory = size == 0 || is_absent() ? NULL : malloc(size);
    if (memory != NULL) held++;
    return memory;
}

static void give_back(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    if (memory != NULL) held--;
    free(memory);
}

static void *take_more(void *memory, size_t size, const char *file, int line)
{
    if (memory == NULL) return take(size, file, line);
    if (size == 0) {
        give_back(memory, file, line);
        return NULL;
    }
    return is_absent() ? NULL : realloc(memory, size);
}

/* Only this end meets scarcity. */
static void step(struct tls_end *end, struct tls_end *other, bool is_scarce, uint64_t point)
{
    if (is_scarce) absent = point;
    tls_pair_take(end, TLS_ALL_AT_ONCE);
    bool is_open = tls_stream_is_established(end->stream) && end->last != TLS_FAILED;
    struct bytes words = BYTES("words");
    if (is_open && tls_stream_write(end->stream, &words)) assert_int_equal(words.size, 0);
    absent = NEVER;
    tls_pair_send(end, other, TLS_ALL_AT_ONCE);
}

static void assert_told(struct tls_end *end)
{
    struct bytes nothing = BYTES("");
    bool has_failed = tls_stream_step(end->stream, &nothing) == TLS_FAILED;
    if (!has_failed) assert_true(tls_stream_is_established(end->stream));
    if (has_failed) assert_true(strlen(tls_stream_failure(end->stream)) > 3);
}

/* A connection whose one end gets no memory at that point; false: it never asked so often. */
static bool connect_at(uint64_t point, bool is_server)
{
    struct tls_end *scarce = is_server ? &pair.server : &pair.client;
    struct tls_context *context = is_server ? pair.server_context : pair.client_context;
    tls_stream_close(scarce->stream);
    asked = 0;
    absent = point;
    scarce->stream = tls_stream_open(context);
    absent = NEVER;
    if (scarce->stream != NULL) {
        uint64_t other_asked = 0;
        for (uint32_t turn = 0; turn < TURNS; turn++) {
            uint64_t before = asked;
            step(&pair.client, &pair.server, !is_server, point + other_asked);
            if (is_server) other_asked += asked - before;
            before = asked;
            step(&pair.server, &pair.client, is_server, point + other_asked);
            if (!is_server) other_asked += asked - before;
        }
        assert_told(scarce);
        return point < asked - other_asked;
    }
    scarce->stream = tls_stream_open(context);
    assert_non_null(scarce->stream);
    return true;
}

static void assert_all_is_well(void)
{
    tls_pair_close_streams(&pair);
    tls_pair_open_streams(&pair);
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    assert_true(tls_stream_is_established(pair.server.stream));
    assert_true(tls_stream_is_established(pair.client.stream));
}

static void scarcity_is_survived(int version, bool is_server)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    tls_pair_open(&pair, &server, &client);
    tls_pair_limit_version(&pair, version);
    assert_all_is_well();
    tls_pair_close_streams(&pair);
    int64_t before = held;
    uint64_t point = 0;
    for (bool has_met = true; has_met && point < POINTS_MAX; point++) {
        tls_pair_open_streams(&pair);
        has_met = connect_at(point, is_server);
        tls_pair_close_streams(&pair);
    }
    assert_in_range(point, 100, POINTS_MAX - 1);
    assert_in_range(held, before - KEPT_MAX, before + KEPT_MAX);
    tls_pair_open_streams(&pair);
    assert_all_is_well();
    tls_pair_close(&pair);
}

static void servers_survive(void **state)
{
    (void)state;
    scarcity_is_survived(TLS1_2_VERSION, true);
    scarcity_is_survived(TLS1_3_VERSION, true);
}

static void clients_survive(void **state)
{
    (void)state;
    scarcity_is_survived(TLS1_2_VERSION, false);
    scarcity_is_survived(TLS1_3_VERSION, false);
}

static int set_up(void **state)
{
    (void)state;
    absent = NEVER;
    if (CRYPTO_set_mem_functions(take, take_more, give_back) != 1) return 1;
    tls_shared_make();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_survive),
        cmocka_unit_test(clients_survive),
    };
    return cmocka_run_group_tests(tests, set_up, tls_shared_tear_down);
}
