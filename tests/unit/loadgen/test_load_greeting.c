#include "loadgen/load_greeting.h"

#include "loadgen/load_dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

/*
 * A greeting is text, a line a step:
 *   S: a reply line of the server      C: what the client must send now, CR LF as "|"
 *   T: the handshake is over           -: nothing may be wanted
 *   =: the event that the last S: or T: must have brought
 */
static struct load_script script;
static struct load_session session;
static enum load_session_event last_event;

static const char *event_name(enum load_session_event event)
{
    switch (event) {
    case LOAD_EVENT_NONE:
        return "none";
    case LOAD_EVENT_READY:
        return "ready";
    case LOAD_EVENT_UNUSABLE:
        return "unusable";
    case LOAD_EVENT_CLOSING:
        return "closing";
    case LOAD_EVENT_PROTOCOL:
        return "protocol";
    case LOAD_EVENT_GO_AHEAD:
    case LOAD_EVENT_ACCEPTED:
    case LOAD_EVENT_TEMPFAIL:
    case LOAD_EVENT_REJECT:
    case LOAD_EVENT_KEPT:
    case LOAD_EVENT_NOT_KEPT:
        break;
    }
    return "an event of messages";
}

static void reply(const char *text)
{
    struct load_reply_line line = {
        .code = (uint32_t)strtoul(text, NULL, 10),
        .text = bytes_from_text(strlen(text) > 4 ? text + 4 : ""),
    };
    last_event = load_session_reply(&session, &script, &line, text[3] != '-');
}

static void expect_command(const char *expected)
{
    uint8_t octets[2000];
    char text[sizeof octets];
    uint32_t shown = 0;

    assert_int_not_equal(session.wants, LOAD_WANTS_NOTHING);
    uint32_t size = load_session_put(&session, &script, 1, octets);
    assert_true(size <= load_script_group_max(&script));
    for (uint32_t index = 0; index < size; index++)
        if (octets[index] != '\r')
            text[shown++] = octets[index] == '\n' ? '|' : (char)octets[index];
    text[shown] = '\0';
    assert_string_equal(text, expected);
    load_session_sent(&session);
}

static void run_step(char kind, const char *text)
{
    switch (kind) {
    case 'S':
        reply(text);
        break;
    case 'C':
        expect_command(text);
        break;
    case 'T':
        last_event = load_session_secure(&session, &script);
        break;
    case '-':
        assert_int_equal(session.wants, LOAD_WANTS_NOTHING);
        break;
    case '=':
        assert_string_equal(event_name(last_event), text);
        break;
    default:
        fail_msg("a step of no kind: %c", kind);
    }
}

/* With the script as it is. */
static void play(const char *const *steps)
{
    load_session_init(&session, &script);
    last_event = LOAD_EVENT_NONE;
    for (; *steps != NULL; steps++)
        run_step((*steps)[0], *steps + 3);
}

static void open_script(enum load_tls_mode tls)
{
    script = (struct load_script){0};
    load_script_open(&script, "client.test", "load@client.test", "user@sink.test", 1,
                     LOAD_PIPELINING_AUTO);
    script.tls = tls;
}

static void run(enum load_tls_mode tls, const char *const *steps)
{
    open_script(tls);
    play(steps);
}

#define EHLO "C: EHLO client.test|"

/* ---- TLS ---- */

#define OFFERED "S: 220 mx", EHLO, "S: 250-mx", "S: 250-PIPELINING", "S: 250 STARTTLS", "=: none"
#define STARTED OFFERED, "C: STARTTLS|", "S: 220 go", "=: none", "-: "

static void test_starttls_and_ehlo_again(void **state)
{
    static const char *const steps[] = {STARTED,     "T: ",           "=: none",  EHLO,
                                        "S: 250-mx", "S: 250 SIZE 9", "=: ready", NULL};
    (void)state;
    run(LOAD_TLS_STARTTLS, steps);
    assert_true(session.is_secure);
    /* What was offered in plain is forgotten (RFC 3207 4.2). */
    assert_int_equal(session.mode, LOAD_PIPELINING_OFF);
}

