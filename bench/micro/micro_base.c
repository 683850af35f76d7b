/* The checksum as the spool takes it, at once and in pieces; and one value into a histogram. */
#include "micro.h"

#include "base/histogram.h"
#include "base/random.h"

#include <xxhash.h>

#define VALUES     4096u
#define HIGHEST_NS 3600000000000ull
#define DIGITS     3
#define MAGNITUDES 30 /* values up to 2^30 ns, as many of each magnitude */
#define PIECE      1460u
#define VALUE_SIZE sizeof(uint64_t)

static uint64_t values[VALUES];
static struct histogram histogram;
static XXH3_state_t *state;

static uint64_t run_hash(const struct micro_case *micro_case, uint64_t rounds)
{
    const uint8_t *content = micro_content();
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t hash = XXH3_64bits(content, micro_case->size);
        micro_keep(&hash);
    }
    return rounds * micro_case->size;
}

static uint64_t run_hash_in_pieces(const struct micro_case *micro_case, uint64_t rounds)
{
    uint64_t taken = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        struct bytes content = bytes_make(micro_content(), micro_case->size);
        (void)XXH3_64bits_reset(state);
        while (content.size > 0) {
            struct bytes piece = bytes_take(&content, content.size < PIECE ? content.size : PIECE);
            (void)XXH3_64bits_update(state, piece.data, piece.size);
            taken += piece.size;
        }
        uint64_t hash = XXH3_64bits_digest(state);
        micro_keep(&hash);
    }
    return taken;
}

static uint64_t run_record(const struct micro_case *micro_case, uint64_t rounds)
{
    uint64_t before = histogram.total_count;
    for (uint64_t round = 0; round < rounds; round++)
        histogram_record(&histogram, values[round % VALUES]);
    return (histogram.total_count - before) * micro_case->size;
}

static const struct micro_case cases[] = {
    {"XXH3", "64 octets", 64, 0, run_hash},
    {"XXH3", "1 KiB", 1024, 0, run_hash},
    {"XXH3", "32 KiB", 32768, 0, run_hash},
    {"XXH3", "1 MiB", MICRO_CONTENT_MAX, 0, run_hash},
    {"XXH3", "1 KiB, streamed", 1024, 0, run_hash_in_pieces},
    {"XXH3", "32 KiB, streamed in packets", 32768, 0, run_hash_in_pieces},
    {"histogram", "record a value", VALUE_SIZE, 0, run_record},
};

struct micro_cases micro_base_cases(void)
{
    struct random random;
    random_init(&random, 1, 1);
    for (uint32_t index = 0; index < VALUES; index++)
        values[index] = random_next(&random) >> (64 - 1 - random_below(&random, MAGNITUDES));
    CHECK(histogram_open(&histogram, HIGHEST_NS, DIGITS) == 0);
    state = XXH3_createState();
    CHECK(state != NULL);
    return (struct micro_cases){cases, sizeof cases / sizeof cases[0]};
}
