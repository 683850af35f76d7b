/*
 * Chunks (RFC 3030): every octet is counted once, whatever becomes of it. A second account of the
 * dialogue says which replies come and what is stored; the cuts of the input change nothing.
 *
 * The first octets choose the set-up, the rest is a program: an octet says what the client does,
 * and for BDAT the next one how many octets follow.
 */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_dialogue.h"

#include "smtp/smtp_limits.h"

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
        /* RFC 2033 4.3: LAST has a reply for each recipient, so none. */
        bool is_for_nobody = account->setup->is_lmtp && account->is_open && is_last;
        if (!is_for_nobody) expect(account, '5', 1);
        return;
    }
    if (!account->has_chunk && is_refused(account)) {
        expect(account, '4', 1);
        return;
    }
    take_wanted_chunk(account, octets, is_last);
}

/* RFC 5321 4.5.2: a dot more where a line, ended by CR LF alone, begins with one. */
static void say_stuffed(struct account *account, struct bytes content)
{
    for (uint64_t i = 0; i < content.size; i++) {
        bool is_line_start =
            i == 0 || (i > 1 && content.data[i - 2] == '\r' && content.data[i - 1] == '\n');
        if (is_line_start && content.data[i] == '.') say(account, BYTES("."));
        say(account, bytes_make(content.data + i, 1));
    }
    say(account, BYTES(".\r\n"));
}

/* Content as the server is to keep it, into `message`; true if it has line ends that it refuses. */
static bool keep_content(struct account *account, struct bytes content)
{
    const struct trace_setup *setup = account->setup;
    bool is_bare = false;
    bool is_long = false;
    uint64_t line_size = 0; /* with its CR, so far */
    for (uint64_t i = 0; i < content.size; i++) {
        uint8_t octet = content.data[i];
        bool is_behind_cr = i > 0 && content.data[i - 1] == '\r';
        bool is_lone_lf = octet == '\n' && !is_behind_cr;
        bool is_lone_cr = octet == '\r' && content.data[i + 1] != '\n';
        if (is_lone_lf || is_lone_cr) is_bare = true;
        if (is_lone_lf && setup->bare_newline == SMTP_BARE_NORMALIZE)
            trace_text_put(&account->message, BYTES("\r"));
        trace_text_put(&account->message, bytes_make(&octet, 1));
        bool is_end = octet == '\n' && is_behind_cr;
        if (is_end && line_size > SMTP_TEXT_LINE_MAX + 1) is_long = true;
        line_size = is_end ? 0 : line_size + 1;
    }
    return (is_bare && setup->bare_newline == SMTP_BARE_REJECT) ||
           (is_long && setup->has_strict_lines);
}

/* `content` ends in CR LF or is empty. */
static void take_content(struct account *account, struct bytes content)
{
    uint64_t limit = account->setup->size_limit;
    if (is_refused(account)) {
        expect(account, '4', 1);
        return;
    }
    expect(account, '3', 1);
    say_stuffed(account, content);
    bool is_condemned = keep_content(account, content);
    if (!is_condemned && (limit == 0 || account->message.size <= limit)) {
        end_message(account);
        return;
    }
    expect_final(account, '5');
    forget(account);
}

/* DATA with the octets and a line's end as its content, where it may come. */
static void take_data(struct account *account, struct bytes octets)
{
    say(account, BYTES("DATA\r\n"));
    if (account->recipient_count == 0 || account->has_chunk) {
        expect(account, '5', 1);
        return;
    }
    struct trace_text content = {0};
    trace_text_put(&content, octets);
    trace_text_put(&content, BYTES("\r\n"));
    take_content(account, trace_text_view(&content));
    trace_text_free(&content);
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

/* Content that the program holds: how much, and that. */
static struct bytes take_octets(struct bytes *program)
{
    uint64_t size = program->size > 0 ? bytes_take(program, 1).data[0] : 0;
    if (size >= 200) size = (size - 199) * 50;
    return bytes_take(program, size < program->size ? size : program->size);
}

static void operate(struct account *account, struct bytes *program)
{
    uint8_t octet = bytes_take(program, 1).data[0];
    uint8_t operation = octet & 15;
    if (operation <= OPERATION_BDAT_LAST) {
        take_bdat(account, octet, take_octets(program));
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
        take_data(account, take_octets(program));
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
    setup.is_tls_required = false;
    setup.is_out_of_service = false;
    /* How long a line is that gets its end by normalizing nobody said. */
    if (setup.bare_newline == SMTP_BARE_NORMALIZE) setup.has_strict_lines = false;
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