static void test_what_is_awaited_has_its_phase(void **state)
{
    static const char *const asked[] = {OFFERED, "C: STARTTLS|", NULL};
    static const char *const begun[] = {STARTED, NULL};
    (void)state;
    run(LOAD_TLS_STARTTLS, asked);
    assert_int_equal(load_session_phase(&session), LOAD_PHASE_STARTTLS);
    run(LOAD_TLS_STARTTLS, begun);
    assert_int_equal(load_session_phase(&session), LOAD_PHASE_TLS);
    assert_false(load_session_has_message(&session));
    assert_false(load_session_is_blamed(&session));
}

static void test_without_starttls_nothing_more_is_said(void **state)
{
    static const char *const silent[] = {"S: 220 mx", EHLO,         "S: 250 mx", "=: unusable",
                                         "C: QUIT|",  "S: 221 bye", NULL};
    static const char *const refused[] = {"S: 220 mx",   EHLO,       "S: 502 what?",
                                          "=: unusable", "C: QUIT|", NULL};
    static const char *const busy[] = {"S: 220 mx",   EHLO,  "S: 421 busy",
                                       "=: unusable", "-: ", NULL};
    (void)state;
    open_script(LOAD_TLS_STARTTLS);
    assert_true(load_script_authenticate(&script, "user:secret"));
    play(silent);
    assert_true(session.lacks_tls);
    assert_int_equal(session.state, LOAD_OVER);
    play(refused);
    assert_true(session.lacks_tls);
    play(busy);
    assert_false(session.lacks_tls);
}

static void test_starttls_refused(void **state)
{
    static const char *const later[] = {OFFERED,       "C: STARTTLS|", "S: 454 not now",
                                        "=: unusable", "C: QUIT|",     NULL};
    static const char *const never[] = {OFFERED,       "C: STARTTLS|", "S: 502 no",
                                        "=: unusable", "C: QUIT|",     NULL};
    static const char *const odd[] = {OFFERED, "C: STARTTLS|", "S: 250 Ok", "=: protocol", NULL};
    static const char *const odder[] = {OFFERED, "C: STARTTLS|", "S: 354 go", "=: protocol", NULL};
    (void)state;
    run(LOAD_TLS_STARTTLS, later);
    assert_false(session.lacks_tls);
    run(LOAD_TLS_STARTTLS, never);
    run(LOAD_TLS_STARTTLS, odd);
    assert_int_equal(session.state, LOAD_OVER);
    run(LOAD_TLS_STARTTLS, odder);
}

static void test_a_reply_that_no_handshake_answers(void **state)
{
    static const char *const injected[] = {STARTED, "S: 250 injected", "=: protocol", NULL};
    static const char *const closing[] = {STARTED, "S: 421 busy", "=: unusable", NULL};
    static const char *const early[] = {OFFERED, "S: 220 go", "=: protocol", NULL};
    static const char *const before[] = {"S: 220 mx", "=: protocol", NULL};
    (void)state;
    run(LOAD_TLS_STARTTLS, injected);
    run(LOAD_TLS_STARTTLS, closing);
    run(LOAD_TLS_STARTTLS, early);
    run(LOAD_TLS_IMPLICIT, before);
}

static void test_implicit(void **state)
{
    static const char *const steps[] = {"-: ",
                                        "T: ",
                                        "=: none",
                                        "-: ",
                                        "S: 220 mx",
                                        EHLO,
                                        "S: 250-mx",
                                        "S: 250-STARTTLS",
                                        "S: 250 PIPELINING",
                                        "=: ready",
                                        NULL};
    (void)state;
    run(LOAD_TLS_IMPLICIT, steps);
    assert_int_equal(session.mode, LOAD_PIPELINING_GROUP);
}

static void test_starttls_offered_and_not_wanted(void **state)
{
    static const char *const steps[] = {"S: 220 mx",       EHLO,       "S: 250-mx",
                                        "S: 250 STARTTLS", "=: ready", NULL};
    (void)state;
    run(LOAD_TLS_OFF, steps);
    assert_false(session.is_secure);
}

