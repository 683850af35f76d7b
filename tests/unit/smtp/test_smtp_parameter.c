#include "smtp/smtp_parameter.h"

#include "smtp/smtp_config.h"
#include "unit/smtp/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct guarded guarded;

static const struct {
    const char *text;
    enum smtp_reply reply;
    uint64_t size;
} of_mail[] = {
    {"", SMTP_REPLY_OK, 0},
    {"   ", SMTP_REPLY_OK, 0},
    {" SIZE=210", SMTP_REPLY_OK, 210},
    {"size=0", SMTP_REPLY_OK, 0},
    {" SIZE=18446744073709551615", SMTP_REPLY_OK, UINT64_MAX},
    {" SIZE=18446744073709551616", SMTP_REPLY_OK, UINT64_MAX}, /* 20 digits, past 2^64 */
    {" SIZE=99999999999999999999", SMTP_REPLY_OK, UINT64_MAX},
    {" SIZE=00000000000000000010", SMTP_REPLY_OK, 10},
    {" SIZE=000000000000000000010", SMTP_REPLY_BAD_SIZE, 0}, /* 21 digits */
    {" SIZE=abc", SMTP_REPLY_BAD_SIZE, 0},
    {" SIZE=", SMTP_REPLY_BAD_SIZE, 0},
    {" SIZE", SMTP_REPLY_BAD_SIZE, 0},
    {" SIZE=-1", SMTP_REPLY_BAD_SIZE, 0},
    {" SIZE=1 SIZE=1", SMTP_REPLY_BAD_PARAMETER, 1},
    {" SIZE=10 BODY=8BITMIME", SMTP_REPLY_OK, 10},
    {" BODY=7BIT\tSIZE=10  ", SMTP_REPLY_OK, 10},
    {" body=8bitmime", SMTP_REPLY_OK, 0},
    {" BODY=RABBIT", SMTP_REPLY_BAD_BODY, 0},
    {" BODY=", SMTP_REPLY_BAD_BODY, 0},
    {" BODY", SMTP_REPLY_BAD_BODY, 0},
    {" BODY=BINARYMIME", SMTP_REPLY_OK, 0},
    {" BODY=7BIT BODY=BINARYMIME", SMTP_REPLY_BAD_PARAMETER, 0},
    {" FOO=1", SMTP_REPLY_UNKNOWN_PARAMETER, 0},
    {" FOO", SMTP_REPLY_UNKNOWN_PARAMETER, 0},
    {" SIZES=1", SMTP_REPLY_UNKNOWN_PARAMETER, 0},
    {" NOTIFY=NEVER", SMTP_REPLY_UNKNOWN_PARAMETER, 0},
    {" SMTPUTF8", SMTP_REPLY_OK, 0},
    {" smtputf8 SIZE=3", SMTP_REPLY_OK, 3},
    {" SMTPUTF8=x", SMTP_REPLY_BAD_PARAMETER, 0},
    {" SMTPUTF8=", SMTP_REPLY_BAD_PARAMETER, 0},
    {" SMTPUTF8 SMTPUTF8", SMTP_REPLY_BAD_PARAMETER, 0},
    {" AUTH=<>", SMTP_REPLY_OK, 0},
    {" AUTH=e+3Dmc2@example.com", SMTP_REPLY_OK, 0},
    {" AUTH=", SMTP_REPLY_BAD_AUTH, 0},
    {" AUTH", SMTP_REPLY_BAD_AUTH, 0},
    {" AUTH=+", SMTP_REPLY_BAD_AUTH, 0},
    {" =1", SMTP_REPLY_BAD_PARAMETER, 0},
    {" -a=1", SMTP_REPLY_BAD_PARAMETER, 0},
    {" S\x01ZE=1", SMTP_REPLY_BAD_PARAMETER, 0},
    {" SIZ\xc9=1", SMTP_REPLY_BAD_PARAMETER, 0},
    {" RET=FULL ENVID=QQ314159", SMTP_REPLY_OK, 0},
    {" RET=hdrs", SMTP_REPLY_OK, 0},
    {" RET=FOO", SMTP_REPLY_BAD_RET, 0},
    {" RET", SMTP_REPLY_BAD_RET, 0},
    {" RET=FULL RET=HDRS", SMTP_REPLY_BAD_PARAMETER, 0},
    {" ENVID=++", SMTP_REPLY_BAD_ENVID, 0},
    {" ENVID=+2", SMTP_REPLY_BAD_ENVID, 0},
    {" ENVID=+2b", SMTP_REPLY_BAD_ENVID, 0}, /* lower case is no hexchar */
    {" ENVID=+2B", SMTP_REPLY_OK, 0},
    {" ENVID=a=b", SMTP_REPLY_BAD_ENVID, 0},
    {" ENVID=", SMTP_REPLY_BAD_ENVID, 0},
    {" ENVID=a ENVID=b", SMTP_REPLY_BAD_PARAMETER, 0},
    {" ENVID=\xc3\xbc", SMTP_REPLY_BAD_ENVID, 0},
};

