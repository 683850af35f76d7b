#include "loadgen/load_corpus.h"

#include "base/ledger.h"
#include "loadgen/load_mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static void test_lines_end_in_crlf(void **state)
{
    static const char *const rows[][2] = {
        {"A: b\n\nc\n", "A: b\r\n\r\nc\r\n"},
        {"A: b\r\n\r\nc\r\n", "A: b\r\n\r\nc\r\n"},
        {"A: b\r\rc", "A: b\r\n\r\nc\r\n"},
        {"A: b\n\r\nc\rd\r\r\ne", "A: b\r\n\r\nc\r\nd\r\n\r\ne\r\n"},
        {"A: b", "A: b\r\n"},
        {"no header\nx\n", "\r\nno header\r\nx\r\n"},
        {"\nbody", "\r\nbody\r\n"},
        {"", "\r\n"},
        {": no name\n", "\r\n: no name\r\n"},
        {"X-1_y:z\n\n", "X-1_y:z\r\n\r\n"},
    };
    (void)state;
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct bytes raw = bytes_from_text(rows[row][0]);
        uint8_t out[200];
        uint64_t size = load_corpus_normalize(raw, out);
        assert_true(size <= load_corpus_normal_max(raw.size));
        assert_int_equal(size, strlen(rows[row][1]));
        assert_memory_equal(out, rows[row][1], size);
    }
}

static void test_stuffing(void **state)
{
    static const char stored[] = ".\r\n..\r\na.b\r\n.c\r\n\r\n.\r\n";
    static const char stuffed[] = "..\r\n...\r\na.b\r\n..c\r\n\r\n..\r\n";
    uint8_t out[2 * sizeof stored];
    (void)state;
    assert_int_equal(load_corpus_stuff(bytes_from_text(stored), out), sizeof stuffed - 1);
    assert_memory_equal(out, stuffed, sizeof stuffed - 1);
}

static void test_mbox(void **state)
{
    struct bytes mbox =
        bytes_from_text("From a Mon\nS: 1\n\nFrom x is text\n\nFrom b Tue\nS: 2\n\nt\n\n"
                        "From c\nS: 3\n");
    static const char *const expected[] = {"S: 1\n\nFrom x is text\n", "S: 2\n\nt\n", "S: 3\n"};
    struct bytes message;
    (void)state;

    /* A header's end, too, is an empty line: what looks like a From_ line there is one. */
    assert_true(load_corpus_take_mbox(&mbox, &message));
    assert_true(bytes_equal(message, bytes_from_text("S: 1\n")));
    assert_true(load_corpus_take_mbox(&mbox, &message));
    assert_int_equal(message.size, 0);
    for (size_t index = 1; index < 3; index++) {
        assert_true(load_corpus_take_mbox(&mbox, &message));
        assert_true(bytes_equal(message, bytes_from_text(expected[index])));
    }
    assert_false(load_corpus_take_mbox(&mbox, &message));
    mbox = bytes_from_text("no From_ line\n");
    assert_false(load_corpus_take_mbox(&mbox, &message));
}

/* ---- files ---- */

static char home[] = "/tmp/test-corpus-XXXXXX";

