#include "smtp/smtp_scan.h"

#include "base/random.h"
#include "unit/smtp/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEXT_MAX 300

static struct guarded guarded;

static uint64_t find_plainly(struct bytes text)
{
    for (uint64_t i = 0; i < text.size; i++)
        if (bytes_start_with(bytes_make(text.data + i, text.size - i), BYTES("\r\n."))) return i;
    return text.size;
}

/* Every variant, against the page behind and the page in front. */
static void check(struct bytes text)
{
    uint64_t wanted = find_plainly(text);
    for (uint32_t i = 0; i < smtp_scan_variant_count; i++) {
        const struct smtp_scan_variant *variant = &smtp_scan_variants[i];
        if (!variant->is_supported()) continue;
        for (int place = 0; place < 2; place++) {
            struct bytes view =
                place == 0 ? guarded_at_end(&guarded, text) : guarded_at_start(&guarded, text);
            uint64_t found = variant->find_dot_line(view.data, view.size);
            if (found != wanted) fail_msg("%s finds another place", variant->name);
        }
    }
    assert_int_equal(smtp_scan_find_dot_line(guarded_at_end(&guarded, text)), wanted);
}

/* One line with a dot at each place of each size, all else near misses. */
static void test_every_place_of_every_size(void **state)
{
    static const char *const fillers[] = {"x", "\r", "\n", ".", "\r\n", "\n.", "\r.", "\r\r\n\n."};
    uint8_t text[TEXT_MAX];
    (void)state;
    for (size_t filler = 0; filler < sizeof(fillers) / sizeof(fillers[0]); filler++) {
        uint64_t period = strlen(fillers[filler]);
        for (uint64_t size = 0; size <= 150; size++) {
            for (uint64_t i = 0; i < size; i++)
                text[i] = (uint8_t)fillers[filler][i % period];
            check(bytes_make(text, size));
            for (uint64_t place = 0; place + 3 <= size; place++) {
                for (uint64_t i = 0; i < size; i++)
                    text[i] = (uint8_t)fillers[filler][i % period];
                memcpy(text + place, "\r\n.", 3);
                check(bytes_make(text, size));
            }
        }
    }
}

static void test_random_texts(void **state)
{
    static const uint8_t alphabet[] = {'a', '.', '\r', '\n', 0x8d, 0x0a, 0x2e, 0xff};
    struct random random;
    uint8_t text[TEXT_MAX];
    (void)state;
    random_init(&random, 5321, 0);
    for (int run = 0; run < 20000; run++) {
        uint64_t size = random_below(&random, TEXT_MAX + 1);
        uint64_t variety = 2 + random_below(&random, sizeof(alphabet) - 1);
        for (uint64_t i = 0; i < size; i++)
            text[i] = alphabet[random_below(&random, variety)];
        check(bytes_make(text, size));
    }
}

static void test_fastest_supported_is_chosen(void **state)
{
    const struct smtp_scan_variant *chosen = smtp_scan_chosen();
    (void)state;
    assert_true(chosen->is_supported());
    for (const struct smtp_scan_variant *faster = smtp_scan_variants; faster < chosen; faster++)
        assert_false(faster->is_supported());
    assert_true(smtp_scan_variants[smtp_scan_variant_count - 1].is_supported());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_place_of_every_size),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_fastest_supported_is_chosen),
    };
    guarded_open(&guarded, TEXT_MAX);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guarded_close(&guarded);
    return failed;
}
