#include "base/bytes.h"

#define BYTES_NUMBER_DIGITS_MAX 20
#define BYTES_HEX_DIGITS_MAX    16
#define BYTES_ESCAPE_UNIT_MAX   4 /* \xNN */

static const char bytes_hex_digits[] = "0123456789abcdef";

/* Bit 0x20 is the case of a letter. */
static bool bytes_differ_in_case_alone(uint8_t a, uint8_t b)
{
    uint8_t lower = a | 0x20;
    return (a ^ b) == 0x20 && lower >= 'a' && lower <= 'z';
}

bool bytes_equal_ignoring_case(struct bytes a, struct bytes b)
{
    if (a.size != b.size) return false;
    for (uint64_t i = 0; i < a.size; i++)
        if (a.data[i] != b.data[i] && !bytes_differ_in_case_alone(a.data[i], b.data[i]))
            return false;
    return true;
}

bool bytes_start_with(struct bytes view, struct bytes prefix)
{
    if (view.size < prefix.size) return false;
    return bytes_equal(bytes_make(view.data, prefix.size), prefix);
}

bool bytes_to_number(struct bytes view, uint64_t *number)
{
    uint64_t value = 0;

    if (view.size == 0 || view.size > BYTES_NUMBER_DIGITS_MAX) return false;
    for (uint64_t i = 0; i < view.size; i++) {
        if (view.data[i] < '0' || view.data[i] > '9') return false;
        uint64_t digit = (uint64_t)(view.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

static int bytes_hex_value(uint8_t octet)
{
    if (octet >= '0' && octet <= '9') return octet - '0';
    if (octet >= 'a' && octet <= 'f') return octet - 'a' + 10;
    if (octet >= 'A' && octet <= 'F') return octet - 'A' + 10;
    return -1;
}

bool bytes_to_number_hex(struct bytes view, uint64_t *number)
{
    uint64_t value = 0;

    if (view.size == 0 || view.size > BYTES_HEX_DIGITS_MAX) return false;
    for (uint64_t i = 0; i < view.size; i++) {
        int digit = bytes_hex_value(view.data[i]);
        if (digit < 0) return false;
        value = value << 4 | (uint64_t)digit;
    }
    *number = value;
    return true;
}

uint32_t bytes_put_number(uint8_t *out, uint64_t number)
{
    uint8_t reversed[BYTES_NUMBER_DIGITS_MAX];
    uint32_t count = 0;

    do {
        CHECK(count < sizeof(reversed));
        reversed[count++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    for (uint32_t i = 0; i < count; i++)
        out[i] = reversed[count - 1 - i];
    return count;
}

void bytes_put_hex(uint8_t *out, uint64_t number)
{
    for (uint32_t i = 0; i < BYTES_HEX_DIGITS_MAX; i++)
        out[i] = (uint8_t)bytes_hex_digits[number >> (60 - 4 * i) & 15];
}

/* Writes one octet's escaped form at `unit` and returns its size. */
static uint32_t bytes_escape_octet(uint8_t octet, char *unit)
{
    unit[0] = '\\';
    if (octet == '\\') {
        unit[1] = '\\';
        return 2;
    }
    if (octet >= 0x20 && octet < 0x7f) {
        unit[0] = (char)octet;
        return 1;
    }
    unit[1] = 'x';
    unit[2] = bytes_hex_digits[octet >> 4];
    unit[3] = bytes_hex_digits[octet & 15];
    return 4;
}

void bytes_escape(struct bytes view, char *out, uint64_t capacity)
{
    static const char cut[] = "...";
    uint64_t size = 0;
    uint64_t cut_at = 0; /* end of the last whole unit behind which the cut mark still fits */

    CHECK(capacity >= sizeof(cut));
    for (uint64_t i = 0; i < view.size; i++) {
        char unit[BYTES_ESCAPE_UNIT_MAX];
        uint32_t unit_size = bytes_escape_octet(view.data[i], unit);
        if (size + unit_size >= capacity) {
            memcpy(out + cut_at, cut, sizeof(cut));
            return;
        }
        memcpy(out + size, unit, unit_size);
        size += unit_size;
        if (size + sizeof(cut) <= capacity) cut_at = size;
    }
    out[size] = 0;
}
