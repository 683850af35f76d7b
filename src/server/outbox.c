#include "server/outbox.h"

#include "smtp/smtp_limits.h"

#include <assert.h>

/* At the block's end, so that a connection without replies costs nothing for it. */
struct undecided {
    uint32_t serial; /* the low half */
    uint16_t start;
    uint16_t end;
};

#define TABLE_SIZE (OUTBOX_UNDECIDED_MAX * sizeof(struct undecided))
#define TEXT_SIZE  (OUTBOX_BLOCK_SIZE - TABLE_SIZE)

static_assert(TEXT_SIZE <= UINT16_MAX, "offsets fit");

static struct undecided *table(const struct outbox *outbox)
{
    return (struct undecided *)(void *)(outbox->replies.data + TEXT_SIZE);
}

static void outbox_check(const struct outbox *outbox)
{
    CHECK(outbox->sent <= outbox->replies.size);
    CHECK(outbox->undecided_first <= outbox->undecided_end);
    CHECK(outbox->undecided_end <= OUTBOX_UNDECIDED_MAX);
    if (outbox_has_undecided(outbox))
        CHECK(outbox->sent <= table(outbox)[outbox->undecided_first].start);
}

void outbox_hold(struct outbox *outbox, struct blocks *pool)
{
    if (outbox->replies.data != NULL) return;
    *outbox = (struct outbox){.replies = {.data = blocks_take(pool), .capacity = TEXT_SIZE}};
    CHECK(outbox->replies.data != NULL);
}

void outbox_release(struct outbox *outbox, struct blocks *pool)
{
    if (outbox->replies.data == NULL) return;
    blocks_give_back(pool, outbox->replies.data);
    *outbox = (struct outbox){0};
}

struct bytes outbox_sendable(const struct outbox *outbox)
{
    uint32_t end = outbox_has_undecided(outbox) ? table(outbox)[outbox->undecided_first].start
                                                : outbox->replies.size;
    if (end == outbox->sent) return bytes_make(NULL, 0);
    return bytes_make(outbox->replies.data + outbox->sent, end - outbox->sent);
}

/* What was sent makes room. */
static void move_up(struct outbox *outbox)
{
    uint16_t by = outbox->sent;
    struct undecided *entries = table(outbox);
    memmove(outbox->replies.data, outbox->replies.data + by, outbox->replies.size - by);
    outbox->replies.size -= by;
    outbox->sent = 0;
    uint16_t count = 0;
    for (uint16_t i = outbox->undecided_first; i < outbox->undecided_end; i++)
        entries[count++] = (struct undecided){entries[i].serial, (uint16_t)(entries[i].start - by),
                                              (uint16_t)(entries[i].end - by)};
    outbox->undecided_first = 0;
    outbox->undecided_end = count;
}

void outbox_sent(struct outbox *outbox, uint32_t size)
{
    CHECK(size <= outbox_sendable(outbox).size);
    outbox->sent = (uint16_t)(outbox->sent + size);
    if (!outbox_is_empty(outbox) && outbox_sendable(outbox).size == 0) move_up(outbox);
    outbox_check(outbox);
}

void outbox_wait(struct outbox *outbox, uint32_t start, uint64_t serial)
{
    CHECK(!outbox_is_undecided_full(outbox));
    CHECK(start < outbox->replies.size);
    table(outbox)[outbox->undecided_end++] =
        (struct undecided){(uint32_t)serial, (uint16_t)start, (uint16_t)outbox->replies.size};
    outbox_check(outbox);
}

void outbox_extend(struct outbox *outbox, uint32_t start, uint32_t count)
{
    if (!outbox_has_undecided(outbox)) return;
    struct undecided *last = &table(outbox)[outbox->undecided_end - 1];
    if (last->end != start) return;
    for (; count > 0; count--) {
        struct bytes rest =
            bytes_make(outbox->replies.data + last->end, outbox->replies.size - last->end);
        last->end = (uint16_t)(last->end + bytes_find(rest, '\n') + 1);
    }
    CHECK(last->end <= outbox->replies.size);
}

void outbox_decide(struct outbox *outbox, uint64_t serial)
{
    while (outbox_has_undecided(outbox)) {
        uint32_t first = table(outbox)[outbox->undecided_first].serial;
        if ((int32_t)((uint32_t)serial - first) < 0) return;
        outbox->undecided_first++;
    }
    outbox->undecided_first = 0;
    outbox->undecided_end = 0;
}

static struct bytes line_next(struct bytes *lines)
{
    return bytes_take(lines, bytes_find(*lines, '\n') + 1);
}

static struct bytes undecided_lines(const struct outbox *outbox, uint16_t index)
{
    const struct undecided *entry = &table(outbox)[index];
    return bytes_make(outbox->replies.data + entry->start, entry->end - entry->start);
}

/* Up to the colon it is shorter than any reply that says "stored". */
static void shorten(struct smtp_replies *line)
{
    line->size = (uint32_t)bytes_find(bytes_make(line->data, line->size), ':');
    smtp_replies_put_bytes(line, BYTES("\r\n"));
}

/* What each line says instead; cut short where there is no room for so many. */
static struct bytes revoked_line(const struct outbox *outbox, enum smtp_reply reply,
                                 bool is_enhanced, uint8_t *text)
{
    struct smtp_replies line = {.data = text, .capacity = SMTP_REPLY_LINE_MAX};
    uint32_t size = outbox->replies.size;
    smtp_replies_put(&line, reply, is_enhanced);
    for (uint16_t i = outbox->undecided_first; i < outbox->undecided_end; i++) {
        struct bytes lines = undecided_lines(outbox, i);
        for (; lines.size > 0; (void)line_next(&lines))
            size += line.size;
    }
    if (size > TEXT_SIZE) shorten(&line);
    return bytes_make(line.data, line.size);
}

uint32_t outbox_revoke(struct outbox *outbox, enum smtp_reply reply, bool is_enhanced)
{
    uint8_t line_text[SMTP_REPLY_LINE_MAX];
    uint8_t text[TEXT_SIZE];
    struct smtp_replies written = {.data = text, .capacity = TEXT_SIZE - outbox->sent};
    struct bytes line = revoked_line(outbox, reply, is_enhanced, line_text);
    const uint8_t *data = outbox->replies.data;
    uint32_t at = outbox->sent;
    uint32_t count = 0;
    for (uint16_t i = outbox->undecided_first; i < outbox->undecided_end; i++, count++) {
        const struct undecided *entry = &table(outbox)[i];
        struct bytes lines = undecided_lines(outbox, i);
        smtp_replies_put_bytes(&written, bytes_make(data + at, entry->start - at));
        for (; lines.size > 0; (void)line_next(&lines))
            smtp_replies_put_bytes(&written, line);
        at = entry->end;
    }
    smtp_replies_put_bytes(&written, bytes_make(data + at, outbox->replies.size - at));
    memcpy(outbox->replies.data + outbox->sent, written.data, written.size);
    outbox->replies.size = outbox->sent + written.size;
    outbox->undecided_first = 0;
    outbox->undecided_end = 0;
    return count;
}
