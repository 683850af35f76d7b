/*
 * Chunks (RFC 3030): every octet is counted once, whatever becomes of it. A second account of the
 * dialogue says which replies come and what is stored; the cuts of the input change nothing.
 *
 * The first octets choose the set-up, the rest is a program: an octet says what the client does,
 * and for BDAT the next one how many octets follow.
 */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_dialogue.h"

#define OPERATIONS_MAX 300

enum operation {
    OPERATION_BDAT_FIRST, /* up to BDAT_LAST: more of them than of all others */
    OPERATION_BDAT_LAST = 7,
    OPERATION_RSET,
    OPERATION_ENVELOPE, /* MAIL and RCPT */
    OPERATION_NOOP,
    OPERATION_DATA,
    OPERATION_EHLO,
    OPERATION_RCPT,
    OPERATION_UNREADABLE, /* BDAT whose size is none: the end */
    OPERATION_QUIT,
};

/* How BDAT is written; chosen by the upper bits of its octet. */
#define IS_LAST    16u
#define IS_SMALL   32u
#define HAS_ZEROS  64u
#define HAS_BLANKS 128u

struct account {
    const struct trace_setup *setup;
    struct trace_text wire;
    struct trace_text replies; /* the first digit of each */
    struct trace_text message; /* of the chunks so far */
    struct trace_text stored;
    uint64_t told; /* refusable events so far */
    uint32_t message_count;
    uint32_t recipient_count;
    bool is_open;
    bool has_chunk;
    bool is_over;
};

static void say(struct account *account, struct bytes line)
{
    trace_text_put(&account->wire, line);
}

static void expect(struct account *account, char digit, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        trace_text_put(&account->replies, bytes_make(&digit, 1));
}

static void forget(struct account *account)
{
    account->is_open = false;
    account->has_chunk = false;
    account->recipient_count = 0;
    account->message.size = 0;
}

/* Does the store refuse the next of the events that it may refuse? */
static bool is_refused(struct account *account)
{
    uint64_t index = account->told++;
    return index < 64 && (account->setup->refusals >> index & 1) != 0;
}

static void take_mail(struct account *account)
{
    say(account, BYTES("MAIL FROM:<a@b>\r\n"));
    if (account->is_open) {
        expect(account, '5', 1);
        return;
    }
    account->is_open = !is_refused(account);
    expect(account, account->is_open ? '2' : '4', 1);
}

static void take_rcpt(struct account *account)
{
    say(account, BYTES("RCPT TO:<c@d>\r\n"));
    if (!account->is_open || account->has_chunk) {
        expect(account, '5', 1);
    } else if (account->recipient_count >= account->setup->recipients_max) {
        expect(account, '4', 1);
    } else if (is_refused(account)) {
        expect(account, '4', 1);
    } else {
        account->recipient_count++;
        expect(account, '2', 1);
    }
}

/* Of a whole message: under LMTP a reply for each recipient. */
static void expect_final(struct account *account, char digit)
{
    expect(account, digit, account->setup->is_lmtp ? account->recipient_count : 1);
}

static void end_message(struct account *account)
{
    const struct trace_setup *setup = account->setup;
    uint32_t index = account->message_count++;
    if (index >= setup->verdict_count) index = setup->verdict_count - 1;
    bool is_stored = setup->verdicts[index] == SMTP_STORED;
    expect_final(account, is_stored ? '2' : '4');
    if (is_stored) trace_text_put(&account->stored, trace_text_view(&account->message));
    forget(account);
}

static void take_wanted_chunk(struct account *account, struct bytes octets, bool is_last)
{
    uint64_t limit = account->setup->size_limit;
    trace_text_put(&account->message, octets);
    account->has_chunk = true;
    if (limit > 0 && account->message.size > limit) {
        if (is_last)
            expect_final(account, '5');
        else
            expect(account, '5', 1);
        forget(account);
    } else if (is_last) {
        end_message(account);
    } else {
        expect(account, '2', 1);
    }
}

static void put_size(struct account *account, uint64_t size)
{
    uint8_t digits[20];
    say(account, bytes_make(digits, bytes_put_number(digits, size)));
}

