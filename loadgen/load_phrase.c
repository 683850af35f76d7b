#include "loadgen/load_phrase.h"

#include <errno.h>
#include <stdlib.h>

#define NUMBER_MAX 20u /* digits */

int load_phrases_open(struct load_phrases *phrases, uint64_t size, uint64_t lines)
{
    /* An octet is at most one piece; CR LF may stand behind each line. */
    *phrases = (struct load_phrases){
        .pieces = calloc(size + lines, sizeof *phrases->pieces),
        .octets = malloc(size + 2 * lines),
    };
    if (phrases->pieces != NULL && phrases->octets != NULL) return 0;
    load_phrases_close(phrases);
    return -ENOMEM;
}

void load_phrases_close(struct load_phrases *phrases)
{
    free(phrases->pieces);
    free(phrases->octets);
    *phrases = (struct load_phrases){0};
}

struct bytes load_phrases_keep(struct load_phrases *phrases, struct bytes octets)
{
    uint8_t *kept = phrases->octets + phrases->octet_count;
    if (octets.size > 0) memcpy(kept, octets.data, octets.size);
    phrases->octet_count += octets.size;
    return bytes_make(kept, octets.size);
}

/* ---- reading ---- */

static struct load_piece *add_piece(struct load_phrases *phrases, struct load_phrase *phrase,
                                    enum load_piece_kind kind)
{
    struct load_piece *piece = &phrases->pieces[phrases->piece_count++];
    *piece = (struct load_piece){.kind = kind,
                                 .octets = bytes_make(phrases->octets + phrases->octet_count, 0)};
    phrase->piece_count++;
    return piece;
}

static void add_octet(struct load_phrases *phrases, struct load_phrase *phrase, uint8_t octet)
{
    bool goes_on = phrase->piece_count > 0 &&
                   phrases->pieces[phrases->piece_count - 1].kind == LOAD_PIECE_OCTETS;
    struct load_piece *piece = goes_on ? &phrases->pieces[phrases->piece_count - 1]
                                       : add_piece(phrases, phrase, LOAD_PIECE_OCTETS);
    phrases->octets[phrases->octet_count++] = octet;
    piece->octets.size++;
}

static int digit_of(uint8_t octet)
{
    if (octet >= '0' && octet <= '9') return octet - '0';
    octet |= 32;
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

/* What stands behind a backslash, which is taken already. */
static bool take_escape(struct load_phrases *phrases, struct load_phrase *phrase,
                        struct bytes *text)
{
    static const char names[] = "rn\\{";
    static const char octets[] = "\r\n\\{";
    uint8_t letter = text->size == 0 ? 0 : bytes_take(text, 1).data[0];
    const char *known = letter == 0 ? NULL : strchr(names, letter);

    if (known != NULL) {
        add_octet(phrases, phrase, (uint8_t)octets[known - names]);
        return true;
    }
    int high = letter == 'x' && text->size >= 2 ? digit_of(text->data[0]) : -1;
    int low = high < 0 ? -1 : digit_of(text->data[1]);
    if (low < 0) return false;
    (void)bytes_take(text, 2);
    add_octet(phrases, phrase, (uint8_t)(16 * high + low));
    return true;
}

/* {n} or {i}, whose brace is taken already. */
static bool take_number(struct load_phrases *phrases, struct load_phrase *phrase,
                        struct bytes *text)
{
    bool is_closed = text->size >= 2 && text->data[1] == '}';
    uint8_t letter = is_closed ? text->data[0] : 0;
    if (letter != 'n' && letter != 'i') return false;
    (void)bytes_take(text, 2);
    (void)add_piece(phrases, phrase, letter == 'n' ? LOAD_PIECE_SESSION : LOAD_PIECE_REPETITION);
    return true;
}

const char *load_phrase_read(struct load_phrases *phrases, struct bytes text,
                             struct load_phrase *phrase)
{
    *phrase = (struct load_phrase){.first_piece = phrases->piece_count};
    while (text.size > 0) {
        uint8_t octet = bytes_take(&text, 1).data[0];
        bool is_escape = octet == '\\';
        if (is_escape && text.size == 1 && text.data[0] == 'c')
            return phrase->piece_count > 0 ? NULL : "sends nothing";
        if (is_escape && !take_escape(phrases, phrase, &text))
            return "\\ stands before r, n, \\, {, xHH, or c at the end";
        if (octet == '{' && !take_number(phrases, phrase, &text))
            return "{ stands before n} or i}; as itself it is \\{";
        if (!is_escape && octet != '{') add_octet(phrases, phrase, octet);
    }
    add_octet(phrases, phrase, '\r');
    add_octet(phrases, phrase, '\n');
    return NULL;
}

/* ---- questions ---- */

static const struct load_piece *piece_of(const struct load_phrases *phrases,
                                         const struct load_phrase *phrase, uint32_t index)
{
    CHECK(index < phrase->piece_count);
    return &phrases->pieces[phrase->first_piece + index];
}

bool load_phrase_has(const struct load_phrases *phrases, const struct load_phrase *phrase,
                     enum load_piece_kind kind)
{
    for (uint32_t index = 0; index < phrase->piece_count; index++)
        if (piece_of(phrases, phrase, index)->kind == kind) return true;
    return false;
}

struct bytes load_phrase_beginning(const struct load_phrases *phrases,
                                   const struct load_phrase *phrase)
{
    return piece_of(phrases, phrase, 0)->octets;
}

bool load_phrase_ends_line(const struct load_phrases *phrases, const struct load_phrase *phrase)
{
    struct bytes octets = piece_of(phrases, phrase, phrase->piece_count - 1)->octets;
    return octets.size > 0 && octets.data[octets.size - 1] == '\n';
}

uint32_t load_phrase_size_max(const struct load_phrases *phrases, const struct load_phrase *phrase)
{
    uint64_t size = 0;
    for (uint32_t index = 0; index < phrase->piece_count; index++) {
        const struct load_piece *piece = piece_of(phrases, phrase, index);
        size += piece->kind == LOAD_PIECE_OCTETS ? piece->octets.size : NUMBER_MAX;
    }
    return (uint32_t)size;
}

uint32_t load_phrase_put(const struct load_phrases *phrases, const struct load_phrase *phrase,
                         uint64_t session, uint64_t repetition, uint8_t *out)
{
    uint8_t digits[NUMBER_MAX];
    uint64_t size = 0;
    for (uint32_t index = 0; index < phrase->piece_count; index++) {
        const struct load_piece *piece = piece_of(phrases, phrase, index);
        struct bytes octets = piece->octets;
        if (piece->kind != LOAD_PIECE_OCTETS) {
            uint64_t number = piece->kind == LOAD_PIECE_SESSION ? session : repetition;
            octets = bytes_make(digits, bytes_put_number(digits, number));
        }
        if (out != NULL) memcpy(out + size, octets.data, octets.size);
        size += octets.size;
    }
    return (uint32_t)size;
}
