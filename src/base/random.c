#include "base/random.h"

#include "base/check.h"

#define RANDOM_GOLDEN_GAMMA 0x9e3779b97f4a7c15ull

/* The output function of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random_scramble(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

uint64_t random_mix(uint64_t seed, uint64_t index)
{
    /* Scrambling the seed first keeps (seed, index + 1) apart from (seed + gamma, index). */
    return random_scramble(random_scramble(seed + RANDOM_GOLDEN_GAMMA) +
                           (index + 1) * RANDOM_GOLDEN_GAMMA);
}

void random_init(struct random *random, uint64_t seed, uint64_t stream)
{
    uint64_t base = random_mix(seed, stream);
    for (uint64_t i = 0; i < 4; i++)
        random->state[i] = random_scramble(base + (i + 1) * RANDOM_GOLDEN_GAMMA);
}

static uint64_t random_rotate_left(uint64_t value, uint32_t count)
{
    return value << count | value >> (64 - count);
}

/* xoshiro256** 1.0 (Blackman, Vigna). */
uint64_t random_next(struct random *random)
{
    uint64_t *state = random->state;
    uint64_t result = random_rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;

    CHECK((state[0] | state[1] | state[2] | state[3]) != 0); /* the one state it can't leave */
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = random_rotate_left(state[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    CHECK(bound > 0);
    /* 2^64 mod bound: the numbers below it would make small results likelier. */
    uint64_t surplus = (0 - bound) % bound;
    uint64_t number;
    do
        number = random_next(random);
    while (number < surplus);
    return number % bound;
}

double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}