static void take_bdat(struct account *account, uint8_t how, struct bytes octets)
{
    bool is_last = (how & IS_LAST) != 0;
    say(account, (how & IS_SMALL) != 0 ? BYTES("bdat ") : BYTES("BDAT "));
    if ((how & HAS_BLANKS) != 0) say(account, BYTES("  "));
    if ((how & HAS_ZEROS) != 0) say(account, BYTES("000"));
    put_size(account, octets.size);
    if (is_last) say(account, (how & IS_SMALL) != 0 ? BYTES(" last") : BYTES(" LAST"));
    if ((how & HAS_BLANKS) != 0) say(account, BYTES(" \t"));
    say(account, BYTES("\r\n"));
    say(account, octets);
    if (account->recipient_count == 0) {
        expect(account, '5', 1);
        return;
    }
    if (!account->has_chunk && is_refused(account)) {
        expect(account, '4', 1);
        return;
    }
    take_wanted_chunk(account, octets, is_last);
}

/* Where DATA would be taken its content would be another story: then it is not said. */
static void take_data(struct account *account)
{
    if (account->recipient_count > 0 && !account->has_chunk) return;
    say(account, BYTES("DATA\r\n"));
    expect(account, '5', 1);
}

static void take_ehlo(struct account *account)
{
    say(account, account->setup->is_lmtp ? BYTES("LHLO x\r\n") : BYTES("EHLO x\r\n"));
    expect(account, '2', 1);
    forget(account);
}

static void take_end(struct account *account, struct bytes line, char digit)
{
    say(account, line);
    expect(account, digit, 1);
    forget(account);
    account->is_over = true;
}

/* `program` shrinks by the octets that a chunk takes. */
static void take_chunk(struct account *account, uint8_t how, struct bytes *program)
{
    uint64_t size = program->size > 0 ? bytes_take(program, 1).data[0] : 0;
    if (size >= 200) size = (size - 199) * 50;
    if (size > program->size) size = program->size;
    take_bdat(account, how, bytes_take(program, size));
}

static void operate(struct account *account, struct bytes *program)
{
    uint8_t octet = bytes_take(program, 1).data[0];
    uint8_t operation = octet & 15;
    if (operation <= OPERATION_BDAT_LAST) {
        take_chunk(account, octet, program);
    } else if (operation == OPERATION_RSET) {
        say(account, BYTES("RSET\r\n"));
        expect(account, '2', 1);
        forget(account);
    } else if (operation == OPERATION_ENVELOPE) {
        take_mail(account);
        take_rcpt(account);
    } else if (operation == OPERATION_NOOP) {
        say(account, BYTES("NOOP\r\n"));
        expect(account, '2', 1);
    } else if (operation == OPERATION_DATA) {
        take_data(account);
    } else if (operation == OPERATION_EHLO) {
        take_ehlo(account);
    } else if (operation == OPERATION_RCPT) {
        take_rcpt(account);
    } else if (operation == OPERATION_UNREADABLE) {
        take_end(account, BYTES("BDAT 1x\r\nNOOP\r\n"), '5');
    } else {
        take_end(account, BYTES("QUIT\r\nNOOP\r\n"), '2');
    }
}

/* The first digit of each reply: of its last line. */
static void check_replies(struct bytes expected, struct bytes replies)
{
    uint64_t count = 0;
    while (replies.size > 0) {
        struct bytes line = bytes_take(&replies, bytes_find(replies, '\n') + 1);
        if (line.data[3] == '-') continue;
        CHECK(count < expected.size);
        CHECK(line.data[0] == expected.data[count]);
        count++;
    }
    CHECK(count == expected.size);
}

static struct trace_setup choose_setup(const uint8_t *choices)
{
    struct trace_setup setup = fuzz_dialogue_choose(choices);
    setup.offers_not = 0;
    setup.bad_commands_max = 2 * OPERATIONS_MAX; /* OPERATION_ENVELOPE is two commands */
    setup.is_auth_required = false;
    setup.is_out_of_service = false;
    return setup;
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FUZZ_DIALOGUE_CHOICES_SIZE) return 0;
    struct bytes program = bytes_make(data, size);
    bytes_take(&program, FUZZ_DIALOGUE_CHOICES_SIZE);
    struct trace_setup setup = choose_setup(data);
    struct account account = {.setup = &setup};
    expect(&account, '2', 1); /* the greeting */
    take_ehlo(&account);
    for (uint32_t i = 0; i < OPERATIONS_MAX && program.size > 0 && !account.is_over; i++)
        operate(&account, &program);

    struct session_trace trace;
    fuzz_dialogue_run(&trace, &setup, trace_text_view(&account.wire));
    check_replies(trace_text_view(&account.replies), trace_text_view(&trace.replies));
    CHECK(bytes_equal(trace_text_view(&trace.content), trace_text_view(&account.stored)));
    session_trace_close(&trace);
    trace_text_free(&account.wire);
    trace_text_free(&account.replies);
    trace_text_free(&account.message);
    trace_text_free(&account.stored);
    return 0;
}
