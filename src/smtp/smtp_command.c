#include "smtp/smtp_command.h"

/* Bit 0x20 is the case of a letter; no octet but the two cases of a letter becomes that letter. */
static uint32_t make_key(struct bytes verb)
{
    uint8_t octets[4] = {' ', ' ', ' ', ' '};
    if (verb.size >= sizeof(octets))
        memcpy(octets, verb.data, sizeof(octets));
    else if (verb.size > 0)
        memcpy(octets, verb.data, verb.size);
    return SMTP_COMMAND_KEY(octets[0], octets[1], octets[2], octets[3]) | 0x20202020u;
}

bool smtp_command_strip_line(struct bytes *line)
{
    CHECK(line->size > 0);
    CHECK(line->data[line->size - 1] == '\n');
    line->size--;
    if (line->size == 0 || line->data[line->size - 1] != '\r') return false;
    line->size--;
    return true;
}

struct bytes smtp_command_trim(struct bytes text)
{
    while (text.size > 0 && smtp_command_is_blank(text.data[text.size - 1]))
        text.size--;
    while (text.size > 0 && smtp_command_is_blank(text.data[0]))
        bytes_take(&text, 1);
    return text;
}

struct smtp_command smtp_command_parse(struct bytes line)
{
    struct smtp_command command;
    command.verb = smtp_command_take_word(&line);
    command.argument = smtp_command_trim(line);
    command.key = make_key(command.verb);
    return command;
}

bool smtp_command_has_rest(const struct smtp_command *command, struct bytes rest)
{
    struct bytes found = command->verb;
    bytes_take(&found, found.size < 4 ? found.size : 4);
    return bytes_equal_ignoring_case(found, rest);
}

bool smtp_command_take_keyword(struct bytes *text, struct bytes keyword)
{
    if (text->size < keyword.size) return false;
    if (!bytes_equal_ignoring_case(bytes_make(text->data, keyword.size), keyword)) return false;
    bytes_take(text, keyword.size);
    return true;
}
