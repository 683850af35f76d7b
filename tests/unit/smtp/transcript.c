#include "unit/smtp/transcript.h"

#include <stdio.h>
#include <stdlib.h>

__attribute__((noreturn)) static void refuse(const char *why)
{
    fprintf(stderr, "transcript: %s\n", why);
    abort();
}

static struct bytes read_file(const char *path, uint8_t *buffer, uint64_t capacity)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    uint64_t size = fread(buffer, 1, capacity, file);
    CHECK(size < capacity);
    fclose(file);
    return bytes_make(buffer, size);
}

/* A comment at the start, or behind two blanks; then the blanks in front of it. */
static struct bytes strip_comment(struct bytes line)
{
    for (uint64_t i = 0; i < line.size; i++) {
        if (line.data[i] != '#') continue;
        if (i == 0 || (i >= 2 && line.data[i - 1] == ' ' && line.data[i - 2] == ' ')) line.size = i;
    }
    while (line.size > 0 && line.data[line.size - 1] == ' ')
        line.size--;
    return line;
}

static void read_verdict(struct trace_setup *setup, struct bytes word)
{
    static const char *const words[] = {"stored", "no_space", "no_memory", "store_failed"};
    CHECK(setup->verdict_count < TRACE_VERDICTS_MAX);
    for (int i = 0; i < 4; i++)
        if (bytes_equal(word, bytes_from_text(words[i])))
            setup->verdicts[setup->verdict_count++] = (enum smtp_verdict)i;
}

static enum smtp_bare_newline read_bare_newline(struct bytes word)
{
    if (bytes_equal(word, BYTES("keep"))) return SMTP_BARE_KEEP;
    if (bytes_equal(word, BYTES("reject"))) return SMTP_BARE_REJECT;
    CHECK(bytes_equal(word, BYTES("normalize")));
    return SMTP_BARE_NORMALIZE;
}

/* The bit of an EHLO keyword. */
static uint32_t offer_named(struct bytes keyword)
{
#define SMTP_EXTENSION_BIT(name, text)                                                             \
    if (bytes_equal(keyword, BYTES(text))) return SMTP_OFFER(name);
    SMTP_EXTENSIONS(SMTP_EXTENSION_BIT)
#undef SMTP_EXTENSION_BIT
    refuse("unknown extension");
}

static void read_option(struct trace_setup *setup, struct bytes text)
{
    uint64_t number = 0;
    struct bytes name = bytes_take(&text, bytes_find(text, ' '));
    if (text.size > 0) bytes_take(&text, 1);
    if (bytes_equal(name, BYTES("bare_newline"))) {
        setup->bare_newline = read_bare_newline(text);
        return;
    }
    if (bytes_equal(name, BYTES("not"))) {
        setup->offers_not |= offer_named(text);
        return;
    }
    if (text.size > 0) CHECK(bytes_to_number(text, &number));
    if (bytes_equal(name, BYTES("strict")))
        setup->is_strict = true;
    else if (bytes_equal(name, BYTES("strict_lines")))
        setup->has_strict_lines = true;
    else if (bytes_equal(name, BYTES("lmtp")))
        setup->is_lmtp = true;
    else if (bytes_equal(name, BYTES("auth_required")))
        setup->is_auth_required = true;
    else if (bytes_equal(name, BYTES("tls")))
        setup->offers_tls = true;
    else if (bytes_equal(name, BYTES("tls_required")))
        setup->is_tls_required = true;
    else if (bytes_equal(name, BYTES("auth_tls_required")))
        setup->is_auth_tls_required = true;
    else if (bytes_equal(name, BYTES("out_of_service")))
        setup->is_out_of_service = true;
    else if (bytes_equal(name, BYTES("size_limit")))
        setup->size_limit = number;
    else if (bytes_equal(name, BYTES("recipients_max")))
        setup->recipients_max = (uint32_t)number;
    else if (bytes_equal(name, BYTES("bad_commands_max")))
        setup->bad_commands_max = (uint32_t)number;
    else
        refuse("unknown option");
}

static void read_line(struct transcript *transcript, struct bytes line)
{
    if (line.size == 0) return;
    CHECK(line.size >= 2);
    CHECK(line.data[1] == ':');
    uint8_t kind = line.data[0];
    bytes_take(&line, line.size > 2 && line.data[2] == ' ' ? 3 : 2);
    switch (kind) {
    case 'C':
    case 'c':
        trace_text_put_escaped(&transcript->input, line, kind == 'C', NULL);
        return;
    case 'B':
    case 'b':
        trace_text_put_escaped(&transcript->content, line, kind == 'B', NULL);
        return;
    case 'S':
        trace_text_put(&transcript->replies, line);
        trace_text_put_octet(&transcript->replies, '\n');
        return;
    case 'H':
        CHECK(transcript->handshake_at == 0);
        transcript->handshake_at = transcript->input.size;
        return;
    case 'V':
        read_verdict(&transcript->setup, line);
        return;
    case 'O':
        read_option(&transcript->setup, line);
        return;
    }
    refuse("unknown kind of line");
}

void transcript_open(struct transcript *transcript, const char *path)
{
    uint8_t buffer[65536];
    struct bytes text = read_file(path, buffer, sizeof(buffer));
    *transcript = (struct transcript){0};
    transcript->setup.hostname = BYTES("sink");
    transcript->setup.size_limit = 52428800;
    while (text.size > 0)
        read_line(transcript, strip_comment(trace_text_take_line(&text)));
}

void transcript_close(struct transcript *transcript)
{
    trace_text_free(&transcript->input);
    trace_text_free(&transcript->replies);
    trace_text_free(&transcript->content);
}

static bool is_continued(struct bytes line)
{
    return line.size > 3 && line.data[3] == '-';
}

/* "250-SIZE 10" begins so, whether it stands last in its reply or not. */
static bool begins(struct bytes line, struct bytes wanted)
{
    uint64_t code_size = wanted.size < 3 ? wanted.size : 3;
    if (line.size < code_size || memcmp(line.data, wanted.data, code_size) != 0) return false;
    if (wanted.size <= 4) return true;
    bytes_take(&line, 4);
    bytes_take(&wanted, 4);
    return bytes_start_with(line, wanted);
}

/* Takes one reply and the lines wanted of it. */
static bool match_one(struct bytes *replies, struct bytes *wanted)
{
    struct bytes line = trace_text_take_line(replies);
    for (;;) {
        struct bytes next = trace_text_take_line(wanted);
        while (!begins(line, next)) {
            if (!is_continued(line)) return false;
            line = trace_text_take_line(replies);
        }
        if (!is_continued(next)) break;
        if (!is_continued(line)) return false;
        line = trace_text_take_line(replies);
    }
    while (is_continued(line))
        line = trace_text_take_line(replies);
    return true;
}

bool transcript_matches(const struct transcript *transcript, struct bytes replies)
{
    struct bytes wanted = trace_text_view(&transcript->replies);
    while (wanted.size > 0 && replies.size > 0)
        if (!match_one(&replies, &wanted)) return false;
    return wanted.size == 0 && replies.size == 0;
}
