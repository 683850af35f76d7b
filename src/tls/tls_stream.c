/*
 * What a stream goes through:
 *
 *   HANDSHAKE --> OPEN --> ENDED
 *        \_________/\________/
 *             v          v
 *                FAILED
 *
 *   HANDSHAKE -> OPEN     [step_handshake]   the handshake is over
 *   OPEN      -> ENDED    [step_open]        the peer's close_notify
 *   any       -> FAILED   [fail]             what the peer did, or what OpenSSL could not
 */
#include "tls/tls_stream.h"

#include "base/blocks.h"
#include "tls/tls_context.h"
#include "tls/tls_context_inside.h"
#include "tls/tls_failure.h"
#include "tls/tls_memory.h"
#include "tls/tls_stream_inside.h"
#include "tls/tls_wire.h"

#include <assert.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* What a record adds at most to its plaintext: 29 octets in TLS 1.2, 22 in 1.3. */
#define RECORD_OVERHEAD_MAX 64u

/* Kept free by writes, so that reading, and what it makes OpenSSL answer, never waits for the peer
 * to take our data: both sides could wait for one another for ever. */
#define ANSWERS_SIZE 512u

enum stream_state {
    STREAM_HANDSHAKE, /* nothing of the peer's can be believed yet                   */
    STREAM_OPEN,      /* data both ways                                              */
    STREAM_ENDED,     /* the peer said close_notify; we may still write              */
    STREAM_FAILED,    /* OpenSSL's object is of no use any more but to be freed      */
};

struct tls_stream {
    struct tls_context *context;
    SSL *ssl;
    struct tls_wire wire;
    uint8_t *block; /* of plaintext; or NULL */
    struct bytes plaintext;
    const char *failure;
    const char *version;
    const char *cipher;
    enum stream_state state;
    bool is_established;
    bool was_resumed;
    bool has_said_end;
};

static_assert(sizeof(struct tls_stream) <= TLS_STREAM_SIZE, "a stream fits its block");
static_assert(TLS_CIPHERTEXT_SIZE >= TLS_PLAINTEXT_SIZE + RECORD_OVERHEAD_MAX + ANSWERS_SIZE,
              "an empty block has room for a record and the answers");
static_assert(ANSWERS_SIZE >= TLS_WIRE_ANSWER_MAX, "reading may begin with what writes leave free");

static void stream_check(const struct tls_stream *stream)
{
    if (stream->block == NULL) CHECK(stream->plaintext.size == 0);
    if (stream->state == STREAM_FAILED) CHECK(stream->failure != NULL);
    if (stream->state == STREAM_OPEN) CHECK(stream->is_established);
    CHECK(stream->wire.input == NULL);
}

/* OpenSSL takes a ticket for used up once a handshake with it is over, and the next one may be long
 * in coming: each stream uses up a copy of its own. */
static void offer_session(struct tls_stream *stream, const SSL_SESSION *newest)
{
    SSL_SESSION *session = SSL_SESSION_dup(newest);
    if (session == NULL) return;
    (void)SSL_set_session(stream->ssl, session);
    SSL_SESSION_free(session);
}

/* No way leads back, and none out of FAILED. */
static void enter(struct tls_stream *stream, enum stream_state state)
{
    CHECK(state > stream->state);
    stream->state = state;
}

static bool start_client(struct tls_stream *stream)
{
    struct tls_context *context = stream->context;
    SSL_set_connect_state(stream->ssl);
    if (context->server_name[0] != '\0' &&
        SSL_set_tlsext_host_name(stream->ssl, context->server_name) != 1)
        return false;
    /* A ticket that will not do is done without: the handshake is a full one then. */
    if (context->newest_session != NULL && SSL_SESSION_is_resumable(context->newest_session) == 1)
        offer_session(stream, context->newest_session);
    return true;
}

/* False: no memory; what was made is freed with the SSL. */
static bool start(struct tls_stream *stream)
{
    stream->ssl = SSL_new(stream->context->library);
    if (stream->ssl == NULL) return false;
    BIO *bio = tls_wire_bio_open(stream->context->wire_method, &stream->wire);
    if (bio == NULL) return false;
    SSL_set_bio(stream->ssl, bio, bio);
    if (stream->context->is_client) return start_client(stream);
    SSL_set_accept_state(stream->ssl);
    return true;
}

