#include "base/histogram.h"

#include "base/base64.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HOUR_NS 3600000000000ull

static void test_shape_is_that_of_hdrhistogram(void **state)
{
    static const struct {
        uint64_t highest;
        uint32_t digits;
        uint32_t counts_size; /* countsArrayLength of the Java class for the same arguments */
    } rows[] = {
        {HOUR_NS, 3, 33792},
        {HOUR_NS, 2, 4608},
        {3600000000, 3, 23552},
        {2, 1, 32},
        {2047, 3, 2048},
        {2048, 3, 3072},
        {4095, 3, 3072},
        {4096, 3, 4096},
        {86400000000000, 4, 557056},
        {INT64_MAX, 3, 55296},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct histogram histogram;
        assert_int_equal(histogram_open(&histogram, rows[i].highest, rows[i].digits), 0);
        assert_int_equal(histogram.counts_size, rows[i].counts_size);
        assert_int_equal(histogram_memory(&histogram), rows[i].counts_size * 8ull);
        histogram_record(&histogram, rows[i].highest);
        histogram_record(&histogram, 0);
        assert_int_equal(histogram.total_count, 2);
        histogram_close(&histogram);
    }
}

static void test_empty(void **state)
{
    struct histogram histogram;
    uint64_t value;
    (void)state;

    assert_int_equal(histogram_open(&histogram, HOUR_NS, 3), 0);
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_false(histogram_percentile_shown(&histogram, 50, &value));
    assert_int_equal(histogram.minimum, UINT64_MAX);
    assert_int_equal(histogram.maximum, 0);
    assert_true(histogram_mean(&histogram) == 0);
    assert_true(histogram_deviation(&histogram) == 0);
    assert_int_equal(histogram_count_between(&histogram, 0, UINT64_MAX), 0);
    histogram_close(&histogram);
}

/* Values that straddle each power of two: the error stays within 10^-digits. */
static void test_precision(void **state)
{
    (void)state;
    for (uint32_t digits = 1; digits <= 4; digits++) {
        for (uint32_t bit = 0; bit < 42; bit++) {
            for (uint64_t value = (1ull << bit) - 1; value <= (1ull << bit) + 1; value++) {
                struct histogram histogram;
                assert_int_equal(histogram_open(&histogram, 1ull << 42, digits), 0);
                histogram_record(&histogram, value);
                uint64_t shown = histogram_percentile(&histogram, 50);
                assert_true(shown >= value);
                assert_true((double)(shown - value) <= (double)value * pow(10, -(double)digits));
                histogram_close(&histogram);
            }
        }
    }
}

static void test_percentiles_of_1_to_10000(void **state)
{
    static const struct {
        double percentile;
        uint64_t value; /* exact below 2048, the highest equivalent above */
    } rows[] = {
        {0, 1},     {0.01, 1},  {0.02, 2},  {1, 100},     {10, 1000},    {20, 2000},
        {50, 5003}, {90, 9007}, {99, 9903}, {99.9, 9991}, {99.99, 9999}, {100, 10007},
    };
    struct histogram histogram;
    (void)state;

    assert_int_equal(histogram_open(&histogram, HOUR_NS, 3), 0);
    for (uint64_t value = 1; value <= 10000; value++)
        histogram_record(&histogram, value);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(histogram_percentile(&histogram, rows[i].percentile), rows[i].value);
    assert_int_equal(histogram.minimum, 1);
    assert_int_equal(histogram.maximum, 10000);
    assert_true(fabs(histogram_mean(&histogram) - 5000.5) < 1e-9);
    assert_true(fabs(histogram_deviation(&histogram) - 2886.75) < 3);
    histogram_close(&histogram);
}

