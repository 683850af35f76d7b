#include "base/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static struct bytes written(const uint8_t *data, uint64_t size)
{
    return bytes_make(data, size);
}

static void test_start_line(void **state)
{
    static const struct {
        struct ledger_start start;
        const char *line;
    } rows[] = {
        {{0x0123456789abcdefull, {0xfedcba9876543210ull, 0x89abcdef01234567ull}, 17, 2},
         "# ringsink-ledger/2 run=0123456789abcdef boot=fedcba987654321089abcdef01234567 "
         "clock=17\n"},
        {{1, {0, 0}, -1790000000123456789, 2},
         "# ringsink-ledger/2 run=0000000000000001 boot=00000000000000000000000000000000 "
         "clock=-1790000000123456789\n"},
        {{UINT64_MAX, {UINT64_MAX, UINT64_MAX}, INT64_MAX, 2},
         "# ringsink-ledger/2 run=ffffffffffffffff boot=ffffffffffffffffffffffffffffffff "
         "clock=9223372036854775807\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[LEDGER_LINE_MAX];
        struct ledger_start start;
        uint32_t size = ledger_put_start(out, &rows[i].start);
        assert_true(bytes_equal(written(out, size), bytes_from_text(rows[i].line)));
        assert_true(ledger_parse_start(written(out, size - 1), &start));
        assert_int_equal(start.run, rows[i].start.run);
        assert_int_equal(start.boot.high, rows[i].start.boot.high);
        assert_int_equal(start.boot.low, rows[i].start.boot.low);
        assert_int_equal(start.clock_ns, rows[i].start.clock_ns);
        assert_int_equal(start.format, 2);
        assert_false(ledger_parse_start(written(out, size), &start));
    }
}

static void test_start_line_of_format_1(void **state)
{
    struct ledger_start start;
    (void)state;
    assert_true(ledger_parse_start(BYTES("# ringsink-ledger/1 run=0123456789abcdef"), &start));
    assert_int_equal(start.run, 0x0123456789abcdefull);
    assert_int_equal(start.format, 1);
    assert_false(boot_id_equal(start.boot, start.boot));
}

#define START "# ringsink-ledger/2 run=0123456789abcdef boot=fedcba987654321089abcdef01234567"

static void test_what_is_no_start_line(void **state)
{
    static const char *const lines[] = {
        "",
        "# ringsink-ledger/1 run=0123456789abcde",
        "# ringsink-ledger/1 run=0123456789abcdef\n",
        "# ringsink-ledger/1 run=0123456789abcdef boot=fedcba987654321089abcdef01234567 clock=1",
        "# ringsink-ledger/2 run=0123456789abcdef",
        "# ringsink-ledger/2 run=0123456789abcdef clock=1",
        "# ringsink-ledger/2 run=0123456789abcdef boot=fedcba987654321089abcdef0123456 clock=1",
        "# ringsink-ledger/2 run=0123456789abcde boot=fedcba987654321089abcdef01234567 clock=1",
        START,
        START " clock=",
        START " clock=-",
        START " clock=--1",
        START " clock=9223372036854775808",
        START " clock=1 ",
        START "  clock=1",
        "# ringsink-ledger/3 run=0123456789abcdef",
    };
    struct ledger_start start;
    (void)state;
    assert_true(ledger_parse_start(BYTES(START " clock=1"), &start));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (ledger_parse_start(bytes_from_text(lines[i]), &start)) fail_msg("%s", lines[i]);
}

static void test_end_line(void **state)
{
    uint8_t out[LEDGER_LINE_MAX];
    int64_t clock_ns = 0;
    (void)state;
    uint32_t size = ledger_put_end(out, -5);
    assert_true(bytes_equal(written(out, size), BYTES("# end clock=-5\n")));
    assert_true(ledger_parse_end(written(out, size - 1), &clock_ns));
    assert_int_equal(clock_ns, -5);
    assert_false(ledger_parse_end(written(out, size), &clock_ns));
    assert_false(ledger_parse_end(BYTES("# end clock="), &clock_ns));
    assert_false(ledger_parse_end(BYTES("# end"), &clock_ns));
    assert_false(ledger_parse_end(BYTES(""), &clock_ns));
}

static void assert_same_entry(const struct ledger_entry *entry, const struct ledger_entry *wanted)
{
    assert_int_equal(entry->run, wanted->run);
    assert_int_equal(entry->sequence, wanted->sequence);
    assert_int_equal(entry->size, wanted->size);
    assert_int_equal(entry->hash, wanted->hash);
    assert_int_equal(entry->sent_ns, wanted->sent_ns);
    assert_int_equal(entry->state, wanted->state);
    assert_int_equal(entry->recipients, wanted->recipients);
    assert_int_equal(entry->accepted_ns, wanted->accepted_ns);
}

static void test_entry_goes_and_comes_back(void **state)
{
    static const struct {
        struct ledger_entry entry;
        const char *line;
    } rows[] = {
        {{0x1, 0, 0, 0x2, 0, LEDGER_ACKED, 0, 0},
         "0000000000000001 0 0 0000000000000002 0 acked 0 0\n"},
        {{0xabc, 17, 10240, 0xdeadbeefcafef00d, 1790000000123456789, LEDGER_REFUSED, 100,
          1790000000123456790},
         "0000000000000abc 17 10240 deadbeefcafef00d 1790000000123456789 refused "
         "1790000000123456790 100\n"},
        {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, LEDGER_UNKNOWN, UINT32_MAX,
          UINT64_MAX},
         "ffffffffffffffff 18446744073709551615 18446744073709551615 ffffffffffffffff "
         "18446744073709551615 unknown 18446744073709551615 4294967295\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[LEDGER_LINE_MAX];
        struct ledger_entry entry = {0};
        uint32_t size = ledger_put_entry(out, &rows[i].entry);
        assert_true(bytes_equal(written(out, size), bytes_from_text(rows[i].line)));
        assert_true(ledger_parse_entry(written(out, size - 1), 2, &entry));
        assert_same_entry(&entry, &rows[i].entry);
    }
}

#define ENTRY_1 "0000000000000abc 17 10240 deadbeefcafef00d 1790000000 acked"
#define ENTRY_2 ENTRY_1 " 1790000001 3"

static void test_entry_of_format_1(void **state)
{
    static const struct ledger_entry wanted = {0xabc,      17,           10240, 0xdeadbeefcafef00d,
                                               1790000000, LEDGER_ACKED, 0,     0};
    struct ledger_entry entry;
    (void)state;
    memset(&entry, 0xff, sizeof(entry));
    assert_true(ledger_parse_entry(BYTES(ENTRY_1), 1, &entry));
    assert_same_entry(&entry, &wanted);
}

/*
 * Cut anywhere, as by a full disk, a line is no entry. Of format 2's last number, a digit that is
 * missing can't be told: such a line lacks its LF.
 */
static void test_entry_cut_short_is_none(void **state)
{
    static const struct {
        const char *line;
        uint32_t format;
    } rows[] = {{ENTRY_1, 1}, {ENTRY_2, 2}};
    struct ledger_entry entry;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes line = bytes_from_text(rows[i].line);
        assert_true(ledger_parse_entry(line, rows[i].format, &entry));
        for (uint64_t size = 0; size < line.size; size++) {
            uint8_t *copy = malloc(size + 1); /* for the sanitizer to see what is read beyond */
            memcpy(copy, line.data, size);
            assert_false(ledger_parse_entry(bytes_make(copy, size), rows[i].format, &entry));
            free(copy);
        }
    }
}

