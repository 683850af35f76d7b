/*
 * A value's counter: the value's `sub_bucket_bits` most significant bits are kept. Bucket b holds
 * values of sub_bucket_bits + b bits, each of its 2^(sub_bucket_bits - 1) counters 2^b values wide;
 * bucket 0 has twice as many counters, one a value.
 */
#include "base/histogram.h"

#include "base/base64.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HISTOGRAM_DIGITS_MAX       4u
#define HISTOGRAM_SAMPLES_BEYOND   10u /* a percentile with fewer above it is not shown */
#define HISTOGRAM_LEB128_MAX       9u
#define HISTOGRAM_COOKIE_V2        (0x1c849303u | 0x10u)
#define HISTOGRAM_COOKIE_V2_PACKED (0x1c849304u | 0x10u)
#define HISTOGRAM_PAYLOAD_HEADER   40u
#define HISTOGRAM_PACKED_HEADER    8u
/* More than the largest shape can need: what unpacks to more was not made by encoding one. */
#define HISTOGRAM_PAYLOAD_MAX (8u << 20)

static uint32_t histogram_half_bits(const struct histogram *histogram)
{
    return histogram->sub_bucket_bits - 1;
}

static uint32_t histogram_index(const struct histogram *histogram, uint64_t value)
{
    uint64_t sub_bucket_mask = (1ull << histogram->sub_bucket_bits) - 1;
    uint32_t size = 64 - (uint32_t)__builtin_clzll(value | sub_bucket_mask);
    uint32_t bucket = size - histogram->sub_bucket_bits;
    return (bucket << histogram_half_bits(histogram)) + (uint32_t)(value >> bucket);
}

static uint32_t histogram_bucket(const struct histogram *histogram, uint32_t index)
{
    uint32_t half = index >> histogram_half_bits(histogram);
    return half == 0 ? 0 : half - 1;
}

static uint64_t histogram_lowest_at(const struct histogram *histogram, uint32_t index)
{
    uint32_t bucket = histogram_bucket(histogram, index);
    return (uint64_t)(index - (bucket << histogram_half_bits(histogram))) << bucket;
}

static uint64_t histogram_highest_at(const struct histogram *histogram, uint32_t index)
{
    uint64_t width = 1ull << histogram_bucket(histogram, index);
    return histogram_lowest_at(histogram, index) + (width - 1);
}

int histogram_open(struct histogram *histogram, uint64_t highest, uint32_t digits)
{
    static const uint32_t bits_of_digits[HISTOGRAM_DIGITS_MAX + 1] = {0, 5, 8, 11, 15};

    CHECK(digits >= 1);
    CHECK(digits <= HISTOGRAM_DIGITS_MAX);
    CHECK(highest >= 2); /* HdrHistogram's rule: twice the lowest value */
    CHECK(highest <= INT64_MAX);
    *histogram = (struct histogram){
        .highest = highest,
        .sub_bucket_bits = bits_of_digits[digits], /* the least 2^bits >= 2 * 10^digits */
        .digits = digits,
    };
    uint32_t bucket_end = histogram_bucket(histogram, histogram_index(histogram, highest)) + 2;
    histogram->counts_size = bucket_end << histogram_half_bits(histogram);
    histogram->counts = calloc(histogram->counts_size, sizeof(*histogram->counts));
    if (histogram->counts == NULL) return -ENOMEM;
    histogram_reset(histogram);
    return 0;
}

void histogram_close(struct histogram *histogram)
{
    free(histogram->counts);
    *histogram = (struct histogram){0};
}

void histogram_reset(struct histogram *histogram)
{
    memset(histogram->counts, 0, histogram->counts_size * sizeof(*histogram->counts));
    histogram->total_count = 0;
    histogram->overflow_count = 0;
    histogram->minimum = UINT64_MAX;
    histogram->maximum = 0;
    histogram->sum = 0;
}