static const struct {
    const char *text;
    enum smtp_reply reply;
} of_rcpt[] = {
    {"", SMTP_REPLY_OK},
    {" NOTIFY=SUCCESS,FAILURE,DELAY", SMTP_REPLY_OK},
    {" NOTIFY=never", SMTP_REPLY_OK},
    {" notify=Delay", SMTP_REPLY_OK},
    {" NOTIFY=NEVER,SUCCESS", SMTP_REPLY_BAD_NOTIFY},
    {" NOTIFY=SUCCESS,NEVER", SMTP_REPLY_BAD_NOTIFY},
    {" NOTIFY=", SMTP_REPLY_BAD_NOTIFY},
    {" NOTIFY", SMTP_REPLY_BAD_NOTIFY},
    {" NOTIFY=FROP", SMTP_REPLY_BAD_NOTIFY},
    {" NOTIFY=SUCCESS,", SMTP_REPLY_BAD_NOTIFY},
    {" NOTIFY=,SUCCESS", SMTP_REPLY_BAD_NOTIFY},
    {" NOTIFY=DELAY NOTIFY=DELAY", SMTP_REPLY_BAD_PARAMETER},
    {" ORCPT=rfc822;e+3Dmc2@x", SMTP_REPLY_OK},
    {" ORCPT=rfc822;e+3Dmc2@x NOTIFY=DELAY", SMTP_REPLY_OK},
    {" ORCPT=rfc822;++", SMTP_REPLY_BAD_ORCPT},
    {" ORCPT=++", SMTP_REPLY_BAD_ORCPT},
    {" ORCPT=rfc822", SMTP_REPLY_BAD_ORCPT},
    {" ORCPT=rfc822;", SMTP_REPLY_BAD_ORCPT},
    {" ORCPT=;a", SMTP_REPLY_BAD_ORCPT},
    {" ORCPT=r+41;a", SMTP_REPLY_BAD_ORCPT},
    {" ORCPT=rfc822;a ORCPT=rfc822;a", SMTP_REPLY_BAD_PARAMETER},
    {" SIZE=1", SMTP_REPLY_UNKNOWN_PARAMETER},
    {" BODY=7BIT", SMTP_REPLY_UNKNOWN_PARAMETER},
};

static void test_of_mail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(of_mail) / sizeof(of_mail[0]); i++) {
        struct bytes text = guarded_at_end(&guarded, bytes_from_text(of_mail[i].text));
        struct smtp_parameters parameters;
        enum smtp_reply reply =
            smtp_parameter_check(text, SMTP_PARAMETER_OF_MAIL, SMTP_OFFERS_EVERY, &parameters);
        if (reply != of_mail[i].reply) fail_msg("%s: %d", of_mail[i].text, reply);
        if (reply == SMTP_REPLY_OK) assert_int_equal(parameters.size, of_mail[i].size);
    }
}

static void test_of_rcpt(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(of_rcpt) / sizeof(of_rcpt[0]); i++) {
        struct bytes text = guarded_at_end(&guarded, bytes_from_text(of_rcpt[i].text));
        struct smtp_parameters parameters;
        enum smtp_reply reply =
            smtp_parameter_check(text, SMTP_PARAMETER_OF_RCPT, SMTP_OFFERS_EVERY, &parameters);
        if (reply != of_rcpt[i].reply) fail_msg("%s: %d", of_rcpt[i].text, reply);
    }
}

