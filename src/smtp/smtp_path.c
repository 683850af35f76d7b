#include "smtp/smtp_path.h"

#include "smtp/smtp_command.h"
#include "smtp/smtp_limits.h"

#include <arpa/inet.h>

enum octet_class {
    CLASS_DOTTED = 1,   /* atext and "." (RFC 5321 4.1.2, Dot-string)            */
    CLASS_LENIENT = 2,  /* printable, but no delimiter: "<>@ and so on           */
    CLASS_LDH = 4,      /* letters, digits, "-", "." (sub-domain)                */
    CLASS_DOMAIN = 8,   /* the same and "_"                                      */
    CLASS_LITERAL = 16, /* dcontent: printable but for [ \ ]                     */
    CLASS_QUOTED = 32,  /* qtextSMTP: printable and SP but for " and \           */
    CLASS_ROUTE = 64,   /* domains, "@" and "," (A-d-l)                          */
};

/* What is not named has no class. test_smtp_path computes every entry anew. */
static const uint8_t classes[256] = {
    /* clang-format off */
    [' '] =
    0x20, 0x33, 0x10, 0x33, 0x33, 0x33, 0x33, 0x33, 0x30, 0x30, 0x33, 0x33, 0x70, 0x7f, 0x7f, 0x33, /* SP to / */
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

static bool starts_with(struct bytes text, uint8_t octet)
{
    return text.size > 0 && text.data[0] == octet;
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

/* Takes the longest run of one class. RFC 6531 3.3 adds UTF-8 to local parts and domains. */
static struct bytes take_run(struct bytes *text, enum octet_class wanted)
{
    uint64_t size = 0;
    uint64_t step = 0;
    do {
        size += step;
        while (size < text->size && octet_is(text->data[size], wanted))
            size++;
        if (size == text->size || text->data[size] < 0x80 || wanted == CLASS_LITERAL) break;
        step = utf8_size(text->data + size, text->size - size);
    } while (step > 0);
    return bytes_take(text, size);
}

static bool is_ascii(struct bytes text)
{
    uint64_t every = 0;
    for (; text.size >= sizeof(every); bytes_take(&text, sizeof(every))) {
        uint64_t eight;
        memcpy(&eight, text.data, sizeof(eight));
        every |= eight;
    }
    for (uint64_t i = 0; i < text.size; i++)
        every |= text.data[i];
    return (every & 0x8080808080808080) == 0;
}

/* A dot first, last (unless allowed), or next to another? */
static bool has_stray_dot(struct bytes text, bool may_end_in_dot)
{
    bool was_dot = true;
    for (uint64_t i = 0; i < text.size; i++) {
        bool is_dot = text.data[i] == '.';
        if (is_dot && was_dot) return true;
        was_dot = is_dot;
    }
    return was_dot && !may_end_in_dot;
}

/* RFC 5321 4.1.2: a sub-domain begins and ends with a letter or digit. */
static bool has_stray_hyphen(struct bytes domain)
{
    for (uint64_t i = 0; i < domain.size; i++) {
        if (domain.data[i] != '-') continue;
        if (i == 0 || domain.data[i - 1] == '.') return true;
        if (i + 1 == domain.size || domain.data[i + 1] == '.') return true;
    }
    return false;
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
    struct bytes run = text;
    if (text.size == 0 || text.data[text.size - 1] == '-') return false;
    return bytes_find(text, '.') == text.size && is_ascii(text) &&
           take_run(&run, CLASS_LDH).size == text.size;
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

static bool take_literal(struct bytes *text, bool is_strict)
{
    bytes_take(text, 1);
    struct bytes inside = take_run(text, CLASS_LITERAL);
    if (inside.size == 0 || !starts_with(*text, ']')) return false;
    bytes_take(text, 1);
    return !is_strict || is_literal(inside);
}

static bool take_domain(struct bytes *text, bool is_strict)
{
    if (starts_with(*text, '[')) return take_literal(text, is_strict);
    struct bytes domain = take_run(text, is_strict ? CLASS_LDH : CLASS_DOMAIN);
    if (has_stray_dot(domain, !is_strict && domain.size > 1)) return false;
    return !is_strict || (domain.size <= SMTP_DOMAIN_MAX && !has_stray_hyphen(domain));
}

/* RFC 5321 4.1.2, Quoted-string; a backslash quotes any printable octet or SP. */
static bool take_quoted(struct bytes *text)
{
    bytes_take(text, 1);
    for (;;) {
        take_run(text, CLASS_QUOTED);
        if (starts_with(*text, '"')) break;
        if (!starts_with(*text, '\\') || text->size < 2) return false;
        if (text->data[1] < ' ' || text->data[1] > '~') return false;
        bytes_take(text, 2);
    }
    bytes_take(text, 1);
    return true;
}

static bool take_local_part(struct bytes *text, bool is_strict)
{
    struct bytes start = *text;
    if (starts_with(*text, '"')) {
        if (!take_quoted(text)) return false;
    } else {
        struct bytes run = take_run(text, is_strict ? CLASS_DOTTED : CLASS_LENIENT);
        if (run.size == 0) return false;
        if (is_strict && has_stray_dot(run, false)) return false;
    }
    return !is_strict || start.size - text->size <= SMTP_LOCAL_PART_MAX;
}

/* RFC 5321 4.1.1.3 has Postmaster without a domain; a lenient server takes any local part so. */
static bool take_mailbox(struct bytes *text, bool is_strict)
{
    struct bytes start = *text;
    if (!take_local_part(text, is_strict)) return false;
    if (starts_with(*text, '@')) {
        bytes_take(text, 1);
        return take_domain(text, is_strict);
    }
    struct bytes local_part = bytes_make(start.data, start.size - text->size);
    return !is_strict || bytes_equal_ignoring_case(local_part, BYTES("postmaster"));
}

/* RFC 5321 appendix C: "@one,@two:" must be accepted and should be ignored. */
static bool take_route(struct bytes *text)
{
    while (!starts_with(*text, ':')) {
        if (starts_with(*text, '[')) {
            if (!take_literal(text, false)) return false;
        } else if (take_run(text, CLASS_ROUTE).size == 0) {
            return false;
        }
    }
    bytes_take(text, 1);
    return true;
}

static bool is_at_blank_or_end(struct bytes text)
{
    return text.size == 0 || smtp_command_is_blank(text.data[0]);
}

static bool take_bare(struct bytes *text, struct bytes *path)
{
    struct bytes start = *text;
    if (!take_mailbox(text, false)) return false;
    *path = bytes_make(start.data, start.size - text->size);
    return is_at_blank_or_end(*text);
}

static bool take_bracketed(struct bytes *text, bool is_strict, struct bytes *path)
{
    if (starts_with(*text, '@') && !take_route(text)) return false;
    struct bytes start = *text;
    if (!take_mailbox(text, is_strict)) return false;
    *path = bytes_make(start.data, start.size - text->size);
    if (is_strict && path->size + 2 > SMTP_PATH_MAX) return false;
    if (!starts_with(*text, '>')) return false;
    bytes_take(text, 1);
    return is_at_blank_or_end(*text);
}

static enum smtp_path_kind kind_of(bool is_mailbox, struct bytes path)
{
    if (!is_mailbox) return SMTP_PATH_MALFORMED;
    return is_ascii(path) ? SMTP_PATH_MAILBOX : SMTP_PATH_UTF8;
}

enum smtp_path_kind smtp_path_take(struct bytes *text, bool is_strict, struct bytes *path)
{
    while (!is_strict && text->size > 0 && smtp_command_is_blank(text->data[0]))
        bytes_take(text, 1);
    *path = bytes_make(NULL, 0);
    if (text->size == 0) return SMTP_PATH_MISSING;
    if (!starts_with(*text, '<')) {
        if (is_strict) return SMTP_PATH_MALFORMED;
        return kind_of(take_bare(text, path), *path);
    }
    bytes_take(text, 1);
    if (starts_with(*text, '>')) {
        bytes_take(text, 1);
        return is_at_blank_or_end(*text) ? SMTP_PATH_NULL : SMTP_PATH_MALFORMED;
    }
    return kind_of(take_bracketed(text, is_strict, path), *path);
}

bool smtp_path_is_domain(struct bytes text, bool is_strict)
{
    return take_domain(&text, is_strict) && text.size == 0;
}