void histogram_record_many(struct histogram *histogram, uint64_t value, uint64_t count)
{
    if (count == 0) return;
    if (value > histogram->highest) {
        histogram->overflow_count += count;
        value = histogram->highest;
    }
    uint32_t index = histogram_index(histogram, value);
    CHECK(index < histogram->counts_size);
    histogram->counts[index] += count;
    histogram->total_count += count;
    histogram->sum += (double)value * (double)count;
    if (value < histogram->minimum) histogram->minimum = value;
    if (value > histogram->maximum) histogram->maximum = value;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram_record_many(histogram, value, 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    CHECK(into->counts_size == from->counts_size);
    CHECK(into->digits == from->digits);
    CHECK(into->highest == from->highest);
    if (from->total_count == 0) return;

    uint32_t end = histogram_index(from, from->maximum) + 1;
    for (uint32_t i = histogram_index(from, from->minimum); i < end; i++)
        into->counts[i] += from->counts[i];
    into->total_count += from->total_count;
    into->overflow_count += from->overflow_count;
    into->sum += from->sum;
    if (from->minimum < into->minimum) into->minimum = from->minimum;
    if (from->maximum > into->maximum) into->maximum = from->maximum;
}

/* How many samples, in order, it takes to reach the percentile: 1 .. total_count. */
static uint64_t histogram_rank(const struct histogram *histogram, double percentile)
{
    CHECK(percentile >= 0);
    CHECK(percentile <= 100);
    /* One step less, so that rounding up 99.9 % of 10 000 gives 9990 and not 9991. */
    double share = nextafter(percentile, -1);
    double rank = ceil(share * (double)histogram->total_count / 100);
    if (rank < 1) return 1;
    return rank >= (double)histogram->total_count ? histogram->total_count : (uint64_t)rank;
}

uint64_t histogram_at_rank(const struct histogram *histogram, uint64_t rank)
{
    CHECK(rank >= 1);
    CHECK(rank <= histogram->total_count);
    uint64_t count = 0;
    uint32_t index = histogram_index(histogram, histogram->minimum);

    for (; index < histogram->counts_size; index++) {
        count += histogram->counts[index];
        if (count >= rank) break;
    }
    CHECK(index < histogram->counts_size);
    return histogram_highest_at(histogram, index);
}

uint64_t histogram_percentile(const struct histogram *histogram, double percentile)
{
    if (histogram->total_count == 0) return 0;
    return histogram_at_rank(histogram, histogram_rank(histogram, percentile));
}

bool histogram_percentile_shown(const struct histogram *histogram, double percentile,
                                uint64_t *value)
{
    if (histogram->total_count == 0) return false;
    uint64_t beyond = histogram->total_count - histogram_rank(histogram, percentile);
    if (beyond < HISTOGRAM_SAMPLES_BEYOND) return false;
    *value = histogram_percentile(histogram, percentile);
    return true;
}

double histogram_mean(const struct histogram *histogram)
{
    if (histogram->total_count == 0) return 0;
    return histogram->sum / (double)histogram->total_count;
}

/* Stands for all samples of a counter. */
static double histogram_middle_at(const struct histogram *histogram, uint32_t index)
{
    uint64_t half_width = (1ull << histogram_bucket(histogram, index)) / 2;
    return (double)(histogram_lowest_at(histogram, index) + half_width);
}

double histogram_deviation(const struct histogram *histogram)
{
    double sum = 0;
    double squares = 0;

    if (histogram->total_count == 0) return 0;
    uint32_t first = histogram_index(histogram, histogram->minimum);
    uint32_t end = histogram_index(histogram, histogram->maximum) + 1;
    for (uint32_t i = first; i < end; i++)
        sum += (double)histogram->counts[i] * histogram_middle_at(histogram, i);
    /* From the middles' own mean, so that equal samples do not differ. */
    double mean = sum / (double)histogram->total_count;
    for (uint32_t i = first; i < end; i++) {
        double distance = histogram_middle_at(histogram, i) - mean;
        squares += (double)histogram->counts[i] * distance * distance;
    }
    return sqrt(squares / (double)histogram->total_count);
}

uint64_t histogram_count_between(const struct histogram *histogram, uint64_t from, uint64_t to)
{
    uint64_t count = 0;

    if (from > histogram->highest || from >= to) return 0;
    uint32_t end = histogram->counts_size;
    if (to <= histogram->highest) end = histogram_index(histogram, to);
    for (uint32_t i = histogram_index(histogram, from); i < end; i++)
        count += histogram->counts[i];
    return count;
}

uint64_t histogram_memory(const struct histogram *histogram)
{
    return histogram->counts_size * sizeof(*histogram->counts);
}

static uint8_t *histogram_put_big_endian(uint8_t *out, uint64_t number, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number >> 8 * (size - 1 - i));
    return out + size;
}

