#include "smtp/smtp_command.h"

#define KEY_SIZE 4
/* Set in every letter, in no blank and no control. */
#define BIT_OF_LETTERS 0x40404040u
/* The case of a letter; no octet but the two cases of a letter becomes that letter. */
#define BIT_OF_CASE 0x20202020u

static uint32_t read_key(const uint8_t *octets)
{
    return SMTP_COMMAND_KEY(octets[0], octets[1], octets[2], octets[3]);
}

static uint32_t make_key(struct bytes verb)
{
    uint8_t octets[KEY_SIZE] = {' ', ' ', ' ', ' '};
    for (uint64_t i = 0; i < KEY_SIZE && i < verb.size; i++)
        octets[i] = verb.data[i];
    return read_key(octets) | BIT_OF_CASE;
}

/* Does the line begin with a verb of four letters, as most do? */
static bool has_short_verb(struct bytes line)
{
    if (line.size < KEY_SIZE || (read_key(line.data) & BIT_OF_LETTERS) != BIT_OF_LETTERS)
        return false;
    return line.size == KEY_SIZE || smtp_command_is_blank(line.data[KEY_SIZE]);
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
    if (has_short_verb(line)) {
        command.verb = bytes_take(&line, KEY_SIZE);
        command.key = read_key(command.verb.data) | BIT_OF_CASE;
    } else {
        command.verb = smtp_command_take_word(&line);
        command.key = make_key(command.verb);
    }
    command.argument = smtp_command_trim(line);
    return command;
}

bool smtp_command_has_rest(const struct smtp_command *command, struct bytes rest)
{
    if (command->verb.size <= KEY_SIZE) return rest.size == 0;
    struct bytes found = command->verb;
    bytes_take(&found, KEY_SIZE);
    return bytes_equal_ignoring_case(found, rest);
}
