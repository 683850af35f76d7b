#include "export/export_letter.h"

#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

#define FIXED_SIZE_MAX 512 /* what stands around the envelope's values */
#define DATE_TEXT_MAX  64

struct rendering {
    uint8_t *out;
    uint64_t size;
    uint64_t capacity;
};

static void put(struct rendering *rendering, struct bytes octets)
{
    CHECK(octets.size <= rendering->capacity - rendering->size);
    if (octets.size > 0) memcpy(rendering->out + rendering->size, octets.data, octets.size);
    rendering->size += octets.size;
}

static void put_text(struct rendering *rendering, const char *text)
{
    put(rendering, bytes_from_text(text));
}

static void put_octet(struct rendering *rendering, uint8_t octet)
{
    put(rendering, bytes_make(&octet, 1));
}

static void put_path(struct rendering *rendering, struct bytes path)
{
    put_octet(rendering, '<');
    for (uint64_t i = 0; i < path.size; i++)
        put_octet(rendering, path.data[i] < 0x20 || path.data[i] == 0x7f ? '?' : path.data[i]);
    put_octet(rendering, '>');
}

static bool is_word(uint8_t octet)
{
    if (octet >= 0x80) return true; /* a name in UTF-8 */
    if ((octet | 0x20) >= 'a' && (octet | 0x20) <= 'z') return true;
    return octet != 0 && strchr("0123456789.-_:[]=,", octet) != NULL;
}

/* One word, whatever the client sent: no blank, no bracket that would begin a comment. */
static void put_word(struct rendering *rendering, struct bytes word)
{
    if (word.size == 0) put_text(rendering, "unknown");
    for (uint64_t i = 0; i < word.size; i++)
        put_octet(rendering, is_word(word.data[i]) ? word.data[i] : '?');
}

/* "127.0.0.1:41234" as "[127.0.0.1]", "[::1]:4711" as "[IPv6:::1]" (RFC 5321 4.1.3). */
static void put_peer(struct rendering *rendering, struct bytes peer)
{
    bool is_v6 = peer.size > 0 && peer.data[0] == '[';
    bool is_v4 = peer.size > 0 && peer.data[0] >= '0' && peer.data[0] <= '9';

    if (is_v6) (void)bytes_take(&peer, 1);
    if (!is_v6 && !is_v4) {
        put_word(rendering, peer);
        return;
    }
    put_text(rendering, is_v6 ? "[IPv6:" : "[");
    put_word(rendering, bytes_take(&peer, bytes_find(peer, is_v6 ? ']' : ':')));
    put_octet(rendering, ']');
}

static void put_date(struct rendering *rendering, uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
    struct tm date;
    char text[DATE_TEXT_MAX];

    if (gmtime_r(&seconds, &date) == NULL) return;
    (void)strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &date);
    put_text(rendering, text);
}

const char *export_letter_put_id(char *out, const struct export_letter *letter)
{
    out[spool_id_put((uint8_t *)out, &letter->id)] = 0;
    return out;
}

static void put_head(struct rendering *rendering, const struct export_letter *letter,
                     const char *line_end)
{
    char id[SPOOL_ID_TEXT_MAX + 1];

    put_text(rendering, "Return-Path: ");
    put_path(rendering, letter->sender);
    put_text(rendering, line_end);
    put_text(rendering, "Received: from ");
    put_word(rendering, letter->helo);
    put_text(rendering, " (");
    put_peer(rendering, letter->peer);
    put_text(rendering, ")");
    put_text(rendering, line_end);
    put_text(rendering, "\tby ");
    put_word(rendering, letter->host);
    put_text(rendering, " with ");
    put_word(rendering, letter->protocol);
    put_text(rendering, " id ");
    put_text(rendering, export_letter_put_id(id, letter));
    if (letter->recipient.size > 0) {
        put_text(rendering, line_end);
        put_text(rendering, "\tfor ");
        put_path(rendering, letter->recipient);
    }
    put_text(rendering, "; ");
    put_date(rendering, letter->received_ns);
    put_text(rendering, line_end);
}

/* A line that a reader of an mbox would take for a message's first, or for one that was quoted. */
static bool is_from_line(struct bytes line)
{
    while (line.size > 0 && line.data[0] == '>')
        (void)bytes_take(&line, 1);
    return bytes_start_with(line, BYTES("From "));
}

/* Line by line; a lone CR is no end of a line, and stays. */
static void put_lines(struct rendering *rendering, struct bytes content, bool is_quoted)
{
    while (content.size > 0) {
        uint64_t end = bytes_find(content, '\n');
        bool is_whole = end < content.size;
        struct bytes line = bytes_take(&content, is_whole ? end + 1 : end);
        if (is_quoted && is_from_line(line)) put_octet(rendering, '>');
        if (is_whole && line.size > 1 && line.data[line.size - 2] == '\r') {
            line.size -= 2;
            put(rendering, line);
            put_octet(rendering, '\n');
        } else {
            put(rendering, line);
        }
    }
}

struct bytes export_letter_render(const struct export_letter *letter,
                                  enum export_letter_style style)
{
    uint64_t envelope = letter->helo.size + letter->peer.size + letter->protocol.size +
                        letter->sender.size + letter->recipient.size + letter->host.size;
    struct rendering rendering = {.capacity = FIXED_SIZE_MAX + envelope + 2 * letter->content.size};

    rendering.out = malloc(rendering.capacity);
    if (rendering.out == NULL) return bytes_make(NULL, 0);
    put_head(&rendering, letter, style == EXPORT_LETTER_EXACT ? "\r\n" : "\n");
    switch (style) {
    case EXPORT_LETTER_EXACT:
        put(&rendering, letter->content);
        break;
    case EXPORT_LETTER_LF:
        put_lines(&rendering, letter->content, false);
        break;
    case EXPORT_LETTER_MBOX:
        put_lines(&rendering, letter->content, true);
        break;
    }
    return bytes_make(rendering.out, rendering.size);
}
