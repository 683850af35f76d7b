#include "smtp/smtp_config.h"

#include "smtp/smtp_reply.h"

static struct bytes take_reply(struct smtp_replies *text, uint32_t start)
{
    CHECK(text->size - start <= SMTP_REPLY_MAX);
    return bytes_make(text->data + start, text->size - start);
}

/* "code", hostname, "rest" as one reply. */
static struct bytes put_named(struct smtp_replies *text, struct bytes code, struct bytes hostname,
                              struct bytes rest)
{
    uint32_t start = text->size;
    smtp_replies_put_bytes(text, code);
    smtp_replies_put_bytes(text, hostname);
    smtp_replies_put_bytes(text, rest);
    return take_reply(text, start);
}

/* RFC 1870 3: SIZE 0 says that there is no fixed limit. */
static struct bytes put_ehlo(struct smtp_replies *text, const struct smtp_config *config)
{
    uint32_t start = text->size;
    uint8_t digits[SMTP_SIZE_DIGITS_MAX];
    smtp_replies_put_bytes(text, BYTES("250-"));
    smtp_replies_put_bytes(text, config->hostname);
    smtp_replies_put_bytes(text, BYTES("\r\n250-PIPELINING\r\n250-SIZE "));
    smtp_replies_put_bytes(text, bytes_make(digits, bytes_put_number(digits, config->size_limit)));
    smtp_replies_put_bytes(text, BYTES("\r\n"
                                       "250-VRFY\r\n"
                                       "250-ETRN\r\n"
                                       "250-ENHANCEDSTATUSCODES\r\n"
                                       "250-8BITMIME\r\n"
                                       "250-DSN\r\n"
                                       "250 HELP\r\n"));
    return take_reply(text, start);
}

void smtp_config_prepare(struct smtp_config *config, uint8_t *text)
{
    CHECK(config->hostname.size > 0);
    CHECK(config->hostname.size <= SMTP_DOMAIN_MAX);
    CHECK(config->recipients_max > 0);
    CHECK(config->bad_commands_max < UINT16_MAX);
    if (config->bad_commands_max == 0) config->bad_commands_max = SMTP_BAD_COMMANDS_MAX;

    struct smtp_replies written = {.data = text, .capacity = SMTP_CONFIG_TEXT_SIZE};
    config->greeting_reply =
        put_named(&written, BYTES("220 "), config->hostname, BYTES(" ESMTP ringsink\r\n"));
    config->helo_reply = put_named(&written, BYTES("250 "), config->hostname, BYTES("\r\n"));
    config->ehlo_reply = put_ehlo(&written, config);
}
