/*
 * A true client and a true server, and somebody between them who holds back, cuts, flips, drops,
 * repeats and invents octets: what one end gives out is what the other wrote and in its order; it
 * ends only where the other ended; and who is only held back and cut loses nothing.
 *
 * The first octet chooses the version. The rest is a program: in each octet a verb, the end it
 * concerns and a number.
 */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_tls_end.h"

#include "tls/tls_memory.h"

#include <stdlib.h>

#define ON_ITS_WAY_MAX 262144u
#define OPERATIONS_MAX 400
#define ROUNDS_MAX     200
#define SLACK          65536u

enum verb {
    VERB_DELIVER, /* some octets  */
    VERB_DELIVER_ALL,
    VERB_FLIP, /* a bit of what is on its way */
    VERB_DROP,
    VERB_REPEAT,
    VERB_INVENT, /* octets out of the program */
    VERB_WRITE,
    VERB_END,
};

/* What one end has sent and the other not taken. */
struct way {
    uint8_t octets[ON_ITS_WAY_MAX];
    uint64_t size;
};

struct scene {
    struct fuzz_tls_end ends[2];
    struct way to[2];
    bool is_mangled;
};

static void put(struct way *way, struct bytes octets)
{
    if (octets.size > sizeof way->octets - way->size) octets.size = sizeof way->octets - way->size;
    memcpy(way->octets + way->size, octets.data, octets.size);
    way->size += octets.size;
}

/* Takes out `size` octets at `offset`. */
static void cut_out(struct way *way, uint64_t offset, uint64_t size)
{
    CHECK(offset + size <= way->size);
    memmove(way->octets + offset, way->octets + offset + size, way->size - offset - size);
    way->size -= size;
}

/* What an end has to send goes on its way as far as there is room. */
static void send_from(struct scene *scene, uint32_t index)
{
    struct way *way = &scene->to[!index];
    struct bytes octets = tls_stream_sendable(scene->ends[index].stream);
    uint64_t before = way->size;
    if (octets.size == 0) return;
    put(way, octets);
    tls_stream_sent(scene->ends[index].stream, (uint32_t)(way->size - before));
}

/* At most `size_max` octets, of memory of their own size. */
static void deliver(struct scene *scene, uint32_t index, uint64_t size_max)
{
    struct way *way = &scene->to[index];
    uint64_t size = size_max < way->size ? size_max : way->size;
    CHECK(size <= sizeof way->octets);
    uint8_t *copy = malloc(size > 0 ? size : 1);
    CHECK(copy != NULL);
    memcpy(copy, way->octets, size);
    struct bytes ciphertext = bytes_make(copy, size);
    fuzz_tls_take(&scene->ends[index], &ciphertext);
    cut_out(way, 0, size - ciphertext.size);
    free(copy);
    send_from(scene, index);
}

static void flip(struct way *way, uint32_t number, uint8_t where)
{
    if (way->size == 0) return;
    uint64_t offset = where < 8 ? where % way->size : where * 97u % way->size;
    way->octets[offset] ^= (uint8_t)(1u << number % 8);
}

static void drop(struct way *way, uint32_t number, uint8_t where)
{
    if (way->size == 0) return;
    uint64_t offset = where * 31u % way->size;
    uint64_t size = number * number + 1u;
    cut_out(way, offset, size < way->size - offset ? size : way->size - offset);
}

static void repeat(struct way *way, uint32_t number, uint8_t where)
{
    if (way->size == 0) return;
    uint64_t offset = where * 31u % way->size;
    uint64_t size = number * number + 1u;
    put(way,
        bytes_make(way->octets + offset, size < way->size - offset ? size : way->size - offset));
}