struct tls_stream *tls_stream_open(struct tls_context *context)
{
    if (tls_memory_is_used_up()) return NULL;
    struct tls_stream *stream = blocks_take(&context->streams);
    if (stream == NULL) return NULL;
    *stream = (struct tls_stream){.context = context, .state = STREAM_HANDSHAKE};
    tls_wire_init(&stream->wire, &context->ciphertext);
    ERR_clear_error();
    if (start(stream)) return stream;
    ERR_clear_error();
    tls_stream_close(stream);
    return NULL;
}

static void drop_block(struct tls_stream *stream)
{
    if (stream->block != NULL) blocks_give_back(&stream->context->plaintext, stream->block);
    stream->block = NULL;
    stream->plaintext = bytes_make(NULL, 0);
}

/*
 * OpenSSL takes a session for broken, and never offers it again, whose connection was not shut
 * down: it is told that ours was. Whether the peer said so is what TLS_ENDED is for.
 */
void tls_stream_close(struct tls_stream *stream)
{
    if (stream->is_established && stream->state != STREAM_FAILED)
        SSL_set_shutdown(stream->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(stream->ssl);
    drop_block(stream);
    tls_wire_close(&stream->wire);
    blocks_give_back(&stream->context->streams, stream);
}

/* Libraries below it have their say, too: what SSL says of it is what happened to the connection.
 */
static uint64_t first_error_of_ssl(void)
{
    uint64_t first = ERR_peek_error();
    for (uint64_t error = first; error != 0; error = ERR_get_error())
        if (ERR_GET_LIB(error) == ERR_LIB_SSL) return error;
    return first;
}

static const char *describe_failure(const struct tls_stream *stream)
{
    uint64_t error = first_error_of_ssl();
    bool is_certificate = ERR_GET_LIB(error) == ERR_LIB_SSL &&
                          ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    if (is_certificate) return tls_failure_of_certificate(SSL_get_verify_result(stream->ssl));
    return tls_failure_of_error(error);
}

static enum tls_event fail(struct tls_stream *stream)
{
    stream->failure = describe_failure(stream);
    enter(stream, STREAM_FAILED);
    ERR_clear_error();
    return TLS_FAILED;
}

/* OpenSSL gives nothing more until it gets octets, or room. */
static enum tls_event wait(const struct tls_stream *stream)
{
    if (!stream->wire.lacked_room) return TLS_WANT_INPUT;
    CHECK(tls_wire_sendable(&stream->wire).size > 0);
    return TLS_WANT_FLUSH;
}

static void begin_call(struct tls_stream *stream, struct bytes *ciphertext)
{
    ERR_clear_error();
    stream->wire.input = ciphertext;
    stream->wire.lacked_room = false;
}

static enum tls_event step_handshake(struct tls_stream *stream, struct bytes *ciphertext)
{
    begin_call(stream, ciphertext);
    int result = SSL_do_handshake(stream->ssl);
    stream->wire.input = NULL;
    if (result == 1) {
        stream->version = SSL_get_version(stream->ssl);
        stream->cipher = SSL_get_cipher_name(stream->ssl);
        stream->was_resumed = SSL_session_reused(stream->ssl) == 1;
        stream->is_established = true;
        enter(stream, STREAM_OPEN);
        return TLS_ESTABLISHED;
    }
    int error = SSL_get_error(stream->ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? wait(stream)
                                                                         : fail(stream);
}

/* A block holds all of a record, so OpenSSL keeps nothing of it back. */
static enum tls_event step_open(struct tls_stream *stream, struct bytes *ciphertext)
{
    size_t size = 0;
    if (ciphertext->size == 0) return TLS_WANT_INPUT;
    if (stream->block == NULL) stream->block = blocks_take(&stream->context->plaintext);
    CHECK(stream->block != NULL); /* the pool has one for every stream */
    begin_call(stream, ciphertext);
    int result = SSL_read_ex(stream->ssl, stream->block, TLS_PLAINTEXT_SIZE, &size);
    stream->wire.input = NULL;
    if (result == 1) {
        CHECK(SSL_pending(stream->ssl) == 0);
        stream->plaintext = bytes_make(stream->block, size);
        return TLS_PLAINTEXT;
    }
    int error = SSL_get_error(stream->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return wait(stream);
    if (error != SSL_ERROR_ZERO_RETURN) return fail(stream);
    enter(stream, STREAM_ENDED);
    return TLS_ENDED;
}

static enum tls_event step(struct tls_stream *stream, struct bytes *ciphertext)
{
    switch (stream->state) {
    case STREAM_HANDSHAKE:
        return step_handshake(stream, ciphertext);
    case STREAM_OPEN:
        return step_open(stream, ciphertext);
    case STREAM_ENDED:
        return TLS_ENDED;
    case STREAM_FAILED:
        return TLS_FAILED;
    }
    CHECK(false); /* a state that does not exist */
    return TLS_FAILED;
}

enum tls_event tls_stream_step(struct tls_stream *stream, struct bytes *ciphertext)
{
    if (stream->plaintext.size > 0) return TLS_PLAINTEXT;
    enum tls_event event = step(stream, ciphertext);
    if (event != TLS_PLAINTEXT) drop_block(stream);
    stream_check(stream);
    return event;
}

struct bytes *tls_stream_plaintext(struct tls_stream *stream)
{
    return &stream->plaintext;
}

/* A record is not begun without room for all of it: OpenSSL never waits in the middle of one. */
static bool has_room_for(const struct tls_stream *stream, uint64_t size)
{
    return tls_wire_room(&stream->wire) >= size + RECORD_OVERHEAD_MAX + ANSWERS_SIZE;
}

/* One record; false: no room for it. */
static bool write_record(struct tls_stream *stream, struct bytes *plaintext)
{
    size_t written = 0;
    uint64_t size = plaintext->size < TLS_PLAINTEXT_SIZE ? plaintext->size : TLS_PLAINTEXT_SIZE;

    if (!has_room_for(stream, size)) return false;
    begin_call(stream, NULL);
    int result = SSL_write_ex(stream->ssl, plaintext->data, size, &written);
    if (result == 1) {
        (void)bytes_take(plaintext, written);
        return true;
    }
    (void)fail(stream);
    return false;
}

bool tls_stream_write(struct tls_stream *stream, struct bytes *plaintext)
{
    CHECK(stream->is_established);
    CHECK(!stream->has_said_end);
    while (stream->state != STREAM_FAILED && plaintext->size > 0 &&
           write_record(stream, plaintext)) {
    }
    stream_check(stream);
    return stream->state != STREAM_FAILED;
}

/* 0: said, and the peer has not said it yet; nobody waits for that here. */
void tls_stream_end(struct tls_stream *stream)
{
    if (stream->state != STREAM_OPEN && stream->state != STREAM_ENDED) return;
    if (stream->has_said_end || tls_wire_room(&stream->wire) < TLS_WIRE_ANSWER_MAX) return;
    begin_call(stream, NULL);
    stream->has_said_end = true;
    if (SSL_shutdown(stream->ssl) < 0) (void)fail(stream);
    stream_check(stream);
}

struct bytes tls_stream_sendable(const struct tls_stream *stream)
{
    return tls_wire_sendable(&stream->wire);
}

void tls_stream_sent(struct tls_stream *stream, uint32_t size)
{
    tls_wire_sent(&stream->wire, size);
}

bool tls_stream_is_established(const struct tls_stream *stream)
{
    return stream->is_established;
}

bool tls_stream_was_resumed(const struct tls_stream *stream)
{
    return stream->was_resumed;
}

const char *tls_stream_version(const struct tls_stream *stream)
{
    CHECK(stream->is_established);
    return stream->version;
}

const char *tls_stream_cipher(const struct tls_stream *stream)
{
    CHECK(stream->is_established);
    return stream->cipher;
}

const char *tls_stream_failure(const struct tls_stream *stream)
{
    CHECK(stream->state == STREAM_FAILED);
    return stream->failure;
}
