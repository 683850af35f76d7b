#include "loadgen/load_mail.h"

#include "base/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <xxhash.h>

static const struct load_length ten_thousand = {.count = 1, .slots = {10000}};

static const struct load_mail_recipe recipe = {
    .sender = "load@client.test",
    .recipient = "user@sink.test",
    .subject = "load test",
    .host = "client.test",
    .length = &ten_thousand,
    .seed = 4711,
    .run = 0x0123456789abcdefull,
    .date_ns = 1790000000ull * 1000000000ull,
    .is_chunked = true,
};

static const uint64_t lengths[] = {0,  2,  3,  4,  17, 18,  19,  20,   21,   41,    58,
                                   59, 79, 80, 98, 99, 100, 101, 1000, 1017, 10000, 100000};
#define LENGTHS (sizeof lengths / sizeof lengths[0])

/* The octets of message `sequence` as they go over the wire; to be freed. */
static struct bytes put(const struct load_mail *mail, uint64_t sequence, uint64_t *hash)
{
    const struct load_mail_body *body = load_mail_choose(mail, sequence);
    uint8_t *out = malloc(body->wire_size);
    assert_non_null(out);
    assert_true(body->common_size <= mail->common_max);
    assert_true(body->tail_size <= mail->tail_max);
    *hash = load_mail_put_head(mail, body, sequence, out);
    memcpy(out + mail->head_size, mail->common, body->common_size);
    load_mail_put_tail(mail, body, sequence, out + mail->head_size + body->common_size);
    return bytes_make(out, body->wire_size);
}

/* What a server stores (RFC 5321 4.5.2), written down anew: line by line. To be freed. */
static struct bytes unstuff(struct bytes wire)
{
    uint8_t *out = malloc(wire.size);
    uint64_t size = 0;

    assert_non_null(out);
    for (;;) {
        uint64_t end = bytes_find(wire, '\n');
        assert_true(end < wire.size); /* the final dot comes before the octets end */
        struct bytes line = bytes_take(&wire, end + 1);
        assert_true(line.size >= 2);
        assert_int_equal(line.data[line.size - 2], '\r');
        if (line.size == 3 && line.data[0] == '.') break;
        if (line.data[0] == '.') (void)bytes_take(&line, 1);
        memcpy(out + size, line.data, line.size);
        size += line.size;
    }
    assert_int_equal(wire.size, 0);
    return bytes_make(out, size);
}

/* With BDAT (RFC 3030 2) what is sent is what is stored: nothing is stuffed, and no dot ends it. */
static void check_chunk(const struct load_mail *mail, uint64_t sequence, struct bytes stored)
{
    const struct load_mail_body *body = load_mail_choose(mail, sequence);
    uint8_t *out = malloc(body->stored_size + LOAD_MAIL_DOT_SIZE);
    uint64_t tail_at = mail->head_size + body->plain_size;

    assert_non_null(out);
    (void)load_mail_put_head(mail, body, sequence, out);
    memcpy(out + mail->head_size, mail->plain, body->plain_size);
    load_mail_put_tail(mail, body, sequence, out + tail_at);
    assert_int_equal(tail_at + body->tail_size - LOAD_MAIL_DOT_SIZE, stored.size);
    assert_memory_equal(out, stored.data, stored.size);
    free(out);
}

static void check_message(const struct load_mail *mail, uint64_t sequence)
{
    uint64_t hash;
    struct bytes wire = put(mail, sequence, &hash);
    struct bytes stored = unstuff(wire);
    struct ledger_entry entry;
    struct bytes body;
    uint64_t length = load_mail_choose(mail, sequence)->length;

    assert_int_equal(stored.size, load_mail_choose(mail, sequence)->stored_size);
    assert_true(ledger_find_header(stored, &entry, &body));
    assert_int_equal(entry.run, mail->run);
    assert_int_equal(entry.sequence, sequence);
    assert_int_equal(entry.size, length);
    assert_int_equal(body.size, length);
    assert_int_equal(entry.hash, XXH3_64bits(body.data, body.size));
    assert_int_equal(hash, entry.hash);
    check_chunk(mail, sequence, stored);
    free((void *)(uintptr_t)wire.data);
    free((void *)(uintptr_t)stored.data);
}

static void test_stored_size_and_hash_are_right(void **state)
{
    static const uint64_t sequences[] = {1, 2, 3, 999, 1000000, LOAD_MAIL_SEQUENCE_MAX};
    (void)state;

    for (size_t length = 0; length < LENGTHS; length++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct load_mail_recipe other = recipe;
            struct load_mail mail;
            struct load_length one = {.count = 1, .slots = {lengths[length]}};
            other.length = &one;
            other.seed = seed;
            assert_int_equal(load_mail_open(&mail, &other), 0);
            for (size_t index = 0; index < sizeof sequences / sizeof sequences[0]; index++)
                check_message(&mail, sequences[index]);
            load_mail_close(&mail);
        }
    }
}

