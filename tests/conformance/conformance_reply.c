#include "conformance/conformance_reply.h"

#include "unit/smtp/trace_text.h"

#include <ctype.h>

#define CODE_SIZE 4 /* with the blank or hyphen behind it */

struct bytes conformance_reply_code(const struct conformance_reply *wanted)
{
    struct bytes codes = wanted->codes;
    if (bytes_start_with(codes, BYTES("{"))) bytes_take(&codes, 1);
    return bytes_take(&codes, codes.size < 3 ? codes.size : 3);
}

/* Without its CR LF. */
static struct bytes take_line(struct bytes *text)
{
    struct bytes line = trace_text_take_line(text);
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    return line;
}

struct bytes conformance_reply_take(struct bytes *replies)
{
    struct bytes start = *replies;
    struct bytes line;
    do
        line = take_line(replies);
    while (line.size >= CODE_SIZE && line.data[CODE_SIZE - 1] == '-' && replies->size > 0);
    return bytes_make(start.data, start.size - replies->size);
}

static bool has_code(struct bytes line, struct bytes wanted)
{
    if (line.size < wanted.size) return false;
    for (uint64_t i = 0; i < wanted.size; i++)
        if (wanted.data[i] != 'x' && wanted.data[i] != line.data[i]) return false;
    return wanted.size == CODE_SIZE - 1;
}

static bool is_domain_octet(int octet)
{
    return isalnum(octet) || octet == '.' || octet == ':' || octet == '-' || octet == '[' ||
           octet == ']';
}

static bool is_keyword_octet(int octet)
{
    return isalnum(octet) || octet == '-';
}

/* Takes one octet or more of a class; what stands behind them is a blank or the end, if asked. */
static bool take_class(struct bytes *text, int (*is_first)(int octet), bool (*is_next)(int octet))
{
    if (text->size == 0 || (!is_first(text->data[0]) && text->data[0] != '[')) return false;
    while (text->size > 0 && is_next(text->data[0]))
        bytes_take(text, 1);
    return text->size == 0 || text->data[0] == ' ';
}

static bool take_number(struct bytes *text)
{
    uint64_t size = 0;
    while (size < text->size && isdigit(text->data[size]))
        size++;
    bytes_take(text, size);
    return size > 0;
}

/* One placeholder off the front of `wanted`, and what it stands for off the front of `text`. */
static bool take_placeholder(struct bytes *wanted, struct bytes *text, bool *is_match)
{
    static const char *const words[] = {"<domain>", "<keyword>", "<number>", "<end>"};
    for (uint32_t i = 0; i < 4; i++) {
        struct bytes word = bytes_from_text(words[i]);
        if (!bytes_start_with(*wanted, word)) continue;
        bytes_take(wanted, word.size);
        if (i == 0) *is_match = take_class(text, isalnum, is_domain_octet);
        if (i == 1) *is_match = take_class(text, isalnum, is_keyword_octet);
        if (i == 2) *is_match = take_number(text);
        if (i == 3) *is_match = text->size == 0;
        return true;
    }
    return false;
}

static bool begins(struct bytes text, struct bytes wanted)
{
    bool is_match = true;
    while (wanted.size > 0 && is_match) {
        if (take_placeholder(&wanted, &text, &is_match)) continue;
        if (text.size == 0) return false;
        is_match = bytes_take(&wanted, 1).data[0] == bytes_take(&text, 1).data[0];
    }
    return is_match;
}

static struct bytes text_of(struct bytes line)
{
    bytes_take(&line, line.size < CODE_SIZE ? line.size : CODE_SIZE);
    return line;
}

static bool line_holds(const struct conformance_line *wanted, struct bytes reply)
{
    bool is_first = true;
    bool is_alone = conformance_reply_take(&(struct bytes){reply.data, reply.size}).size ==
                    bytes_find(reply, '\n') + 1;
    while (reply.size > 0) {
        bool is_match = begins(text_of(take_line(&reply)), wanted->text);
        if (is_match && wanted->kind == CONFORMANCE_LINE_SOME) return true;
        if (is_match && wanted->kind == CONFORMANCE_LINE_NONE) return false;
        if (!is_match && wanted->kind == CONFORMANCE_LINE_EACH && (!is_first || is_alone))
            return false;
        is_first = false;
    }
    return wanted->kind != CONFORMANCE_LINE_SOME;
}

bool conformance_reply_matches(const struct conformance_reply *wanted, struct bytes reply)
{
    struct bytes rest = reply;
    struct bytes line = take_line(&rest);
    if (!has_code(line, conformance_reply_code(wanted))) return false;
    if (!begins(text_of(line), wanted->text)) return false;
    for (uint32_t i = 0; i < wanted->line_count; i++)
        if (!line_holds(&wanted->lines[i], reply)) return false;
    return true;
}
