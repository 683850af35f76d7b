#include "smtp/smtp_parameter.h"

#include "smtp/smtp_command.h"
#include "smtp/smtp_config.h"
#include "smtp/smtp_limits.h"

static bool is_hex(uint8_t octet)
{
    return (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'F');
}

/* RFC 3461 4: printable but for "+" and "=", or "+" and two upper-case hexadecimal digits. */
static bool is_xtext(struct bytes text)
{
    for (uint64_t i = 0; i < text.size; i++) {
        uint8_t octet = text.data[i];
        if (octet < '!' || octet > '~' || octet == '=') return false;
        if (octet != '+') continue;
        if (text.size - i < 3) return false;
        if (!is_hex(text.data[i + 1])) return false;
        if (!is_hex(text.data[i + 2])) return false;
        i += 2;
    }
    return text.size > 0;
}

/* RFC 1870 3: 1*20DIGIT. Twenty digits may pass 2^64: well formed, and past any limit. */
static enum smtp_reply check_size(struct bytes value, struct smtp_parameters *parameters)
{
    if (value.size == 0 || value.size > SMTP_SIZE_DIGITS_MAX) return SMTP_REPLY_BAD_SIZE;
    for (uint64_t i = 0; i < value.size; i++)
        if (value.data[i] < '0' || value.data[i] > '9') return SMTP_REPLY_BAD_SIZE;
    if (!bytes_to_number(value, &parameters->size)) parameters->size = UINT64_MAX;
    return SMTP_REPLY_OK;
}

/* RFC 6152 3, 3030 3. */
static enum smtp_reply check_body(struct bytes value, struct smtp_parameters *parameters)
{
    if (bytes_equal_ignoring_case(value, BYTES("7BIT"))) return SMTP_REPLY_OK;
    if (bytes_equal_ignoring_case(value, BYTES("8BITMIME"))) return SMTP_REPLY_OK;
    parameters->is_binary = bytes_equal_ignoring_case(value, BYTES("BINARYMIME"));
    return parameters->is_binary ? SMTP_REPLY_OK : SMTP_REPLY_BAD_BODY;
}

/* RFC 6531 3.4: no value; check_one() has seen to that. */
static enum smtp_reply check_utf8(struct bytes value, struct smtp_parameters *parameters)
{
    (void)value;
    parameters->is_utf8 = true;
    return SMTP_REPLY_OK;
}

/* RFC 4954 5: the mailbox that submitted it as xtext, or "<>" where that is unknown. */
static enum smtp_reply check_auth(struct bytes value, struct smtp_parameters *parameters)
{
    (void)parameters;
    if (bytes_equal(value, BYTES("<>"))) return SMTP_REPLY_OK;
    return is_xtext(value) ? SMTP_REPLY_OK : SMTP_REPLY_BAD_AUTH;
}

static enum smtp_reply check_ret(struct bytes value, struct smtp_parameters *parameters)
{
    (void)parameters;
    if (bytes_equal_ignoring_case(value, BYTES("FULL"))) return SMTP_REPLY_OK;
    if (bytes_equal_ignoring_case(value, BYTES("HDRS"))) return SMTP_REPLY_OK;
    return SMTP_REPLY_BAD_RET;
}

static enum smtp_reply check_envid(struct bytes value, struct smtp_parameters *parameters)
{
    (void)parameters;
    return is_xtext(value) ? SMTP_REPLY_OK : SMTP_REPLY_BAD_ENVID;
}

static bool is_notify_word(struct bytes word)
{
    return bytes_equal_ignoring_case(word, BYTES("SUCCESS")) ||
           bytes_equal_ignoring_case(word, BYTES("FAILURE")) ||
           bytes_equal_ignoring_case(word, BYTES("DELAY"));
}

/* RFC 3461 4.1: NEVER alone, or a list of SUCCESS, FAILURE, DELAY. */
static enum smtp_reply check_notify(struct bytes value, struct smtp_parameters *parameters)
{
    (void)parameters;
    if (bytes_equal_ignoring_case(value, BYTES("NEVER"))) return SMTP_REPLY_OK;
    while (is_notify_word(bytes_take(&value, bytes_find(value, ',')))) {
        if (value.size == 0) return SMTP_REPLY_OK;
        bytes_take(&value, 1);
    }
    return SMTP_REPLY_BAD_NOTIFY;
}

/* RFC 3461 4.2: addr-type ";" xtext. */
static enum smtp_reply check_orcpt(struct bytes value, struct smtp_parameters *parameters)
{
    (void)parameters;
    struct bytes type = bytes_take(&value, bytes_find(value, ';'));
    if (value.size == 0) return SMTP_REPLY_BAD_ORCPT;
    bytes_take(&value, 1);
    bool is_atom = bytes_find(type, '+') == type.size && is_xtext(type);
    return is_atom && is_xtext(value) ? SMTP_REPLY_OK : SMTP_REPLY_BAD_ORCPT;
}

