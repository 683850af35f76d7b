/*
 * A path is taken as a second reading of RFC 5321 4.1.2 (strict) takes it; what strict takes,
 * lenient takes likewise; and what was taken as a mailbox is one again in brackets.
 */
#include "fuzz/fuzz.h"

#include "smtp/smtp_limits.h"
#include "smtp/smtp_path.h"

#include <arpa/inet.h>
#include <stdlib.h>

struct taken {
    enum smtp_path_kind kind;
    struct bytes path;
    struct bytes rest;
};

static struct taken take(struct bytes text, bool is_strict)
{
    struct taken taken = {.rest = text};
    taken.kind = smtp_path_take(&taken.rest, is_strict, &taken.path);
    return taken;
}

static bool is_mailbox(enum smtp_path_kind kind)
{
    return kind == SMTP_PATH_MAILBOX || kind == SMTP_PATH_UTF8;
}

static void check_taken(const struct taken *taken, struct bytes text)
{
    bool has_utf8 = false;
    if (taken->kind == SMTP_PATH_NULL) CHECK(taken->path.size == 0);
    if (!is_mailbox(taken->kind)) return;
    CHECK(taken->path.size > 0);
    CHECK(taken->path.data >= text.data);
    CHECK(taken->path.data + taken->path.size <= taken->rest.data);
    CHECK(taken->rest.data + taken->rest.size == text.data + text.size);
    if (taken->rest.size > 0) CHECK(taken->rest.data[0] == ' ' || taken->rest.data[0] == '\t');
    for (uint64_t i = 0; i < taken->path.size; i++) {
        CHECK(taken->path.data[i] >= ' ');
        CHECK(taken->path.data[i] != 0x7f);
        if (taken->path.data[i] >= 0x80) has_utf8 = true;
    }
    CHECK(has_utf8 == (taken->kind == SMTP_PATH_UTF8));
}

/* In brackets, whatever it stood in, it is the same mailbox. */
static void check_again(const struct taken *taken, bool is_strict)
{
    uint8_t *text = malloc(taken->path.size + 2);
    CHECK(text != NULL);
    text[0] = '<';
    memcpy(text + 1, taken->path.data, taken->path.size);
    text[taken->path.size + 1] = '>';
    struct taken again = take(bytes_make(text, taken->path.size + 2), is_strict);
    CHECK(again.kind == taken->kind);
    CHECK(again.rest.size == 0);
    CHECK(bytes_equal(again.path, taken->path));
    free(text);
}

/* ---- RFC 5321 4.1.2 and 4.1.3, read once more; ASCII only ---- */

static bool is_letter_or_digit(uint8_t octet)
{
    return (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'z') ||
           (octet >= 'A' && octet <= 'Z');
}

/* RFC 5322 3.2.3 */
static bool is_atext(uint8_t octet)
{
    return is_letter_or_digit(octet) ||
           (octet != 0 && strchr("!#$%&'*+-/=?^_`{|}~", octet) != NULL);
}

/* 1*atext *("." 1*atext) */
static bool is_dot_string(struct bytes text)
{
    for (uint64_t i = 0; i < text.size; i++) {
        if (is_atext(text.data[i])) continue;
        if (text.data[i] != '.' || i == 0 || i + 1 == text.size) return false;
        if (text.data[i - 1] == '.') return false;
    }
    return text.size > 0;
}

/* DQUOTE *(qtextSMTP / quoted-pairSMTP) DQUOTE: octets it takes at the front, or 0. */
static uint64_t quoted_size(struct bytes text)
{
    if (text.size == 0 || text.data[0] != '"') return 0;
    for (uint64_t i = 1; i < text.size; i++) {
        if (text.data[i] == '"') return i + 1;
        if (text.data[i] == '\\') i++;
        if (i < text.size && (text.data[i] < 32 || text.data[i] > 126)) return 0;
    }
    return 0;
}

/* Let-dig [Ldh-str], joined by single dots */
static bool is_domain_name(struct bytes text)
{
    for (uint64_t i = 0; i < text.size; i++) {
        uint8_t before = i == 0 ? '.' : text.data[i - 1];
        uint8_t behind = i + 1 == text.size ? '.' : text.data[i + 1];
        if (is_letter_or_digit(text.data[i])) continue;
        if (text.data[i] == '-' && before != '.' && behind != '.') continue;
        if (text.data[i] == '.' && before != '.' && i + 1 < text.size) continue;
        return false;
    }
    return text.size > 0 && text.size <= 255;
}