static void test_shown_only_with_ten_samples_beyond(void **state)
{
    static const struct {
        uint64_t total_count;
        double percentile;
        bool is_shown;
    } rows[] = {
        {19, 50, false},     {20, 50, true},       {999, 99, false},      {1000, 99, true},
        {9999, 99.9, false}, {10000, 99.9, true},  {99999, 99.99, false}, {100000, 99.99, true},
        {5, 0, false},       {100000, 100, false}, {99, 90, false},       {100, 90, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct histogram histogram;
        uint64_t value = 0;
        assert_int_equal(histogram_open(&histogram, HOUR_NS, 2), 0);
        for (uint64_t n = 0; n < rows[i].total_count; n++)
            histogram_record(&histogram, 7);
        assert_int_equal(histogram_percentile_shown(&histogram, rows[i].percentile, &value),
                         rows[i].is_shown);
        assert_int_equal(value, rows[i].is_shown ? 7 : 0);
        histogram_close(&histogram);
    }
}

static void test_overflow_is_counted_and_kept(void **state)
{
    struct histogram histogram;
    (void)state;

    assert_int_equal(histogram_open(&histogram, 1000, 3), 0);
    histogram_record(&histogram, 1000);
    histogram_record(&histogram, 1001);
    histogram_record(&histogram, UINT64_MAX);
    assert_int_equal(histogram.total_count, 3);
    assert_int_equal(histogram.overflow_count, 2);
    assert_int_equal(histogram.maximum, 1000);
    assert_int_equal(histogram_percentile(&histogram, 100), 1000);
    assert_true(histogram_mean(&histogram) == 1000);
    histogram_reset(&histogram);
    assert_int_equal(histogram.overflow_count, 0);
    assert_int_equal(histogram.total_count, 0);
    assert_int_equal(histogram_percentile(&histogram, 100), 0);
    histogram_close(&histogram);
}

static void test_count_between(void **state)
{
    struct histogram histogram;
    (void)state;

    assert_int_equal(histogram_open(&histogram, 10000, 3), 0);
    for (uint64_t value = 0; value < 100; value++)
        histogram_record(&histogram, value);
    histogram_record(&histogram, 20000);
    assert_int_equal(histogram_count_between(&histogram, 0, 100), 100);
    assert_int_equal(histogram_count_between(&histogram, 10, 20), 10);
    assert_int_equal(histogram_count_between(&histogram, 10, 10), 0);
    assert_int_equal(histogram_count_between(&histogram, 20, 10), 0);
    assert_int_equal(histogram_count_between(&histogram, 100, 10000), 0);
    assert_int_equal(histogram_count_between(&histogram, 100, UINT64_MAX), 1);
    assert_int_equal(histogram_count_between(&histogram, 10001, UINT64_MAX), 0);
    histogram_close(&histogram);
}

static uint64_t random_latency(struct random *random)
{
    return random_next(random) >> (22 + random_below(random, 40));
}

static void test_merge_is_concatenation(void **state)
{
    struct histogram parts[3];
    struct histogram whole;
    struct histogram merged;
    struct random random;
    (void)state;

    random_init(&random, 99, 0);
    assert_int_equal(histogram_open(&whole, HOUR_NS, 3), 0);
    assert_int_equal(histogram_open(&merged, HOUR_NS, 3), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(histogram_open(&parts[i], HOUR_NS, 3), 0);
    for (int i = 0; i < 10000; i++) {
        uint64_t value = random_latency(&random);
        histogram_record(&whole, value);
        histogram_record(&parts[i % 2], value); /* the third stays empty */
    }
    for (int i = 0; i < 3; i++) {
        histogram_merge(&merged, &parts[i]);
        histogram_close(&parts[i]);
    }
    assert_true(whole.overflow_count > 0);
    assert_int_equal(merged.total_count, whole.total_count);
    assert_int_equal(merged.overflow_count, whole.overflow_count);
    assert_int_equal(merged.minimum, whole.minimum);
    assert_int_equal(merged.maximum, whole.maximum);
    assert_memory_equal(merged.counts, whole.counts, histogram_memory(&whole));
    assert_true(fabs(histogram_mean(&merged) / histogram_mean(&whole) - 1) < 1e-12);
    histogram_close(&whole);
    histogram_close(&merged);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Against a sorted list: percentiles rise, and none is off by more than the stated precision. */
static void test_percentiles_against_a_list(void **state)
{
    enum { COUNT = 5000 };
    static uint64_t values[COUNT];
    struct histogram histogram;
    struct random random;
    uint64_t before = 0;
    (void)state;

    random_init(&random, 100, 0);
    assert_int_equal(histogram_open(&histogram, INT64_MAX, 3), 0);
    for (int i = 0; i < COUNT; i++) {
        values[i] = random_latency(&random);
        histogram_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), compare_numbers);
    for (uint32_t rank = 1; rank <= COUNT; rank++) {
        uint64_t exact = values[rank - 1];
        uint64_t shown = histogram_percentile(&histogram, rank * 100.0 / COUNT);
        assert_true(shown >= exact);
        assert_true((double)(shown - exact) <= (double)exact / 1000);
        assert_true(shown >= before);
        before = shown;
    }
    histogram_close(&histogram);
}

static uint32_t from_base64(const char *text, uint8_t *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t size = 0;

    assert_int_equal(strlen(text) % 4, 0);
    for (; *text != 0; text += 4) {
        uint32_t group = 0;
        for (int i = 0; i < 4; i++) {
            const char *at = strchr(alphabet, text[i]);
            assert_true(at != NULL || text[i] == '=');
            group = group << 6 | (at == NULL ? 0 : (uint32_t)(at - alphabet));
        }
        out[size++] = (uint8_t)(group >> 16);
        if (text[2] != '=') out[size++] = (uint8_t)(group >> 8);
        if (text[3] != '=') out[size++] = (uint8_t)group;
    }
    return size;
}

static uint64_t big_endian(const uint8_t *data, uint32_t size)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < size; i++)
        number = number << 8 | data[i];
    return number;
}

