#include "smtp/smtp_reply.h"

static const struct {
    const char *text;
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
    CHECK(replies->size <= replies->capacity);
    return replies->capacity - replies->size >= size;
}

/* All enhanced codes here are of the form x.y.z. */
static bool has_enhanced_code(struct bytes text)
{
    return text.data[SMTP_REPLY_CODE_SIZE + 1] == '.';
}

void smtp_replies_put(struct smtp_replies *replies, enum smtp_reply reply, bool is_enhanced)
{
    struct bytes text = smtp_reply_text(reply);
    if (!is_enhanced && has_enhanced_code(text)) {
        smtp_replies_put_bytes(replies, bytes_take(&text, SMTP_REPLY_CODE_SIZE));
        bytes_take(&text, SMTP_REPLY_ENHANCED_SIZE);
    }
    smtp_replies_put_bytes(replies, text);
}

void smtp_replies_put_bytes(struct smtp_replies *replies, struct bytes text)
{
    CHECK(text.size <= replies->capacity - replies->size);
    if (text.size == 0) return;
    memcpy(replies->data + replies->size, text.data, text.size);
    replies->size += (uint32_t)text.size;
}
