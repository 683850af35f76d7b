#include "smtp/smtp_config.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_view(struct bytes view, const char *text)
{
    assert_int_equal(view.size, strlen(text));
    assert_memory_equal(view.data, text, view.size);
}

#define TO_8BITMIME                                                                                \
    "250-sink\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-VRFY\r\n250-ETRN\r\n"                  \
    "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
#define FROM_DSN "250-DSN\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"

enum { IN_PLAIN, SECURE };

static void test_replies(void **state)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    struct smtp_config config = {.hostname = BYTES("sink"),
                                 .size_limit = 52428800,
                                 .recipients_max = 1,
                                 .offers = SMTP_OFFERS_EVERY};
    (void)state;
    smtp_config_prepare(&config, text);
    assert_view(config.greeting_reply, "220 sink ESMTP ringsink\r\n");
    assert_view(config.helo_reply, "250 sink\r\n");
    assert_view(config.ehlo_replies[IN_PLAIN],
                TO_8BITMIME FROM_DSN "250-AUTH PLAIN LOGIN\r\n250-HELP\r\n250 STARTTLS\r\n");
    assert_view(config.ehlo_replies[SECURE],
                TO_8BITMIME FROM_DSN "250-AUTH PLAIN LOGIN\r\n250 HELP\r\n");
    assert_int_equal(config.bad_commands_max, SMTP_BAD_COMMANDS_MAX);
    assert_true(config.is_enhanced);
    assert_false(config.is_inspecting);
}

static void test_few_or_no_extensions(void **state)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    struct smtp_config config = {.hostname = BYTES("sink"),
                                 .recipients_max = 1,
                                 .offers = SMTP_OFFER(SIZE) | SMTP_OFFER(BINARYMIME)};
    (void)state;
    smtp_config_prepare(&config, text); /* no BINARYMIME without CHUNKING */
    assert_view(config.ehlo_replies[IN_PLAIN], "250-sink\r\n250 SIZE 0\r\n");
    assert_view(config.ehlo_replies[SECURE], "250-sink\r\n250 SIZE 0\r\n");
    assert_false(config.is_enhanced);
    config.offers = 0;
    smtp_config_prepare(&config, text);
    assert_view(config.ehlo_replies[IN_PLAIN], "250 sink\r\n");
    assert_view(config.ehlo_replies[SECURE], "250 sink\r\n");
}

/* RFC 3207 4.2, RFC 4954 6: what would be refused is not offered. */
static void test_inside_and_outside_of_tls(void **state)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    struct smtp_config config = {.hostname = BYTES("sink"),
                                 .recipients_max = 1,
                                 .offers = SMTP_OFFER(AUTH) | SMTP_OFFER(STARTTLS),
                                 .is_auth_tls_required = true};
    (void)state;
    smtp_config_prepare(&config, text);
    assert_view(config.ehlo_replies[IN_PLAIN], "250-sink\r\n250 STARTTLS\r\n");
    assert_view(config.ehlo_replies[SECURE], "250-sink\r\n250 AUTH PLAIN LOGIN\r\n");
    assert_int_equal(config.offers_now[IN_PLAIN], SMTP_OFFER(STARTTLS));
    assert_int_equal(config.offers_now[SECURE], SMTP_OFFER(AUTH));
    assert_int_equal(config.offers, SMTP_OFFER(AUTH) | SMTP_OFFER(STARTTLS));
}

/* RFC 6531 3.1, 3030 3: what builds on an extension is offered only with it. */
static void test_extensions_with_a_base(void **state)
{
    static const struct {
        uint32_t off;
        uint32_t gone;
    } rows[] = {
        {SMTP_OFFER(8BITMIME), SMTP_OFFER(8BITMIME) | SMTP_OFFER(SMTPUTF8)},
        {SMTP_OFFER(SMTPUTF8), SMTP_OFFER(SMTPUTF8)},
        {SMTP_OFFER(CHUNKING), SMTP_OFFER(CHUNKING) | SMTP_OFFER(BINARYMIME)},
        {SMTP_OFFER(BINARYMIME), SMTP_OFFER(BINARYMIME)},
        {SMTP_OFFER(DSN), SMTP_OFFER(DSN)},
    };
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_config config = {.hostname = BYTES("sink"),
                                     .recipients_max = 1,
                                     .offers = SMTP_OFFERS_EVERY & ~rows[i].off};
        smtp_config_prepare(&config, text);
        assert_int_equal(config.offers, SMTP_OFFERS_EVERY & ~rows[i].gone);
    }
}

static void test_greetings(void **state)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    struct smtp_config config = {.hostname = BYTES("sink"), .recipients_max = 1, .is_lmtp = true};
    (void)state;
    smtp_config_prepare(&config, text);
    assert_view(config.greeting_reply, "220 sink LMTP ringsink\r\n");
    config.is_out_of_service = true;
    smtp_config_prepare(&config, text);
    assert_view(config.greeting_reply, "554 sink No SMTP service here\r\n");
}

/* The longest of everything still fits the bounds. */
static void test_longest(void **state)
{
    uint8_t text[SMTP_CONFIG_TEXT_SIZE];
    uint8_t name[SMTP_DOMAIN_MAX];
    struct smtp_config config = {.hostname = bytes_make(name, sizeof(name)),
                                 .size_limit = UINT64_MAX,
                                 .recipients_max = 1,
                                 .offers = SMTP_OFFERS_EVERY,
                                 .bad_commands_max = 7};
    (void)state;
    memset(name, 'h', sizeof(name));
    smtp_config_prepare(&config, text);
    assert_int_equal(config.bad_commands_max, 7);
    assert_true(config.ehlo_replies[IN_PLAIN].size <= SMTP_REPLY_MAX);
    assert_true(config.ehlo_replies[SECURE].size < config.ehlo_replies[IN_PLAIN].size);
    assert_true(config.greeting_reply.size <= SMTP_REPLY_LINE_MAX);
    struct bytes rest = config.ehlo_replies[IN_PLAIN];
    while (rest.size > 0)
        assert_true(bytes_take(&rest, bytes_find(rest, '\n') + 1).size <= SMTP_REPLY_LINE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_few_or_no_extensions),
        cmocka_unit_test(test_inside_and_outside_of_tls),
        cmocka_unit_test(test_extensions_with_a_base),
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
