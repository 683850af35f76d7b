#include "unit/smtp/trace_text.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

void trace_text_put(struct trace_text *text, struct bytes octets)
{
    if (octets.size == 0) return;
    if (text->capacity - text->size < octets.size) {
        text->capacity = (text->size + octets.size) * 2;
        text->data = realloc(text->data, text->capacity);
        CHECK(text->data != NULL);
    }
    memcpy(text->data + text->size, octets.data, octets.size);
    text->size += octets.size;
}

void trace_text_put_octet(struct trace_text *text, uint8_t octet)
{
    trace_text_put(text, bytes_make(&octet, 1));
}

struct bytes trace_text_view(const struct trace_text *text)
{
    return bytes_make(text->data, text->size);
}

void trace_text_free(struct trace_text *text)
{
    free(text->data);
    *text = (struct trace_text){0};
}

struct bytes trace_text_take_line(struct bytes *text)
{
    struct bytes line = bytes_take(text, bytes_find(*text, '\n'));
    if (text->size > 0) bytes_take(text, 1);
    return line;
}

static uint8_t take_octet(struct bytes *line)
{
    CHECK(line->size > 0);
    return bytes_take(line, 1).data[0];
}

/* \{N}c */
static void put_repeated(struct trace_text *text, struct bytes *line)
{
    uint64_t count;
    CHECK(bytes_to_number(bytes_take(line, bytes_find(*line, '}')), &count));
    take_octet(line);
    uint8_t octet = take_octet(line);
    for (uint64_t i = 0; i < count; i++)
        trace_text_put_octet(text, octet);
}

static void put_hex(struct trace_text *text, struct bytes *line)
{
    uint64_t number = 0;
    CHECK(bytes_to_number_hex(bytes_take(line, 2), &number));
    trace_text_put_octet(text, (uint8_t)number);
}

static bool put_word(struct trace_text *text, uint8_t letter, const struct trace_word *words)
{
    for (; words != NULL && words->letter != '\0'; words++) {
        if (letter != (uint8_t)words->letter) continue;
        trace_text_put(text, bytes_from_text(words->text));
        return true;
    }
    return false;
}

/* What stands behind a backslash. */
static void put_escape(struct trace_text *text, struct bytes *line, const struct trace_word *words)
{
    static const char letters[] = "rnt0\\";
    static const char octets[] = "\r\n\t\0\\";
    uint8_t letter = take_octet(line);
    if (letter == '{') {
        put_repeated(text, line);
    } else if (letter == 'x') {
        put_hex(text, line);
    } else if (!put_word(text, letter, words)) {
        const char *place = memchr(letters, letter, sizeof(letters) - 1);
        CHECK(place != NULL);
        trace_text_put_octet(text, (uint8_t)octets[place - letters]);
    }
}

void trace_text_put_escaped(struct trace_text *text, struct bytes line, bool has_end,
                            const struct trace_word *words)
{
    while (line.size > 0) {
        uint8_t octet = take_octet(&line);
        if (octet == '\\')
            put_escape(text, &line, words);
        else
            trace_text_put_octet(text, octet);
    }
    if (has_end) trace_text_put(text, BYTES("\r\n"));
}
