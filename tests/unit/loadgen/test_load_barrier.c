#include "loadgen/load_barrier.h"

#include "base/clock.h"
#include "loadgen/load_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

static struct load_tally tally;
static struct load_barrier barrier;

static int open_tally(void **state)
{
    (void)state;
    int error = load_tally_open(&tally);
    tally.connects = 3;
    return error;
}

static int close_tally(void **state)
{
    (void)state;
    load_tally_close(&tally);
    return 0;
}

static bool find(enum load_tls_mode mode, int gave_up)
{
    const struct load_config config = {
        .tls = mode, .timeout_ns = 2 * CLOCK_NS_PER_S, .tls_name = "mx.test"};
    return load_barrier_find(&barrier, &config, &tally, gave_up, "a.test:25");
}

static void check(enum load_tls_mode mode, int gave_up, const char *text, const char *remedy)
{
    assert_true(find(mode, gave_up));
    assert_string_equal(barrier.text, text);
    assert_string_equal(barrier.remedy, remedy);
}

static void check_tls(enum load_tls_mode mode, const char *why, const char *text,
                      const char *remedy)
{
    tally.error_count = 0;
    load_tally_tls_error(&tally, LOAD_PHASE_TLS, why);
    check(mode, EPROTO, text, remedy);
}

static void test_what_tls_failed_of(void **state)
{
    static const char no_authority[] =
        "give its authority by --tls-ca FILE, or leave out --tls-verify";
    (void)state;

    check_tls(LOAD_TLS_IMPLICIT, "unable to get local issuer certificate",
              "no TLS with a.test:25: unable to get local issuer certificate", no_authority);
    check_tls(LOAD_TLS_STARTTLS, "self-signed certificate in certificate chain",
              "no TLS with a.test:25: self-signed certificate in certificate chain", no_authority);
    check_tls(LOAD_TLS_STARTTLS, "hostname mismatch", "no TLS with a.test:25: hostname mismatch",
              "its certificate is not for mx.test: name what it is for by --tls-name");
    check_tls(LOAD_TLS_STARTTLS, "IP address mismatch",
              "no TLS with a.test:25: IP address mismatch",
              "its certificate is not for mx.test: name what it is for by --tls-name");
    check_tls(LOAD_TLS_IMPLICIT, "not TLS", "no TLS with a.test:25: not TLS",
              "is it a port for --tls starttls, or for none?");
    check_tls(LOAD_TLS_STARTTLS, "not TLS", "no TLS with a.test:25: not TLS", "");
    check_tls(LOAD_TLS_STARTTLS, "the server does not offer STARTTLS",
              "no TLS with a.test:25: the server does not offer STARTTLS",
              "leave out --tls, or try --tls implicit on a port of its own");
    check_tls(LOAD_TLS_STARTTLS, "no common cipher", "no TLS with a.test:25: no common cipher", "");
}

/* The first that TLS failed of, whatever else went wrong before it; also where others were ready.
 */
static void test_tls_goes_before_silence(void **state)
{
    (void)state;
    load_tally_error(&tally, LOAD_PHASE_TLS, LOAD_OUTCOME_TIMEOUT, 0);
    load_tally_tls_error(&tally, LOAD_PHASE_TLS, "no common cipher");
    load_tally_tls_error(&tally, LOAD_PHASE_TLS, "hostname mismatch");
    check(LOAD_TLS_IMPLICIT, 0, "no TLS with a.test:25: no common cipher", "");
    tally.reached = 1;
    check(LOAD_TLS_IMPLICIT, EPROTO, "no TLS with a.test:25: no common cipher", "");
    assert_false(find(LOAD_TLS_IMPLICIT, 0));
    assert_false(find(LOAD_TLS_IMPLICIT, ETIMEDOUT));
}

