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
static void put_arguments(struct smtp_replies *text, const struct smtp_config *config,
                          enum smtp_extension extension)
{
    if (extension == SMTP_EXTENSION_AUTH) smtp_replies_put_bytes(text, BYTES(" PLAIN LOGIN"));
    if (extension != SMTP_EXTENSION_SIZE) return;
    uint8_t digits[SMTP_SIZE_DIGITS_MAX];
    uint64_t size = bytes_put_number(digits, config->size_limit);
    smtp_replies_put_bytes(text, BYTES(" "));
    smtp_replies_put_bytes(text, bytes_make(digits, size));
}

/* RFC 5321 4.1.1.1: the last line has a blank where the others have a hyphen. */
static struct bytes put_ehlo(struct smtp_replies *text, const struct smtp_config *config,
                             uint32_t offers)
{
    static const char *const keywords[] = {
#define SMTP_EXTENSION_KEYWORD(name, keyword) [SMTP_EXTENSION_##name] = (keyword),
        SMTP_EXTENSIONS(SMTP_EXTENSION_KEYWORD)
#undef SMTP_EXTENSION_KEYWORD
    };
    uint32_t start = text->size;
    uint32_t last_line = start;
    smtp_replies_put_bytes(text, BYTES("250-"));
    smtp_replies_put_bytes(text, config->hostname);
    for (uint32_t i = 0; i < SMTP_EXTENSION_COUNT; i++) {
        if ((offers & 1u << i) == 0) continue;
        smtp_replies_put_bytes(text, BYTES("\r\n"));
        last_line = text->size;
        smtp_replies_put_bytes(text, BYTES("250-"));
        smtp_replies_put_bytes(text, bytes_from_text(keywords[i]));
        put_arguments(text, config, (enum smtp_extension)i);
    }
    text->data[last_line + SMTP_REPLY_CODE_SIZE - 1] = ' ';
    smtp_replies_put_bytes(text, BYTES("\r\n"));
    return take_reply(text, start);
}

static struct bytes put_greeting(struct smtp_replies *text, const struct smtp_config *config)
{
    if (config->is_out_of_service) /* RFC 5321 3.1 */
        return put_named(text, BYTES("554 "), config->hostname, BYTES(" No SMTP service here\r\n"));
    return put_named(text, BYTES("220 "), config->hostname,
                     config->is_lmtp ? BYTES(" LMTP ringsink\r\n") : BYTES(" ESMTP ringsink\r\n"));
}

/* Those that an RFC bases on another extension only where that one is offered. */
static uint32_t offers_with_base(uint32_t offers)
{
    uint32_t left = offers;
    if ((offers & SMTP_OFFER(8BITMIME)) == 0) left &= ~SMTP_OFFER(SMTPUTF8);   /* RFC 6531 3.1 */
    if ((offers & SMTP_OFFER(CHUNKING)) == 0) left &= ~SMTP_OFFER(BINARYMIME); /* RFC 3030 3 */
    return left;
}

/* RFC 3207 4.2, RFC 4954 6: not what would be refused. */
static uint32_t offers_when(const struct smtp_config *config, bool is_secure)
{
    if (is_secure) return config->offers & ~SMTP_OFFER(STARTTLS);
    return config->is_auth_tls_required ? config->offers & ~SMTP_OFFER(AUTH) : config->offers;
}

void smtp_config_prepare(struct smtp_config *config, uint8_t *text)
{
    CHECK(config->hostname.size > 0);
    CHECK(config->hostname.size <= SMTP_DOMAIN_MAX);
    CHECK(config->recipients_max > 0);
    CHECK(config->bad_commands_max < UINT16_MAX);
    CHECK((config->offers & ~SMTP_OFFERS_EVERY) == 0);
    if (config->bad_commands_max == 0) config->bad_commands_max = SMTP_BAD_COMMANDS_MAX;
    config->offers = offers_with_base(config->offers);
    config->is_enhanced = (config->offers & SMTP_OFFER(ENHANCEDSTATUSCODES)) != 0;
    config->takes_plain = !config->is_strict && !config->is_out_of_service;
    config->is_inspecting = config->bare_newline != SMTP_BARE_KEEP || config->has_strict_lines;

    struct smtp_replies written = {.data = text, .capacity = SMTP_CONFIG_TEXT_SIZE};
    config->greeting_reply = put_greeting(&written, config);
    config->helo_reply = put_named(&written, BYTES("250 "), config->hostname, BYTES("\r\n"));
    for (int is_secure = 0; is_secure < 2; is_secure++) {
        config->offers_now[is_secure] = offers_when(config, is_secure);
        config->ehlo_replies[is_secure] = put_ehlo(&written, config, config->offers_now[is_secure]);
    }
}
