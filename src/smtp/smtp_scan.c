/*
 * Three loads a step, each one octet further on, compared with CR, LF and ".": where all three
 * agree, CR LF "." starts. With AVX2 two steps at once first look for LF "." alone, which is rare:
 * where it is, both steps are made, so a hostile message that has it at every other octet costs
 * twice as much and no more.
 */
#include "smtp/smtp_scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define PATTERN_SIZE 3

static uint64_t find_scalar(const uint8_t *data, uint64_t size)
{
    for (uint64_t i = 0; i + PATTERN_SIZE <= size; i++)
        if (data[i] == '\r' && data[i + 1] == '\n' && data[i + 2] == '.') return i;
    return size;
}

static bool is_supported_everywhere(void)
{
    return true;
}

#if defined(__x86_64__)

#define SSE2_WIDTH     16
#define SSE2_SPAN      (SSE2_WIDTH + PATTERN_SIZE - 1)
#define AVX2_WIDTH     32
#define AVX2_PAIR      (2 * AVX2_WIDTH)
#define AVX2_PAIR_SPAN (AVX2_PAIR + PATTERN_SIZE - 1)
#define TARGET(isa)    __attribute__((target(isa)))

/* Bit i: the pattern starts at data[i]. Reads SSE2_SPAN octets. */
TARGET("sse2") static inline uint32_t match_sse2(const uint8_t *data)
{
    __m128i first = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i second = _mm_loadu_si128((const __m128i *)(const void *)(data + 1));
    __m128i third = _mm_loadu_si128((const __m128i *)(const void *)(data + 2));
    __m128i both = _mm_and_si128(_mm_cmpeq_epi8(first, _mm_set1_epi8('\r')),
                                 _mm_cmpeq_epi8(second, _mm_set1_epi8('\n')));
    __m128i all = _mm_and_si128(both, _mm_cmpeq_epi8(third, _mm_set1_epi8('.')));
    return (uint32_t)_mm_movemask_epi8(all);
}

TARGET("avx2") static inline uint32_t match_avx2(const uint8_t *data)
{
    __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)data);
    __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(data + 1));
    __m256i third = _mm256_loadu_si256((const __m256i *)(const void *)(data + 2));
    __m256i both = _mm256_and_si256(_mm256_cmpeq_epi8(first, _mm256_set1_epi8('\r')),
                                    _mm256_cmpeq_epi8(second, _mm256_set1_epi8('\n')));
    __m256i all = _mm256_and_si256(both, _mm256_cmpeq_epi8(third, _mm256_set1_epi8('.')));
    return (uint32_t)_mm256_movemask_epi8(all);
}

/* What is left behind the last whole step is looked at by one more that ends where the data does:
 * it overlaps octets already known to start no pattern. */
TARGET("sse2") static uint64_t find_sse2(const uint8_t *data, uint64_t size)
{
    if (size < SSE2_SPAN) return find_scalar(data, size);
    uint64_t last = size - SSE2_SPAN;
    for (uint64_t i = 0; i < last; i += SSE2_WIDTH) {
        uint32_t matches = match_sse2(data + i);
        if (matches != 0) return i + (uint32_t)__builtin_ctz(matches);
    }
    uint32_t matches = match_sse2(data + last);
    return matches != 0 ? last + (uint32_t)__builtin_ctz(matches) : size;
}

TARGET("avx2") static inline __m256i dots_behind_lf_avx2(const uint8_t *data)
{
    __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(data + 1));
    __m256i third = _mm256_loadu_si256((const __m256i *)(const void *)(data + 2));
    return _mm256_and_si256(_mm256_cmpeq_epi8(second, _mm256_set1_epi8('\n')),
                            _mm256_cmpeq_epi8(third, _mm256_set1_epi8('.')));
}

/* Could the pattern start within two steps? */
TARGET("avx2") static inline bool may_start_avx2(const uint8_t *data)
{
    __m256i either =
        _mm256_or_si256(dots_behind_lf_avx2(data), dots_behind_lf_avx2(data + AVX2_WIDTH));
    return _mm256_testz_si256(either, either) == 0;
}

/* Where in two steps it does; AVX2_PAIR if it does not. */
TARGET("avx2") static inline uint64_t find_in_pair_avx2(const uint8_t *data)
{
    uint64_t matches = match_avx2(data) | (uint64_t)match_avx2(data + AVX2_WIDTH) << AVX2_WIDTH;
    return matches != 0 ? (uint64_t)__builtin_ctzll(matches) : AVX2_PAIR;
}

TARGET("avx2") static uint64_t find_avx2(const uint8_t *data, uint64_t size)
{
    if (size < AVX2_PAIR_SPAN) return find_sse2(data, size);
    uint64_t last = size - AVX2_PAIR_SPAN;
    for (uint64_t at = 0; at < last; at += AVX2_PAIR) {
        if (!may_start_avx2(data + at)) continue;
        uint64_t found = find_in_pair_avx2(data + at);
        if (found < AVX2_PAIR) return at + found;
    }
    uint64_t found = may_start_avx2(data + last) ? find_in_pair_avx2(data + last) : AVX2_PAIR;
    return found < AVX2_PAIR ? last + found : size;
}

static bool is_avx2_supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

static bool is_sse2_supported(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse2") != 0;
}

#elif defined(__aarch64__)

#define NEON_WIDTH 16
#define NEON_SPAN  (NEON_WIDTH + PATTERN_SIZE - 1)

/* Four bits for each octet at which the pattern starts (shrn: NEON has no movemask). */
static inline uint64_t match_neon(const uint8_t *data)
{
    uint8x16_t first = vceqq_u8(vld1q_u8(data), vdupq_n_u8('\r'));
    uint8x16_t second = vceqq_u8(vld1q_u8(data + 1), vdupq_n_u8('\n'));
    uint8x16_t third = vceqq_u8(vld1q_u8(data + 2), vdupq_n_u8('.'));
    uint8x16_t all = vandq_u8(vandq_u8(first, second), third);
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(all), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
}

static uint64_t find_neon(const uint8_t *data, uint64_t size)
{
    if (size < NEON_SPAN) return find_scalar(data, size);
    uint64_t last = size - NEON_SPAN;
    for (uint64_t i = 0; i < last; i += NEON_WIDTH) {
        uint64_t matches = match_neon(data + i);
        if (matches != 0) return i + (uint32_t)__builtin_ctzll(matches) / 4;
    }
    uint64_t matches = match_neon(data + last);
    return matches != 0 ? last + (uint32_t)__builtin_ctzll(matches) / 4 : size;
}

#endif

const struct smtp_scan_variant smtp_scan_variants[] = {
#if defined(__x86_64__)
    {"avx2", is_avx2_supported, find_avx2},
    {"sse2", is_sse2_supported, find_sse2},
#elif defined(__aarch64__)
    {"neon", is_supported_everywhere, find_neon},
#endif
    {"scalar", is_supported_everywhere, find_scalar},
};
const uint32_t smtp_scan_variant_count = sizeof(smtp_scan_variants) / sizeof(smtp_scan_variants[0]);

static const struct smtp_scan_variant *chosen;

__attribute__((constructor)) static void choose(void)
{
    chosen = smtp_scan_variants;
    while (!chosen->is_supported())
        chosen++;
}

const struct smtp_scan_variant *smtp_scan_chosen(void)
{
    CHECK(chosen != NULL);
    return chosen;
}

uint64_t smtp_scan_find_dot_line(struct bytes text)
{
    return chosen->find_dot_line(text.data, text.size);
}
