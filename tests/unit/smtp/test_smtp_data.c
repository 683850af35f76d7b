#include "smtp/smtp_data.h"

#include "base/random.h"
#include "unit/smtp/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEXT_MAX    600
#define ORACLE_SIZE 8 /* all strings over {a . CR LF} up to this long */

static struct guarded guarded;

struct result {
    uint8_t content[TEXT_MAX];
    uint64_t content_size;
    uint64_t left_size; /* of input behind the end of data */
    bool is_done;
};

static void put(struct result *result, struct bytes octets)
{
    assert_true(result->content_size + octets.size <= sizeof(result->content));
    if (octets.size > 0) memcpy(result->content + result->content_size, octets.data, octets.size);
    result->content_size += octets.size;
}

/* RFC 5321 4.5.2 line by line, on the whole text; what may still become "." CR LF is held back. */
static void decode_plainly(struct bytes text, struct result *result)
{
    *result = (struct result){0};
    while (text.size > 0) {
        uint64_t end = 0;
        while (end + 1 < text.size && !(text.data[end] == '\r' && text.data[end + 1] == '\n'))
            end++;
        bool is_whole = end + 1 < text.size;
        struct bytes line = bytes_take(&text, is_whole ? end + 2 : text.size);
        if (bytes_equal(line, BYTES(".\r\n"))) {
            result->is_done = true;
            result->left_size = text.size;
            return;
        }
        if (bytes_equal(line, BYTES(".\r"))) return;
        if (line.data[0] == '.') bytes_take(&line, 1);
        put(result, line);
    }
}

static void decode_chunk(struct smtp_data *data, struct bytes chunk, struct result *result)
{
    for (;;) {
        struct bytes before = chunk;
        struct bytes slice = smtp_data_next(data, &chunk);
        assert_ptr_equal(chunk.data + chunk.size, before.data + before.size);
        put(result, slice);
        if (slice.size == 0) break;
    }
    result->is_done = data->state == SMTP_DATA_DONE;
    result->left_size += chunk.size;
    if (!result->is_done) assert_int_equal(chunk.size, 0);
}

/* Each chunk lies against the unreadable page and is gone when the next one comes. */
static void decode_cut(struct bytes text, uint64_t cut, uint64_t every, struct result *result)
{
    struct smtp_data data;
    uint64_t position = 0;
    *result = (struct result){0};
    smtp_data_init(&data);
    while (position < text.size) {
        uint64_t size = text.size - position;
        if (cut > position && cut - position < size) size = cut - position;
        if (every > 0 && every < size) size = every;
        struct bytes chunk = bytes_make(text.data + position, size);
        decode_chunk(&data, guarded_at_end(&guarded, chunk), result);
        position += size;
    }
    if (text.size == 0) decode_chunk(&data, text, result);
}

static void assert_same(const struct result *found, const struct result *wanted)
{
    assert_int_equal(found->is_done, wanted->is_done);
    assert_int_equal(found->left_size, wanted->left_size);
    assert_int_equal(found->content_size, wanted->content_size);
    assert_memory_equal(found->content, wanted->content, wanted->content_size);
}

static void check_every_cut(struct bytes text)
{
    struct result wanted;
    struct result found;
    decode_plainly(text, &wanted);
    for (uint64_t cut = 0; cut <= text.size; cut++) {
        decode_cut(text, cut, 0, &found);
        assert_same(&found, &wanted);
    }
    decode_cut(text, 0, 1, &found);
    assert_same(&found, &wanted);
}

static void test_all_short_strings(void **state)
{
    static const uint8_t alphabet[] = {'a', '.', '\r', '\n'};
    uint8_t text[ORACLE_SIZE];
    (void)state;
    for (uint64_t size = 0; size <= ORACLE_SIZE; size++) {
        for (uint64_t number = 0; number < 1ull << 2 * size; number++) {
            for (uint64_t i = 0; i < size; i++)
                text[i] = alphabet[number >> 2 * i & 3];
            check_every_cut(bytes_make(text, size));
        }
    }
}

static void test_long_random_strings(void **state)
{
    static const uint8_t alphabet[] = {'\r', '\n', '.', 'a', '\0', 0x80, 'b', 'c'};
    struct random random;
    uint8_t text[TEXT_MAX];
    (void)state;
    random_init(&random, 452, 0);
    for (int run = 0; run < 200; run++) {
        uint64_t size = random_below(&random, TEXT_MAX / 2);
        uint64_t variety = 3 + random_below(&random, sizeof(alphabet) - 2);
        for (uint64_t i = 0; i < size; i++)
            text[i] = alphabet[random_below(&random, variety)];
        check_every_cut(bytes_make(text, size));
        for (uint64_t every = 2; every < 70; every++) {
            struct result wanted;
            struct result found;
            decode_plainly(bytes_make(text, size), &wanted);
            decode_cut(bytes_make(text, size), 0, every, &found);
            assert_same(&found, &wanted);
        }
    }
}

/* PROTOCOL E05 to E13: what a dot does, and what does not end data. */
static void test_known_texts(void **state)
{
    static const struct {
        const char *text;
        const char *content;
        bool is_done;
    } rows[] = {
        {".\r\n", "", true},
        {"..\r\n.\r\n", ".\r\n", true},
        {"..a\r\n.\r\n", ".a\r\n", true},
        {".a\r\n.\r\n", "a\r\n", true},
        {"a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", true},
        {"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", true},
        {"a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", true},
        {"a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", true},
        {"a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", true},
        {"a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", true},
        {"a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", true},
        {"a\r\n..\r\n", "a\r\n.\r\n", false},
        {"a\r\r\n.\r\n", "a\r\r\n", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes text = bytes_from_text(rows[i].text);
        struct result found;
        check_every_cut(text);
        decode_cut(text, 0, 0, &found);
        assert_int_equal(found.is_done, rows[i].is_done);
        assert_int_equal(found.content_size, strlen(rows[i].content));
        assert_memory_equal(found.content, rows[i].content, found.content_size);
    }
}

/* In the common case a chunk is one slice: that is what makes content cheap. */
static void test_one_slice_a_chunk(void **state)
{
    struct smtp_data data;
    struct bytes input = BYTES("Subject: x\r\n\r\none\r\ntwo. \n.\r\n\r\n.\r\nQUIT\r\n");
    (void)state;
    smtp_data_init(&data);
    struct bytes slice = smtp_data_next(&data, &input);
    assert_true(bytes_equal(slice, BYTES("Subject: x\r\n\r\none\r\ntwo. \n.\r\n\r\n")));
    assert_int_equal(smtp_data_next(&data, &input).size, 0);
    assert_int_equal(data.state, SMTP_DATA_DONE);
    assert_true(bytes_equal(input, BYTES("QUIT\r\n")));
    assert_int_equal(smtp_data_next(&data, &input).size, 0);
    assert_true(bytes_equal(input, BYTES("QUIT\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_short_strings),
        cmocka_unit_test(test_long_random_strings),
        cmocka_unit_test(test_known_texts),
        cmocka_unit_test(test_one_slice_a_chunk),
    };
    guarded_open(&guarded, TEXT_MAX);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guarded_close(&guarded);
    return failed;
}
