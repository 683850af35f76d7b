/*
 * A line lies whole in one input nearly always: then it is read where it stands. Only a line cut by
 * the input's end is copied, and of that only as much as is handed out.
 */
#include "loadgen/load_reply.h"

void load_reply_init(struct load_reply *reply)
{
    reply->fault = LOAD_REPLY_FAULT_NONE;
    reply->code = 0;
    reply->line_count = 0;
    reply->cut_size = 0;
    reply->cut_last = 0;
}

static enum load_reply_event fail(struct load_reply *reply, enum load_reply_fault fault)
{
    CHECK(fault != LOAD_REPLY_FAULT_NONE);
    reply->fault = fault;
    return LOAD_REPLY_WRONG;
}

static bool is_digit(uint8_t octet, uint8_t lowest, uint8_t highest)
{
    return octet >= lowest && octet <= highest;
}

/* RFC 5321 4.2: Reply-code = %x32-35 %x30-35 %x30-39; x6z to x9z are let through. 0: no code. */
static uint32_t read_code(struct bytes line)
{
    if (line.size < 3) return 0;
    if (!is_digit(line.data[0], '2', '5')) return 0;
    if (!is_digit(line.data[1], '0', '9')) return 0;
    if (!is_digit(line.data[2], '0', '9')) return 0;
    return (uint32_t)(line.data[0] - '0') * 100 + (uint32_t)(line.data[1] - '0') * 10 +
           (uint32_t)(line.data[2] - '0');
}

/* `line` without its CR LF, cut after the text that is handed out. */
static enum load_reply_event read_line(struct load_reply *reply, struct bytes line,
                                       struct load_reply_line *out)
{
    bool is_continued = false;

    if (line.size >= 4 && memcmp(line.data, "250 ", 4) == 0) {
        out->code = 250; /* nearly every line of a run */
    } else {
        out->code = read_code(line);
        if (out->code == 0) return fail(reply, LOAD_REPLY_FAULT_CODE);
        is_continued = line.size > 3 && line.data[3] == '-';
        if (line.size > 3 && !is_continued && line.data[3] != ' ')
            return fail(reply, LOAD_REPLY_FAULT_CODE);
    }
    if (reply->code != 0 && reply->code != out->code) return fail(reply, LOAD_REPLY_FAULT_CHANGED);
    if (reply->line_count >= LOAD_REPLY_LINES_MAX) return fail(reply, LOAD_REPLY_FAULT_ENDLESS);
    uint64_t start = line.size > 4 ? 4 : line.size; /* "250" alone has no text, but a view */
    out->text = bytes_make(line.data + start, line.size - start);
    reply->code = is_continued ? (uint16_t)out->code : 0;
    reply->line_count = is_continued ? (uint16_t)(reply->line_count + 1) : 0;
    return is_continued ? LOAD_REPLY_LINE : LOAD_REPLY_DONE;
}

/* Appends to the cut line; what is past the text that is handed out is only counted. */
static void keep(struct load_reply *reply, struct bytes part)
{
    if (part.size == 0) return;
    if (reply->cut_size < sizeof reply->kept) {
        uint64_t room = sizeof reply->kept - reply->cut_size;
        memcpy(reply->kept + reply->cut_size, part.data, part.size < room ? part.size : room);
    }
    reply->cut_last = part.data[part.size - 1];
    reply->cut_size = (uint16_t)(reply->cut_size + part.size);
}

/* A line of `size` octets before its LF, whose first ones are at `start`. */
static enum load_reply_event end_line(struct load_reply *reply, const uint8_t *start, uint64_t size,
                                      uint8_t last, struct load_reply_line *out)
{
    if (size + 1 > LOAD_REPLY_LINE_MAX) return fail(reply, LOAD_REPLY_FAULT_LONG_LINE);
    if (size == 0 || last != '\r') return fail(reply, LOAD_REPLY_FAULT_BARE_LF);
    uint64_t shown = size - 1 < sizeof reply->kept ? size - 1 : sizeof reply->kept;
    return read_line(reply, bytes_make(start, shown), out);
}

enum load_reply_event load_reply_step(struct load_reply *reply, struct bytes *input,
                                      struct load_reply_line *line)
{
    if (reply->fault != LOAD_REPLY_FAULT_NONE) return LOAD_REPLY_WRONG;
    uint64_t size = bytes_find(*input, '\n');
    if (size == input->size) {
        if (reply->cut_size + size >= LOAD_REPLY_LINE_MAX)
            return fail(reply, LOAD_REPLY_FAULT_LONG_LINE);
        keep(reply, bytes_take(input, size));
        return LOAD_REPLY_WANTS_INPUT;
    }
    struct bytes part = bytes_take(input, size);
    (void)bytes_take(input, 1);
    if (reply->cut_size == 0)
        return end_line(reply, part.data, size, size > 0 ? part.data[size - 1] : 0, line);
    if (reply->cut_size + size + 1 > LOAD_REPLY_LINE_MAX)
        return fail(reply, LOAD_REPLY_FAULT_LONG_LINE);
    keep(reply, part);
    uint64_t whole = reply->cut_size;
    reply->cut_size = 0;
    return end_line(reply, reply->kept, whole, reply->cut_last, line);
}

const char *load_reply_explain(enum load_reply_fault fault)
{
    switch (fault) {
    case LOAD_REPLY_FAULT_NONE:
        return "none";
    case LOAD_REPLY_FAULT_CODE:
        return "a reply line that does not start with a code";
    case LOAD_REPLY_FAULT_CHANGED:
        return "lines of one reply with different codes";
    case LOAD_REPLY_FAULT_BARE_LF:
        return "a reply line that ends in LF alone";
    case LOAD_REPLY_FAULT_LONG_LINE:
        return "a reply line that is too long";
    case LOAD_REPLY_FAULT_ENDLESS:
        return "a reply of too many lines";
    }
    return "unknown";
}
