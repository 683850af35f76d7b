#include "smtp/smtp_plain_line.h"

#include "base/random.h"
#include "smtp/smtp_command.h"
#include "smtp/smtp_path.h"
#include "smtp/smtp_plain_path.h"
#include "unit/smtp/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEXT_MAX 300
#define RUNS     200000

static struct guarded guarded;

struct line_row {
    const char *input;
    enum smtp_plain_verb verb;
    const char *line;
    const char *path;
};

#define NONE SMTP_PLAIN_NONE
#define MAIL SMTP_PLAIN_MAIL
#define RCPT SMTP_PLAIN_RCPT
#define DATA SMTP_PLAIN_DATA

#define LONG_DOMAIN "example-of-a-rather-long-domain.example.org"

static const struct line_row rows[] = {
    {"MAIL FROM:<load@client.test>\r\n", MAIL, "MAIL FROM:<load@client.test>\r\n",
     "load@client.test"},
    {"RCPT TO:<user1@sink.test>\r\nDATA\r\n", RCPT, "RCPT TO:<user1@sink.test>\r\n",
     "user1@sink.test"},
    {"DATA\r\n", DATA, "DATA\r\n", NULL},
    {"DATA\r\nFrom: a", DATA, "DATA\r\n", NULL},
    {"RCPT TO:<a_b-c.d.e@" LONG_DOMAIN ">\r\n", RCPT, "RCPT TO:<a_b-c.d.e@" LONG_DOMAIN ">\r\n",
     "a_b-c.d.e@" LONG_DOMAIN},
    {"MAIL FROM:<0@Client-Example.TEST.>\r\nx", MAIL, "MAIL FROM:<0@Client-Example.TEST.>\r\n",
     "0@Client-Example.TEST."},
    /* what is for a closer look */
    {"", NONE, NULL, NULL},
    {"DATA\n", NONE, NULL, NULL},
    {"DATA \r\n", NONE, NULL, NULL},
    {"data\r\n", NONE, NULL, NULL},
    {"DATA\r", NONE, NULL, NULL},
    {"MAIL FROM:<>\r\n", NONE, NULL, NULL},
    {"MAIL FROM:<load@client.test>", NONE, NULL, NULL},
    {"MAIL FROM:<load@client.test>\r", NONE, NULL, NULL},
    {"MAIL FROM:<load@client.test>\n\n", NONE, NULL, NULL},
    {"MAIL FROM:<load@client.test> SIZE=1\r\n", NONE, NULL, NULL},
    {"MAIL FROM: <load@client.test>\r\n", NONE, NULL, NULL},
    {"Mail From:<load@client.test>\r\n", NONE, NULL, NULL},
    {"MAIL FROM:load@client.testaaaaaa\r\n", NONE, NULL, NULL},
    {"RCPT TO:<load+tag@client.test>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<\"load\"@client.test>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<load@client..test>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<lo..ad@client.test>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<load@.client.test>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<load@@client.test>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<@client.test-and-more>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<load@>aaaaaaaaaaaaaaa\r\n", NONE, NULL, NULL},
    {"RCPT TO:<loadclient.testaaaaaaaa>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<lo\xc3\xa4@client.test>\r\n", NONE, NULL, NULL},
    {"RCPT TO:<load@client.testaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>\r\n", NONE, NULL,
     NULL},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes input = guarded_at_end(&guarded, bytes_from_text(rows[i].input));
        struct smtp_plain_line plain = smtp_plain_line_read(input);
        if (plain.verb != rows[i].verb) fail_msg("%s: %d", rows[i].input, plain.verb);
        if (rows[i].line != NULL)
            assert_true(bytes_equal(plain.line, bytes_from_text(rows[i].line)));
        if (rows[i].path != NULL)
            assert_true(bytes_equal(plain.path, bytes_from_text(rows[i].path)));
    }
}

