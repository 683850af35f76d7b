#include "smtp/smtp_path.h"

#include "smtp/smtp_command.h"
#include "smtp/smtp_limits.h"
#include "smtp/smtp_plain_path.h"

#include <arpa/inet.h>

enum octet_class {
    CLASS_DOTTED = 1,   /* atext and "." (RFC 5321 4.1.2, Dot-string)            */
    CLASS_LENIENT = 2,  /* printable, but no delimiter: "<>@ and so on           */
    CLASS_LDH = 4,      /* letters, digits, "-" (sub-domain)                     */
    CLASS_LABEL = 8,    /* the same and "_"                                      */
    CLASS_LITERAL = 16, /* dcontent: printable but for [ \ ]                     */
    CLASS_QUOTED = 32,  /* qtextSMTP: printable and SP but for " and \           */
    CLASS_ROUTE = 64,   /* domains, "@" and "," (A-d-l)                          */
};

/* What is not named has no class. test_smtp_path computes every entry anew. */
static const uint8_t classes[256] = {
    /* clang-format off */
    [' '] =
    0x20, 0x33, 0x10, 0x33, 0x33, 0x33, 0x33, 0x33, 0x30, 0x30, 0x33, 0x33, 0x70, 0x7f, 0x73, 0x33, /* SP to / */
    0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x32, 0x30, 0x30, 0x33, 0x30, 0x33, /* 0 to ? */
    0x70, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, /* @ to O */
    0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x20, 0x00, 0x20, 0x33, 0x7b, /* P to _ */
    0x33, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, /* ` to o */
    0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x33, 0x33, 0x33, 0x33, 0x00, /* p to DEL */
    /* clang-format on */
};

static bool octet_is(uint8_t octet, enum octet_class wanted)
{
    return (classes[octet] & wanted) != 0;
}

/* Does `octet` stand there? */
static bool is_at(const uint8_t *at, const uint8_t *end, uint8_t octet)
{
    return at < end && *at == octet;
}

/* RFC 3629 4: octets of the character of more than one octet that `text` starts with, or 0. */
static uint64_t utf8_size(const uint8_t *text, uint64_t left)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high, size;
    } forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (uint32_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (text[0] < forms[i].first_low || text[0] > forms[i].first_high) continue;
        if (left < forms[i].size) return 0;
        if (text[1] < forms[i].second_low || text[1] > forms[i].second_high) return 0;
        for (uint8_t k = 2; k < forms[i].size; k++)
            if ((text[k] & 0xC0) != 0x80) return 0;
        return forms[i].size;
    }
    return 0;
}

/* What follows skips a part of the grammar: the position behind it, or NULL where it is none. */

/* RFC 6531 3.3 adds UTF-8 to local parts and domains. */
RARE static const uint8_t *skip_run_utf8(const uint8_t *at, const uint8_t *end,
                                         enum octet_class wanted)
{
    uint64_t step = 0;
    do {
        at += step;
        while (at < end && octet_is(*at, wanted))
            at++;
        if (at == end) break;
        step = utf8_size(at, (uint64_t)(end - at));
    } while (step > 0);
    return at;
}

/* The longest run of one class, which may be none. */
static inline const uint8_t *skip_run(const uint8_t *at, const uint8_t *end,
                                      enum octet_class wanted)
{
    while (at < end && octet_is(*at, wanted))
        at++;
    bool has_utf8 = at < end && *at >= 0x80 && wanted != CLASS_LITERAL;
    return has_utf8 ? skip_run_utf8(at, end, wanted) : at;
}

/* By eight octets; the last eight may overlap those before. */
static bool is_ascii(struct bytes text)
{
    uint64_t every = 0;
    uint64_t eight = 0;
    for (uint64_t i = 0; i + sizeof(eight) < text.size; i += sizeof(eight)) {
        memcpy(&eight, text.data + i, sizeof(eight));
        every |= eight;
    }
    if (text.size >= sizeof(eight))
        memcpy(&eight, text.data + text.size - sizeof(eight), sizeof(eight));
    else
        for (uint64_t i = 0; i < text.size; i++)
            every |= text.data[i];
    return ((every | eight) & 0x8080808080808080) == 0;
}