static void test_no_greeting(void **state)
{
    (void)state;
    load_tally_error(&tally, LOAD_PHASE_BANNER, LOAD_OUTCOME_TIMEOUT, 0);
    check(LOAD_TLS_OFF, ETIMEDOUT, "no greeting from a.test:25 within 2s",
          "does it speak TLS first? --tls implicit");
    check(LOAD_TLS_STARTTLS, 0, "no greeting from a.test:25 within 2s",
          "does it speak TLS first? --tls implicit");
    check(LOAD_TLS_IMPLICIT, ETIMEDOUT, "no greeting from a.test:25 within 2s", "");
    tally.error_count = 0;
    load_tally_error(&tally, LOAD_PHASE_BANNER, LOAD_OUTCOME_CONNECTION, 0);
    check(LOAD_TLS_OFF, ETIMEDOUT, "no greeting from a.test:25: closed",
          "does it speak TLS first? --tls implicit");
    tally.error_count = 0;
    load_tally_error(&tally, LOAD_PHASE_BANNER, LOAD_OUTCOME_CONNECTION, ECONNRESET);
    check(LOAD_TLS_OFF, ETIMEDOUT, "no greeting from a.test:25: reset",
          "does it speak TLS first? --tls implicit");
}

static void test_no_handshake(void **state)
{
    (void)state;
    load_tally_error(&tally, LOAD_PHASE_TLS, LOAD_OUTCOME_TIMEOUT, 0);
    check(LOAD_TLS_IMPLICIT, ETIMEDOUT, "no TLS with a.test:25: no handshake within 2s", "");
    tally.error_count = 0;
    load_tally_error(&tally, LOAD_PHASE_TLS, LOAD_OUTCOME_CONNECTION, ECONNRESET);
    check(LOAD_TLS_STARTTLS, ETIMEDOUT, "no TLS with a.test:25: reset in the handshake", "");
}

/* Greeted, but not answered. */
static void test_no_reply(void **state)
{
    const struct load_reply_line banner = {.code = 220, .text = bytes_from_text("here")};
    (void)state;
    load_tally_reply(&tally, LOAD_PHASE_BANNER, &banner, 1);
    load_tally_error(&tally, LOAD_PHASE_BANNER, LOAD_OUTCOME_TIMEOUT, 0);
    load_tally_error(&tally, LOAD_PHASE_EHLO, LOAD_OUTCOME_TIMEOUT, 0);
    check(LOAD_TLS_OFF, ETIMEDOUT, "no session with a.test:25: no reply within 2s at ehlo", "");
    tally.error_count = 0;
    load_tally_error(&tally, LOAD_PHASE_STARTTLS, LOAD_OUTCOME_CONNECTION, 0);
    check(LOAD_TLS_STARTTLS, ETIMEDOUT, "no session with a.test:25: closed at starttls", "");
    tally.error_count = 0;
    load_tally_error(&tally, LOAD_PHASE_MAIL, LOAD_OUTCOME_CONNECTION, 0);
    assert_false(find(LOAD_TLS_OFF, ETIMEDOUT));
}

static void test_what_is_no_barrier(void **state)
{
    const struct load_reply_line busy = {.code = 421, .text = bytes_from_text("busy")};
    (void)state;

    assert_false(find(LOAD_TLS_OFF, 0));
    load_tally_error(&tally, LOAD_PHASE_BANNER, LOAD_OUTCOME_TIMEOUT, 0);
    assert_false(find(LOAD_TLS_OFF, ECONNREFUSED));
    assert_false(find(LOAD_TLS_OFF, EADDRNOTAVAIL));
    tally.reached = 1;
    assert_false(find(LOAD_TLS_OFF, ETIMEDOUT));
    tally.reached = 0;
    load_tally_reply(&tally, LOAD_PHASE_BANNER, &busy, 1);
    assert_false(find(LOAD_TLS_OFF, ETIMEDOUT));
    tally.connects = 0;
    tally.error_count = 0;
    load_tally_error(&tally, LOAD_PHASE_CONNECT, LOAD_OUTCOME_TIMEOUT, 0);
    assert_false(find(LOAD_TLS_OFF, ETIMEDOUT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_tls_failed_of, open_tally, close_tally),
        cmocka_unit_test_setup_teardown(test_tls_goes_before_silence, open_tally, close_tally),
        cmocka_unit_test_setup_teardown(test_no_greeting, open_tally, close_tally),
        cmocka_unit_test_setup_teardown(test_no_handshake, open_tally, close_tally),
        cmocka_unit_test_setup_teardown(test_no_reply, open_tally, close_tally),
        cmocka_unit_test_setup_teardown(test_what_is_no_barrier, open_tally, close_tally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