static void test_what_is_no_entry(void **state)
{
    static const char *const lines[] = {
        "# ringsink-ledger/1 run=0123456789abcdef",
        "0000000000000abc 17 10240 deadbeefcafef00d 1790000000 acked ",
        "0000000000000abc 17 10240 deadbeefcafef00d 1790000000 acked\r",
        "0000000000000abc 17 10240 deadbeefcafef00d 1790000000 ACKED",
        "0000000000000abc 17 10240 deadbeefcafef00d 1790000000 lost",
        "0000000000000abc  17 10240 deadbeefcafef00d 1790000000 acked",
        "0000000000000abc -17 10240 deadbeefcafef00d 1790000000 acked",
        "abc 17 10240 deadbeefcafef00d 1790000000 acked",
        "0000000000000abg 17 10240 deadbeefcafef00d 1790000000 acked",
        " 0000000000000abc 17 10240 deadbeefcafef00d 1790000000 acked",
        ENTRY_1 "  1790000001 3",
        ENTRY_2 " ",
        ENTRY_2 "\r",
        ENTRY_2 " 4",
        ENTRY_1 " -1 3",
        ENTRY_1 " 1790000001 4294967296",
    };
    struct ledger_entry entry;
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_false(ledger_parse_entry(bytes_from_text(lines[i]), 1, &entry));
        assert_false(ledger_parse_entry(bytes_from_text(lines[i]), 2, &entry));
    }
    assert_false(ledger_parse_entry(BYTES(ENTRY_1), 2, &entry));
    assert_false(ledger_parse_entry(BYTES(ENTRY_2), 1, &entry));
}

static void test_header_goes_and_comes_back(void **state)
{
    uint8_t out[LEDGER_HEADER_SIZE + 1];
    struct ledger_entry entry;
    struct bytes body;
    (void)state;

    out[LEDGER_HEADER_SIZE] = '#';
    ledger_put_header(out, 0xabc, 17, 10240, 0xdeadbeefcafef00dull);
    assert_int_equal(out[LEDGER_HEADER_SIZE], '#');
    assert_true(bytes_equal(written(out, LEDGER_HEADER_SIZE),
                            BYTES("X-Loadgen: v1 run=0000000000000abc seq=000000000017 "
                                  "size=0000010240 xxh3=deadbeefcafef00d\r\n")));
    assert_true(ledger_find_header(written(out, LEDGER_HEADER_SIZE), &entry, &body));
    assert_int_equal(entry.run, 0xabc);
    assert_int_equal(entry.sequence, 17);
    assert_int_equal(entry.size, 10240);
    assert_int_equal(entry.hash, 0xdeadbeefcafef00dull);
    assert_int_equal(body.size, 0);
    ledger_put_header(out, UINT64_MAX, 999999999999ull, 9999999999ull, UINT64_MAX);
    assert_int_equal(out[LEDGER_HEADER_SIZE - 1], '\n');
}

