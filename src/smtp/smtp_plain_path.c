/*
 * What each of 32 or 64 octets is is told at once, a bit for each; the rest is arithmetic on bits.
 * In "<local@domain>" the first three octets that are not plain are the brackets and the "@".
 */
#include "smtp/smtp_plain_path.h"

#if defined(__SSE2__)

#include <emmintrin.h>
#include <stdbool.h>

#define WIDTH 16
#define SHORT (2 * WIDTH)
#define LONG  (4 * WIDTH)

struct octets {
    uint64_t plain; /* bit i: octet i is a letter, a digit, ".", "-" or "_" */
    uint64_t dots;
};

/* Where `low` <= octet <= `high`. */
static inline __m128i is_between(__m128i octets, char low, char high)
{
    __m128i above = _mm_sub_epi8(octets, _mm_set1_epi8(low));
    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8((char)(high - low))), above);
}

static inline struct octets look_at(const uint8_t *data)
{
    __m128i octets = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i dots = _mm_cmpeq_epi8(octets, _mm_set1_epi8('.'));
    __m128i lines = _mm_or_si128(_mm_cmpeq_epi8(octets, _mm_set1_epi8('-')),
                                 _mm_cmpeq_epi8(octets, _mm_set1_epi8('_')));
    /* Bit 0x20 is the case of a letter, and makes a letter of none. */
    __m128i letters = is_between(_mm_or_si128(octets, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i digits = is_between(octets, '0', '9');
    __m128i plain = _mm_or_si128(_mm_or_si128(letters, digits), _mm_or_si128(dots, lines));
    return (struct octets){.plain = (uint32_t)_mm_movemask_epi8(plain),
                           .dots = (uint32_t)_mm_movemask_epi8(dots)};
}

static inline void look_further(struct octets *all, const uint8_t *data, uint64_t place)
{
    struct octets more = look_at(data + place);
    all->plain |= more.plain << place;
    all->dots |= more.dots << place;
}

/* Takes the lowest bit that is set. */
static inline uint64_t take_bit(uint64_t *bits)
{
    uint64_t place = (uint64_t)__builtin_ctzll(*bits);
    *bits &= *bits - 1;
    return place;
}

/* The path's size if it ends within the first `count` octets, else 0. */
static inline uint64_t size_within(struct octets octets, const uint8_t *data, uint64_t count)
{
    uint64_t others = ~octets.plain | 1ull << (LONG - 1); /* never runs out of them */
    (void)take_bit(&others);
    uint64_t at_sign = take_bit(&others);
    if (others == 0) return 0;
    uint64_t end = take_bit(&others);
    if (end >= count || at_sign < 2 || end < at_sign + 2) return 0;
    if (data[at_sign] != '@' || data[end] != '>') return 0;
    /* Two dots together, or one in front of the domain, are for a closer look. */
    uint64_t behind = octets.dots << 1 | 2ull << at_sign;
    return (octets.dots & behind) == 0 ? end + 1 : 0;
}

RARE static uint64_t size_of_long(const uint8_t *data, uint64_t count)
{
    struct octets octets = look_at(data);
    look_further(&octets, data, WIDTH);
    look_further(&octets, data, count < LONG - WIDTH ? count - WIDTH : SHORT);
    look_further(&octets, data, count - WIDTH);
    return size_within(octets, data, count);
}

uint64_t smtp_plain_path_size(struct bytes text)
{
    if (text.size < WIDTH || text.data[0] != '<') return 0;
    uint64_t count = text.size < SHORT ? text.size : SHORT;
    struct octets octets = look_at(text.data);
    look_further(&octets, text.data, count - WIDTH); /* overlaps where there are fewer */
    uint64_t size = size_within(octets, text.data, count);
    if (size > 0 || text.size <= SHORT) return size;
    return size_of_long(text.data, text.size < LONG ? text.size : LONG);
}

#else

uint64_t smtp_plain_path_size(struct bytes text)
{
    (void)text;
    return 0;
}

#endif
