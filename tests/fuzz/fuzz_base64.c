/* Text is decoded just if encoding what it says gives that text again (RFC 4648 4). */
#include "fuzz/fuzz.h"

#include "base/base64.h"

#include <stdlib.h>

/* Every octet string has one text, and that is taken back. */
static void check_round(struct bytes octets)
{
    uint64_t text_size = base64_encoded_size(octets.size);
    char *text = malloc(text_size + 1);
    uint8_t *back = malloc(text_size / 4 * 3 + 1);
    uint64_t back_size;
    CHECK(text != NULL && back != NULL);
    base64_encode(octets, text);
    CHECK(base64_decode(bytes_make(text, text_size), back, &back_size));
    CHECK(bytes_equal(bytes_make(back, back_size), octets));
    free(text);
    free(back);
}

/* What is decoded at all says the same text again, to the letter: no second spelling. */
static void check_text(struct bytes text)
{
    uint8_t *octets = malloc(text.size / 4 * 3 + 1);
    uint64_t size;
    CHECK(octets != NULL);
    if (base64_decode(text, octets, &size)) {
        CHECK(base64_encoded_size(size) == text.size);
        char *again = malloc(text.size + 1);
        CHECK(again != NULL);
        base64_encode(bytes_make(octets, size), again);
        CHECK(bytes_equal(bytes_make(again, text.size), text));
        free(again);
    }
    free(octets);
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_round(bytes_make(data, size));
    check_text(bytes_make(data, size));
    return 0;
}
