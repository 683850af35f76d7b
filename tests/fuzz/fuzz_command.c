/* Any line is taken apart as a second, plainer reading of RFC 5321 4.1.1 takes it apart. */
#include "fuzz/fuzz.h"

#include "smtp/smtp_command.h"

#include <stdlib.h>

static bool is_blank(uint8_t octet)
{
    return octet == 0x20 || octet == 0x09;
}

static uint8_t lower(uint8_t octet)
{
    return octet >= 'A' && octet <= 'Z' ? (uint8_t)(octet - 'A' + 'a') : octet;
}

static bool is_letter(uint8_t octet)
{
    return lower(octet) >= 'a' && lower(octet) <= 'z';
}

/* The same octets at the same place: a view, not a copy. */
static void check_view(struct bytes view, struct bytes line, uint64_t start, uint64_t end)
{
    CHECK(view.size == end - start);
    if (view.size > 0) CHECK(view.data == line.data + start);
}

/* Of letters alone, the key is the verb's first four without regard to case. */
static void check_key(const struct smtp_command *command)
{
    uint8_t octets[4] = {' ', ' ', ' ', ' '};
    for (uint64_t i = 0; i < 4 && i < command->verb.size; i++) {
        if (!is_letter(command->verb.data[i])) return;
        octets[i] = lower(command->verb.data[i]);
    }
    CHECK(command->key == SMTP_COMMAND_KEY(octets[0], octets[1], octets[2], octets[3]));
}

static void check_rest(const struct smtp_command *command)
{
    uint8_t flipped[4096];
    uint64_t size = command->verb.size < 4 ? 0 : command->verb.size - 4;
    if (size > sizeof(flipped)) return;
    for (uint64_t i = 0; i < size; i++) {
        uint8_t octet = command->verb.data[4 + i];
        flipped[i] = is_letter(octet) ? octet ^ 0x20 : octet;
    }
    CHECK(smtp_command_has_rest(command, bytes_make(flipped, size)));
    if (size == 0) return;
    CHECK(!smtp_command_has_rest(command, bytes_make(flipped, size - 1)));
    flipped[size - 1] ^= 0x01;
    bool is_same_letter = lower(flipped[size - 1]) == lower(command->verb.data[3 + size]);
    CHECK(smtp_command_has_rest(command, bytes_make(flipped, size)) == is_same_letter);
}

static void check_keyword(struct bytes argument)
{
    struct bytes text = argument;
    bool is_there = argument.size >= 5;
    for (uint64_t i = 0; is_there && i < 5; i++)
        is_there = lower(argument.data[i]) == (uint8_t) "from:"[i];
    CHECK(smtp_command_take_keyword(&text, BYTES("FROM:")) == is_there);
    CHECK(text.size == argument.size - (is_there ? 5 : 0));
}

/* `line` without its end. */
static void check_parse(struct bytes line)
{
    uint64_t verb_end = 0;
    uint64_t end = line.size;
    while (verb_end < line.size && !is_blank(line.data[verb_end]))
        verb_end++;
    uint64_t start = verb_end;
    while (start < line.size && is_blank(line.data[start]))
        start++;
    while (end > start && is_blank(line.data[end - 1]))
        end--;
    struct smtp_command command = smtp_command_parse(line);
    check_view(command.verb, line, 0, verb_end);
    check_view(command.argument, line, start, end);
    check_key(&command);
    check_rest(&command);
    check_keyword(command.argument);
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_make(data, size);
    while (input.size > 0) {
        uint64_t found = bytes_find(input, '\n');
        if (found == input.size) break;
        struct bytes line = bytes_take(&input, found + 1);
        bool has_cr = found > 0 && line.data[found - 1] == '\r';
        struct bytes stripped = line;
        CHECK(smtp_command_strip_line(&stripped) == has_cr);
        CHECK(stripped.data == line.data);
        CHECK(stripped.size == found - (has_cr ? 1 : 0));
        check_parse(stripped);
    }
    check_parse(input);
    return 0;
}
