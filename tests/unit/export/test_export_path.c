#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export/export_path.h"

#include <stdlib.h>
#include <string.h>

#define SAFE "abcdefghijklmnopqrstuvwxyz0123456789@_+=.-"

static const char *encode(char *out, struct bytes recipient)
{
    uint32_t size = export_path_encode(out, recipient);
    assert_int_equal(size, strlen(out));
    assert_in_range(size, 1, EXPORT_PATH_SIZE_MAX);
    return out;
}

static void assert_name(struct bytes recipient, const char *expected)
{
    char name[EXPORT_PATH_MAX];
    assert_string_equal(encode(name, recipient), expected);
}

/* What no name may hold, whatever the recipient was. */
static void assert_harmless(const char *name)
{
    assert_true(name[0] != '.' && name[0] != '-');
    for (const char *at = name; *at != 0; at++) {
        if (strncmp(at, "%~", 2) == 0) {
            assert_int_equal(strlen(at), 34);
            assert_int_equal(strspn(at + 2, "0123456789abcdef"), 32);
            return;
        }
        if (at[0] == '%' && strlen(at) >= 3) {
            assert_int_equal(strspn(at + 1, "0123456789ABCDEF") >= 2, 1);
            at += 2;
        } else {
            assert_true(strchr(SAFE, *at) != NULL || strcmp(name, "%") == 0);
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_name(BYTES("user@lab.test"), "user@lab.test");
    assert_name(BYTES("User@LAB.Test"), "%55ser@lab.test");
    assert_name(BYTES(""), "%");
    assert_name(BYTES("."), "%2E");
    assert_name(BYTES(".."), "%2E.");
    assert_name(BYTES("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd");
    assert_name(BYTES("-rf@x"), "%2Drf@x");
    assert_name(BYTES("a-b.c@x"), "a-b.c@x");
    assert_name(BYTES("a\0b"), "a%00b");
    assert_name(BYTES("%2E"), "%252%45");
    assert_name(BYTES("a@[IPv6:::1]"), "a@%5Bipv6%3A%3A%3A1%5D");
    assert_name(BYTES("\"A@B\"@C"), "%22%41@%42%22@c");
    assert_name(BYTES("\"A@B\""), "%22%41@%42%22");
    assert_name(BYTES("Postmaster"), "%50ostmaster");
    assert_name(BYTES("\xc3\xbc@x"), "%C3%BC@x");
    assert_name(BYTES("~/x\n*?\\"), "%7E%2Fx%0A%2A%3F%5C");
}

static void test_every_octet_alone_first_and_later(void **state)
{
    static char names[512][EXPORT_PATH_MAX];

    (void)state;
    for (uint32_t i = 0; i < 256; i++) {
        uint8_t octets[] = {(uint8_t)i, 'x', (uint8_t)i};
        (void)encode(names[i], bytes_make(octets, 1));
        (void)encode(names[256 + i], bytes_make(octets + 1, 2));
        assert_int_equal(
            strcmp(names[256 + i] + 1, octets[0] == '.' ? "." : names[i]) == 0 || i == '-', 1);
    }
    for (uint32_t i = 0; i < 512; i++) {
        assert_harmless(names[i]);
        for (uint32_t k = 0; k < i; k++)
            assert_int_not_equal(strcasecmp(names[i], names[k]), 0);
    }
}

/* Each differs from all others in more than the domain's case. */
static void test_different_recipients_have_different_names(void **state)
{
    const struct bytes recipients[] = {
        BYTES(""),
        BYTES("%"),
        BYTES("%~"),
        BYTES("%%"),
        BYTES("."),
        BYTES(".."),
        BYTES("..."),
        BYTES("/"),
        BYTES("//"),
        BYTES("./"),
        BYTES("../"),
        BYTES("%2E"),
        BYTES("%2e"),
        BYTES("%2F"),
        BYTES("%2E."),
        BYTES("\0"),
        BYTES("\0\0"),
        BYTES("%00"),
        BYTES("a"),
        BYTES("A"),
        BYTES("a@b"),
        BYTES("A@b"),
        BYTES("a@"),
        BYTES("@a"),
        BYTES("a@b@c"),
        BYTES("\"a@b\""),
        BYTES("\"a@B\""),
        BYTES("\"a b\"@b"),
        BYTES("\"a\"b\"@b"),
        BYTES("\"\\\"@b"),
        BYTES("\"\\\\\"@b"),
        BYTES("\"\"@b"),
        BYTES("\""),
        BYTES("\"@b"),
        BYTES("\".a\"@b"),
        BYTES("\"a.\"@b"),
        BYTES("\"a..a\"@b"),
        BYTES("a b"),
        BYTES("a\tb"),
        BYTES("a\nb"),
        BYTES("a\rb"),
        BYTES("a\\b"),
        BYTES("a/b"),
        BYTES("a%2Fb"),
        BYTES("a%2fb"),
        BYTES("-"),
        BYTES("--"),
        BYTES("%2D"),
        BYTES("~"),
        BYTES("a@[1.2.3.4]"),
        BYTES("a@1.2.3.4"),
        BYTES("a@[IPv6:::1]"),
        BYTES("a@[IPv6:::2]"),
        BYTES("\xc3\xbc"),
        BYTES("u\xcc\x88"),
        BYTES("\xfc"),
        BYTES("\xff\xfe"),
        BYTES("new"),
        BYTES("tmp"),
        BYTES("cur"),
        BYTES("con"),
    };
    enum { COUNT = sizeof(recipients) / sizeof(recipients[0]) };
    static char names[COUNT][EXPORT_PATH_MAX];

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_harmless(encode(names[i], recipients[i]));
        for (uint32_t k = 0; k < i; k++)
            if (strcasecmp(names[i], names[k]) == 0)
                fail_msg("%u and %u are both %s", i, k, names[i]);
    }
}

/* RFC 5321 4.1.2: quotes and backslashes that are not needed mean nothing. */
static void test_quoted_and_plain_forms_are_one_mailbox(void **state)
{
    static const struct {
        const char *left;
        const char *right;
        const char *name;
    } rows[] = {
        {"\"john\"@x.test", "john@x.test", "john@x.test"},
        {"\"j\\ohn\"@x.test", "john@X.TEST", "john@x.test"},
        {"\"john.q.public\"@x", "john.q.public@x", "john.q.public@x"},
        {"\"John\"@x", "John@x", "%4Aohn@x"},
        {"\"-rf\"@x", "-rf@x", "%2Drf@x"},
        {"\"\xc3\xbc\"@x", "\xc3\xbc@x", "%C3%BC@x"},
        {"\"Postmaster\"", "Postmaster", "%50ostmaster"},
        {"\"a\\ b\"@x", "\"a b\"@x", "%22a%20b%22@x"},
        {"\"\\a\\@b\"@x", "\"a@b\"@X", "%22a@b%22@x"},
        {"\"a\\.\"@x", "\"a.\"@x", "%22a.%22@x"},
    };
    (void)state;
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_name(bytes_from_text(rows[i].left), rows[i].name);
        assert_name(bytes_from_text(rows[i].right), rows[i].name);
    }
}

/* Lengths about the cut, whole and with one octet changed, at its end and at its beginning. */
static void test_long_recipients(void **state)
{
    static const char fills[] = {'a', '/', 'A'};
    char names[4][EXPORT_PATH_MAX];
    uint8_t octets[1024];

    (void)state;
    for (uint32_t f = 0; f < sizeof(fills); f++) {
        for (uint32_t size = 50; size < 400; size++) {
            memset(octets, fills[f], sizeof(octets));
            (void)encode(names[0], bytes_make(octets, size));
            (void)encode(names[1], bytes_make(octets, size + 1));
            octets[size - 1] = 'z';
            (void)encode(names[2], bytes_make(octets, size));
            octets[size - 1] = (uint8_t)fills[f];
            octets[0] = 'z';
            (void)encode(names[3], bytes_make(octets, size));
            uint32_t unit = fills[f] == 'a' ? 1 : 3;
            assert_int_equal(strstr(names[0], "%~") != NULL, size * unit > EXPORT_PATH_SIZE_MAX);
            for (uint32_t i = 0; i < 4; i++) {
                assert_harmless(names[i]);
                for (uint32_t k = 0; k < i; k++)
                    assert_string_not_equal(names[i], names[k]);
            }
        }
    }
}

static void test_domain_case_of_a_long_recipient_means_nothing(void **state)
{
    char names[2][EXPORT_PATH_MAX];
    uint8_t octets[310];

    (void)state;
    memset(octets, 'a', sizeof(octets));
    memcpy(octets + 300, "@LAB.TEST.", 10);
    (void)encode(names[0], bytes_make(octets, sizeof(octets)));
    memcpy(octets + 300, "@lab.test.", 10);
    assert_string_equal(names[0], encode(names[1], bytes_make(octets, sizeof(octets))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_octet_alone_first_and_later),
        cmocka_unit_test(test_different_recipients_have_different_names),
        cmocka_unit_test(test_quoted_and_plain_forms_are_one_mailbox),
        cmocka_unit_test(test_long_recipients),
        cmocka_unit_test(test_domain_case_of_a_long_recipient_means_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