struct parameter_row {
    const char *keyword;
    uint32_t keyword_size;
    enum smtp_parameter_command command;
    uint32_t offers; /* one of these must be offered */
    bool has_value;
    enum smtp_reply (*check)(struct bytes value, struct smtp_parameters *parameters);
};

#define ROW(keyword) (keyword), sizeof(keyword) - 1
#define OF_MAIL      SMTP_PARAMETER_OF_MAIL
#define OF_RCPT      SMTP_PARAMETER_OF_RCPT

static const struct parameter_row rows[] = {
    {ROW("SIZE"), OF_MAIL, SMTP_OFFER(SIZE), true, check_size},
    {ROW("BODY"), OF_MAIL, SMTP_OFFER(8BITMIME) | SMTP_OFFER(BINARYMIME), true, check_body},
    {ROW("SMTPUTF8"), OF_MAIL, SMTP_OFFER(SMTPUTF8), false, check_utf8},
    {ROW("AUTH"), OF_MAIL, SMTP_OFFER(AUTH), true, check_auth},
    {ROW("RET"), OF_MAIL, SMTP_OFFER(DSN), true, check_ret},
    {ROW("ENVID"), OF_MAIL, SMTP_OFFER(DSN), true, check_envid},
    {ROW("NOTIFY"), OF_RCPT, SMTP_OFFER(DSN), true, check_notify},
    {ROW("ORCPT"), OF_RCPT, SMTP_OFFER(DSN), true, check_orcpt},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define ROW_NONE  ROW_COUNT

/* What is asked of every parameter of one command. */
struct question {
    enum smtp_parameter_command command;
    uint32_t offers;
    uint32_t seen; /* bit n: row n was there */
};

static uint64_t find_row(struct bytes keyword, const struct question *question)
{
    for (uint64_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].keyword_size != keyword.size || rows[i].command != question->command) continue;
        if ((rows[i].offers & question->offers) == 0) continue;
        struct bytes name = bytes_make(rows[i].keyword, rows[i].keyword_size);
        if (bytes_equal_ignoring_case(keyword, name)) return i;
    }
    return ROW_NONE;
}

/* RFC 5321 4.1.2: esmtp-keyword. */
static bool is_keyword(struct bytes text)
{
    for (uint64_t i = 0; i < text.size; i++) {
        uint8_t octet = text.data[i];
        uint8_t lower = octet | 0x20;
        bool is_alphanumeric = (octet >= '0' && octet <= '9') || (lower >= 'a' && lower <= 'z');
        if (!is_alphanumeric && (octet != '-' || i == 0)) return false;
    }
    return text.size > 0;
}

static enum smtp_reply check_one(struct bytes text, struct question *question,
                                 struct smtp_parameters *parameters)
{
    struct bytes keyword = bytes_take(&text, bytes_find(text, '='));
    if (!is_keyword(keyword)) return SMTP_REPLY_BAD_PARAMETER;
    uint64_t row = find_row(keyword, question);
    if (row == ROW_NONE) return SMTP_REPLY_UNKNOWN_PARAMETER;
    if ((question->seen & 1u << row) != 0) return SMTP_REPLY_BAD_PARAMETER;
    question->seen |= 1u << row;
    if (!rows[row].has_value && text.size > 0) return SMTP_REPLY_BAD_PARAMETER;
    if (text.size > 0) bytes_take(&text, 1);
    return rows[row].check(text, parameters);
}

/* A value that is known, of an extension that is not offered. */
static bool is_beyond(const struct smtp_parameters *parameters, uint32_t offers)
{
    return parameters->is_binary && (offers & SMTP_OFFER(BINARYMIME)) == 0;
}

enum smtp_reply smtp_parameter_check(struct bytes text, enum smtp_parameter_command command,
                                     uint32_t offers, struct smtp_parameters *parameters)
{
    struct question question = {.command = command, .offers = offers};
    *parameters = (struct smtp_parameters){0};
    if (text.size == 0) return SMTP_REPLY_OK; /* as most have none */
    for (;;) {
        while (text.size > 0 && smtp_command_is_blank(text.data[0]))
            bytes_take(&text, 1);
        if (text.size == 0) break;
        enum smtp_reply reply = check_one(smtp_command_take_word(&text), &question, parameters);
        if (reply != SMTP_REPLY_OK) return reply;
    }
    return is_beyond(parameters, offers) ? SMTP_REPLY_UNKNOWN_PARAMETER : SMTP_REPLY_OK;
}
