#include "base/base64.h"

#define INVALID 0xFF

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct bytes octets, char *out)
{
    const uint8_t *data = octets.data;
    for (uint64_t i = 0; i < octets.size; i += 3) {
        uint32_t second = i + 1 < octets.size ? data[i + 1] : 0;
        uint32_t third = i + 2 < octets.size ? data[i + 2] : 0;
        uint32_t group = (uint32_t)data[i] << 16 | second << 8 | third;
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = i + 1 < octets.size ? alphabet[group >> 6 & 63] : '=';
        *out++ = i + 2 < octets.size ? alphabet[group & 63] : '=';
    }
}

static uint8_t value_of(uint8_t letter)
{
    if (letter >= 'A' && letter <= 'Z') return (uint8_t)(letter - 'A');
    if (letter >= 'a' && letter <= 'z') return (uint8_t)(letter - 'a' + 26);
    if (letter >= '0' && letter <= '9') return (uint8_t)(letter - '0' + 52);
    if (letter == '+') return 62;
    return letter == '/' ? 63 : INVALID;
}

/* "=" only at the very end, once or twice. */
static uint64_t padding_of(struct bytes text)
{
    if (text.size < 4 || text.data[text.size - 1] != '=') return 0;
    return text.data[text.size - 2] == '=' ? 2 : 1;
}

bool base64_decode(struct bytes text, uint8_t *out, uint64_t *size)
{
    uint64_t padding = padding_of(text);
    uint64_t letters = text.size - padding;
    uint32_t group = 0;
    *size = 0;
    if (text.size % 4 != 0) return false;
    for (uint64_t i = 0; i < letters; i++) {
        uint8_t value = value_of(text.data[i]);
        if (value == INVALID) return false;
        group = group << 6 | value;
        if (i % 4 == 1) out[(*size)++] = (uint8_t)(group >> 4);
        if (i % 4 == 2) out[(*size)++] = (uint8_t)(group >> 2);
        if (i % 4 == 3) out[(*size)++] = (uint8_t)group;
    }
    /* RFC 4648 3.5: bits that belong to no octet must be zero. */
    if (padding == 1) return (group & 3) == 0;
    return padding == 0 || (group & 15) == 0;
}
