#include "base/units.h"

#include "base/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define UNITS_FRACTION_SCALE_MAX 1000000000u /* further digits of a fraction are ignored */

struct units_unit {
    const char *text;
    uint64_t factor;
};

static const struct units_unit units_of_count[] = {
    {"", 1},
    {"k", 1000},
    {"K", 1000},
    {"M", 1000000},
    {"m", 1000000},
    {"G", 1000000000},
    {"g", 1000000000},
    {"T", 1000000000000},
    {"t", 1000000000000},
    {"Ki", 1ull << 10},
    {"ki", 1ull << 10},
    {"Mi", 1ull << 20},
    {"mi", 1ull << 20},
    {"Gi", 1ull << 30},
    {"gi", 1ull << 30},
    {"Ti", 1ull << 40},
    {"ti", 1ull << 40},
    {NULL, 0},
};

static const struct units_unit units_of_duration[] = {
    {"", CLOCK_NS_PER_S},
    {"ns", 1},
    {"us", CLOCK_NS_PER_US},
    {"ms", CLOCK_NS_PER_MS},
    {"s", CLOCK_NS_PER_S},
    {"m", 60 * CLOCK_NS_PER_S},
    {"h", 3600 * CLOCK_NS_PER_S},
    {"d", 86400 * CLOCK_NS_PER_S},
    {NULL, 0},
};

static bool units_is_digit(char character)
{
    return character >= '0' && character <= '9';
}

static bool units_parse_whole(const char **text, uint64_t *whole)
{
    if (!units_is_digit(**text)) return false;
    *whole = 0;
    for (; units_is_digit(**text); (*text)++) {
        uint64_t digit = (uint64_t)(**text - '0');
        if (*whole > (UINT64_MAX - digit) / 10) return false;
        *whole = *whole * 10 + digit;
    }
    return true;
}

/* Reads ".5" as 5 of scale 10; without a dot 0 of scale 1. */
static bool units_parse_fraction(const char **text, uint64_t *fraction, uint64_t *scale)
{
    *fraction = 0;
    *scale = 1;
    if (**text != '.') return true;
    (*text)++;
    if (!units_is_digit(**text)) return false;
    for (; units_is_digit(**text); (*text)++) {
        if (*scale == UNITS_FRACTION_SCALE_MAX) continue;
        *scale *= 10;
        *fraction = *fraction * 10 + (uint64_t)(**text - '0');
    }
    return true;
}

/* part * factor / scale, rounded down, without overflow: part < scale <= 10^9. */
static uint64_t units_scale_fraction(uint64_t part, uint64_t factor, uint64_t scale)
{
    CHECK(part < scale);
    CHECK(scale <= UNITS_FRACTION_SCALE_MAX);
    return factor / scale * part + factor % scale * part / scale;
}

static uint64_t units_find_factor(const struct units_unit *units, const char *text, size_t size)
{
    for (; units->text != NULL; units++)
        if (strlen(units->text) == size && memcmp(units->text, text, size) == 0)
            return units->factor;
    return 0;
}

static bool units_parse(const struct units_unit *units, const char *text, size_t size,
                        uint64_t *result)
{
    const char *end = text + size;
    uint64_t whole;
    uint64_t fraction;
    uint64_t scale;

    if (!units_parse_whole(&text, &whole)) return false;
    if (!units_parse_fraction(&text, &fraction, &scale)) return false;
    if (text > end) return false;
    uint64_t factor = units_find_factor(units, text, (size_t)(end - text));
    if (factor == 0) return false;
    if (scale > 1 && factor == 1) return false; /* half a message is a slip, not a wish */
    if (whole > UINT64_MAX / factor) return false;
    uint64_t part = units_scale_fraction(fraction, factor, scale);
    if (part > UINT64_MAX - whole * factor) return false;
    *result = whole * factor + part;
    return true;
}

bool units_parse_count(const char *text, uint64_t *count)
{
    return units_parse(units_of_count, text, strlen(text), count);
}

bool units_parse_size(const char *text, uint64_t *size)
{
    size_t text_size = strlen(text);
    if (text_size > 1 && text[text_size - 1] == 'B') text_size--; /* "64MiB" is what many type */
    return units_parse(units_of_count, text, text_size, size);
}

bool units_parse_duration(const char *text, uint64_t *duration_ns)
{
    return units_parse(units_of_duration, text, strlen(text), duration_ns);
}

/* Three significant figures; an exact value loses its trailing zeros if `is_short`. */
static void units_put_figures(char *out, double value, bool is_short)
{
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    int size = snprintf(out, UNITS_TEXT_MAX, "%.*f", decimals, value);

    CHECK(size > 0);
    CHECK(size < UNITS_TEXT_MAX);
    if (!is_short || decimals == 0) return;
    while (out[size - 1] == '0')
        out[--size] = 0;
    if (out[size - 1] == '.') out[--size] = 0;
}

static void units_append(char *out, const char *text)
{
    CHECK(strlen(out) + strlen(text) < UNITS_TEXT_MAX);
    strcat(out, text);
}

const char *units_format_size(char *out, uint64_t size)
{
    static const char *const names[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    double value = (double)size;
    uint32_t name = 0;

    /* Not 1024: what would print as 1024 is one of the next unit. */
    while (value >= 1023.5) {
        value /= 1024;
        name++;
    }
    units_put_figures(out, value, true);
    units_append(out, names[name]);
    return out;
}

const char *units_format_duration(char *out, uint64_t duration_ns)
{
    static const struct {
        const char *text;
        uint64_t factor;
        double below; /* the largest value is just below this many */
    } steps[] = {
        {"ns", 1, 999.5},
        {"us", CLOCK_NS_PER_US, 999.5},
        {"ms", CLOCK_NS_PER_MS, 999.5},
        {"s", CLOCK_NS_PER_S, 600},
        {"m", 60 * CLOCK_NS_PER_S, 120},
        {"h", 3600 * CLOCK_NS_PER_S, 1e9},
    };
    uint32_t step = 0;

    while ((double)duration_ns / (double)steps[step].factor >= steps[step].below)
        step++;
    /* "10s" and "1.5ms" were set by somebody and are exact; "1.50ms" was measured. */
    bool is_short = duration_ns * 10 % steps[step].factor == 0;
    units_put_figures(out, (double)duration_ns / (double)steps[step].factor, is_short);
    units_append(out, steps[step].text);
    return out;
}

const char *units_format_count(char *out, uint64_t count)
{
    char digits[UNITS_TEXT_MAX];
    int size = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    char *end = out;

    CHECK(size + size / 3 < UNITS_TEXT_MAX);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) *end++ = ' ';
        *end++ = digits[i];
    }
    *end = 0;
    return out;
}
