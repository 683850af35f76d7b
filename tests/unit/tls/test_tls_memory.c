/* What OpenSSL takes is counted, comes back, and costs no more a connection than is stated. */
#include "tls/tls_memory.h"

#include "tls/tls_stream.h"
#include "unit/tls/tls_pair.h"
#include "unit/tls/tls_shared.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

#define UNTOLD_MAX  65536 /* what a thread may keep to itself */
#define CONNECTIONS 1000u
#define MEASURED    100u

/* In docs/ARCHITECTURE.md, with what was measured; allocators round differently. */
#define IDLE_MAX      16384u
#define HANDSHAKE_MAX 98304u

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define VERSIONS (sizeof versions / sizeof versions[0])

static struct tls_pair pair;

static void open_pair(uint32_t streams, int version)
{
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    server.streams = client.streams = streams;
    client.resumes = true;
    tls_pair_open(&pair, &server, &client);
    tls_pair_limit_version(&pair, version);
}

static void converse(void)
{
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
    tls_pair_say(&pair.client, &pair.server, BYTES("EHLO a\r\n"));
    tls_pair_say(&pair.server, &pair.client, BYTES("250 sink\r\n"));
    tls_pair_run(&pair, TLS_ALL_AT_ONCE);
}

static void what_is_taken_is_counted(void **state)
{
    uint64_t before = tls_memory_used();
    (void)state;
    assert_true(before > 0);
    void *memory = OPENSSL_malloc(100000);
    assert_in_range(tls_memory_used() - before, 100000, 125000);
    memory = OPENSSL_realloc(memory, 300000);
    assert_in_range(tls_memory_used() - before, 300000, 375000);
    memory = OPENSSL_realloc(memory, 10);
    assert_in_range(tls_memory_used() - before, 10, 4096);
    OPENSSL_free(memory);
    assert_int_equal(tls_memory_used(), before);
}

/* As OpenSSL's own do. */
static void no_octets_are_no_memory(void **state)
{
    uint64_t before = tls_memory_used();
    (void)state;
    assert_null(OPENSSL_malloc(0));
    void *memory = OPENSSL_realloc(NULL, 500);
    assert_non_null(memory);
    assert_null(OPENSSL_realloc(memory, 0));
    OPENSSL_free(NULL);
    assert_int_equal(tls_memory_used(), before);
}

static void watching_twice_is_watching_once(void **state)
{
    (void)state;
    assert_true(tls_memory_watch());
}

static void *take_elsewhere(void *memory)
{
    *(void **)memory = OPENSSL_malloc(10 * UNTOLD_MAX);
    return NULL;
}

static void *give_back_elsewhere(void *memory)
{
    OPENSSL_free(*(void **)memory);
    return NULL;
}

static void run_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, function, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Taken by one, given back by another, seen by a third. */
static void threads_count_together(void **state)
{
    uint64_t before = tls_memory_used();
    void *memory = NULL;
    (void)state;
    run_thread(take_elsewhere, &memory);
    assert_non_null(memory);
    assert_in_range(tls_memory_used() - before, 9 * UNTOLD_MAX, 12 * UNTOLD_MAX);
    run_thread(give_back_elsewhere, &memory);
    assert_in_range(tls_memory_used(), before - UNTOLD_MAX, before + UNTOLD_MAX);
}

/* Full ones and resumed ones, ended well, in mid-handshake, by nonsense. */
static void connect_once(uint32_t index)
{
    static const uint8_t nonsense[] = {23, 3,  3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8,
                                       9,  10, 1, 2, 3,  4, 5, 6, 7, 8, 9, 10};
    struct bytes ciphertext = bytes_make(nonsense, sizeof nonsense);
    tls_pair_open_streams(&pair);
    if (index % 4 == 1) pair.server.incoming.cut_at = 100;
    if (index % 4 == 1) tls_pair_take(&pair.client, TLS_ALL_AT_ONCE);
    if (index % 4 == 1) tls_pair_send(&pair.client, &pair.server, TLS_ALL_AT_ONCE);
    if (index % 4 == 1) tls_pair_take(&pair.server, TLS_ALL_AT_ONCE);
    if (index % 4 != 1) converse();
    if (index % 4 == 2) (void)tls_stream_step(pair.server.stream, &ciphertext);
    if (index % 4 == 3) tls_stream_end(pair.client.stream);
    tls_pair_close_streams(&pair);
}