static const char *put_file(const char *name, const char *text)
{
    static char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void make_folder(const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", home, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void expect_messages(const char *name, const char *const *expected)
{
    struct load_corpus corpus;
    char error[LOAD_CORPUS_ERROR_MAX];
    char path[300];
    uint32_t count = 0;

    (void)snprintf(path, sizeof path, "%s/%s", home, name);
    assert_true(load_corpus_open(&corpus, path, error));
    for (; expected[count] != NULL; count++) {
        assert_true(count < corpus.count);
        assert_true(bytes_equal(corpus.messages[count], bytes_from_text(expected[count])));
    }
    assert_int_equal(corpus.count, count);
    load_corpus_close(&corpus);
}

static void test_where_messages_are_found(void **state)
{
    static const char *const folder[] = {"S: a\r\n\r\na\r\n", "S: b\r\n", NULL};
    static const char *const maildir[] = {"S: c\r\n", "S: n1\r\n", "S: n2\r\n", NULL};
    static const char *const mbox[] = {"S: 1\r\n\r\nFrom here\r\n>From there\r\n", "S: 2\r\n",
                                       NULL};
    (void)state;

    make_folder("folder");
    (void)put_file("folder/b.eml", "S: b");
    (void)put_file("folder/a.eml", "From x Mon\nS: a\n\na");
    (void)put_file("folder/c.txt", "S: no");
    (void)put_file("folder/.d.eml", "S: no");
    make_folder("folder/e.eml");
    expect_messages("folder", folder);
    make_folder("mail");
    make_folder("mail/cur");
    make_folder("mail/new");
    make_folder("mail/tmp");
    (void)put_file("mail/new/2:2,S", "S: n2\n");
    (void)put_file("mail/new/1", "S: n1\n");
    (void)put_file("mail/cur/9", "S: c\n");
    (void)put_file("mail/tmp/0", "S: no\n");
    expect_messages("mail", maildir);
    (void)put_file("mbox", "From x\nS: 1\n\n>From here\n>>From there\n\nFrom y\nS: 2\n");
    expect_messages("mbox", mbox);
}

static void test_what_is_no_corpus(void **state)
{
    static const char *const wrong[] = {"/none", "/empty", "/text", "/mail/tmp"};
    struct load_corpus corpus;
    char error[LOAD_CORPUS_ERROR_MAX];
    char path[300];
    (void)state;

    make_folder("empty");
    (void)put_file("text", "S: no mbox\n");
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        (void)snprintf(path, sizeof path, "%s%s", home, wrong[index]);
        error[0] = '\0';
        assert_false(load_corpus_open(&corpus, path, error));
        assert_non_null(strstr(error, wrong[index]));
    }
    assert_false(load_corpus_open_file(&corpus, home, error));
}

/* What a message of the corpus becomes; its header is found, and its hash is that of its body. */
static void check_message(const struct load_mail *mail, uint64_t sequence, struct bytes original)
{
    uint8_t stored[2000];
    uint8_t wire[4000];
    struct ledger_entry entry;
    struct bytes body;
    const struct load_mail_body *chosen = load_mail_choose(mail, sequence);
    uint64_t hash = load_mail_put_head(mail, chosen, sequence, stored);

    memcpy(stored + mail->head_size, chosen->plain, chosen->plain_size);
    struct bytes whole = bytes_make(stored, mail->head_size + chosen->plain_size);
    assert_int_equal(whole.size, chosen->stored_size);
    assert_true(ledger_find_header(whole, &entry, &body));
    assert_int_equal(entry.sequence, sequence);
    assert_int_equal(entry.size, body.size);
    assert_int_equal(body.size, chosen->length);
    assert_int_equal(entry.hash, XXH3_64bits(body.data, body.size));
    assert_int_equal(hash, entry.hash);
    assert_true(bytes_equal(
        bytes_make(stored + LEDGER_HEADER_SIZE, whole.size - LEDGER_HEADER_SIZE), original));
    memcpy(wire, chosen->common, chosen->common_size);
    load_mail_put_tail(mail, chosen, sequence, wire + chosen->common_size);
    assert_int_equal(chosen->wire_size, mail->head_size + chosen->common_size + chosen->tail_size);
    assert_memory_equal(wire + chosen->common_size - 2, "\r\n.\r\n", 5);
}

static void test_messages_are_sent_as_they_are(void **state)
{
    struct load_corpus corpus;
    struct load_mail mail;
    char error[LOAD_CORPUS_ERROR_MAX];
    struct load_mail_recipe recipe = {.corpus = &corpus, .run = 77, .seed = 5, .is_chunked = true};
    uint32_t seen[3] = {0};
    (void)state;

    char path[300];
    (void)snprintf(path, sizeof path, "%s",
                   put_file("three", "From x\nS: 1\n\n.dot\n..\n\nFrom y\nS: no body\n\nFrom z\n"
                                     "X-Loadgen: v1 of another run\nS: 3\n\n\303\244\n.\n"));
    assert_true(load_corpus_open(&corpus, path, error));
    assert_int_equal(corpus.count, 3);
    assert_true(corpus.is_8bit);
    assert_int_equal(load_mail_open(&mail, &recipe), 0);
    for (uint64_t sequence = 1; sequence <= 7; sequence++)
        check_message(&mail, sequence, corpus.messages[(sequence - 1) % 3]);
    load_mail_close(&mail);
    recipe.is_random = true;
    assert_int_equal(load_mail_open(&mail, &recipe), 0);
    for (uint64_t sequence = 1; sequence <= 3000; sequence++)
        seen[load_mail_choose(&mail, sequence) - mail.bodies]++;
    for (uint32_t index = 0; index < 3; index++)
        assert_in_range(seen[index], 900, 1100);
    load_mail_close(&mail);
    load_corpus_close(&corpus);
}

static void test_lengths_are_told(void **state)
{
    struct load_corpus corpus;
    struct load_length length;
    char error[LOAD_CORPUS_ERROR_MAX];
    (void)state;

    assert_true(load_corpus_open_file(&corpus, put_file("one.eml", "S: 1\n\n123456\n"), error));
    assert_false(corpus.is_8bit);
    assert_true(load_length_parse(&length, corpus.length_text, 1000));
    assert_int_equal(load_length_percentile(&length, 50), 8);
    assert_int_equal(load_length_percentile(&length, 100), 8);
    load_corpus_close(&corpus);
}

static int make_home(void **state)
{
    (void)state;
    return mkdtemp(home) == NULL ? -1 : 0;
}

static int remove_home(void **state)
{
    char command[400];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command); /* NOLINT(cert-env33-c): the path is this test's own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_end_in_crlf),
        cmocka_unit_test(test_stuffing),
        cmocka_unit_test(test_mbox),
        cmocka_unit_test(test_where_messages_are_found),
        cmocka_unit_test(test_what_is_no_corpus),
        cmocka_unit_test(test_messages_are_sent_as_they_are),
        cmocka_unit_test(test_lengths_are_told),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
