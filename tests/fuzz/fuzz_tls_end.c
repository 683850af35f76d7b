#include "fuzz/fuzz_tls_end.h"

#include "tls/tls_context_inside.h"
#include "unit/tls/tls_shared.h"

#include <stdlib.h>

#include <openssl/rand.h>
#include <openssl/ssl.h>

#define STEPS_MAX 100000 /* of one call: every step that does not wait takes or gives something */
#define WRITE_MAX 65536u
#define PERIOD    65521u /* a prime: records are never as long as the pattern takes to come again */

static struct tls_context *servers[2];
static struct tls_context *clients[2];
static uint64_t random_state;
static uint8_t patterns[3][PERIOD + WRITE_MAX]; /* by end->pattern */

/* Not random at all, so that each finding comes again. */
static int put_random(unsigned char *octets, int size)
{
    for (int i = 0; i < size; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        octets[i] = (unsigned char)(random_state >> 56);
    }
    return 1;
}

static int random_is_ready(void)
{
    return 1;
}

static void replace_random(void)
{
    static const RAND_METHOD method = {
        .bytes = put_random, .pseudorand = put_random, .status = random_is_ready};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* the new way takes a provider */
    CHECK(RAND_set_rand_method(&method) == 1);
#pragma GCC diagnostic pop
}

static void fill_patterns(void)
{
    for (uint32_t pattern = 1; pattern <= 2; pattern++)
        for (uint32_t i = 0; i < sizeof patterns[0]; i++) {
            uint32_t index = i % PERIOD;
            patterns[pattern][i] = (uint8_t)(pattern * 101 + index * 7 + (index >> 8));
        }
}

static void open_contexts(bool is_old)
{
    char error[TLS_ERROR_MAX];
    struct tls_server_options server = tls_shared_server();
    struct tls_client_options client = tls_shared_client();
    servers[is_old] = tls_context_open_server(&server, error);
    clients[is_old] = tls_context_open_client(&client, error);
    CHECK(servers[is_old] != NULL);
    CHECK(clients[is_old] != NULL);
    int version = is_old ? TLS1_2_VERSION : TLS1_3_VERSION;
    CHECK(SSL_CTX_set_max_proto_version(clients[is_old]->library, version) == 1);
}

void fuzz_tls_begin(void)
{
    if (servers[0] == NULL) {
        CHECK(tls_shared_set_up(NULL) == 0);
        replace_random();
        fill_patterns();
        open_contexts(false);
        open_contexts(true);
    }
    random_state = 1;
}

void fuzz_tls_open_server(struct fuzz_tls_end *end, bool is_old)
{
    *end = (struct fuzz_tls_end){.stream = tls_stream_open(servers[is_old]), .pattern = 1};
    CHECK(end->stream != NULL);
}

void fuzz_tls_open_client(struct fuzz_tls_end *end, bool is_old)
{
    *end = (struct fuzz_tls_end){.stream = tls_stream_open(clients[is_old]), .pattern = 2};
    CHECK(end->stream != NULL);
}

void fuzz_tls_close(struct fuzz_tls_end *end)
{
    tls_stream_close(end->stream);
    end->stream = NULL;
}

/* `size` octets of a pattern, from where `index` octets of it went before. */
static struct bytes pattern_at(uint8_t pattern, uint64_t index, uint64_t size)
{
    CHECK(size <= WRITE_MAX);
    return bytes_make(patterns[pattern] + index % PERIOD, size);
}

/* What comes out is what the other end wrote, in its order: nothing else passes. */
static void check_plaintext(struct fuzz_tls_end *end)
{
    struct bytes *plaintext = tls_stream_plaintext(end->stream);
    struct bytes nothing = BYTES("x");
    uint8_t pattern = end->pattern == 1 ? 2 : 1;
    CHECK(plaintext->size > 0);
    CHECK(tls_stream_step(end->stream, &nothing) == TLS_PLAINTEXT);
    CHECK(nothing.size == 1);
    CHECK(bytes_equal(*plaintext, pattern_at(pattern, end->received, plaintext->size)));
    end->received += plaintext->size;
    (void)bytes_take(plaintext, plaintext->size);
}

static void check_event(struct fuzz_tls_end *end, struct bytes before, struct bytes after)
{
    CHECK(after.size <= before.size);
    CHECK(after.data + after.size == before.data + before.size);
    if (end->last == TLS_WANT_INPUT) CHECK(after.size == 0);
    if (end->last == TLS_WANT_FLUSH) CHECK(tls_stream_sendable(end->stream).size > 0);
    if (end->last == TLS_FAILED) CHECK(tls_stream_failure(end->stream) != NULL);
    if (end->last != TLS_PLAINTEXT) CHECK(tls_stream_plaintext(end->stream)->size == 0);
}

/* Behind the end, and behind a failure, nothing changes any more. */
static bool step(struct fuzz_tls_end *end, struct bytes *ciphertext)
{
    struct bytes before = *ciphertext;
    enum tls_event previous = end->last;
    bool was_established = tls_stream_is_established(end->stream);
    end->last = tls_stream_step(end->stream, ciphertext);
    check_event(end, before, *ciphertext);
    if (previous == TLS_FAILED) CHECK(end->last == TLS_FAILED);
    if (previous == TLS_ENDED) CHECK(end->last == TLS_ENDED || end->last == TLS_FAILED);
    if (previous == TLS_ENDED || previous == TLS_FAILED) CHECK(before.size == ciphertext->size);
    if (end->last == TLS_ESTABLISHED) CHECK(!was_established);
    if (end->last == TLS_PLAINTEXT) CHECK(was_established);
    if (end->last == TLS_PLAINTEXT) check_plaintext(end);
    return end->last == TLS_ESTABLISHED || end->last == TLS_PLAINTEXT;
}

void fuzz_tls_take(struct fuzz_tls_end *end, struct bytes *ciphertext)
{
    uint32_t steps = 0;
    while (step(end, ciphertext))
        CHECK(++steps < STEPS_MAX);
}

void fuzz_tls_write(struct fuzz_tls_end *end, uint64_t size)
{
    if (!tls_stream_is_established(end->stream) || end->has_said_end) return;
    if (size > WRITE_MAX) size = WRITE_MAX;
    struct bytes plaintext = pattern_at(end->pattern, end->written, size);
    bool is_written = tls_stream_write(end->stream, &plaintext);
    CHECK(is_written || end->last == TLS_FAILED);
    if (!is_written) CHECK(plaintext.size == size);
    end->written += size - plaintext.size;
}

void fuzz_tls_end(struct fuzz_tls_end *end)
{
    uint64_t before = tls_stream_sendable(end->stream).size;
    tls_stream_end(end->stream);
    if (tls_stream_sendable(end->stream).size > before) end->has_said_end = true;
}
