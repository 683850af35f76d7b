#include "smtp/smtp_parameter.h"

#include "smtp/smtp_command.h"
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
static enum smtp_reply check_size(struct bytes value)
{
    if (value.size == 0 || value.size > SMTP_SIZE_DIGITS_MAX) return SMTP_REPLY_BAD_SIZE;
    for (uint64_t i = 0; i < value.size; i++)
        if (value.data[i] < '0' || value.data[i] > '9') return SMTP_REPLY_BAD_SIZE;
    return SMTP_REPLY_OK;
}

static uint64_t read_size(struct bytes value)
{
    uint64_t size;
    return bytes_to_number(value, &size) ? size : UINT64_MAX;
}

/* RFC 6152; BINARYMIME (RFC 3030 3) is a known value, but not offered here. */
static enum smtp_reply check_body(struct bytes value)
{
    if (bytes_equal_ignoring_case(value, BYTES("7BIT"))) return SMTP_REPLY_OK;
    if (bytes_equal_ignoring_case(value, BYTES("8BITMIME"))) return SMTP_REPLY_OK;
    bool is_binary = bytes_equal_ignoring_case(value, BYTES("BINARYMIME"));
    return is_binary ? SMTP_REPLY_UNKNOWN_PARAMETER : SMTP_REPLY_BAD_BODY;
}

static enum smtp_reply check_ret(struct bytes value)
{
    if (bytes_equal_ignoring_case(value, BYTES("FULL"))) return SMTP_REPLY_OK;
    if (bytes_equal_ignoring_case(value, BYTES("HDRS"))) return SMTP_REPLY_OK;
    return SMTP_REPLY_BAD_RET;
}

static enum smtp_reply check_envid(struct bytes value)
{
    return is_xtext(value) ? SMTP_REPLY_OK : SMTP_REPLY_BAD_ENVID;
}

static bool is_notify_word(struct bytes word)
{
    return bytes_equal_ignoring_case(word, BYTES("SUCCESS")) ||
           bytes_equal_ignoring_case(word, BYTES("FAILURE")) ||
           bytes_equal_ignoring_case(word, BYTES("DELAY"));
}

/* RFC 3461 4.1: NEVER alone, or a list of SUCCESS, FAILURE, DELAY. */
static enum smtp_reply check_notify(struct bytes value)
{
    if (bytes_equal_ignoring_case(value, BYTES("NEVER"))) return SMTP_REPLY_OK;
    while (is_notify_word(bytes_take(&value, bytes_find(value, ',')))) {
        if (value.size == 0) return SMTP_REPLY_OK;
        bytes_take(&value, 1);
    }
    return SMTP_REPLY_BAD_NOTIFY;
}

/* RFC 3461 4.2: addr-type ";" xtext. */
static enum smtp_reply check_orcpt(struct bytes value)
{
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
    enum smtp_reply (*check)(struct bytes value); /* of the value, empty if there is none */
};

#define ROW(keyword) (keyword), sizeof(keyword) - 1

static const struct parameter_row rows[] = {
    {ROW("SIZE"), SMTP_PARAMETER_OF_MAIL, check_size},
    {ROW("BODY"), SMTP_PARAMETER_OF_MAIL, check_body},
    {ROW("RET"), SMTP_PARAMETER_OF_MAIL, check_ret},
    {ROW("ENVID"), SMTP_PARAMETER_OF_MAIL, check_envid},
    {ROW("NOTIFY"), SMTP_PARAMETER_OF_RCPT, check_notify},
    {ROW("ORCPT"), SMTP_PARAMETER_OF_RCPT, check_orcpt},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define ROW_NONE  ROW_COUNT

static uint64_t find_row(struct bytes keyword, enum smtp_parameter_command command)
{
    for (uint64_t i = 0; i < ROW_COUNT; i++) {
        struct bytes name = bytes_make(rows[i].keyword, rows[i].keyword_size);
        if (rows[i].command == command && bytes_equal_ignoring_case(keyword, name)) return i;
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

static enum smtp_reply check_one(struct bytes text, enum smtp_parameter_command command,
                                 uint32_t *seen, struct smtp_parameters *parameters)
{
    struct bytes keyword = bytes_take(&text, bytes_find(text, '='));
    if (!is_keyword(keyword)) return SMTP_REPLY_BAD_PARAMETER;
    uint64_t row = find_row(keyword, command);
    if (row == ROW_NONE) return SMTP_REPLY_UNKNOWN_PARAMETER;
    if ((*seen & 1u << row) != 0) return SMTP_REPLY_BAD_PARAMETER;
    *seen |= 1u << row;
    if (text.size > 0) bytes_take(&text, 1);
    enum smtp_reply reply = rows[row].check(text);
    if (reply == SMTP_REPLY_OK && rows[row].check == check_size) parameters->size = read_size(text);
    return reply;
}

enum smtp_reply smtp_parameter_check(struct bytes text, enum smtp_parameter_command command,
                                     struct smtp_parameters *parameters)
{
    uint32_t seen = 0;
    parameters->size = 0;
    for (;;) {
        uint64_t size = 0;
        while (text.size > 0 && smtp_command_is_blank(text.data[0]))
            bytes_take(&text, 1);
        if (text.size == 0) return SMTP_REPLY_OK;
        while (size < text.size && !smtp_command_is_blank(text.data[size]))
            size++;
        enum smtp_reply reply = check_one(bytes_take(&text, size), command, &seen, parameters);
        if (reply != SMTP_REPLY_OK) return reply;
    }
}
