#include "smtp/smtp_path.h"

#include "unit/smtp/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ctype.h>

static struct guarded guarded;

struct path_row {
    const char *text;
    enum smtp_path_kind lenient;
    enum smtp_path_kind strict;
    const char *path; /* where it is a mailbox   */
    const char *rest; /* what is left behind it  */
};

#define OK      SMTP_PATH_MAILBOX
#define NULLED  SMTP_PATH_NULL
#define MISSING SMTP_PATH_MISSING
#define BAD     SMTP_PATH_MALFORMED
#define UTF8    SMTP_PATH_UTF8

static const struct path_row rows[] = {
    {"<a@example.org>", OK, OK, "a@example.org", ""},
    {"<UsEr@EXAMPLE.org> SIZE=1", OK, OK, "UsEr@EXAMPLE.org", " SIZE=1"},
    {"<a@b>\t", OK, OK, "a@b", "\t"},
    {"<>", NULLED, NULLED, "", ""},
    {"<> BODY=7BIT", NULLED, NULLED, "", " BODY=7BIT"},
    {"<>x", BAD, BAD, "", ""},
    {"", MISSING, MISSING, "", ""},
    {"  ", MISSING, BAD, "", ""},
    /* sloppy clients (PROTOCOL C04, C06) */
    {" <a@b>", OK, BAD, "a@b", ""},
    {"\t<a@b>", OK, BAD, "a@b", ""},
    {"a@b", OK, BAD, "a@b", ""},
    {"  a@b SIZE=1", OK, BAD, "a@b", " SIZE=1"},
    {"david", OK, BAD, "david", ""},
    {"<david>", OK, BAD, "david", ""},
    {"<Postmaster>", OK, OK, "Postmaster", ""},
    {"<POSTMASTER>", OK, OK, "POSTMASTER", ""},
    {"<POSTMASTER@any>", OK, OK, "POSTMASTER@any", ""},
    {"\"a b\"@c", OK, BAD, "\"a b\"@c", ""},
    /* source routes (C27) */
    {"<@a.example,@b.example:u@c.example>", OK, OK, "u@c.example", ""},
    {"<@a:u@c>", OK, OK, "u@c", ""},
    {"<@[IPv6:::1],@b:u@c>", OK, OK, "u@c", ""},
    {"<@a.example>", BAD, BAD, "", ""},
    {"<@a:>", BAD, BAD, "", ""},
    {"<@a b:u@c>", BAD, BAD, "", ""},
    {"@a:u@c", BAD, BAD, "", ""},
    /* quoted local parts */
    {"<\"abc\"@x>", OK, OK, "\"abc\"@x", ""},
    {"<\"a b\"@x>", OK, OK, "\"a b\"@x", ""},
    {"<\"a>b\"@x>", OK, OK, "\"a>b\"@x", ""},
    {"<\"a\\\"b\"@x>", OK, OK, "\"a\\\"b\"@x", ""},
    {"<\"\"@x>", OK, OK, "\"\"@x", ""},
    {"<\"a@x>", BAD, BAD, "", ""},
    {"<\"a\\", BAD, BAD, "", ""},
    {"<\"a\\\x01\"@x>", BAD, BAD, "", ""},
    {"<\"a\"b@x>", BAD, BAD, "", ""},
    {"<\"a\x01\"@x>", BAD, BAD, "", ""},
    /* dots (C35) */
    {"<.a@x>", OK, BAD, ".a@x", ""},
    {"<a.@x>", OK, BAD, "a.@x", ""},
    {"<a..b@x>", OK, BAD, "a..b@x", ""},
    {"<a.b@x>", OK, OK, "a.b@x", ""},
    /* domains */
    {"<a@>", BAD, BAD, "", ""},
    {"<@>", BAD, BAD, "", ""},
    {"<a@b@c>", BAD, BAD, "", ""},
    {"<a@.b>", BAD, BAD, "", ""},
    {"<a@b..c>", BAD, BAD, "", ""},
    {"<a@..>", BAD, BAD, "", ""},
    {"<a@.>", BAD, BAD, "", ""},
    {"<a@b.>", OK, BAD, "a@b.", ""},
    {"<a@b_c>", OK, BAD, "a@b_c", ""},
    {"<a@-b>", OK, BAD, "a@-b", ""},
    {"<a@b-.c>", OK, BAD, "a@b-.c", ""},
    {"<a@b-c.d-e>", OK, OK, "a@b-c.d-e", ""},
    {"<u@a/b>", BAD, BAD, "", ""},
    {"<../../../etc/passwd@x>", OK, BAD, "../../../etc/passwd@x", ""},
    {"<\"a/b\"@x>", OK, OK, "\"a/b\"@x", ""},
    /* address literals (C30) */
    {"<u@[192.0.2.1]>", OK, OK, "u@[192.0.2.1]", ""},
    {"<u@[IPv6:2001:db8::1]>", OK, OK, "u@[IPv6:2001:db8::1]", ""},
    {"<u@[ipv6:::ffff:192.0.2.1]>", OK, OK, "u@[ipv6:::ffff:192.0.2.1]", ""},
    {"<u@[x-tag:anything]>", OK, OK, "u@[x-tag:anything]", ""},
    {"<u@[x.tag:anything]>", OK, BAD, "u@[x.tag:anything]", ""}, /* RFC 5321 4.1.3: Ldh-str */
    {"<u@[tag-:anything]>", OK, BAD, "u@[tag-:anything]", ""},
    {"<u@[192.0.2.256]>", OK, BAD, "u@[192.0.2.256]", ""},
    {"<u@[IPv6:12345::]>", OK, BAD, "u@[IPv6:12345::]", ""},
    {"<u@[:x]>", OK, BAD, "u@[:x]", ""},
    {"<u@[x:]>", OK, BAD, "u@[x:]", ""},
    {"<u@[]>", BAD, BAD, "", ""},
    {"<u@[192.0.2.1>", BAD, BAD, "", ""},
    {"<u@[192.0.2.1]x>", BAD, BAD, "", ""},
    /* brackets */
    {"<a@b", BAD, BAD, "", ""},
    {"<a@b>x", BAD, BAD, "", ""},
    {"<a@b>>", BAD, BAD, "", ""},
    {"<<a@b>>", BAD, BAD, "", ""},
    {"a@b>", BAD, BAD, "", ""},
    {"< a@b>", BAD, BAD, "", ""},
    {"<a b@c>", BAD, BAD, "", ""},
    {"<", BAD, BAD, "", ""},
    /* controls and octets past ASCII (C21, C34) */
    {"<a\x01"
     "b@x>",
     BAD, BAD, "", ""},
    {"<a\x7f"
     "b@x>",
     BAD, BAD, "", ""},
    {"<a@x\x01>", BAD, BAD, "", ""},
    {"<\xc3\xbcser@example.org>", UTF8, UTF8, "\xc3\xbcser@example.org", ""},
    {"<user@ex\xc3\xa4mple.org>", UTF8, UTF8, "user@ex\xc3\xa4mple.org", ""},
    {"\xc3\xbcser@example.org", UTF8, BAD, "\xc3\xbcser@example.org", ""},
    {"<\"\xc3\xbc\"@x>", UTF8, UTF8, "\"\xc3\xbc\"@x", ""},
    {"<\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b> X", UTF8, UTF8,
     "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b", " X"},
    {"<\xf0\x9f\x92\xa9@x>", UTF8, UTF8, "\xf0\x9f\x92\xa9@x", ""},
    {"<a@b>\xc3", BAD, BAD, "", ""},
    {"<a@[\xc3\xbc]>", BAD, BAD, "", ""},
    /* no UTF-8: cut short, too long, a surrogate, past U+10FFFF, a stray octet */
    {"<\xc3@x>", BAD, BAD, "", ""},
    {"<a\xc3", BAD, BAD, "", ""},
    {"<\xc0\xaf@x>", BAD, BAD, "", ""},
    {"<\xe0\x80\xaf@x>", BAD, BAD, "", ""},
    {"<\xe2\x82@x>", BAD, BAD, "", ""},
    {"<\xed\xa0\x80@x>", BAD, BAD, "", ""},
    {"<\xf0\x8f\xbf\xbf@x>", BAD, BAD, "", ""},
    {"<\xf4\x90\x80\x80@x>", BAD, BAD, "", ""},
    {"<\xf0\x9f\x92@x>", BAD, BAD, "", ""},
    {"<\x80@x>", BAD, BAD, "", ""},
    {"<\xfc\xff@x>", BAD, BAD, "", ""},
};

