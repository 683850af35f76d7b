#include "tls/tls_memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/crypto.h>

/* A thread tells its difference when it has grown beyond this, either way. */
#define UNTOLD_MAX 65536

static _Atomic int64_t told_bytes;
static _Atomic uint64_t bound_bytes;
static atomic_bool is_watching;
static _Thread_local int64_t untold_bytes;

static void note(int64_t difference)
{
    untold_bytes += difference;
    if (untold_bytes <= UNTOLD_MAX && untold_bytes >= -UNTOLD_MAX) return;
    atomic_fetch_add_explicit(&told_bytes, untold_bytes, memory_order_relaxed);
    untold_bytes = 0;
}

/* What it really occupies: more than was asked for. */
static int64_t occupied(void *memory)
{
    return (int64_t)malloc_usable_size(memory);
}

/* OpenSSL's own functions return NULL for no octets, so these do. */
static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) return NULL;
    void *memory = malloc(size);
    if (memory != NULL) note(occupied(memory));
    return memory;
}

static void give_back(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    if (memory == NULL) return;
    note(-occupied(memory));
    free(memory);
}

static void *take_more(void *memory, size_t size, const char *file, int line)
{
    if (memory == NULL) return take(size, file, line);
    if (size == 0) {
        give_back(memory, file, line);
        return NULL;
    }
    int64_t before = occupied(memory);
    void *moved = realloc(memory, size);
    if (moved != NULL) note(occupied(moved) - before);
    return moved;
}

bool tls_memory_watch(void)
{
    if (atomic_load(&is_watching)) return true;
    if (CRYPTO_set_mem_functions(take, take_more, give_back) != 1) return false;
    atomic_store(&is_watching, true);
    return true;
}

uint64_t tls_memory_used(void)
{
    int64_t bytes = atomic_load_explicit(&told_bytes, memory_order_relaxed) + untold_bytes;
    return bytes > 0 ? (uint64_t)bytes : 0;
}

void tls_memory_set_bound(uint64_t bytes)
{
    atomic_store_explicit(&bound_bytes, bytes, memory_order_relaxed);
}

bool tls_memory_is_used_up(void)
{
    uint64_t bound = atomic_load_explicit(&bound_bytes, memory_order_relaxed);
    return bound != 0 && tls_memory_used() >= bound;
}
