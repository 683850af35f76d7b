#include "loadgen/load_phrase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void check(const char *written, struct bytes expected)
{
    struct load_phrases phrases;
    struct load_phrase phrase;
    struct bytes text = bytes_from_text(written);
    uint8_t out[200];

    assert_int_equal(load_phrases_open(&phrases, text.size, 1), 0);
    assert_null(load_phrase_read(&phrases, text, &phrase));
    uint32_t size = load_phrase_put(&phrases, &phrase, 7, 30, out);
    assert_int_equal(size, expected.size);
    assert_memory_equal(out, expected.data, size);
    assert_true(size <= load_phrase_size_max(&phrases, &phrase));
    assert_int_equal(load_phrase_ends_line(&phrases, &phrase), out[size - 1] == '\n');
    load_phrases_close(&phrases);
}

static void test_what_is_sent(void **state)
{
    (void)state;
    check("EHLO a", BYTES("EHLO a\r\n"));
    check("", BYTES("\r\n"));
    check("RCPT TO:<u{n}.{i}@x>", BYTES("RCPT TO:<u7.30@x>\r\n"));
    check("{n}", BYTES("7\r\n"));
    check("{n}\\c", BYTES("7"));
    check("half a li\\c", BYTES("half a li"));
    check("\\x41\\x00\\xff\\r\\n\\\\\\{n}", BYTES("A\0\xff\r\n\\{n}\r\n"));
    check("bare\\n\\c", BYTES("bare\n"));
    check(" kept blanks ", BYTES(" kept blanks \r\n"));
}

static void test_what_is_none(void **state)
{
    static const char *const wrong[] = {"\\",  "\\q", "\\x4", "\\x4g", "{",
                                        "{x}", "{n",  "\\c",  "a{i"};
    (void)state;
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        struct load_phrases phrases;
        struct load_phrase phrase;
        struct bytes text = bytes_from_text(wrong[index]);
        assert_int_equal(load_phrases_open(&phrases, text.size, 1), 0);
        assert_non_null(load_phrase_read(&phrases, text, &phrase));
        load_phrases_close(&phrases);
    }
}

/* Beginning and numbers are told; phrases of one file do not run into one another. */
static void test_several(void **state)
{
    struct load_phrases phrases;
    struct load_phrase first;
    struct load_phrase second;
    uint8_t out[100];

    (void)state;
    assert_int_equal(load_phrases_open(&phrases, 40, 3), 0);
    struct bytes kept = load_phrases_keep(&phrases, BYTES("2.1.0"));
    assert_null(load_phrase_read(&phrases, BYTES("MAIL {n}"), &first));
    assert_null(load_phrase_read(&phrases, BYTES("{i}"), &second));
    assert_true(bytes_equal(kept, BYTES("2.1.0")));
    assert_true(bytes_equal(load_phrase_beginning(&phrases, &first), BYTES("MAIL ")));
    assert_int_equal(load_phrase_beginning(&phrases, &second).size, 0);
    assert_true(load_phrase_has(&phrases, &first, LOAD_PIECE_SESSION));
    assert_false(load_phrase_has(&phrases, &first, LOAD_PIECE_REPETITION));
    assert_true(load_phrase_has(&phrases, &second, LOAD_PIECE_REPETITION));
    assert_int_equal(load_phrase_put(&phrases, &first, UINT64_MAX, 1, out), 27);
    assert_int_equal(load_phrase_size_max(&phrases, &first), 27);
    load_phrases_close(&phrases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