static void check_row(const struct path_row *row, bool is_strict)
{
    enum smtp_path_kind wanted = is_strict ? row->strict : row->lenient;
    struct bytes text = guarded_at_end(&guarded, bytes_from_text(row->text));
    struct bytes path;
    enum smtp_path_kind kind = smtp_path_take(&text, is_strict, &path);
    if (kind != wanted) fail_msg("%s (strict: %d): %d, not %d", row->text, is_strict, kind, wanted);
    if (kind == SMTP_PATH_MISSING || kind == SMTP_PATH_MALFORMED) return;
    assert_true(bytes_equal(text, bytes_from_text(row->rest)));
    assert_true(bytes_equal(path, bytes_from_text(row->path)));
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(&rows[i], false);
        check_row(&rows[i], true);
    }
}

/* RFC 5321 4.1.2 said in another way than by a table of classes. */
static bool may_stand_in_local_part(int octet, bool is_strict)
{
    if (octet == '\0' || octet > 126) return false;
    if (isalnum(octet) || octet == '.') return true;
    if (is_strict) return strchr("!#$%&'*+-/=?^_`{|}~", octet) != NULL;
    return isgraph(octet) && strchr("<>@\"\\()[],;", octet) == NULL;
}

static bool may_stand_in_domain(int octet, bool is_strict)
{
    if (octet > 126) return false;
    return isalnum(octet) || octet == '-' || octet == '.' || (octet == '_' && !is_strict);
}

