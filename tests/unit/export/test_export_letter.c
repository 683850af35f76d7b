#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export/export_letter.h"

#include <stdlib.h>
#include <string.h>

#define DATE "Tue, 14 Nov 2023 22:13:20 +0000"

static struct export_letter letter_make(struct bytes content)
{
    return (struct export_letter){.id = {.number = 7, .offset = 4096, .worker = 3},
                                  .received_ns = 1700000000ull * 1000000000,
                                  .peer = BYTES("127.0.0.1:41234"),
                                  .helo = BYTES("client.test"),
                                  .protocol = BYTES("ESMTP"),
                                  .sender = BYTES("a@b"),
                                  .recipient = BYTES("c@d"),
                                  .content = content,
                                  .host = BYTES("sink.test")};
}

/* What is rendered, with a NUL, to be freed. */
static char *render(const struct export_letter *letter, enum export_letter_style style)
{
    struct bytes text = export_letter_render(letter, style);
    assert_non_null(text.data);
    char *copy = calloc(text.size + 1, 1);
    assert_non_null(copy);
    memcpy(copy, text.data, text.size);
    free((void *)(uintptr_t)text.data);
    return copy;
}

static void assert_content(const char *content, enum export_letter_style style,
                           const char *expected)
{
    struct export_letter letter = letter_make(bytes_from_text(content));
    char *text = render(&letter, style);
    const char *head_end = strstr(text, "+0000");
    assert_non_null(head_end);
    head_end += style == EXPORT_LETTER_EXACT ? 7 : 6;
    assert_string_equal(head_end, expected);
    free(text);
}

static void test_head(void **state)
{
    struct export_letter letter = letter_make(BYTES(""));
    char *text = render(&letter, EXPORT_LETTER_LF);

    (void)state;
    assert_string_equal(text, "Return-Path: <a@b>\n"
                              "Received: from client.test ([127.0.0.1])\n"
                              "\tby sink.test with ESMTP id 3.7.4096\n"
                              "\tfor <c@d>; " DATE "\n");
    free(text);
    letter.peer = BYTES("[2001:db8::1]:25");
    letter.recipient = BYTES("");
    letter.sender = BYTES("");
    text = render(&letter, EXPORT_LETTER_EXACT);
    assert_string_equal(text, "Return-Path: <>\r\n"
                              "Received: from client.test ([IPv6:2001:db8::1])\r\n"
                              "\tby sink.test with ESMTP id 3.7.4096; " DATE "\r\n");
    free(text);
}

/* Whatever a client put into its envelope, the head keeps its four lines. */
static void test_envelope_adds_no_line(void **state)
{
    struct export_letter letter = letter_make(BYTES(""));

    (void)state;
    letter.helo = BYTES("x\r\n\r\ny) (z\0");
    letter.peer = BYTES("unix:pid=1,uid=0");
    letter.sender = BYTES("\"a\r\nBcc: x\"@\xc3\xbc");
    letter.recipient = BYTES("\"\n\n\x7f\"@d");
    char *text = render(&letter, EXPORT_LETTER_LF);
    assert_string_equal(text, "Return-Path: <\"a??Bcc: x\"@\xc3\xbc>\n"
                              "Received: from x????y???z? (unix:pid=1,uid=0)\n"
                              "\tby sink.test with ESMTP id 3.7.4096\n"
                              "\tfor <\"???\"@d>; " DATE "\n");
    free(text);
}

static void test_every_octet_in_every_field(void **state)
{
    uint8_t octets[256];

    (void)state;
    for (uint32_t i = 0; i < sizeof(octets); i++)
        octets[i] = (uint8_t)i;
    struct bytes all = bytes_make(octets, sizeof(octets));
    struct export_letter letter = letter_make(BYTES("X"));
    letter.helo = letter.peer = letter.protocol = letter.sender = letter.recipient = letter.host =
        all;
    struct bytes text = export_letter_render(&letter, EXPORT_LETTER_LF);
    uint32_t lines = 0;
    for (uint64_t i = 0; i < text.size; i++) {
        lines += text.data[i] == '\n';
        assert_true(text.data[i] >= 0x20 || text.data[i] == '\n' || text.data[i] == '\t');
    }
    assert_int_equal(lines, 4);
    free((void *)(uintptr_t)text.data);
}

static void test_lines(void **state)
{
    static const char mixed[] = "a\r\n\r\r\nb\rc\nd\r\n\n\re\r";

    (void)state;
    assert_content(mixed, EXPORT_LETTER_EXACT, mixed);
    assert_content(mixed, EXPORT_LETTER_LF, "a\n\r\nb\rc\nd\n\n\re\r");
    assert_content("\r\n", EXPORT_LETTER_LF, "\n");
    assert_content("", EXPORT_LETTER_MBOX, "");
}

static void test_from_lines_are_quoted_in_mbox_alone(void **state)
{
    static const char lines[] =
        "From a\r\n>From b\n>>From c\r\nFrom\r\n From d\r\nfrom e\r\n>>>From ";

    (void)state;
    assert_content(lines, EXPORT_LETTER_MBOX,
                   ">From a\n>>From b\n>>>From c\nFrom\n From d\nfrom e\n>>>>From ");
    assert_content(lines, EXPORT_LETTER_LF,
                   "From a\n>From b\n>>From c\nFrom\n From d\nfrom e\n>>>From ");
    assert_content(lines, EXPORT_LETTER_EXACT, lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_envelope_adds_no_line),
        cmocka_unit_test(test_every_octet_in_every_field),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_from_lines_are_quoted_in_mbox_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