/* An octet behind the verb says where; for what is invented, more octets are what. */
static void mangle(struct scene *scene, enum verb verb, uint32_t index, uint32_t number,
                   struct bytes *program)
{
    struct way *way = &scene->to[index];
    uint8_t where = program->size > 0 ? *bytes_take(program, 1).data : 0;
    uint64_t before = way->size;
    if (verb == VERB_FLIP) flip(way, number, where);
    if (verb == VERB_DROP) drop(way, number, where);
    if (verb == VERB_REPEAT) repeat(way, number, where);
    if (verb == VERB_INVENT)
        put(way, bytes_take(program, number < program->size ? number : program->size));
    if (before > 0 || way->size > 0) scene->is_mangled = true;
}

static void operate(struct scene *scene, uint8_t operation, struct bytes *program)
{
    enum verb verb = operation & 7;
    uint32_t index = operation >> 3 & 1;
    uint32_t number = operation >> 4;
    switch (verb) {
    case VERB_DELIVER:
        deliver(scene, index, number < 8 ? number + 1u : (uint64_t)number * number * 16);
        break;
    case VERB_DELIVER_ALL:
        deliver(scene, index, UINT64_MAX);
        break;
    case VERB_FLIP:
    case VERB_DROP:
    case VERB_REPEAT:
    case VERB_INVENT:
        mangle(scene, verb, index, number, program);
        break;
    case VERB_WRITE:
        fuzz_tls_write(&scene->ends[index], number < 8 ? number : number * number * 150u);
        send_from(scene, index);
        break;
    case VERB_END:
        fuzz_tls_end(&scene->ends[index]);
        send_from(scene, index);
        break;
    }
}

static bool is_over(const struct fuzz_tls_end *end)
{
    return end->last == TLS_ENDED || end->last == TLS_FAILED;
}

/* Something is on its way to an end that takes more, or is to be sent. */
static bool goes_on(const struct scene *scene, uint32_t index)
{
    if (tls_stream_sendable(scene->ends[index].stream).size > 0) return true;
    return scene->to[index].size > 0 && !is_over(&scene->ends[index]);
}

static void run_to_the_end(struct scene *scene)
{
    for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
        for (uint32_t index = 0; index < 2; index++) {
            send_from(scene, index);
            deliver(scene, index, UINT64_MAX);
        }
        if (!goes_on(scene, 0) && !goes_on(scene, 1)) return;
    }
    /* Only towards an end that takes nothing more may anything be stuck. */
    CHECK(is_over(&scene->ends[0]) || is_over(&scene->ends[1]));
}

/* What came out is never more than what went in, and all of it where the end was told. */
static void judge(const struct scene *scene, uint32_t index)
{
    const struct fuzz_tls_end *end = &scene->ends[index];
    const struct fuzz_tls_end *other = &scene->ends[!index];
    CHECK(end->received <= other->written);
    if (end->last == TLS_ENDED) CHECK(other->has_said_end);
    if (end->last == TLS_ENDED) CHECK(end->received == other->written);
    if (scene->is_mangled) return;
    CHECK(tls_stream_is_established(end->stream));
    CHECK(end->received == other->written);
    CHECK(end->last != TLS_FAILED);
    CHECK(is_over(end) == other->has_said_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;
    struct bytes program = bytes_make(data, size);
    if (size == 0) return 0;
    fuzz_tls_begin();
    uint64_t before = tls_memory_used();
    bool is_old = (*bytes_take(&program, 1).data & 1) != 0;
    scene.to[0].size = scene.to[1].size = 0;
    scene.is_mangled = false;
    fuzz_tls_open_server(&scene.ends[0], is_old);
    fuzz_tls_open_client(&scene.ends[1], is_old);
    deliver(&scene, 1, 0);
    for (uint32_t i = 0; program.size > 0 && i < OPERATIONS_MAX; i++)
        operate(&scene, *bytes_take(&program, 1).data, &program);
    run_to_the_end(&scene);
    judge(&scene, 0);
    judge(&scene, 1);
    fuzz_tls_close(&scene.ends[0]);
    fuzz_tls_close(&scene.ends[1]);
    CHECK(tls_memory_used() < before + SLACK);
    return 0;
}