/* What smtp_path finds behind a blank, where it goes octet by octet. */
static struct bytes path_by_grammar(struct bytes argument)
{
    uint8_t text[TEXT_MAX + 1] = {' '};
    struct bytes path;
    memcpy(text + 1, argument.data, argument.size);
    struct bytes rest = bytes_make(text, argument.size + 1);
    enum smtp_path_kind kind = smtp_path_take(&rest, false, &path);
    assert_int_equal(kind, SMTP_PATH_MAILBOX);
    assert_int_equal(rest.size, 0);
    return bytes_make(argument.data + (path.data - (text + 1)), path.size);
}

/* Recognised means: the same verb, path and end as the whole grammar finds. */
static void check_agreement(struct bytes input)
{
    struct smtp_plain_line plain = smtp_plain_line_read(input);
    if (plain.verb == SMTP_PLAIN_NONE) return;
    struct bytes line = bytes_make(input.data, bytes_find(input, '\n') + 1);
    assert_true(bytes_equal(plain.line, line));
    assert_true(smtp_command_strip_line(&line));
    struct smtp_command command = smtp_command_parse(line);
    struct bytes argument = command.argument;
    bool is_mail = plain.verb == SMTP_PLAIN_MAIL;
    if (plain.verb == SMTP_PLAIN_DATA) {
        assert_int_equal(command.key, SMTP_COMMAND_KEY('d', 'a', 't', 'a'));
        assert_int_equal(argument.size, 0);
        return;
    }
    assert_int_equal(command.key, is_mail ? SMTP_COMMAND_KEY('m', 'a', 'i', 'l')
                                          : SMTP_COMMAND_KEY('r', 'c', 'p', 't'));
    assert_true(is_mail ? smtp_command_take_keyword(&argument, BYTES("FROM:"))
                        : smtp_command_take_keyword(&argument, BYTES("TO:")));
    struct bytes path = path_by_grammar(argument);
    assert_ptr_equal(plain.path.data, path.data);
    assert_int_equal(plain.path.size, path.size);
}

/* Lines with an octet or two changed, cut anywhere, at a page that can't be read. */
static void test_agrees_with_the_grammar(void **state)
{
    static const char octets[] = "a.-_@<>\" \r\n09Zz\x80+[";
    struct random random;
    uint8_t text[TEXT_MAX];
    uint32_t recognised = 0;
    (void)state;
    random_init(&random, 5321, 0);
    for (uint32_t run = 0; run < RUNS; run++) {
        struct bytes line = bytes_from_text(rows[random_below(&random, 6)].input);
        uint64_t size = line.size;
        memcpy(text, line.data, line.size);
        for (uint64_t changes = random_below(&random, 3); changes > 0; changes--)
            text[random_below(&random, size)] =
                (uint8_t)octets[random_below(&random, sizeof(octets) - 1)];
        if (random_below(&random, 4) == 0) size = random_below(&random, size + 1);
        struct bytes input = guarded_at_end(&guarded, bytes_make(text, size));
        check_agreement(input);
        if (smtp_plain_line_read(input).verb != SMTP_PLAIN_NONE) recognised++;
    }
#if defined(__SSE2__)
    assert_true(recognised > RUNS / 4); /* or nothing was tried */
#endif
}

/* Every local part and domain of up to 40 octets, and what stands behind the path. */
static void test_every_size(void **state)
{
    (void)state;
    for (uint64_t local = 1; local < 40; local++) {
        for (uint64_t domain = 1; domain < 40; domain++) {
            uint8_t text[TEXT_MAX] = {'<'};
            uint64_t size = local + domain + 3;
            memset(text + 1, 'l', local);
            text[local + 1] = '@';
            memset(text + local + 2, 'd', domain);
            text[size - 1] = '>';
            text[size] = ' ';
            for (uint64_t behind = 0; behind < 2; behind++) {
                struct bytes input = guarded_at_end(&guarded, bytes_make(text, size + behind));
                uint64_t found = smtp_plain_path_size(input);
                bool is_within = input.size >= 16 && size <= 64;
#if !defined(__SSE2__)
                is_within = false;
#endif
                assert_int_equal(found, is_within ? size : 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_agrees_with_the_grammar),
        cmocka_unit_test(test_every_size),
    };
    guarded_open(&guarded, 4096);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guarded_close(&guarded);
    return failed;
}
