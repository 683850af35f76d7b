/*
 * Parameters of MAIL and RCPT: whether they pass depends on nothing but their set, and a second
 * reading of RFC 5321 4.1.2 agrees on which are known, given once, and what SIZE says.
 *
 * The first two octets choose the command and what is offered; the rest is the text.
 */
#include "fuzz/fuzz.h"

#include "smtp/smtp_config.h"
#include "smtp/smtp_parameter.h"

#include <stdlib.h>

#define CHOICES_SIZE 2
#define WORDS_MAX    64

struct word {
    struct bytes text;    /* KEYWORD[=value] */
    struct bytes keyword; /* up to the "="   */
    struct bytes value;   /* behind it       */
    bool has_equals;
};

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

static struct word make_word(struct bytes text)
{
    struct word word = {.text = text, .keyword = text};
    uint64_t equals = bytes_find(text, '=');
    word.has_equals = equals < text.size;
    word.keyword.size = equals;
    if (word.has_equals) word.value = bytes_make(text.data + equals + 1, text.size - equals - 1);
    return word;
}

/* Returns how many; WORDS_MAX + 1 if too many. */
static uint32_t split(struct bytes text, struct word *words)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < text.size;) {
        uint64_t end = i;
        while (end < text.size && !is_blank(text.data[end]))
            end++;
        if (end > i && count == WORDS_MAX) return WORDS_MAX + 1;
        if (end > i) words[count++] = make_word(bytes_make(text.data + i, end - i));
        i = end + 1;
    }
    return count;
}

/* What has to be offered for this parameter; 0: unknown to this command. */
static uint32_t offers_of(struct bytes keyword, bool is_mail)
{
    static const struct {
        const char *keyword;
        uint32_t offers;
        bool is_mail;
    } rows[] = {
        {"size", SMTP_OFFER(SIZE), true},
        {"body", SMTP_OFFER(8BITMIME) | SMTP_OFFER(BINARYMIME), true},
        {"smtputf8", SMTP_OFFER(SMTPUTF8), true},
        {"auth", SMTP_OFFER(AUTH), true},
        {"ret", SMTP_OFFER(DSN), true},
        {"envid", SMTP_OFFER(DSN), true},
        {"notify", SMTP_OFFER(DSN), false},
        {"orcpt", SMTP_OFFER(DSN), false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].is_mail == is_mail &&
            bytes_equal_ignoring_case(keyword, bytes_from_text(rows[i].keyword)))
            return rows[i].offers;
    return 0;
}

/* RFC 1870 3, 6.3: decimal digits, all of them, or the largest number there is. */
static uint64_t size_said(struct bytes value)
{
    uint64_t size = 0;
    CHECK(value.size >= 1 && value.size <= 20);
    for (uint64_t i = 0; i < value.size; i++) {
        CHECK(value.data[i] >= '0' && value.data[i] <= '9');
        uint64_t digit = value.data[i] - '0';
        if (size > (UINT64_MAX - digit) / 10) return UINT64_MAX;
        size = size * 10 + digit;
    }
    return size;
}

static bool is_one_of(struct bytes value, const char *a, const char *b, const char *c)
{
    return bytes_equal_ignoring_case(value, bytes_from_text(a)) ||
           bytes_equal_ignoring_case(value, bytes_from_text(b)) ||
           bytes_equal_ignoring_case(value, bytes_from_text(c));
}