/* All sizes of a distribution are cut out of one body: each must be right for itself. */
static void test_many_sizes_of_one_body(void **state)
{
    static const char *const texts[] = {"0-2k", "lognormal:300,2", "0:1,2:1,18:1,19:1,20:1,100k:1"};
    (void)state;

    for (size_t text = 0; text < sizeof texts / sizeof texts[0]; text++) {
        struct load_length length;
        struct load_mail_recipe other = recipe;
        struct load_mail mail;
        uint64_t sizes_seen = 0;
        assert_true(load_length_parse(&length, texts[text], LOAD_MAIL_LENGTH_MAX));
        other.length = &length;
        assert_int_equal(load_mail_open(&mail, &other), 0);
        for (uint64_t sequence = 1; sequence < 2000; sequence++) {
            check_message(&mail, sequence);
            sizes_seen += load_mail_choose(&mail, sequence)->length;
        }
        /* What is drawn is the distribution that was asked for. */
        double mean = (double)sizes_seen / 1999;
        assert_true(mean > 0.75 * load_length_mean(&length));
        assert_true(mean < 1.25 * load_length_mean(&length));
        load_mail_close(&mail);
    }
}

static void test_lines_are_short_and_some_start_with_a_dot(void **state)
{
    struct load_mail mail;
    uint64_t hash;
    uint32_t dots = 0;
    uint32_t lines = 0;
    (void)state;

    assert_int_equal(load_mail_open(&mail, &recipe), 0);
    struct bytes wire = put(&mail, 1, &hash);
    struct bytes stored = unstuff(wire);
    struct bytes rest = stored;
    while (rest.size > 0) {
        struct bytes line = bytes_take(&rest, bytes_find(rest, '\n') + 1);
        bool is_stamp = bytes_start_with(line, BYTES("X-Loadgen:"));
        assert_true(is_stamp || line.size <= LOAD_MAIL_LINE_MAX + 2);
        for (uint64_t index = 0; index + 2 < line.size; index++)
            assert_in_range(line.data[index], ' ', '~');
        dots += line.data[0] == '.';
        lines++;
    }
    assert_in_range(dots, lines / 40, lines / 5);
    assert_int_equal(wire.size, stored.size + dots + 3);
    free((void *)(uintptr_t)wire.data);
    free((void *)(uintptr_t)stored.data);
    load_mail_close(&mail);
}

static struct bytes find_line(struct bytes text, struct bytes start)
{
    while (text.size > 0) {
        struct bytes line = bytes_take(&text, bytes_find(text, '\n') + 1);
        if (bytes_start_with(line, start)) return line;
    }
    fail_msg("no such line");
    return text;
}

static void test_every_message_differs(void **state)
{
    struct load_mail mail;
    uint64_t hashes[100];
    uint8_t ids[100][100];
    (void)state;

    assert_int_equal(load_mail_open(&mail, &recipe), 0);
    for (uint64_t sequence = 0; sequence < 100; sequence++) {
        struct bytes wire = put(&mail, sequence, &hashes[sequence]);
        struct bytes id = find_line(wire, BYTES("Message-ID: <"));
        assert_true(id.size < sizeof ids[0]);
        memset(ids[sequence], 0, sizeof ids[0]);
        memcpy(ids[sequence], id.data, id.size);
        for (uint64_t other = 0; other < sequence; other++) {
            assert_int_not_equal(hashes[sequence], hashes[other]);
            assert_memory_not_equal(ids[sequence], ids[other], sizeof ids[0]);
        }
        free((void *)(uintptr_t)wire.data);
    }
    load_mail_close(&mail);
}

static void test_header_section(void **state)
{
    static const char expected[] = "From: <load@client.test>\r\n"
                                   "To: <user@sink.test>\r\n"
                                   "Subject: load test\r\n"
                                   "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n"
                                   "Message-ID: <0123456789abcdef.000000000042@client.test>\r\n"
                                   "X-Loadgen: v1 run=0123456789abcdef seq=000000000042 "
                                   "size=0000010000 xxh3=";
    struct load_mail mail;
    uint64_t hash;
    (void)state;

    assert_int_equal(load_mail_open(&mail, &recipe), 0);
    struct bytes wire = put(&mail, 42, &hash);
    assert_memory_equal(wire.data, expected, sizeof expected - 1);
    assert_memory_equal(wire.data + mail.head_size - 4, "\r\n\r\n", 4);
    free((void *)(uintptr_t)wire.data);
    load_mail_close(&mail);
}

static void test_the_seed_decides_the_text(void **state)
{
    struct load_mail_recipe other = recipe;
    struct load_mail one;
    struct load_mail same;
    struct load_mail different;
    (void)state;

    other.seed++;
    assert_int_equal(load_mail_open(&one, &recipe), 0);
    assert_int_equal(load_mail_open(&same, &recipe), 0);
    assert_int_equal(load_mail_open(&different, &other), 0);
    assert_int_equal(one.common_max, same.common_max);
    assert_memory_equal(one.common, same.common, one.common_max);
    assert_memory_not_equal(one.common, different.common, 500);
    load_mail_close(&one);
    load_mail_close(&same);
    load_mail_close(&different);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_size_and_hash_are_right),
        cmocka_unit_test(test_many_sizes_of_one_body),
        cmocka_unit_test(test_lines_are_short_and_some_start_with_a_dot),
        cmocka_unit_test(test_every_message_differs),
        cmocka_unit_test(test_header_section),
        cmocka_unit_test(test_the_seed_decides_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