/* ZigZag, then LEB128 whose ninth octet, if any, holds eight bits (HdrHistogram's variant). */
static uint8_t *histogram_put_leb128(uint8_t *out, int64_t number)
{
    uint64_t rest = (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);

    for (uint32_t i = 1; i < HISTOGRAM_LEB128_MAX && rest > 0x7f; i++) {
        *out++ = (uint8_t)(rest | 0x80);
        rest >>= 7;
    }
    *out++ = (uint8_t)rest;
    return out;
}

/* The counters up to the largest value; a run of n > 1 zeros is written as -n. */
static uint8_t *histogram_put_counts(uint8_t *out, const struct histogram *histogram)
{
    uint32_t end = histogram_index(histogram, histogram->maximum) + 1;

    for (uint32_t i = 0; i < end;) {
        uint32_t zeros = 0;
        while (i + zeros < end && histogram->counts[i + zeros] == 0)
            zeros++;
        if (zeros > 1)
            out = histogram_put_leb128(out, -(int64_t)zeros);
        else
            out = histogram_put_leb128(out, (int64_t)histogram->counts[i]);
        i += zeros > 1 ? zeros : 1;
    }
    return out;
}

/* HdrHistogram V2, not compressed. Returns its size. */
static uint64_t histogram_put_payload(uint8_t *out, const struct histogram *histogram)
{
    const double ratio = 1.0; /* integer to double value: the unit is the unit */
    uint64_t ratio_bits;
    memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));

    uint8_t *counts_end = histogram_put_counts(out + HISTOGRAM_PAYLOAD_HEADER, histogram);
    uint64_t size = (uint64_t)(counts_end - out);
    uint8_t *header = histogram_put_big_endian(out, HISTOGRAM_COOKIE_V2, 4);
    header = histogram_put_big_endian(header, size - HISTOGRAM_PAYLOAD_HEADER, 4);
    header = histogram_put_big_endian(header, 0, 4); /* normalizing index offset */
    header = histogram_put_big_endian(header, histogram->digits, 4);
    header = histogram_put_big_endian(header, 1, 8); /* lowest value told from 0 */
    header = histogram_put_big_endian(header, histogram->highest, 8);
    header = histogram_put_big_endian(header, ratio_bits, 8);
    CHECK(header == out + HISTOGRAM_PAYLOAD_HEADER);
    return size;
}

/* RFC 4648 4. Returns a text to be freed, or NULL. */
static char *histogram_to_base64(const uint8_t *data, uint64_t size)
{
    uint64_t text_size = base64_encoded_size(size);
    char *text = malloc(text_size + 1);
    if (text == NULL) return NULL;
    base64_encode(bytes_make(data, size), text);
    text[text_size] = '\0';
    return text;
}

char *histogram_encode(const struct histogram *histogram)
{
    uint64_t payload_max =
        HISTOGRAM_PAYLOAD_HEADER + (uint64_t)histogram->counts_size * HISTOGRAM_LEB128_MAX;
    uLong packed_size = compressBound((uLong)payload_max);
    char *text = NULL;

    uint8_t *payload = malloc(payload_max);
    uint8_t *packed = malloc(HISTOGRAM_PACKED_HEADER + packed_size);
    if (payload == NULL || packed == NULL) goto out;
    uint64_t payload_size = histogram_put_payload(payload, histogram);
    if (compress(packed + HISTOGRAM_PACKED_HEADER, &packed_size, payload, (uLong)payload_size) !=
        Z_OK)
        goto out; /* the bound leaves no cause but memory */
    histogram_put_big_endian(packed, HISTOGRAM_COOKIE_V2_PACKED, 4);
    histogram_put_big_endian(packed + 4, packed_size, 4);
    text = histogram_to_base64(packed, HISTOGRAM_PACKED_HEADER + packed_size);
out:
    free(packed);
    free(payload);
    return text;
}

/* ---- decoding: the text may be anybody's ---- */

static uint64_t histogram_big_endian(const uint8_t *data, uint32_t size)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < size; i++)
        number = number << 8 | data[i];
    return number;
}

/* False: the view ends within a number. */
static bool histogram_take_leb128(struct bytes *view, int64_t *number)
{
    uint64_t rest = 0;

    for (uint32_t i = 0; i < HISTOGRAM_LEB128_MAX && i < view->size; i++) {
        uint64_t octet = view->data[i];
        bool is_last = i + 1 == HISTOGRAM_LEB128_MAX || octet < 0x80;
        rest |= (i + 1 == HISTOGRAM_LEB128_MAX ? octet : octet & 0x7f) << 7 * i;
        if (!is_last) continue;
        (void)bytes_take(view, i + 1);
        *number = (int64_t)(rest >> 1 ^ (0 - (rest & 1)));
        return true;
    }
    return false;
}

