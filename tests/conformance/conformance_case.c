#include "conformance/conformance_case.h"

#include <stdio.h>
#include <stdlib.h>

/* What \T, \U, \D and \H stand for. */
static const struct trace_word words[] = {
    {'T', "token0000000"},
    {'U', "u"},
    {'D', "sink.test"},
    {'H', "From: a@client.test\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\n"},
    {0},
};

/* A line, without its kind, and how often it is to be read. */
struct line {
    uint64_t times;
    char kind;
    struct bytes text;
};

/* The message that the last reply stored, while its lines are read. */
struct reader {
    struct conformance_case *test_case;
    struct trace_text content;
    bool is_in_message;
    bool is_stored;      /* its reply is a 2yz */
    bool is_after_reply; /* what the client sends now is another step */
    bool is_over;        /* what follows is for servers that answered otherwise */
};

__attribute__((noreturn)) static void refuse(struct bytes id, const char *why)
{
    fprintf(stderr, "case %.*s: %s\n", (int)id.size, (const char *)id.data, why);
    abort();
}

void conformance_case_put_path(struct trace_text *out, char kind, struct bytes path)
{
    trace_text_put_octet(out, (uint8_t)kind);
    trace_text_put(out, BYTES(" <"));
    trace_text_put(out, path);
    trace_text_put(out, BYTES(">\n"));
}

void conformance_case_put_content(struct trace_text *out, struct bytes content)
{
    uint8_t digits[20];
    trace_text_put(out, bytes_make(digits, bytes_put_number(digits, content.size)));
    trace_text_put(out, BYTES(" octets:"));
    trace_text_put(out, content);
    trace_text_put_octet(out, '\n');
}

static struct line split(struct conformance_case *test_case, struct bytes text)
{
    struct line line = {.times = 1};
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    if (bytes_start_with(text, BYTES("@"))) {
        bytes_take(&text, 1);
        CHECK(bytes_to_number(bytes_take(&text, bytes_find(text, ' ')), &line.times));
        bytes_take(&text, 1);
    }
    if (text.size < 2 || text.data[1] != ':') refuse(test_case->id, "not a line of a case");
    line.kind = (char)text.data[0];
    bytes_take(&text, text.size > 2 && text.data[2] == ' ' ? 3 : 2);
    line.text = text;
    return line;
}

/* What stands behind the first `separator`. */
static struct bytes behind(struct bytes text, uint8_t separator)
{
    bytes_take(&text, bytes_find(text, separator));
    if (text.size > 0) bytes_take(&text, 1);
    return text;
}

static uint64_t take_number(struct bytes text)
{
    uint64_t number;
    CHECK(bytes_to_number(behind(text, ' '), &number));
    return number;
}

static void read_credential(struct conformance_case *test_case, struct bytes text)
{
    text = behind(text, ' ');
    test_case->credential.password = behind(text, ':');
    test_case->credential.user = bytes_take(&text, bytes_find(text, ':'));
    test_case->config.credentials = &test_case->credential;
    test_case->config.credential_count = 1;
}

static void read_option(struct conformance_case *test_case, struct bytes text)
{
    struct smtp_config *config = &test_case->config;
    if (bytes_equal(text, BYTES("strict")))
        config->is_strict = true;
    else if (bytes_equal(text, BYTES("strict_lines")))
        config->has_strict_lines = true;
    else if (bytes_equal(text, BYTES("lmtp")))
        config->is_lmtp = true;
    else if (bytes_equal(text, BYTES("auth_required")))
        config->is_auth_required = true;
    else if (bytes_equal(text, BYTES("tls_required")))
        config->is_tls_required = true;
    else if (bytes_equal(text, BYTES("auth_tls_required")))
        config->is_auth_tls_required = true;
    else if (bytes_equal(text, BYTES("out_of_service")))
        config->is_out_of_service = true;
    else if (bytes_equal(text, BYTES("bare_newline reject")))
        config->bare_newline = SMTP_BARE_REJECT;
    else if (bytes_equal(text, BYTES("bare_newline normalize")))
        config->bare_newline = SMTP_BARE_NORMALIZE;
    else if (bytes_start_with(text, BYTES("size_limit ")))
        config->size_limit = take_number(text);
    else if (bytes_start_with(text, BYTES("recipients_max ")))
        config->recipients_max = (uint32_t)take_number(text);
    else if (bytes_start_with(text, BYTES("bad_commands_max ")))
        config->bad_commands_max = (uint32_t)take_number(text);
    else if (bytes_start_with(text, BYTES("credentials ")))
        read_credential(test_case, text);
    else
        refuse(test_case->id, "unknown option");
}