/* A dot first, last, or next to another? */
static bool has_stray_dot(const uint8_t *at, const uint8_t *end)
{
    bool was_dot = true;
    for (; at < end; at++) {
        bool is_dot = *at == '.';
        if (is_dot && was_dot) return true;
        was_dot = is_dot;
    }
    return was_dot;
}

static bool is_address(int family, struct bytes digits)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t address[sizeof(struct in6_addr)];
    if (digits.size == 0 || digits.size >= sizeof(text)) return false;
    memcpy(text, digits.data, digits.size);
    text[digits.size] = '\0';
    return inet_pton(family, text, address) == 1;
}

/* RFC 5321 4.1.3: a Standardized-tag is an Ldh-str: no dot, no hyphen at its end. */
static bool is_tag(struct bytes text)
{
    const uint8_t *end = text.data + text.size;
    if (text.size == 0 || end[-1] == '-') return false;
    return is_ascii(text) && skip_run(text.data, end, CLASS_LDH) == end;
}

/* RFC 5321 4.1.3: IPv4, IPv6 behind its tag, or any other tag with something behind it. */
static bool is_literal(struct bytes inside)
{
    if (smtp_command_take_keyword(&inside, BYTES("IPv6:"))) return is_address(AF_INET6, inside);
    if (is_address(AF_INET, inside)) return true;
    uint64_t colon = bytes_find(inside, ':');
    struct bytes tag = bytes_take(&inside, colon);
    return inside.size > 1 && is_tag(tag);
}

/* From its bracket on. */
RARE static const uint8_t *skip_literal(const uint8_t *at, const uint8_t *end, bool is_strict)
{
    const uint8_t *inside = at + 1;
    at = skip_run(inside, end, CLASS_LITERAL);
    if (at == inside || !is_at(at, end, ']')) return NULL;
    if (is_strict && !is_literal(bytes_make(inside, (uint64_t)(at - inside)))) return NULL;
    return at + 1;
}

/*
 * RFC 5321 4.1.2: sub-domains with dots between, each beginning and ending with a letter or digit.
 * A lenient server asks less of hyphens and lets a domain end in a dot.
 */
static inline const uint8_t *skip_domain(const uint8_t *at, const uint8_t *end, bool is_strict)
{
    const uint8_t *start = at;
    if (is_at(at, end, '[')) return skip_literal(at, end, is_strict);
    for (;;) {
        const uint8_t *label = at;
        at = skip_run(at, end, is_strict ? CLASS_LDH : CLASS_LABEL);
        if (at == label) return is_strict || at == start ? NULL : at;
        if (is_strict && (label[0] == '-' || at[-1] == '-')) return NULL;
        if (!is_at(at, end, '.')) break;
        at++;
    }
    return is_strict && at - start > SMTP_DOMAIN_MAX ? NULL : at;
}

/* RFC 5321 4.1.2, Quoted-string, from its first quote on; a backslash quotes a printable or SP. */
RARE static const uint8_t *skip_quoted(const uint8_t *at, const uint8_t *end)
{
    at++;
    for (;;) {
        at = skip_run(at, end, CLASS_QUOTED);
        if (is_at(at, end, '"')) return at + 1;
        if (!is_at(at, end, '\\') || end - at < 2) return NULL;
        if (at[1] < ' ' || at[1] > '~') return NULL;
        at += 2;
    }
}

static inline const uint8_t *skip_local_part(const uint8_t *at, const uint8_t *end, bool is_strict)
{
    const uint8_t *start = at;
    if (is_at(at, end, '"')) {
        at = skip_quoted(at, end);
        if (at == NULL) return NULL;
    } else {
        at = skip_run(at, end, is_strict ? CLASS_DOTTED : CLASS_LENIENT);
        if (at == start) return NULL;
        if (is_strict && has_stray_dot(start, at)) return NULL;
    }
    return is_strict && at - start > SMTP_LOCAL_PART_MAX ? NULL : at;
}