static int64_t take_leb128(const uint8_t **at)
{
    uint64_t number = 0;
    for (uint32_t i = 0;; i++) {
        uint8_t octet = *(*at)++;
        if (i == 8) {
            number |= (uint64_t)octet << 56;
            break;
        }
        number |= (uint64_t)(octet & 0x7f) << 7 * i;
        if ((octet & 0x80) == 0) break;
    }
    return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}

/* Undoes histogram_encode() and compares all that it says with the histogram. */
static void check_encoded(const struct histogram *histogram)
{
    char *text = histogram_encode(histogram);
    assert_non_null(text);
    assert_memory_equal(text, "HISTFAAA", 8);
    uint8_t *packed = calloc(1, strlen(text));
    uLongf size = 40 + 9ul * histogram->counts_size;
    uint8_t *payload = calloc(1, size);
    uint32_t packed_size = from_base64(text, packed);

    assert_int_equal(big_endian(packed, 4), 0x1c849314);
    assert_int_equal(big_endian(packed + 4, 4), packed_size - 8);
    assert_int_equal(uncompress(payload, &size, packed + 8, packed_size - 8), Z_OK);
    assert_int_equal(big_endian(payload, 4), 0x1c849313);
    assert_int_equal(big_endian(payload + 4, 4), size - 40);
    assert_int_equal(big_endian(payload + 8, 4), 0);
    assert_int_equal(big_endian(payload + 12, 4), histogram->digits);
    assert_int_equal(big_endian(payload + 16, 8), 1);
    assert_int_equal(big_endian(payload + 24, 8), histogram->highest);
    assert_int_equal(big_endian(payload + 32, 8), 0x3ff0000000000000ull);

    const uint8_t *at = payload + 40;
    uint32_t index = 0;
    while (at < payload + size) {
        int64_t number = take_leb128(&at);
        uint32_t zeros = number < 0 ? (uint32_t)-number : 0;
        for (uint32_t i = 0; i < zeros; i++)
            assert_int_equal(histogram->counts[index++], 0);
        if (number >= 0) assert_int_equal(histogram->counts[index++], number);
        assert_true(index <= histogram->counts_size);
    }
    assert_ptr_equal(at, payload + size);
    for (; index < histogram->counts_size; index++)
        assert_int_equal(histogram->counts[index], 0);
    free(payload);
    free(packed);
    free(text);
}

static void test_encode_random_values(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 101, 0);
    for (uint32_t digits = 1; digits <= 4; digits++) {
        struct histogram histogram;
        assert_int_equal(histogram_open(&histogram, HOUR_NS, digits), 0);
        check_encoded(&histogram);
        for (int i = 0; i < 3000; i++)
            histogram_record(&histogram, random_latency(&random));
        check_encoded(&histogram);
        histogram_close(&histogram);
    }
}

static void test_encode_large_counts(void **state)
{
    struct histogram histogram;
    (void)state;
    assert_int_equal(histogram_open(&histogram, 1000, 3), 0);
    histogram_record(&histogram, 100);
    for (uint32_t i = 1; i < 63; i++)
        histogram.counts[i] = (1ull << i) - i % 2;
    histogram.counts[64] = INT64_MAX;
    check_encoded(&histogram);
    histogram_close(&histogram);
}

static void test_equal_samples_do_not_deviate(void **state)
{
    struct histogram histogram;
    (void)state;
    assert_int_equal(histogram_open(&histogram, HOUR_NS, 2), 0);
    for (int i = 0; i < 7; i++)
        histogram_record(&histogram, 123456789);
    assert_true(histogram_deviation(&histogram) == 0);
    assert_true(histogram_mean(&histogram) == 123456789);
    histogram_close(&histogram);
}

