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

/* "00" to "99", so that a division yields two digits. */
static const char bytes_digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                        "25262728293031323334353637383940414243444546474849"
                                        "50515253545556575859606162636465666768697071727374"
                                        "75767778798081828384858687888990919293949596979899";

static uint32_t bytes_digit_count(uint64_t number)
{
    static const uint64_t powers[BYTES_NUMBER_DIGITS_MAX] = {
        0,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        10000000000,
        100000000000,
        1000000000000,
        10000000000000,
        100000000000000,
        1000000000000000,
        10000000000000000,
        100000000000000000,
        1000000000000000000,
        10000000000000000000ull,
    };
    uint32_t bits = 64 - (uint32_t)__builtin_clzll(number | 1);
    uint32_t least = bits * 1233 >> 12; /* bits * log10(2), rounded down */
    return least + (number >= powers[least] ? 1 : 0);
}

uint32_t bytes_put_number(uint8_t *out, uint64_t number)
{
    if (number < 10) {
        out[0] = (uint8_t)('0' + number);
        return 1;
    }
    uint32_t count = bytes_digit_count(number);
    uint32_t left = count;

    for (; number >= 100; number /= 100) {
        left -= 2;
        memcpy(out + left, bytes_digit_pairs + number % 100 * 2, 2);
    }
    CHECK(left == (number >= 10 ? 2 : 1));
    if (left == 2)
        memcpy(out, bytes_digit_pairs + number * 2, 2);
    else
        out[0] = (uint8_t)('0' + number);
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