static bool histogram_take_counts(struct histogram *histogram, struct bytes view)
{
    for (uint64_t index = 0; view.size > 0;) {
        int64_t number;
        uint64_t room = histogram->counts_size - index;
        if (!histogram_take_leb128(&view, &number)) return false;
        uint64_t step = number < 0 ? 0 - (uint64_t)number : 1;
        if (step > room) return false;
        if (number > 0) {
            if ((uint64_t)number > INT64_MAX - histogram->total_count) return false;
            histogram->counts[index] = (uint64_t)number;
            histogram->total_count += (uint64_t)number;
            histogram->sum += (double)number * histogram_middle_at(histogram, (uint32_t)index);
            histogram->maximum = histogram_highest_at(histogram, (uint32_t)index);
            if (histogram->minimum == UINT64_MAX)
                histogram->minimum = histogram_lowest_at(histogram, (uint32_t)index);
        }
        index += step;
    }
    /* Values above `highest` may share its counter, but are none of this histogram. */
    if (histogram->maximum > histogram->highest) histogram->maximum = histogram->highest;
    return histogram->minimum == UINT64_MAX || histogram->minimum <= histogram->highest;
}

static int histogram_take_payload(struct histogram *histogram, struct bytes payload)
{
    const double ratio = 1.0;
    uint64_t ratio_bits;
    memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));

    if (payload.size < HISTOGRAM_PAYLOAD_HEADER) return -EBADMSG;
    struct bytes header = bytes_take(&payload, HISTOGRAM_PAYLOAD_HEADER);
    uint64_t digits = histogram_big_endian(header.data + 12, 4);
    uint64_t highest = histogram_big_endian(header.data + 24, 8);
    if (histogram_big_endian(header.data, 4) != HISTOGRAM_COOKIE_V2) return -EBADMSG;
    if (histogram_big_endian(header.data + 4, 4) != payload.size) return -EBADMSG;
    if (histogram_big_endian(header.data + 8, 4) != 0) return -EBADMSG;
    if (digits < 1 || digits > HISTOGRAM_DIGITS_MAX) return -EBADMSG;
    if (histogram_big_endian(header.data + 16, 8) != 1) return -EBADMSG;
    if (highest < 2 || highest > INT64_MAX) return -EBADMSG;
    if (histogram_big_endian(header.data + 32, 8) != ratio_bits) return -EBADMSG;
    int error = histogram_open(histogram, highest, (uint32_t)digits);
    if (error < 0) return error;
    if (histogram_take_counts(histogram, payload)) return 0;
    histogram_close(histogram);
    return -EBADMSG;
}

/* `room` holds HISTOGRAM_PAYLOAD_MAX octets. */
static int histogram_unpack(struct histogram *histogram, struct bytes packed, uint8_t *room)
{
    if (packed.size < HISTOGRAM_PACKED_HEADER) return -EBADMSG;
    struct bytes header = bytes_take(&packed, HISTOGRAM_PACKED_HEADER);
    if (histogram_big_endian(header.data, 4) != HISTOGRAM_COOKIE_V2_PACKED) return -EBADMSG;
    if (histogram_big_endian(header.data + 4, 4) != packed.size) return -EBADMSG;
    uLongf size = HISTOGRAM_PAYLOAD_MAX;
    int error = uncompress(room, &size, packed.data, (uLong)packed.size);
    if (error == Z_MEM_ERROR) return -ENOMEM;
    if (error != Z_OK) return -EBADMSG;
    return histogram_take_payload(histogram, bytes_make(room, size));
}

int histogram_decode(struct histogram *histogram, const char *text)
{
    struct bytes encoded = bytes_from_text(text);
    uint64_t size;
    int error = -ENOMEM;

    uint8_t *packed = malloc(encoded.size / 4 * 3 + 3);
    uint8_t *room = malloc(HISTOGRAM_PAYLOAD_MAX);
    if (packed == NULL || room == NULL) goto out;
    error = -EBADMSG;
    if (base64_decode(encoded, packed, &size))
        error = histogram_unpack(histogram, bytes_make(packed, size), room);
out:
    free(room);
    free(packed);
    return error;
}
