/*
 * Any octets, cut in any way, decode to what the same octets decode to at once, and to what reading
 * them line by line makes of them (RFC 5321 4.5.2); every variant of the scan finds the same.
 */
#include "fuzz/fuzz.h"

#include "smtp/smtp_data.h"
#include "smtp/smtp_scan.h"

#include <stdlib.h>

struct decoded {
    uint8_t *content;
    uint64_t content_size;
    uint64_t left_size;
    enum smtp_data_state state;
};

/* Chunks of 1 + (seed's next octet) mod `chunk_max`; each in memory of its own, for ASan. */
static void decode(struct bytes text, uint64_t chunk_max, struct decoded *decoded)
{
    struct smtp_data decoder;
    uint64_t seed = text.size * 2654435761u + chunk_max;
    *decoded = (struct decoded){.content = malloc(text.size + 1)};
    CHECK(decoded->content != NULL);
    smtp_data_init(&decoder);
    while (text.size > 0) {
        uint64_t size = chunk_max == 0 ? text.size : 1 + (seed >> 33) % chunk_max;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct bytes chunk = bytes_take(&text, size < text.size ? size : text.size);
        uint8_t *copy = malloc(chunk.size);
        CHECK(copy != NULL);
        memcpy(copy, chunk.data, chunk.size);
        struct bytes rest = bytes_make(copy, chunk.size);
        for (;;) {
            struct bytes slice = smtp_data_next(&decoder, &rest);
            if (slice.size == 0) break;
            memcpy(decoded->content + decoded->content_size, slice.data, slice.size);
            decoded->content_size += slice.size;
        }
        decoded->left_size += rest.size;
        free(copy);
    }
    decoded->state = decoder.state;
}

/* Index behind the first CR LF at or behind `start`, or the size if there is none. */
static uint64_t line_end(struct bytes text, uint64_t start)
{
    for (uint64_t i = start; i + 1 < text.size; i++)
        if (text.data[i] == '\r' && text.data[i + 1] == '\n') return i + 2;
    return text.size;
}

/* Line by line: a line that is a dot alone ends it; from any other the first dot is taken away. */
static void decode_by_lines(struct bytes text, struct decoded *decoded)
{
    uint64_t start = 0;
    *decoded = (struct decoded){.content = malloc(text.size + 1)};
    CHECK(decoded->content != NULL);
    while (start < text.size) {
        struct bytes line = bytes_make(text.data + start, line_end(text, start) - start);
        start += line.size;
        if (bytes_equal(line, BYTES(".\r\n"))) {
            decoded->left_size = text.size - start;
            return;
        }
        if (bytes_equal(line, BYTES(".\r"))) return; /* held back: may still become the end */
        if (line.data[0] == '.') bytes_take(&line, 1);
        if (line.size > 0) memcpy(decoded->content + decoded->content_size, line.data, line.size);
        decoded->content_size += line.size;
    }
}

static void check_scan(struct bytes text)
{
    const struct smtp_scan_variant *plain = &smtp_scan_variants[smtp_scan_variant_count - 1];
    uint64_t wanted = plain->find_dot_line(text.data, text.size);
    for (uint32_t i = 0; i < smtp_scan_variant_count; i++)
        if (smtp_scan_variants[i].is_supported())
            CHECK(smtp_scan_variants[i].find_dot_line(text.data, text.size) == wanted);
}

static void check_same(const struct decoded *a, const struct decoded *b)
{
    CHECK(a->left_size == b->left_size);
    CHECK(a->content_size == b->content_size);
    CHECK(memcmp(a->content, b->content, a->content_size) == 0);
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t chunk_maxima[] = {1, 3, 16, 64};
    struct bytes text = bytes_make(data, size);
    struct decoded whole;
    struct decoded plain;
    check_scan(text);
    decode(text, 0, &whole);
    decode_by_lines(text, &plain);
    check_same(&whole, &plain);
    free(plain.content);
    for (size_t i = 0; i < sizeof(chunk_maxima) / sizeof(chunk_maxima[0]); i++) {
        struct decoded cut;
        decode(text, chunk_maxima[i], &cut);
        CHECK(cut.state == whole.state);
        check_same(&cut, &whole);
        free(cut.content);
    }
    free(whole.content);
    return 0;
}