static bool is_general_literal(struct bytes inside)
{
    uint64_t colon = bytes_find(inside, ':');
    if (colon == 0 || colon + 1 >= inside.size) return false;
    if (inside.data[colon - 1] == '-') return false;
    for (uint64_t i = 0; i < colon; i++)
        if (!is_letter_or_digit(inside.data[i]) && inside.data[i] != '-') return false;
    for (uint64_t i = colon + 1; i < inside.size; i++) {
        uint8_t octet = inside.data[i];
        if (octet < 33 || octet > 126 || (octet >= '[' && octet <= ']')) return false;
    }
    return true;
}

static bool is_address_literal(struct bytes text)
{
    char inside[64] = {0};
    uint8_t address[16];
    if (text.size < 3 || text.data[0] != '[' || text.data[text.size - 1] != ']') return false;
    struct bytes view = bytes_make(text.data + 1, text.size - 2);
    bool is_short = view.size < sizeof(inside) && bytes_find(view, 0) == view.size;
    if (is_short) memcpy(inside, view.data, view.size);
    if (bytes_equal_ignoring_case(bytes_make(view.data, view.size < 5 ? view.size : 5),
                                  BYTES("ipv6:")))
        return is_short && inet_pton(AF_INET6, inside + 5, address) == 1;
    if (is_short && inet_pton(AF_INET, inside, address) == 1) return true;
    return is_general_literal(view);
}

static bool is_strict_mailbox(struct bytes text)
{
    uint64_t quoted = quoted_size(text);
    struct bytes local = bytes_take(&text, quoted > 0 ? quoted : bytes_find(text, '@'));
    if (local.size > 64 || (quoted == 0 && !is_dot_string(local))) return false;
    if (text.size == 0) return bytes_equal_ignoring_case(local, BYTES("postmaster"));
    if (text.data[0] != '@') return false;
    bytes_take(&text, 1);
    return is_domain_name(text) || is_address_literal(text);
}

/* Where a path in brackets ends: the first ">" in neither quotes nor a literal, or the size. */
static uint64_t bracket_end(struct bytes text)
{
    uint64_t i = 1 + quoted_size(bytes_make(text.data + 1, text.size - 1));
    while (i < text.size && text.data[i] != '>' && text.data[i] != '@')
        i++;
    if (i + 1 < text.size && text.data[i] == '@' && text.data[i + 1] == '[')
        while (i < text.size && text.data[i] != ']')
            i++;
    while (i < text.size && text.data[i] != '>')
        i++;
    return i;
}

/* Without source routes and UTF-8, which the second reading leaves out. */
static void check_grammar(struct bytes text, const struct taken *strict)
{
    if (text.size < 2 || text.data[0] != '<' || text.data[1] == '@') return;
    for (uint64_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x80) return;
    uint64_t end = bracket_end(text);
    if (end == text.size) {
        CHECK(!is_mailbox(strict->kind));
        return;
    }
    struct bytes inside = bytes_make(text.data + 1, end - 1);
    bool is_ended = end + 1 == text.size || text.data[end + 1] == ' ' || text.data[end + 1] == '\t';
    bool is_good = is_ended && end + 1 <= SMTP_PATH_MAX && is_strict_mailbox(inside);
    CHECK(is_good == (strict->kind == SMTP_PATH_MAILBOX));
    if (is_good) CHECK(bytes_equal(strict->path, inside));
    CHECK((strict->kind == SMTP_PATH_NULL) == (end == 1 && is_ended));
}

static void check_domain(struct bytes text)
{
    bool is_strict = smtp_path_is_domain(text, true);
    if (is_strict) CHECK(smtp_path_is_domain(text, false));
    for (uint64_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x80) return;
    CHECK(is_strict == (is_domain_name(text) || is_address_literal(text)));
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_make(data, size);
    struct taken strict = take(text, true);
    struct taken lenient = take(text, false);
    check_taken(&strict, text);
    check_taken(&lenient, text);
    check_grammar(text, &strict);
    check_domain(text);
    if (is_mailbox(lenient.kind)) check_again(&lenient, false);
    if (!is_mailbox(strict.kind)) return 0;
    check_again(&strict, true);
    CHECK(lenient.kind == strict.kind);
    CHECK(bytes_equal(lenient.path, strict.path));
    CHECK(lenient.rest.size == strict.rest.size);
    return 0;
}