static void test_lmtp_starts_tls(void **state)
{
    static const char *const steps[] = {"S: 220 mx",
                                        "C: LHLO client.test|",
                                        "S: 250-mx",
                                        "S: 250 STARTTLS",
                                        "C: STARTTLS|",
                                        "S: 220 go",
                                        "T: ",
                                        "C: LHLO client.test|",
                                        "S: 250 mx",
                                        "=: ready",
                                        NULL};
    (void)state;
    open_script(LOAD_TLS_STARTTLS);
    load_script_speak_lmtp(&script, "client.test");
    play(steps);
}

/* A file's first line is said inside TLS; what comes before it is ours. */
static void test_dialogues_begin_inside(void **state)
{
    static const char *const started[] = {STARTED, "T: ", "=: ready", "-: ", NULL};
    static const char *const implicit[] = {"T: ", "=: none", "S: 220 mx", "=: ready", "-: ", NULL};
    static const char *const plain[] = {"S: 220 mx", "=: ready", "-: ", NULL};
    char error[LOAD_DIALOGUE_ERROR_MAX];
    struct load_dialogues dialogues;
    (void)state;

    assert_true(load_dialogues_open(&dialogues, BYTES("C: NOOP\nS: 250\n"), 1, error));
    open_script(LOAD_TLS_STARTTLS);
    load_script_replay(&script, &dialogues);
    play(started);
    assert_int_equal(session.state, LOAD_IDLE);
    assert_int_equal(session.mode, LOAD_PIPELINING_WRITTEN);
    script.tls = LOAD_TLS_IMPLICIT;
    play(implicit);
    script.tls = LOAD_TLS_OFF;
    play(plain);
    load_dialogues_close(&dialogues);
}

/* ---- AUTH ---- */

/* base64 of NUL user NUL pass:word */
#define PLAIN      "C: AUTH PLAIN AHVzZXIAcGFzczp3b3Jk|"
#define AUTH(last) "S: 220 mx", EHLO, "S: 250-mx", "S: 250-PIPELINING", last, "=: none"

static void run_auth(const char *const *steps)
{
    open_script(LOAD_TLS_OFF);
    assert_true(load_script_authenticate(&script, "user:pass:word"));
    play(steps);
}

static void test_auth(void **state)
{
    static const char *const steps[] = {AUTH("S: 250 AUTH PLAIN"), PLAIN, "S: 235 ok", "=: ready",
                                        NULL};
    (void)state;
    run_auth(steps);
    assert_int_equal(session.mode, LOAD_PIPELINING_GROUP);
}

/* One round trip where that is to be had, or where nothing is said about it. */
static void test_plain_is_preferred(void **state)
{
    static const char *const both[] = {AUTH("S: 250 AUTH LOGIN CRAM-MD5 PLAIN"), PLAIN, NULL};
    static const char *const none[] = {AUTH("S: 250 SIZE 9"), PLAIN, NULL};
    static const char *const other[] = {AUTH("S: 250 AUTH CRAM-MD5"), PLAIN, "S: 504 no",
                                        "=: unusable", NULL};
    (void)state;
    run_auth(both);
    run_auth(none);
    run_auth(other);
}

#define LOGIN AUTH("S: 250 AUTH LOGIN"), "C: AUTH LOGIN|"

static void test_login(void **state)
{
    static const char *const steps[] = {LOGIN,
                                        "S: 334 VXNlcm5hbWU6",
                                        "=: none",
                                        "C: dXNlcg==|",
                                        "S: 334 UGFzc3dvcmQ6",
                                        "C: cGFzczp3b3Jk|",
                                        "S: 235 ok",
                                        "=: ready",
                                        NULL};
    static const char *const lower[] = {AUTH("S: 250 auth login"), "C: AUTH LOGIN|", NULL};
    (void)state;
    run_auth(steps);
    assert_int_equal(session.state, LOAD_IDLE);
    run_auth(lower);
}

static void test_login_refused(void **state)
{
    static const char *const wrong[] = {LOGIN,         "S: 334 ",          "C: dXNlcg==|",
                                        "S: 334 ",     "C: cGFzczp3b3Jk|", "S: 535 no",
                                        "=: unusable", "C: QUIT|",         NULL};
    static const char *const user[] = {LOGIN,       "S: 334 ",     "C: dXNlcg==|",
                                       "S: 535 no", "=: unusable", NULL};
    static const char *const endless[] = {
        LOGIN,         "S: 334 ", "C: dXNlcg==|", "S: 334 ", "C: cGFzczp3b3Jk|", "S: 334 ",
        "=: protocol", NULL};
    (void)state;
    run_auth(wrong);
    run_auth(user);
    run_auth(endless);
    assert_int_equal(session.state, LOAD_OVER);
}