/* What was encoded is counted again in the same counters, so every percentile is the same. */
static void check_decoded(const struct histogram *histogram)
{
    struct histogram again;
    char *text = histogram_encode(histogram);
    assert_non_null(text);
    assert_int_equal(histogram_decode(&again, text), 0);
    free(text);
    assert_int_equal(again.counts_size, histogram->counts_size);
    assert_int_equal(again.total_count, histogram->total_count);
    assert_memory_equal(again.counts, histogram->counts, histogram_memory(histogram));
    for (uint32_t halves = 0; halves <= 200; halves++)
        assert_int_equal(histogram_percentile(&again, halves / 2.0),
                         histogram_percentile(histogram, halves / 2.0));
    assert_true(histogram_deviation(&again) == histogram_deviation(histogram));
    if (histogram->total_count > 0) {
        assert_true(again.minimum <= histogram->minimum);
        assert_true(again.maximum >= histogram->maximum);
        assert_true(fabs(histogram_mean(&again) - histogram_mean(histogram)) <=
                    0.05 * histogram_mean(histogram));
    }
    histogram_close(&again);
}

static void test_decode_is_the_way_back(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 11, 1);
    for (uint32_t digits = 1; digits <= 4; digits++) {
        struct histogram histogram;
        assert_int_equal(histogram_open(&histogram, HOUR_NS, digits), 0);
        check_decoded(&histogram);
        for (uint32_t i = 0; i < 3000; i++) {
            histogram_record(&histogram, random_below(&random, 1ull << random_below(&random, 41)));
            if (i % 500 == 0) check_decoded(&histogram);
        }
        histogram_record(&histogram, HOUR_NS);
        check_decoded(&histogram);
        histogram_close(&histogram);
    }
}

static void assert_refused(const char *text)
{
    struct histogram histogram;
    assert_int_equal(histogram_decode(&histogram, text), -EBADMSG);
}

/* Packs a payload as encode does: for headers and counts that encode never writes. */
static char *pack(const uint8_t *payload, size_t size)
{
    uint8_t packed[512] = {0x1c, 0x84, 0x93, 0x14};
    static char text[700];
    uLongf packed_size = sizeof(packed) - 8;
    assert_int_equal(compress(packed + 8, &packed_size, payload, (uLong)size), Z_OK);
    packed[6] = (uint8_t)(packed_size >> 8);
    packed[7] = (uint8_t)packed_size;
    base64_encode(bytes_make(packed, packed_size + 8), text);
    text[base64_encoded_size(packed_size + 8)] = '\0';
    return text;
}

static void test_decode_refuses_what_is_not_whole(void **state)
{
    /* cookie, length 2, offset 0, digits 3, lowest 1, highest 2047, ratio 1.0; then counts 0, 1 */
    static const uint8_t good[] = {0x1c, 0x84, 0x93, 0x13, 0,    0,    0, 2, 0, 0, 0, 0, 0, 0,
                                   0,    3,    0,    0,    0,    0,    0, 0, 0, 1, 0, 0, 0, 0,
                                   0,    0,    7,    0xff, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0, 2};
    static const struct {
        uint32_t at;
        uint8_t octet;
    } harms[] = {{0, 0x1d}, {3, 0x14}, {7, 3},  {7, 1},     {11, 1},    {15, 0},
                 {15, 5},   {23, 0},   {23, 2}, {24, 0x80}, {32, 0x40}, {41, 0x80}};
    struct histogram histogram;
    uint8_t payload[64];
    (void)state;

    assert_int_equal(histogram_decode(&histogram, pack(good, sizeof good)), 0);
    assert_int_equal(histogram.total_count, 1);
    assert_int_equal(histogram.counts[1], 1);
    histogram_close(&histogram);
    for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
        memcpy(payload, good, sizeof good);
        payload[harms[i].at] = harms[i].octet;
        assert_refused(pack(payload, sizeof good));
    }
    /* Highest 1: less than any histogram's. */
    memcpy(payload, good, sizeof good);
    payload[30] = 0;
    payload[31] = 1;
    assert_refused(pack(payload, sizeof good));
    /* More zeros than there are counters, and more samples than there are numbers. */
    memcpy(payload, good, sizeof good);
    payload[7] = 11;
    memset(payload + 40, 0xff, 9);
    assert_refused(pack(payload, 51));
    payload[40] = 0xfe;
    payload[49] = 2;
    payload[50] = 2;
    assert_refused(pack(payload, 51));
    assert_refused("");
    assert_refused("HISTFAAA");
    assert_refused("HISTFAAAAA==");
    assert_refused("not base64 at all");
    assert_refused(pack(good, 39));
    assert_refused(pack(good, 41));
}

