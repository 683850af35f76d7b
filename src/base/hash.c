#include "base/hash.h"

#include <errno.h>
#include <stddef.h>
#include <xxhash.h>

/* The plain entry points were compiled for any x86-64: these choose AVX2 or AVX-512 at run time. */
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

uint64_t hash_octets(const void *data, uint64_t size)
{
    return XXH3_64bits(data, size);
}

int hash_open(struct hash *hash)
{
    hash->state = XXH3_createState();
    return hash->state == NULL ? -ENOMEM : 0;
}

void hash_close(struct hash *hash)
{
    (void)XXH3_freeState(hash->state);
    hash->state = NULL;
}

void hash_begin(struct hash *hash)
{
    (void)XXH3_64bits_reset(hash->state);
}

void hash_take(struct hash *hash, const void *data, uint64_t size)
{
    (void)XXH3_64bits_update(hash->state, data, size);
}

uint64_t hash_end(const struct hash *hash)
{
    return XXH3_64bits_digest(hash->state);
}
