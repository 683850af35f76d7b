/* Any octets, cut in any way, decode to what the same octets decode to at once. */
#include "smtp/smtp_data.h"
#include "smtp/smtp_scan.h"

#include <stddef.h>
#include <stdlib.h>

/* libFuzzer chose the name. NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void check_scan(struct bytes text)
{
    const struct smtp_scan_variant *plain = &smtp_scan_variants[smtp_scan_variant_count - 1];
    uint64_t wanted = plain->find_dot_line(text.data, text.size);
    for (uint32_t i = 0; i < smtp_scan_variant_count; i++)
        if (smtp_scan_variants[i].is_supported())
            CHECK(smtp_scan_variants[i].find_dot_line(text.data, text.size) == wanted);
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t chunk_maxima[] = {1, 3, 16, 64};
    struct bytes text = bytes_make(data, size);
    struct decoded whole;
    check_scan(text);
    decode(text, 0, &whole);
    CHECK(whole.content_size + whole.left_size <= size);
    for (size_t i = 0; i < sizeof(chunk_maxima) / sizeof(chunk_maxima[0]); i++) {
        struct decoded cut;
        decode(text, chunk_maxima[i], &cut);
        CHECK(cut.state == whole.state);
        CHECK(cut.left_size == whole.left_size);
        CHECK(cut.content_size == whole.content_size);
        CHECK(memcmp(cut.content, whole.content, whole.content_size) == 0);
        free(cut.content);
    }
    free(whole.content);
    return 0;
}
