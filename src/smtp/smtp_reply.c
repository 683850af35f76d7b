#include "smtp/smtp_reply.h"

/* Every row has room for this many octets: what is short is copied so, which is a few stores. */
#define ROW_SIZE   96
#define SHORT_SIZE 48

static const struct {
    char text[ROW_SIZE];
    uint32_t size;
} rows[] = {
#define SMTP_REPLY_ROW(name, text) [SMTP_REPLY_##name] = {text "\r\n", sizeof(text "\r\n") - 1},
    SMTP_REPLIES(SMTP_REPLY_ROW)
#undef SMTP_REPLY_ROW
};

struct bytes smtp_reply_text(enum smtp_reply reply)
{
    CHECK(reply < SMTP_REPLY_COUNT);
    return bytes_make(rows[reply].text, rows[reply].size);
}

bool smtp_replies_have_room(const struct smtp_replies *replies, uint32_t size)
{
    return replies->capacity - replies->size >= size;
}

/* Class, subject, detail: "5.7.11" (RFC 2034 4). */
static bool has_enhanced_code(struct bytes text)
{
    return text.data[SMTP_REPLY_CODE_SIZE + 1] == '.';
}

RARE static void put_row(struct smtp_replies *replies, enum smtp_reply reply, bool is_enhanced)
{
    struct bytes text = smtp_reply_text(reply);
    if (!is_enhanced && has_enhanced_code(text)) {
        smtp_replies_put_bytes(replies, bytes_take(&text, SMTP_REPLY_CODE_SIZE));
        bytes_take(&text, bytes_find(text, ' ') + 1);
    }
    smtp_replies_put_bytes(replies, text);
}

void smtp_replies_put(struct smtp_replies *replies, enum smtp_reply reply, bool is_enhanced)
{
    CHECK(reply < SMTP_REPLY_COUNT);
    uint32_t size = rows[reply].size;
    if (!is_enhanced || size > SHORT_SIZE || !smtp_replies_have_room(replies, SHORT_SIZE)) {
        put_row(replies, reply, is_enhanced);
        return;
    }
    memcpy(replies->data + replies->size, rows[reply].text, SHORT_SIZE);
    replies->size += size;
}

void smtp_replies_put_bytes(struct smtp_replies *replies, struct bytes text)
{
    CHECK(text.size <= replies->capacity - replies->size);
    if (text.size == 0) return;
    memcpy(replies->data + replies->size, text.data, text.size);
    replies->size += (uint32_t)text.size;
}

void smtp_replies_put_line(struct smtp_replies *replies, struct bytes head, struct bytes tail)
{
    uint8_t *out = replies->data + replies->size;
    uint64_t size = head.size + tail.size;
    CHECK(size + 2 <= replies->capacity - replies->size);
    memcpy(out, head.data, head.size);
    memcpy(out + head.size, tail.data, tail.size);
    memcpy(out + size, "\r\n", 2);
    replies->size += (uint32_t)size + 2;
}