static bool takes(const char *format, int octet, bool is_strict)
{
    char text[64];
    uint64_t size = strlen(format);
    memcpy(text, format, size);
    for (uint64_t i = 0; i < size; i++)
        if (text[i] == '?') text[i] = (char)octet;
    struct bytes view = bytes_make(text, size);
    struct bytes path;
    return smtp_path_take(&view, is_strict, &path) == SMTP_PATH_MAILBOX && view.size == 0;
}

static void test_every_octet(void **state)
{
    (void)state;
    for (int octet = 0; octet < 256; octet++) {
        for (int is_strict = 0; is_strict < 2; is_strict++) {
            bool is_local = may_stand_in_local_part(octet, is_strict);
            bool is_at = octet == '@'; /* "<a@b@x>" is wrong, too */
            assert_int_equal(takes("<a?b@x>", octet, is_strict), is_local && !is_at);
            assert_int_equal(takes("<a@b?c>", octet, is_strict),
                             may_stand_in_domain(octet, is_strict));
            bool is_quotable = octet >= 32 && octet <= 126;
            assert_int_equal(takes("<\"\\?\"@x>", octet, is_strict), is_quotable);
            assert_int_equal(takes("<\"?\"@x>", octet, is_strict),
                             is_quotable && octet != '"' && octet != '\\');
        }
    }
}

/* RFC 5321 4.5.3.1: sizes a strict server holds clients to, and a lenient one never cuts at. */
static void test_sizes(void **state)
{
    static const struct {
        uint64_t local_size;
        uint64_t domain_size;
        bool is_within;
    } sizes[] = {
        {64, 189, true}, {65, 100, false}, {1, 252, true}, {1, 253, false}, {64, 190, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char text[512];
        uint64_t size = 0;
        text[size++] = '<';
        memset(text + size, 'l', sizes[i].local_size);
        size += sizes[i].local_size;
        text[size++] = '@';
        memset(text + size, 'd', sizes[i].domain_size);
        size += sizes[i].domain_size;
        text[size++] = '>';
        for (int is_strict = 0; is_strict < 2; is_strict++) {
            struct bytes view = bytes_make(text, size);
            struct bytes path;
            enum smtp_path_kind kind = smtp_path_take(&view, is_strict, &path);
            bool is_wanted = sizes[i].is_within || !is_strict;
            assert_int_equal(kind, is_wanted ? SMTP_PATH_MAILBOX : SMTP_PATH_MALFORMED);
            if (is_wanted) assert_int_equal(path.size, size - 2);
        }
    }
}

/* Cut off anywhere, and with a page behind it that can't be read. */
static void test_every_prefix_ends_where_it_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (uint64_t size = 0; size <= strlen(rows[i].text); size++) {
            struct bytes text = guarded_at_end(&guarded, bytes_make(rows[i].text, size));
            struct bytes path;
            const uint8_t *end = text.data + text.size;
            smtp_path_take(&text, false, &path);
            assert_ptr_equal(text.data + text.size, end);
        }
    }
}

static void test_domain(void **state)
{
    (void)state;
    assert_true(smtp_path_is_domain(BYTES("client.example"), true));
    assert_true(smtp_path_is_domain(BYTES("[127.0.0.1]"), true));
    assert_true(smtp_path_is_domain(BYTES("[IPv6:::1]"), true));
    assert_false(smtp_path_is_domain(BYTES("client example"), true));
    assert_false(smtp_path_is_domain(BYTES("a_b"), true));
    assert_true(smtp_path_is_domain(BYTES("a_b"), false));
    assert_false(smtp_path_is_domain(BYTES(""), true));
    assert_false(smtp_path_is_domain(BYTES(""), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),   cmocka_unit_test(test_every_octet),
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_every_prefix_ends_where_it_ends),
        cmocka_unit_test(test_domain),
    };
    guarded_open(&guarded, 4096);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guarded_close(&guarded);
    return failed;
}