#define HEADER "v1 run=0000000000000abc seq=000000000017 size=0000010240 xxh3=deadbeefcafef00d"

static const struct {
    const char *message;
    bool is_found;
    const char *body;
} messages[] = {
    {"X-Loadgen: " HEADER "\r\n\r\nbody\r\n", true, "body\r\n"},
    {"From: a\r\nX-Loadgen: " HEADER "\r\nTo: b\r\n\r\n\r\nb\r\n", true, "\r\nb\r\n"},
    {"x-loadGEN: " HEADER "\r\n\r\nb", true, "b"},
    {"X-Loadgen:" HEADER "  \r\n\r\nb", true, "b"},
    {"X-Loadgen \t: " HEADER "\r\n\r\nb", true, "b"},
    {"X-Loadgen: v1 run=0000000000000abc\r\n seq=000000000017\r\n\tsize=0000010240\r\n"
     "  xxh3=deadbeefcafef00d\r\nTo: x\r\n\r\nb",
     true, "b"},
    {"X-Loadgen:\r\n " HEADER "\r\n\r\nb", true, "b"},
    {"Subject: x\r\n X-Loadgen: " HEADER "\r\n\r\nb", false, "b"},
    {"X-Loadgen: " HEADER "\n\nbody\n", true, "body\n"},
    {"From: a\nX-Loadgen: " HEADER "\n\nX-Loadgen: " HEADER "\n", true, "X-Loadgen: " HEADER "\n"},
    {"From: a\r\n\r\nX-Loadgen: " HEADER "\r\n\r\nb", false, "X-Loadgen: " HEADER "\r\n\r\nb"},
    {"\r\nX-Loadgen: " HEADER "\r\n\r\n", false, "X-Loadgen: " HEADER "\r\n\r\n"},
    {"X-Loadgen: " HEADER, true, ""},
    {"X-Loadgen: " HEADER "\r\n\r\n", true, ""},
    {"X-Loadgen: garbage\r\nX-Loadgen: " HEADER "\r\n\r\nb", true, "b"},
    {"X-Loadgen: " HEADER "\r\nX-Loadgen: v1 run=0000000000000fff seq=1 size=2 "
     "xxh3=0000000000000000\r\n\r\nb",
     true, "b"},
    {"X-Loadgen: v2" HEADER "\r\n\r\nb", false, "b"},
    {"X-Loadgen: " HEADER " more\r\n\r\nb", false, "b"},
    {"X-Loadgen: v1 run=abc seq=1 size=2 xxh3=deadbeefcafef00d\r\n\r\nb", false, "b"},
    {"X-Loadgens: " HEADER "\r\n\r\nb", false, "b"},
    {"X-Loadgen " HEADER "\r\n\r\nb", false, "b"},
    {"no colon\r\n: \r\n\r\nb", false, "b"},
    {"", false, ""},
    {"\r\n", false, ""},
    {" \r\n \r\n", false, ""},
    {"\r", false, ""},
};

static void test_find_header(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        struct ledger_entry entry = {0};
        struct bytes body;
        struct bytes message = bytes_from_text(messages[i].message);
        if (ledger_find_header(message, &entry, &body) != messages[i].is_found)
            fail_msg("message %zu: %s", i, messages[i].message);
        assert_true(bytes_equal(body, bytes_from_text(messages[i].body)));
        if (!messages[i].is_found) continue;
        assert_int_equal(entry.run, 0xabc);
        assert_int_equal(entry.sequence, 17);
        assert_int_equal(entry.size, 10240);
        assert_int_equal(entry.hash, 0xdeadbeefcafef00dull);
    }
}

/* Every cut of every message, in memory of just its size: the sanitizer sees a read beyond. */
static void test_find_header_never_reads_beyond(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        uint64_t whole_size = strlen(messages[i].message);
        for (uint64_t size = 1; size <= whole_size; size++) {
            struct ledger_entry entry;
            struct bytes body;
            uint8_t *copy = malloc(size);
            memcpy(copy, messages[i].message, size);
            (void)!ledger_find_header(bytes_make(copy, size), &entry, &body);
            assert_true(body.size <= size);
            assert_ptr_equal(body.data + body.size, copy + size);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_line),
        cmocka_unit_test(test_start_line_of_format_1),
        cmocka_unit_test(test_what_is_no_start_line),
        cmocka_unit_test(test_end_line),
        cmocka_unit_test(test_entry_goes_and_comes_back),
        cmocka_unit_test(test_entry_of_format_1),
        cmocka_unit_test(test_entry_cut_short_is_none),
        cmocka_unit_test(test_what_is_no_entry),
        cmocka_unit_test(test_header_goes_and_comes_back),
        cmocka_unit_test(test_find_header),
        cmocka_unit_test(test_find_header_never_reads_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