static void check_value(const struct word *word, const struct smtp_parameters *parameters)
{
    if (bytes_equal_ignoring_case(word->keyword, BYTES("size")))
        CHECK(parameters->size == size_said(word->value));
    if (bytes_equal_ignoring_case(word->keyword, BYTES("body"))) {
        CHECK(is_one_of(word->value, "7bit", "8bitmime", "binarymime"));
        bool is_binary = bytes_equal_ignoring_case(word->value, BYTES("binarymime"));
        CHECK(parameters->is_binary == is_binary);
    }
    if (bytes_equal_ignoring_case(word->keyword, BYTES("ret")))
        CHECK(is_one_of(word->value, "full", "hdrs", "hdrs"));
    bool is_utf8 = bytes_equal_ignoring_case(word->keyword, BYTES("smtputf8"));
    CHECK(word->has_equals != is_utf8);
    if (is_utf8) CHECK(parameters->is_utf8);
    for (uint64_t i = 0; i < word->text.size; i++)
        CHECK(word->text.data[i] > ' ' && word->text.data[i] < 0x7f);
}

static void check_accepted(const struct word *words, uint32_t count, bool is_mail, uint32_t offers,
                           const struct smtp_parameters *parameters)
{
    bool has_size = false;
    for (uint32_t i = 0; i < count; i++) {
        CHECK((offers_of(words[i].keyword, is_mail) & offers) != 0);
        check_value(&words[i], parameters);
        if (bytes_equal_ignoring_case(words[i].keyword, BYTES("size"))) has_size = true;
        for (uint32_t k = 0; k < i; k++)
            CHECK(!bytes_equal_ignoring_case(words[i].keyword, words[k].keyword));
    }
    if (!has_size) CHECK(parameters->size == 0);
}

static enum smtp_reply ask(struct bytes text, bool is_mail, uint32_t offers,
                           struct smtp_parameters *parameters)
{
    return smtp_parameter_check(text, is_mail ? SMTP_PARAMETER_OF_MAIL : SMTP_PARAMETER_OF_RCPT,
                                offers, parameters);
}

/* The same words in the reverse order, with other blanks: accepted or not, as before. */
static void check_reversed(const struct word *words, uint32_t count, bool is_mail, uint32_t offers,
                           bool is_accepted)
{
    uint64_t size = 2;
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++)
        size += words[i].text.size + 2;
    uint8_t *text = malloc(size);
    CHECK(text != NULL);
    text[end++] = '\t';
    for (uint32_t i = count; i > 0; i--) {
        memcpy(text + end, words[i - 1].text.data, words[i - 1].text.size);
        end += words[i - 1].text.size;
        text[end++] = ' ';
        text[end++] = '\t';
    }
    struct smtp_parameters parameters;
    enum smtp_reply reply = ask(bytes_make(text, end), is_mail, offers, &parameters);
    CHECK((reply == SMTP_REPLY_OK) == is_accepted);
    free(text);
}

/* Each word alone passes: only their company can be wrong then, and that is a repetition. */
static bool is_each_accepted(const struct word *words, uint32_t count, bool is_mail,
                             uint32_t offers)
{
    for (uint32_t i = 0; i < count; i++) {
        struct smtp_parameters parameters;
        if (ask(words[i].text, is_mail, offers, &parameters) != SMTP_REPLY_OK) return false;
        for (uint32_t k = 0; k < i; k++)
            if (bytes_equal_ignoring_case(words[i].keyword, words[k].keyword)) return false;
    }
    return true;
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CHOICES_SIZE) return 0;
    struct word words[WORDS_MAX];
    struct smtp_parameters parameters;
    struct bytes text = bytes_make(data + CHOICES_SIZE, size - CHOICES_SIZE);
    bool is_mail = (data[0] & 1) == 0;
    uint32_t offers = SMTP_OFFERS_EVERY & ~(data[1] | (uint32_t)(data[0] >> 4) << 8);
    uint32_t count = split(text, words);
    if (count > WORDS_MAX) return 0;
    enum smtp_reply reply = ask(text, is_mail, offers, &parameters);
    bool is_accepted = reply == SMTP_REPLY_OK;
    CHECK(is_accepted == is_each_accepted(words, count, is_mail, offers));
    if (is_accepted) check_accepted(words, count, is_mail, offers, &parameters);
    check_reversed(words, count, is_mail, offers, is_accepted);
    return 0;
}
