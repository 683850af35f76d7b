#include "smtp/smtp_plain_line.h"

#include "smtp/smtp_plain_path.h"

#define LINE_END_SIZE 2 /* CR LF */

static inline bool starts_with(struct bytes text, struct bytes literal)
{
    return text.size >= literal.size && memcmp(text.data, literal.data, literal.size) == 0;
}

/* `head_size` octets stand before the path. */
static struct smtp_plain_line read_path(enum smtp_plain_verb verb, struct bytes input,
                                        uint64_t head_size)
{
    struct smtp_plain_line nothing = {.verb = SMTP_PLAIN_NONE};
    struct bytes rest = bytes_make(input.data + head_size, input.size - head_size);
    uint64_t size = smtp_plain_path_size(rest);
    if (size == 0 || size + LINE_END_SIZE > rest.size) return nothing;
    if (rest.data[size] != '\r' || rest.data[size + 1] != '\n') return nothing;
    return (struct smtp_plain_line){
        .verb = verb,
        .line = bytes_make(input.data, head_size + size + LINE_END_SIZE),
        .path = bytes_make(rest.data + 1, size - 2),
    };
}

struct smtp_plain_line smtp_plain_line_read(struct bytes input)
{
    struct bytes mail = BYTES("MAIL FROM:");
    struct bytes rcpt = BYTES("RCPT TO:");
    struct bytes data = BYTES("DATA\r\n");
    if (starts_with(input, rcpt)) return read_path(SMTP_PLAIN_RCPT, input, rcpt.size);
    if (starts_with(input, mail)) return read_path(SMTP_PLAIN_MAIL, input, mail.size);
    if (starts_with(input, data))
        return (struct smtp_plain_line){.verb = SMTP_PLAIN_DATA,
                                        .line = bytes_make(input.data, data.size)};
    return (struct smtp_plain_line){.verb = SMTP_PLAIN_NONE};
}