/* Cut or changed anywhere a text is refused, or it is another histogram: never a crash. */
static void test_decode_of_damaged_texts(void **state)
{
    struct histogram histogram;
    struct random random;
    uint32_t refused = 0;
    (void)state;

    random_init(&random, 12, 1);
    assert_int_equal(histogram_open(&histogram, HOUR_NS, 2), 0);
    for (uint32_t i = 0; i < 50; i++)
        histogram_record(&histogram, random_below(&random, 1000000));
    char *text = histogram_encode(&histogram);
    assert_non_null(text);
    size_t size = strlen(text);
    for (size_t cut = 0; cut < size; cut++) {
        char kept = text[cut];
        text[cut] = '\0';
        assert_refused(text);
        text[cut] = kept;
    }
    for (uint32_t i = 0; i < 2000; i++) {
        size_t at = random_below(&random, size);
        char kept = text[at];
        struct histogram damaged;
        text[at] = (char)(' ' + random_below(&random, 95));
        if (histogram_decode(&damaged, text) == 0)
            histogram_close(&damaged);
        else if (text[at] != kept)
            refused++;
        text[at] = kept;
    }
    assert_in_range(refused, 1500, 2000); /* zlib's checksum sees nearly all of them */
    free(text);
    histogram_close(&histogram);
}

/* A payload whose octets are random behind a right header: checksums do not help here. */
static void test_decode_of_random_counts(void **state)
{
    struct random random;
    uint32_t taken = 0;
    (void)state;

    random_init(&random, 13, 1);
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t payload[140] = {0x1c, 0x84, 0x93, 0x13};
        uint32_t size = (uint32_t)random_below(&random, 100);
        struct histogram histogram;
        payload[7] = (uint8_t)size;
        payload[15] = (uint8_t)(1 + random_below(&random, 4));
        payload[23] = 1;
        payload[27 + random_below(&random, 5)] = (uint8_t)(2 + random_below(&random, 200));
        payload[32] = 0x3f;
        payload[33] = 0xf0;
        for (uint32_t at = 0; at < size; at++)
            payload[40 + at] = (uint8_t)random_below(&random, i % 2 == 0 ? 256 : 16);
        if (histogram_decode(&histogram, pack(payload, 40 + size)) < 0) continue;
        taken++;
        if (histogram.total_count > 0) {
            assert_true(histogram.minimum <= histogram.maximum);
            assert_true(histogram.maximum <= histogram.highest);
            (void)histogram_percentile(&histogram, 99);
        }
        histogram_close(&histogram);
    }
    assert_in_range(taken, 500, 4999);
}

static void test_a_value_many_times(void **state)
{
    struct histogram once;
    struct histogram many;

    (void)state;
    assert_int_equal(histogram_open(&once, 1000000, 3), 0);
    assert_int_equal(histogram_open(&many, 1000000, 3), 0);
    for (uint32_t count = 0; count < 7; count++)
        histogram_record(&once, 1234);
    histogram_record_many(&many, 1234, 7);
    histogram_record_many(&many, 5, 0);
    histogram_record(&once, 2000000);
    histogram_record(&once, 2000000);
    histogram_record_many(&many, 2000000, 2);
    char *expected = histogram_encode(&once);
    char *encoded = histogram_encode(&many);
    assert_string_equal(encoded, expected);
    assert_true(histogram_mean(&many) == histogram_mean(&once));
    assert_int_equal(many.overflow_count, 2);
    assert_int_equal(many.minimum, 1234);
    free(expected);
    free(encoded);
    histogram_close(&once);
    histogram_close(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_is_that_of_hdrhistogram),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_precision),
        cmocka_unit_test(test_percentiles_of_1_to_10000),
        cmocka_unit_test(test_shown_only_with_ten_samples_beyond),
        cmocka_unit_test(test_overflow_is_counted_and_kept),
        cmocka_unit_test(test_count_between),
        cmocka_unit_test(test_merge_is_concatenation),
        cmocka_unit_test(test_percentiles_against_a_list),
        cmocka_unit_test(test_encode_random_values),
        cmocka_unit_test(test_encode_large_counts),
        cmocka_unit_test(test_equal_samples_do_not_deviate),
        cmocka_unit_test(test_decode_is_the_way_back),
        cmocka_unit_test(test_decode_refuses_what_is_not_whole),
        cmocka_unit_test(test_decode_of_damaged_texts),
        cmocka_unit_test(test_a_value_many_times),
        cmocka_unit_test(test_decode_of_random_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