/* Of an extension that is not offered nothing is known. */
static void test_switched_off(void **state)
{
    static const struct {
        const char *text;
        uint32_t off;
        enum smtp_reply reply;
    } rows[] = {
        {"SIZE=1", SMTP_OFFER(SIZE), SMTP_REPLY_UNKNOWN_PARAMETER},
        {"BODY=7BIT", SMTP_OFFER(8BITMIME), SMTP_REPLY_OK}, /* BINARYMIME has BODY as well */
        {"BODY=7BIT", SMTP_OFFER(8BITMIME) | SMTP_OFFER(BINARYMIME), SMTP_REPLY_UNKNOWN_PARAMETER},
        {"BODY=BINARYMIME", SMTP_OFFER(BINARYMIME), SMTP_REPLY_UNKNOWN_PARAMETER},
        {"BODY=BINARYMIME", SMTP_OFFER(8BITMIME), SMTP_REPLY_OK},
        {"SMTPUTF8", SMTP_OFFER(SMTPUTF8), SMTP_REPLY_UNKNOWN_PARAMETER},
        {"AUTH=<>", SMTP_OFFER(AUTH), SMTP_REPLY_UNKNOWN_PARAMETER},
        {"RET=FULL", SMTP_OFFER(DSN), SMTP_REPLY_UNKNOWN_PARAMETER},
        {"ENVID=x", SMTP_OFFER(DSN), SMTP_REPLY_UNKNOWN_PARAMETER},
        {"SIZE=1", SMTP_OFFERS_EVERY & ~SMTP_OFFER(SIZE), SMTP_REPLY_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smtp_parameters parameters;
        uint32_t offers = SMTP_OFFERS_EVERY & ~rows[i].off;
        enum smtp_reply reply = smtp_parameter_check(bytes_from_text(rows[i].text),
                                                     SMTP_PARAMETER_OF_MAIL, offers, &parameters);
        if (reply != rows[i].reply) fail_msg("%s: %d", rows[i].text, reply);
    }
}

static void test_what_the_session_is_told(void **state)
{
    struct smtp_parameters parameters;
    (void)state;
    assert_int_equal(smtp_parameter_check(BYTES("SIZE=7 BODY=BINARYMIME SMTPUTF8"),
                                          SMTP_PARAMETER_OF_MAIL, SMTP_OFFERS_EVERY, &parameters),
                     SMTP_REPLY_OK);
    assert_int_equal(parameters.size, 7);
    assert_true(parameters.is_binary);
    assert_true(parameters.is_utf8);
    assert_int_equal(smtp_parameter_check(BYTES("BODY=8BITMIME"), SMTP_PARAMETER_OF_MAIL,
                                          SMTP_OFFERS_EVERY, &parameters),
                     SMTP_REPLY_OK);
    assert_int_equal(parameters.size, 0);
    assert_false(parameters.is_binary);
    assert_false(parameters.is_utf8);
}

/* RFC 3461 5.4: an ENVID of 100 and an ORCPT of 500 characters must be taken. */
static void test_long_values(void **state)
{
    struct smtp_parameters parameters;
    char text[600] = "ENVID=";
    (void)state;
    memset(text + 6, 'x', 100);
    assert_int_equal(smtp_parameter_check(bytes_make(text, 106), SMTP_PARAMETER_OF_MAIL,
                                          SMTP_OFFERS_EVERY, &parameters),
                     SMTP_REPLY_OK);
    memcpy(text, "ORCPT=rfc822;", 13);
    memset(text + 13, 'x', 500);
    assert_int_equal(smtp_parameter_check(bytes_make(text, 513), SMTP_PARAMETER_OF_RCPT,
                                          SMTP_OFFERS_EVERY, &parameters),
                     SMTP_REPLY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_mail),      cmocka_unit_test(test_of_rcpt),
        cmocka_unit_test(test_switched_off), cmocka_unit_test(test_what_the_session_is_told),
        cmocka_unit_test(test_long_values),
    };
    guarded_open(&guarded, 4096);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guarded_close(&guarded);
    return failed;
}
