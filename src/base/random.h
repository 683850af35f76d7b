/* random -- a seeded generator (xoshiro256**, seeded by splitmix64). Not for secrets. */
#pragma once

#include <stdint.h>

struct random {
    uint64_t state[4];
};

/* The same seed and stream give the same numbers for ever. */
void random_init(struct random *random, uint64_t seed, uint64_t stream);
uint64_t random_next(struct random *random);

/* Uniform in 0 .. bound-1, without bias; bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);

/* Uniform in [0, 1). */
double random_unit(struct random *random);

/* One number mixed out of two: for "item k of seed s" without a state. */
uint64_t random_mix(uint64_t seed, uint64_t index);