/* RFC 5321 4.1.1.3 has Postmaster without a domain; a lenient server takes any local part so. */
static inline const uint8_t *skip_mailbox(const uint8_t *at, const uint8_t *end, bool is_strict)
{
    const uint8_t *start = at;
    at = skip_local_part(at, end, is_strict);
    if (at == NULL) return NULL;
    if (is_at(at, end, '@')) return skip_domain(at + 1, end, is_strict);
    struct bytes local_part = bytes_make(start, (uint64_t)(at - start));
    bool may_stand_alone = !is_strict || bytes_equal_ignoring_case(local_part, BYTES("postmaster"));
    return may_stand_alone ? at : NULL;
}

/* RFC 5321 appendix C: "@one,@two:" must be accepted and should be ignored. */
RARE static const uint8_t *skip_route(const uint8_t *at, const uint8_t *end)
{
    while (at != NULL && !is_at(at, end, ':')) {
        const uint8_t *part = at;
        if (is_at(at, end, '['))
            at = skip_literal(at, end, false);
        else
            at = skip_run(at, end, CLASS_ROUTE);
        if (at == part) return NULL;
    }
    return at == NULL ? NULL : at + 1;
}

/* From behind the bracket to behind the other; the mailbox goes into `path`. */
static inline const uint8_t *skip_bracketed(const uint8_t *at, const uint8_t *end, bool is_strict,
                                            struct bytes *path)
{
    if (is_at(at, end, '@')) at = skip_route(at, end);
    if (at == NULL) return NULL;
    const uint8_t *start = at;
    at = skip_mailbox(at, end, is_strict);
    if (at == NULL || !is_at(at, end, '>')) return NULL;
    *path = bytes_make(start, (uint64_t)(at - start));
    if (is_strict && path->size + 2 > SMTP_PATH_MAX) return NULL;
    return at + 1;
}

RARE static const uint8_t *skip_bare(const uint8_t *at, const uint8_t *end, bool is_strict,
                                     struct bytes *path)
{
    const uint8_t *start = at;
    if (is_strict) return NULL;
    at = skip_mailbox(at, end, false);
    if (at != NULL) *path = bytes_make(start, (uint64_t)(at - start));
    return at;
}

static bool is_at_blank_or_end(const uint8_t *at, const uint8_t *end)
{
    return at == end || smtp_command_is_blank(*at);
}

/* By the grammar, octet by octet. */
RARE static enum smtp_path_kind take_any(struct bytes *text, bool is_strict, struct bytes *path)
{
    const uint8_t *at = text->data;
    const uint8_t *end = at + text->size;
    while (!is_strict && at < end && smtp_command_is_blank(*at))
        at++;
    if (at == end) return SMTP_PATH_MISSING;
    bool is_null = *at == '<' && is_at(at + 1, end, '>');
    if (is_null)
        at += 2;
    else if (*at == '<')
        at = skip_bracketed(at + 1, end, is_strict, path);
    else
        at = skip_bare(at, end, is_strict, path);
    if (at == NULL || !is_at_blank_or_end(at, end)) return SMTP_PATH_MALFORMED;
    bytes_take(text, (uint64_t)(at - text->data));
    if (is_null) return SMTP_PATH_NULL;
    return is_ascii(*path) ? SMTP_PATH_MAILBOX : SMTP_PATH_UTF8;
}

enum smtp_path_kind smtp_path_take(struct bytes *text, bool is_strict, struct bytes *path)
{
    uint64_t size = is_strict ? 0 : smtp_plain_path_size(*text);
    bool is_plain = size > 0 && is_at_blank_or_end(text->data + size, text->data + text->size);
    if (!is_plain) {
        *path = bytes_make(NULL, 0);
        return take_any(text, is_strict, path);
    }
    struct bytes taken = bytes_take(text, size);
    *path = bytes_make(taken.data + 1, size - 2);
    return SMTP_PATH_MAILBOX;
}

bool smtp_path_is_domain(struct bytes text, bool is_strict)
{
    const uint8_t *end = text.data + text.size;
    return skip_domain(text.data, end, is_strict) == end;
}
