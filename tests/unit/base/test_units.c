#include "base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct parse_row {
    const char *text;
    bool is_good;
    uint64_t value;
};

static void check_rows(const struct parse_row *rows, size_t count,
                       bool (*parse)(const char *, uint64_t *))
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        bool is_good = parse(rows[i].text, &value);
        if (is_good != rows[i].is_good || value != rows[i].value)
            print_error("'%s': %d %llu\n", rows[i].text, is_good, (unsigned long long)value);
        assert_int_equal(is_good, rows[i].is_good);
        assert_int_equal(value, rows[i].value);
    }
}

#define CHECK_ROWS(rows, parse) check_rows(rows, sizeof(rows) / sizeof((rows)[0]), parse)

static void test_counts(void **state)
{
    static const struct parse_row rows[] = {
        {"0", true, 0},
        {"42", true, 42},
        {"10k", true, 10000},
        {"10K", true, 10000},
        {"1.5k", true, 1500},
        {"1.5M", true, 1500000},
        {"2G", true, 2000000000},
        {"3T", true, 3000000000000},
        {"1Ki", true, 1024},
        {"64Mi", true, 67108864},
        {"1.5Gi", true, 1610612736},
        {"1Ti", true, 1099511627776},
        {"1.3Gi", true, 1395864371},
        {"0.001k", true, 1},
        {"0.0000000000000000001T", true, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"16777216Ti", false, 0},
        {"16777215.99Ti", true, 18446744062714435338ull},
        {"18446744073709551.615k", true, UINT64_MAX},
        {"18446744073709551.616k", false, 0},
        {"", false, 0},
        {"k", false, 0},
        {"1.5", false, 0},
        {"1.k", false, 0},
        {".5k", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1 k", false, 0},
        {"1kk", false, 0},
        {"1kB", false, 0},
        {"1i", false, 0},
        {"1KI", false, 0},
        {"1s", false, 0},
        {"1e3", false, 0},
        {"0x10", false, 0},
        {"1.2.3k", false, 0},
    };
    (void)state;
    CHECK_ROWS(rows, units_parse_count);
}

static void test_sizes(void **state)
{
    static const struct parse_row rows[] = {
        {"4096", true, 4096},  {"64Mi", true, 67108864}, {"64MiB", true, 67108864},
        {"10kB", true, 10000}, {"512B", true, 512},      {"50M", true, 50000000},
        {"1.5Ki", true, 1536}, {"B", false, 0},          {"1.5B", false, 0},
        {"1.B", false, 0},     {"12BB", false, 0},       {"", false, 0},
        {"MiB", false, 0},     {"1b", false, 0},
    };
    (void)state;
    CHECK_ROWS(rows, units_parse_size);
}

static void test_durations(void **state)
{
    static const struct parse_row rows[] = {
        {"0", true, 0},
        {"10", true, 10000000000},
        {"1.5", true, 1500000000},
        {"7ns", true, 7},
        {"7us", true, 7000},
        {"50ms", true, 50000000},
        {"0.5ms", true, 500000},
        {"10s", true, 10000000000},
        {"2m", true, 120000000000},
        {"1.5h", true, 5400000000000},
        {"1d", true, 86400000000000},
        {"213503d", true, 213503 * 86400000000000ull},
        {"213504d", false, 0},
        {"0.5ns", false, 0},
        {"", false, 0},
        {"ms", false, 0},
        {"1M", false, 0},
        {"1 s", false, 0},
        {"-1s", false, 0},
        {"1h30m", false, 0},
        {"abc", false, 0},
    };
    (void)state;
    CHECK_ROWS(rows, units_parse_duration);
}

struct format_row {
    uint64_t value;
    const char *text;
};

static void check_formats(const struct format_row *rows, size_t count,
                          const char *(*format)(char *, uint64_t))
{
    for (size_t i = 0; i < count; i++) {
        char out[UNITS_TEXT_MAX];
        assert_ptr_equal(format(out, rows[i].value), out);
        assert_string_equal(out, rows[i].text);
    }
}

#define CHECK_FORMATS(rows, format) check_formats(rows, sizeof(rows) / sizeof((rows)[0]), format)

static void test_format_size(void **state)
{
    static const struct format_row rows[] = {
        {0, "0 B"},
        {1, "1 B"},
        {512, "512 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {1024 * 1023 + 600, "1 MiB"},
        {3 * 1048576 / 2, "1.5 MiB"},
        {1000ull << 20, "1000 MiB"},
        {16ull << 30, "16 GiB"},
        {1181116006, "1.1 GiB"},
        {10ull << 40, "10 TiB"},
        {UINT64_MAX, "16 EiB"},
    };
    (void)state;
    CHECK_FORMATS(rows, units_format_size);
}

static void test_format_duration(void **state)
{
    static const struct format_row rows[] = {
        {0, "0ns"},
        {7, "7ns"},
        {999, "999ns"},
        {1000, "1us"},
        {1500, "1.5us"},
        {1510, "1.51us"},
        {999499, "999us"},
        {999500, "1.00ms"},
        {1840000, "1.84ms"},
        {1801234, "1.80ms"},
        {9994999, "9.99ms"},
        {9995000, "10.0ms"},
        {41200000, "41.2ms"},
        {41234567, "41.2ms"},
        {99960000, "100ms"},
        {212000000, "212ms"},
        {212345678, "212ms"},
        {500000000, "500ms"},
        {999600000, "1.00s"},
        {1020000000, "1.02s"},
        {10000000000, "10s"},
        {60000000000, "60s"},
        {300000000000, "300s"},
        {600000000000, "10m"},
        {1000000000000, "16.7m"},
        {7200000000000, "2h"},
        {86400000000000, "24h"},
    };
    (void)state;
    CHECK_FORMATS(rows, units_format_duration);
}

static void test_format_count(void **state)
{
    static const struct format_row rows[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1 000"},
        {12345, "12 345"},
        {999999, "999 999"},
        {2999871, "2 999 871"},
        {UINT64_MAX, "18 446 744 073 709 551 615"},
    };
    (void)state;
    CHECK_FORMATS(rows, units_format_count);
}

/* The longest texts fit: the largest value of each magnitude, and one off a round number. */
static void test_formats_fit_at_every_magnitude(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 64; bit++) {
        char out[UNITS_TEXT_MAX];
        uint64_t value = UINT64_MAX >> bit;
        assert_true(strlen(units_format_size(out, value)) <= 9);
        assert_true(strlen(units_format_duration(out, value)) <= 9);
        assert_true(strlen(units_format_count(out, value)) < UNITS_TEXT_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_format_size),
        cmocka_unit_test(test_format_duration),
        cmocka_unit_test(test_format_count),
        cmocka_unit_test(test_formats_fit_at_every_magnitude),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