/* "-KEYWORD" switches an extension off; all others but STARTTLS are on, and anybody may log in. */
static void read_need(struct conformance_case *test_case, struct bytes text)
{
    static const char *const keywords[] = {
#define CONFORMANCE_KEYWORD(name, keyword) [SMTP_EXTENSION_##name] = (keyword),
        SMTP_EXTENSIONS(CONFORMANCE_KEYWORD)
#undef CONFORMANCE_KEYWORD
    };
    bool is_off = bytes_start_with(text, BYTES("-"));
    if (is_off) bytes_take(&text, 1);
    struct bytes keyword = bytes_take(&text, bytes_find(text, ' '));
    for (uint32_t i = 0; i < SMTP_EXTENSION_COUNT; i++) {
        if (!bytes_equal(keyword, bytes_from_text(keywords[i]))) continue;
        if (is_off)
            test_case->config.offers &= ~(1u << i);
        else
            test_case->config.offers |= 1u << i;
        return;
    }
    if (!is_off && !bytes_equal(keyword, BYTES("login")))
        refuse(test_case->id, "needs what is not offered");
}

static void read_end(struct conformance_case *test_case, struct bytes text)
{
    if (bytes_equal(text, BYTES("close")))
        test_case->end = CONFORMANCE_END_CLOSE;
    else if (bytes_equal(text, BYTES("drop")) || bytes_equal(text, BYTES("notify")))
        test_case->end = CONFORMANCE_END_DROP;
    else if (bytes_equal(text, BYTES("alert")))
        test_case->end = CONFORMANCE_END_TCP;
    else /* "any": what is allowed to others; ringsink stays */
        test_case->end = CONFORMANCE_END_ALIVE;
}

/* The lines that say under what conditions, wherever they stand. */
static void read_condition(struct conformance_case *test_case, const struct line *line)
{
    switch (line->kind) {
    case 'P':
        test_case->prelude = line->text;
        break;
    case 'O':
        read_option(test_case, line->text);
        break;
    case 'N':
        read_need(test_case, line->text);
        break;
    case 'X':
        read_end(test_case, line->text);
        break;
    case 'W':
        test_case->is_uncut = true;
        break;
    case 'K': /* what only the server breaks shows over TCP alone */
        test_case->is_known = !bytes_start_with(line->text, BYTES("server: "));
        break;
    }
}

static void end_message(struct reader *reader)
{
    if (reader->is_in_message && reader->is_stored)
        conformance_case_put_content(&reader->test_case->stored, trace_text_view(&reader->content));
    reader->is_in_message = false;
    reader->content.size = 0;
}

static struct conformance_reply *last_reply(struct conformance_case *test_case)
{
    CHECK(test_case->reply_count > 0);
    return &test_case->replies[test_case->reply_count - 1];
}

static void add_client(struct reader *reader, struct bytes text, bool has_end)
{
    struct conformance_case *test_case = reader->test_case;
    if (reader->is_after_reply || test_case->step_count == 0) {
        CHECK(test_case->step_count < CONFORMANCE_STEPS_MAX);
        test_case->step_count++;
    }
    reader->is_after_reply = false;
    trace_text_put_escaped(&test_case->input, text, has_end, words);
    test_case->step_ends[test_case->step_count - 1] = test_case->input.size;
}

static void add_reply(struct reader *reader, struct bytes text)
{
    struct conformance_case *test_case = reader->test_case;
    CHECK(test_case->reply_count < CONFORMANCE_REPLIES_MAX);
    struct conformance_reply *reply = &test_case->replies[test_case->reply_count++];
    *reply = (struct conformance_reply){.codes = bytes_take(&text, bytes_find(text, ' '))};
    if (text.size > 0) bytes_take(&text, 1);
    reply->text = text;
    reader->is_after_reply = true;
}

static void add_reply_line(struct reader *reader, char kind, struct bytes text)
{
    struct conformance_reply *reply = last_reply(reader->test_case);
    CHECK(reply->line_count < CONFORMANCE_LINES_MAX);
    struct conformance_line *line = &reply->lines[reply->line_count++];
    line->kind = kind == 'a' ? CONFORMANCE_LINE_EACH : CONFORMANCE_LINE_SOME;
    if (kind == 's' && bytes_start_with(text, BYTES("!"))) {
        line->kind = CONFORMANCE_LINE_NONE;
        bytes_take(&text, 1);
    }
    line->text = text;
}

static void add_path(struct reader *reader, char kind, struct bytes text)
{
    struct trace_text path = {0};
    if (kind == 'F') {
        reader->is_in_message = true;
        reader->is_stored = conformance_reply_code(last_reply(reader->test_case)).data[0] == '2';
    }
    trace_text_put_escaped(&path, text, false, words);
    if (reader->is_stored)
        conformance_case_put_path(&reader->test_case->stored, kind, trace_text_view(&path));
    trace_text_free(&path);
}

