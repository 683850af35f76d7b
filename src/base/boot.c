#include "base/boot.h"

#include <fcntl.h>
#include <unistd.h>

#define BOOT_ID_PATH     "/proc/sys/kernel/random/boot_id"
#define BOOT_TEXT_MAX    64
#define BOOT_HALF_DIGITS (BOOT_ID_DIGITS / 2)

struct boot_id boot_id_read(void)
{
    uint8_t text[BOOT_TEXT_MAX];
    struct boot_id id = {0, 0};

    int file = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
    if (file < 0) return id;
    ssize_t size = read(file, text, sizeof text);
    (void)close(file);
    if (size < 0) return id;
    struct bytes line = bytes_make(text, (uint64_t)size);
    line.size = bytes_find(line, '\n');
    return boot_id_parse(line, &id) ? id : (struct boot_id){0, 0};
}

bool boot_id_parse(struct bytes text, struct boot_id *id)
{
    uint8_t digits[BOOT_ID_DIGITS];
    uint32_t count = 0;

    for (uint64_t i = 0; i < text.size; i++) {
        if (text.data[i] == '-') continue;
        if (count == BOOT_ID_DIGITS) return false;
        digits[count++] = text.data[i];
    }
    return count == BOOT_ID_DIGITS &&
           bytes_to_number_hex(bytes_make(digits, BOOT_HALF_DIGITS), &id->high) &&
           bytes_to_number_hex(bytes_make(digits + BOOT_HALF_DIGITS, BOOT_HALF_DIGITS), &id->low);
}

void boot_id_put(uint8_t *out, struct boot_id id)
{
    bytes_put_hex(out, id.high);
    bytes_put_hex(out + BOOT_HALF_DIGITS, id.low);
}

bool boot_id_equal(struct boot_id a, struct boot_id b)
{
    bool is_known = a.high != 0 || a.low != 0;
    return is_known && a.high == b.high && a.low == b.low;
}
