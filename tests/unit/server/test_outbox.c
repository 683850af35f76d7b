#include "server/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct fixture {
    struct blocks pool;
    struct outbox outbox;
};

static void open_fixture(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    assert_int_equal(blocks_open(&fixture->pool, 1, OUTBOX_BLOCK_SIZE), 0);
    outbox_hold(&fixture->outbox, &fixture->pool);
}

static void close_fixture(struct fixture *fixture)
{
    outbox_release(&fixture->outbox, &fixture->pool);
    assert_int_equal(fixture->pool.taken_count, 0);
    blocks_close(&fixture->pool);
}

static void say(struct outbox *outbox, const char *text)
{
    smtp_replies_put_bytes(&outbox->replies, bytes_from_text(text));
}

static void say_stored(struct outbox *outbox, const char *text, uint64_t serial)
{
    uint32_t start = outbox->replies.size;
    say(outbox, text);
    outbox_wait(outbox, start, serial);
}

static void assert_sendable(const struct outbox *outbox, const char *wanted)
{
    struct bytes found = outbox_sendable(outbox);
    assert_int_equal(found.size, strlen(wanted));
    if (found.size > 0) assert_memory_equal(found.data, wanted, found.size);
}

/* What stands behind a reply that waits, waits too; what was sent makes room. */
static void test_order(void **state)
{
    struct fixture fixture;
    struct outbox *outbox = &fixture.outbox;
    (void)state;
    open_fixture(&fixture);
    say(outbox, "a\r\n");
    say_stored(outbox, "one\r\n", 7);
    say(outbox, "b\r\n");
    say_stored(outbox, "two\r\n", 9);
    say(outbox, "c\r\n");
    assert_sendable(outbox, "a\r\n");
    outbox_decide(outbox, 6);
    assert_sendable(outbox, "a\r\n");
    outbox_sent(outbox, 1);
    assert_sendable(outbox, "\r\n");
    outbox_sent(outbox, 2);
    assert_sendable(outbox, "");
    assert_false(outbox_is_empty(outbox));
    assert_int_equal(outbox->sent, 0); /* moved up */
    outbox_decide(outbox, 8);
    assert_sendable(outbox, "one\r\nb\r\n");
    outbox_sent(outbox, 8);
    assert_true(outbox_has_undecided(outbox));
    outbox_decide(outbox, 9);
    assert_false(outbox_has_undecided(outbox));
    assert_sendable(outbox, "two\r\nc\r\n");
    outbox_sent(outbox, 8);
    assert_true(outbox_is_empty(outbox));
    close_fixture(&fixture);
}

/* The serial's low half wraps. */
static void test_serials_wrap(void **state)
{
    struct fixture fixture;
    (void)state;
    open_fixture(&fixture);
    say_stored(&fixture.outbox, "x\r\n", UINT32_MAX);
    say_stored(&fixture.outbox, "y\r\n", (uint64_t)UINT32_MAX + 2);
    outbox_decide(&fixture.outbox, (uint64_t)UINT32_MAX - 1);
    assert_sendable(&fixture.outbox, "");
    outbox_decide(&fixture.outbox, (uint64_t)UINT32_MAX + 1);
    assert_sendable(&fixture.outbox, "x\r\n");
    outbox_decide(&fixture.outbox, (uint64_t)UINT32_MAX + 2);
    assert_sendable(&fixture.outbox, "x\r\ny\r\n");
    close_fixture(&fixture);
}

static void test_bound(void **state)
{
    struct fixture fixture;
    struct outbox *outbox = &fixture.outbox;
    (void)state;
    open_fixture(&fixture);
    for (uint64_t serial = 1; serial <= OUTBOX_UNDECIDED_MAX; serial++) {
        assert_false(outbox_is_undecided_full(outbox));
        say_stored(outbox, "250 2.0.0 Ok\r\n", serial);
    }
    assert_true(outbox_is_undecided_full(outbox));
    outbox_decide(outbox, 10);
    outbox_sent(outbox, (uint32_t)outbox_sendable(outbox).size);
    assert_false(outbox_is_undecided_full(outbox));
    outbox_decide(outbox, OUTBOX_UNDECIDED_MAX);
    assert_int_equal(outbox_sendable(outbox).size, 54 * 14);
    close_fixture(&fixture);
}

/* Every line that said "stored" and is not; nothing else. */
static void test_revoke(void **state)
{
    struct fixture fixture;
    struct outbox *outbox = &fixture.outbox;
    (void)state;
    open_fixture(&fixture);
    say(outbox, "a\r\n");
    say_stored(outbox, "250 one\r\n", 1);
    say(outbox, "b\r\n");
    say_stored(outbox, "250 two\r\n", 2);
    uint32_t start = outbox->replies.size;
    say(outbox, "250 two\r\n250 two\r\nc\r\n"); /* to two more recipients; then another reply */
    outbox_extend(outbox, start, 2);
    outbox_decide(outbox, 1);
    assert_int_equal(outbox_revoke(outbox, SMTP_REPLY_STORE_FAILED, false), 1);
    assert_sendable(outbox, "a\r\n250 one\r\nb\r\n"
                            "451 Error: queue file write error\r\n"
                            "451 Error: queue file write error\r\n"
                            "451 Error: queue file write error\r\nc\r\n");
    close_fixture(&fixture);
}

/* LMTP: a line a recipient, as many as there is room for; none is lost, however long the new one.
 */
static void test_revoke_many_lines(void **state)
{
    static const char stored[] = "250 2.0.0 Ok: queued as 0.1.4096\r\n";
    struct fixture fixture;
    struct outbox *outbox = &fixture.outbox;
    uint32_t count = 1;
    (void)state;
    open_fixture(&fixture);
    say_stored(outbox, stored, 1);
    for (; smtp_replies_have_room(&outbox->replies, sizeof(stored) - 1 + 3); count++) {
        uint32_t start = outbox->replies.size;
        say(outbox, stored);
        outbox_extend(outbox, start, 1);
    }
    say(outbox, "c\r\n");
    assert_int_equal(outbox_revoke(outbox, SMTP_REPLY_STORE_FAILED, true), 1);
    struct bytes left = outbox_sendable(outbox);
    for (; count > 0; count--)
        assert_true(bytes_equal(bytes_take(&left, bytes_find(left, '\n') + 1),
                                BYTES("451 4.3.0 Error\r\n")));
    assert_true(bytes_equal(left, BYTES("c\r\n")));
    close_fixture(&fixture);
}

/* Lines of a message that is decided already belong to nothing that waits. */
static void test_extend_needs_its_message(void **state)
{
    struct fixture fixture;
    struct outbox *outbox = &fixture.outbox;
    (void)state;
    open_fixture(&fixture);
    say_stored(outbox, "250 one\r\n", 1);
    say(outbox, "b\r\n");
    uint32_t start = outbox->replies.size;
    say(outbox, "250 two\r\n");
    outbox_extend(outbox, start, 1);
    assert_int_equal(outbox_revoke(outbox, SMTP_REPLY_STORE_FAILED, false), 1);
    assert_sendable(outbox, "451 Error: queue file write error\r\nb\r\n250 two\r\n");
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_serials_wrap),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_revoke_many_lines),
        cmocka_unit_test(test_extend_needs_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