/* The handshake; where it comes only behind a 220, what ringsink states to say decides. */
static void add_handshake(struct reader *reader, bool is_behind_220)
{
    struct conformance_case *test_case = reader->test_case;
    CHECK(test_case->handshake_at == 0);
    CHECK(reader->is_after_reply);
    reader->is_over =
        is_behind_220 && !bytes_equal(conformance_reply_code(last_reply(test_case)), BYTES("220"));
    if (reader->is_over)
        test_case->end = CONFORMANCE_END_CLOSE;
    else
        test_case->handshake_at = test_case->input.size;
}

static void read_dialogue(struct reader *reader, const struct line *line)
{
    if (reader->is_over) return;
    if (strchr("FTBb", line->kind) == NULL && strchr("CcSsaHh", line->kind) != NULL)
        end_message(reader);
    switch (line->kind) {
    case 'C':
    case 'c':
        add_client(reader, line->text, line->kind == 'C');
        break;
    case 'S':
        add_reply(reader, line->text);
        break;
    case 's':
    case 'a':
        add_reply_line(reader, line->kind, line->text);
        break;
    case 'H':
    case 'h':
        add_handshake(reader, line->kind == 'h');
        break;
    case 'F':
    case 'T':
        add_path(reader, line->kind, line->text);
        break;
    case 'B':
    case 'b':
        CHECK(reader->is_in_message);
        trace_text_put_escaped(&reader->content, line->text, line->kind == 'B', words);
        break;
    default:
        if (strchr("RPONXWK", line->kind) == NULL)
            refuse(reader->test_case->id, "unknown kind of line");
    }
}

static void read_prelude(struct reader *reader)
{
    static const char *const names[] = {"connect", "ehlo", "mail", "rcpt", "data"};
    static const char *const said[] = {"EHLO client.test", "MAIL FROM:<\\T@client.test>",
                                       "RCPT TO:<\\U@\\D>", "DATA"};
    const struct conformance_case *test_case = reader->test_case;
    if (bytes_equal(test_case->prelude, BYTES("none"))) return;
    add_reply(reader, BYTES("220"));
    if (bytes_equal(test_case->prelude, BYTES("helo"))) {
        add_client(reader, BYTES("HELO client.test"), true);
        add_reply(reader, BYTES("250"));
        return;
    }
    for (uint32_t i = 0; !bytes_equal(test_case->prelude, bytes_from_text(names[i])); i++) {
        CHECK(i < 4);
        bool is_lmtp_hello = i == 0 && test_case->config.is_lmtp;
        add_client(reader, is_lmtp_hello ? BYTES("LHLO client.test") : bytes_from_text(said[i]),
                   true);
        add_reply(reader, i == 3 ? BYTES("354") : BYTES("250"));
    }
}

static void add_sentinel(struct reader *reader)
{
    if (reader->test_case->end != CONFORMANCE_END_ALIVE) return;
    reader->is_after_reply = true;
    add_client(reader, BYTES("NOOP"), true);
    add_reply(reader, BYTES("250"));
    add_client(reader, BYTES("QUIT"), true);
    add_reply(reader, BYTES("221"));
}

/* The lines of one case: up to the next head or the end of the text. */
static struct bytes take_body(struct bytes *text)
{
    struct bytes start = *text;
    while (text->size > 0 && !bytes_start_with(*text, BYTES("= ")))
        trace_text_take_line(text);
    return bytes_make(start.data, start.size - text->size);
}

static bool is_content_line(struct bytes line)
{
    return line.size > 0 && line.data[0] != '#';
}

bool conformance_case_open(struct conformance_case *test_case, struct bytes *text)
{
    take_body(text);
    if (text->size == 0) return false;
    struct bytes head = trace_text_take_line(text);
    bytes_take(&head, 2);
    *test_case = (struct conformance_case){.id = bytes_take(&head, bytes_find(head, ' '))};
    test_case->config = (struct smtp_config){.hostname = BYTES("sink.test"),
                                             .size_limit = 52428800,
                                             .recipients_max = 1000,
                                             .offers = SMTP_OFFERS_EVERY & ~SMTP_OFFER(STARTTLS)};
    struct bytes body = take_body(text);
    for (struct bytes rest = body; rest.size > 0;) {
        struct bytes raw = trace_text_take_line(&rest);
        if (!is_content_line(raw)) continue;
        struct line line = split(test_case, raw);
        read_condition(test_case, &line);
    }
    struct reader reader = {.test_case = test_case};
    read_prelude(&reader);
    while (body.size > 0) {
        struct bytes raw = trace_text_take_line(&body);
        if (!is_content_line(raw)) continue;
        struct line line = split(test_case, raw);
        for (uint64_t i = 0; i < line.times; i++)
            read_dialogue(&reader, &line);
    }
    end_message(&reader);
    add_sentinel(&reader);
    trace_text_free(&reader.content);
    return true;
}

void conformance_case_close(struct conformance_case *test_case)
{
    trace_text_free(&test_case->input);
    trace_text_free(&test_case->stored);
}
