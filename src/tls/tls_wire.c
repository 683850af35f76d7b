#include "tls/tls_wire.h"

#include <openssl/bio.h>

static void wire_check(const struct tls_wire *wire)
{
    CHECK(wire->sent_end <= wire->written_end);
    CHECK(wire->written_end <= wire->pool->block_size);
    if (wire->block == NULL) CHECK(wire->written_end == 0);
}

static int put_off_reading(BIO *bio)
{
    BIO_set_retry_read(bio);
    return -1;
}

static int put_off_writing(BIO *bio, struct tls_wire *wire)
{
    wire->lacked_room = true;
    BIO_set_retry_write(bio);
    return -1;
}

static int wire_read(BIO *bio, char *octets, int size)
{
    struct tls_wire *wire = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    if (wire->input == NULL || wire->input->size == 0) return put_off_reading(bio);
    if (tls_wire_room(wire) < TLS_WIRE_ANSWER_MAX) {
        wire->lacked_room = true;
        return put_off_reading(bio);
    }
    uint64_t wanted = (uint64_t)size;
    struct bytes taken =
        bytes_take(wire->input, wanted < wire->input->size ? wanted : wire->input->size);
    memcpy(octets, taken.data, taken.size);
    return (int)taken.size;
}

static int wire_write(BIO *bio, const char *octets, int size)
{
    struct tls_wire *wire = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (size <= 0) return 0;
    if (wire->block == NULL) wire->block = blocks_take(wire->pool);
    CHECK(wire->block != NULL); /* the pool has one for every stream */
    uint32_t room = tls_wire_room(wire);
    if (room == 0) return put_off_writing(bio, wire);
    uint32_t taken = (uint32_t)size < room ? (uint32_t)size : room;
    memcpy(wire->block + wire->written_end, octets, taken);
    wire->written_end += taken;
    wire_check(wire);
    return (int)taken;
}

/* OpenSSL flushes behind every flight; there is nothing between us and the block. */
static long wire_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int wire_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

struct bio_method_st *tls_wire_method_open(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wire");
    if (method == NULL) return NULL;
    CHECK(BIO_meth_set_read(method, wire_read) == 1);
    CHECK(BIO_meth_set_write(method, wire_write) == 1);
    CHECK(BIO_meth_set_ctrl(method, wire_control) == 1);
    CHECK(BIO_meth_set_create(method, wire_create) == 1);
    return method;
}

void tls_wire_method_close(struct bio_method_st *method)
{
    BIO_meth_free(method);
}

struct bio_st *tls_wire_bio_open(const struct bio_method_st *method, struct tls_wire *wire)
{
    BIO *bio = BIO_new(method);
    if (bio != NULL) BIO_set_data(bio, wire);
    return bio;
}

void tls_wire_init(struct tls_wire *wire, struct blocks *pool)
{
    CHECK(pool->block_size >= TLS_WIRE_ANSWER_MAX);
    CHECK(pool->block_size <= UINT32_MAX);
    *wire = (struct tls_wire){.pool = pool};
}

static void drop_block(struct tls_wire *wire)
{
    if (wire->block != NULL) blocks_give_back(wire->pool, wire->block);
    wire->block = NULL;
    wire->sent_end = 0;
    wire->written_end = 0;
}

void tls_wire_close(struct tls_wire *wire)
{
    drop_block(wire);
}

uint32_t tls_wire_room(const struct tls_wire *wire)
{
    return (uint32_t)wire->pool->block_size - wire->written_end;
}

struct bytes tls_wire_sendable(const struct tls_wire *wire)
{
    if (wire->block == NULL) return bytes_make(NULL, 0);
    return bytes_make(wire->block + wire->sent_end, wire->written_end - wire->sent_end);
}

void tls_wire_sent(struct tls_wire *wire, uint32_t size)
{
    CHECK(size <= wire->written_end - wire->sent_end);
    wire->sent_end += size;
    wire_check(wire);
    if (wire->sent_end == wire->written_end) drop_block(wire);
}