static void test_auth_refused(void **state)
{
    static const char *const wrong[] = {AUTH("S: 250 AUTH PLAIN"),
                                        PLAIN,
                                        "S: 535 no",
                                        "=: unusable",
                                        "C: QUIT|",
                                        "S: 221 bye",
                                        NULL};
    static const char *const busy[] = {AUTH("S: 250 AUTH PLAIN"), PLAIN, "S: 421 busy",
                                       "=: unusable", NULL};
    static const char *const asked[] = {AUTH("S: 250 AUTH PLAIN"), PLAIN, "S: 334 ", "=: protocol",
                                        NULL};
    static const char *const early[] = {AUTH("S: 250 AUTH PLAIN"), "S: 235 ok", "=: protocol",
                                        NULL};
    (void)state;
    run_auth(wrong);
    assert_int_equal(session.state, LOAD_OVER);
    run_auth(busy);
    assert_int_equal(session.state, LOAD_OVER);
    run_auth(asked);
    assert_int_equal(session.state, LOAD_OVER);
    run_auth(early);
}

/* The password is said inside, and to what the server offers there. */
static void test_auth_inside_tls(void **state)
{
    static const char *const steps[] = {"S: 220 mx",
                                        EHLO,
                                        "S: 250-mx",
                                        "S: 250-AUTH PLAIN",
                                        "S: 250 STARTTLS",
                                        "C: STARTTLS|",
                                        "S: 220 go",
                                        "T: ",
                                        EHLO,
                                        "S: 250-mx",
                                        "S: 250 AUTH LOGIN",
                                        "C: AUTH LOGIN|",
                                        "S: 334 ",
                                        "C: dXNlcg==|",
                                        "S: 334 ",
                                        "C: cGFzczp3b3Jk|",
                                        "S: 235 ok",
                                        "=: ready",
                                        NULL};
    (void)state;
    open_script(LOAD_TLS_STARTTLS);
    assert_true(load_script_authenticate(&script, "user:pass:word"));
    play(steps);
}

static void test_credentials(void **state)
{
    char text[LOAD_AUTH_TEXT_MAX + 10];
    (void)state;

    open_script(LOAD_TLS_OFF);
    assert_false(load_script_authenticate(&script, "user"));
    assert_false(load_script_authenticate(&script, ":password"));
    assert_false(load_script_authenticate(&script, ""));
    assert_int_equal(script.auth_size, 0);
    assert_true(load_script_authenticate(&script, "user:"));
    memset(text, 'x', sizeof text);
    text[4] = ':';
    text[LOAD_AUTH_TEXT_MAX - 1] = '\0';
    assert_true(load_script_authenticate(&script, text));
    assert_true(script.auth_size <= load_script_group_max(&script));
    for (uint32_t line = 0; line < LOAD_LOGIN_LINES; line++)
        assert_true(script.login.sizes[line] <= load_script_group_max(&script));
    text[LOAD_AUTH_TEXT_MAX - 1] = 'x';
    text[LOAD_AUTH_TEXT_MAX] = '\0';
    assert_false(load_script_authenticate(&script, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starttls_and_ehlo_again),
        cmocka_unit_test(test_what_is_awaited_has_its_phase),
        cmocka_unit_test(test_without_starttls_nothing_more_is_said),
        cmocka_unit_test(test_starttls_refused),
        cmocka_unit_test(test_a_reply_that_no_handshake_answers),
        cmocka_unit_test(test_implicit),
        cmocka_unit_test(test_starttls_offered_and_not_wanted),
        cmocka_unit_test(test_lmtp_starts_tls),
        cmocka_unit_test(test_dialogues_begin_inside),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_plain_is_preferred),
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_login_refused),
        cmocka_unit_test(test_auth_refused),
        cmocka_unit_test(test_auth_inside_tls),
        cmocka_unit_test(test_credentials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