static void all_of_it_comes_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        open_pair(4, versions[i]);
        tls_pair_close_streams(&pair);
        for (uint32_t k = 0; k < 100; k++)
            connect_once(k);
        uint64_t before = tls_memory_used();
        for (uint32_t k = 0; k < CONNECTIONS; k++)
            connect_once(k);
        assert_in_range(tls_memory_used(), before - 2048, before + 2048);
        tls_pair_open_streams(&pair);
        tls_pair_close(&pair);
    }
}

/* How far a connection comes before it falls silent. */
enum silence {
    SILENT_IN_HELLO,  /* some octets of the ClientHello are there      */
    SILENT_IN_FLIGHT, /* the server has answered it, and waits         */
    SILENT_AFTER_ALL, /* established, and both have said something     */
};

static void fall_silent(enum silence silence)
{
    if (silence == SILENT_AFTER_ALL) converse();
    if (silence == SILENT_AFTER_ALL) return;
    tls_pair_take(&pair.client, TLS_ALL_AT_ONCE);
    tls_pair_send(&pair.client, &pair.server, TLS_ALL_AT_ONCE);
    tls_pair_take(&pair.server, silence == SILENT_IN_HELLO ? 50 : TLS_ALL_AT_ONCE);
    tls_pair_send(&pair.server, &pair.client, TLS_ALL_AT_ONCE);
}

/* Bytes that each server's stream holds when the client's are gone. */
static uint64_t cost_of(int version, enum silence silence)
{
    struct tls_stream *silent[MEASURED];
    open_pair(MEASURED + 1, version);
    uint64_t before = tls_memory_used();
    for (uint32_t i = 0; i < MEASURED; i++) {
        silent[i] = pair.server.stream;
        fall_silent(silence);
        tls_stream_close(pair.client.stream);
        if (i == 0) before = tls_memory_used(); /* what the first of all makes is not its own */
        tls_pair_open_streams(&pair);
    }
    tls_pair_close_streams(&pair);
    uint64_t cost = (tls_memory_used() - before) / (MEASURED - 1);
    for (uint32_t i = 0; i < MEASURED; i++)
        tls_stream_close(silent[i]);
    tls_pair_open_streams(&pair);
    tls_pair_close(&pair);
    return cost;
}

static void a_connection_costs_what_is_stated(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        uint64_t hello = cost_of(versions[i], SILENT_IN_HELLO);
        uint64_t flight = cost_of(versions[i], SILENT_IN_FLIGHT);
        uint64_t idle = cost_of(versions[i], SILENT_AFTER_ALL);
        print_message("TLS 1.%u, bytes a connection: in its ClientHello %lu, in its handshake %lu, "
                      "idle %lu\n",
                      i + 2, hello, flight, idle);
        assert_in_range(hello, 1000, HANDSHAKE_MAX);
        assert_in_range(flight, 1000, HANDSHAKE_MAX);
        assert_in_range(idle, 1000, IDLE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_is_counted),
        cmocka_unit_test(no_octets_are_no_memory),
        cmocka_unit_test(watching_twice_is_watching_once),
        cmocka_unit_test(threads_count_together),
        cmocka_unit_test(all_of_it_comes_back),
        cmocka_unit_test(a_connection_costs_what_is_stated),
    };
    return cmocka_run_group_tests(tests, tls_shared_set_up, tls_shared_tear_down);
}
