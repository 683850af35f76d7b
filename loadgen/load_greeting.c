/*
 *   AWAIT_BANNER -> AWAIT_EHLO [220] -> (AWAIT_AUTH ->) IDLE [250], or AWAIT_HELO [5xx] -> IDLE
 *   with STARTTLS: AWAIT_EHLO -> AWAIT_STARTTLS [250] -> AWAIT_TLS [220] -> AWAIT_EHLO [secure]
 *   with implicit TLS: AWAIT_TLS -> AWAIT_BANNER [secure]
 *   with --session: AWAIT_BANNER -> IDLE [220], or AWAIT_TLS -> IDLE [secure] behind STARTTLS
 *   any -> AWAIT_QUIT: the session is of no use
 */
#include "loadgen/load_greeting.h"

static enum load_session_event want(struct load_session *session, enum load_session_state state,
                                    enum load_session_wants wants)
{
    session->state = state;
    session->wants = wants;
    return LOAD_EVENT_NONE;
}

/* RFC 5321 3.1: also after a banner of 554 the client says QUIT. */
static enum load_session_event give_up(struct load_session *session)
{
    (void)want(session, LOAD_AWAIT_QUIT, LOAD_WANTS_QUIT);
    return LOAD_EVENT_UNUSABLE;
}

static bool is_to_be_secured(const struct load_session *session, const struct load_script *script)
{
    return script->tls == LOAD_TLS_STARTTLS && !session->is_secure;
}

static enum load_session_event begin_dialogue(struct load_session *session)
{
    session->mode = LOAD_PIPELINING_WRITTEN;
    session->state = LOAD_IDLE;
    return LOAD_EVENT_READY;
}

static enum load_session_event take_banner(struct load_session *session,
                                           const struct load_script *script, uint32_t code)
{
    bool is_written = script->dialogues != NULL && !is_to_be_secured(session, script);

    if (code == 220 && is_written) return begin_dialogue(session);
    if (code == 220) return want(session, LOAD_AWAIT_EHLO, LOAD_WANTS_EHLO);
    return code < 400 ? LOAD_EVENT_PROTOCOL : give_up(session);
}

/* Commands may be grouped only where the server said so (RFC 2920 3.1). */
static enum load_session_event take_ready(struct load_session *session,
                                          const struct load_script *script)
{
    enum load_pipelining mode = script->pipelining;
    if (mode == LOAD_PIPELINING_AUTO) mode = LOAD_PIPELINING_GROUP;
    if (mode == LOAD_PIPELINING_BDAT && !session->offers.chunking) mode = LOAD_PIPELINING_GROUP;
    session->mode = session->offers.pipelining ? mode : LOAD_PIPELINING_OFF;
    session->lacks_utf8 = script->needs_utf8 && !session->offers.utf8;
    if (session->lacks_utf8) return give_up(session);
    session->state = LOAD_IDLE;
    return LOAD_EVENT_READY;
}

/* PLAIN, which takes one round trip, also where the server does not say what it knows. */
static bool logs_in_by_lines(const struct load_session *session)
{
    return session->offers.auth_login && !session->offers.auth_plain;
}

/* RFC 4954 4: 235, or the session is of no use; LOGIN asks for user and password by 334. */
static enum load_session_event take_auth(struct load_session *session,
                                         const struct load_script *script, uint32_t code)
{
    bool is_asked = code == 334 && logs_in_by_lines(session);

    if (code == 235) return take_ready(session, script);
    if (is_asked && session->login_line + 1 < LOAD_LOGIN_LINES) {
        session->login_line++;
        return want(session, LOAD_AWAIT_AUTH, LOAD_WANTS_AUTH);
    }
    return code < 400 ? LOAD_EVENT_PROTOCOL : give_up(session);
}

uint32_t load_greeting_put_auth(const struct load_session *session,
                                const struct load_script *script, uint8_t *out)
{
    const struct load_login *login = &script->login;
    uint32_t line = session->login_line;
    bool is_login = logs_in_by_lines(session);
    uint32_t size = is_login ? login->sizes[line] : script->auth_size;

    memcpy(out, is_login ? login->lines[line] : script->auth, size);
    return size;
}

/* RFC 3207 4: what is not offered is not asked for, and without it nothing is said. */
static enum load_session_event want_tls(struct load_session *session)
{
    if (session->offers.starttls) return want(session, LOAD_AWAIT_STARTTLS, LOAD_WANTS_STARTTLS);
    session->lacks_tls = true;
    return give_up(session);
}

static enum load_session_event take_ehlo(struct load_session *session,
                                         const struct load_script *script, uint32_t code)
{
    bool is_refused = code >= 500 && session->state == LOAD_AWAIT_EHLO;

    if (code < 400 && code != 250) return LOAD_EVENT_PROTOCOL;
    if (is_to_be_secured(session, script) && (code == 250 || is_refused)) return want_tls(session);
    if (code == 250 && script->auth_size > 0 && session->state == LOAD_AWAIT_EHLO)
        return want(session, LOAD_AWAIT_AUTH, LOAD_WANTS_AUTH);
    if (code == 250) return take_ready(session, script);
    if (!is_refused || script->is_lmtp) return give_up(session);
    session->offers = (struct load_offers){0};
    return want(session, LOAD_AWAIT_HELO, LOAD_WANTS_HELO);
}

/* RFC 3207 4: 220, and from then on octets of TLS alone. */
static enum load_session_event take_starttls(struct load_session *session, uint32_t code)
{
    if (code == 220) return want(session, LOAD_AWAIT_TLS, LOAD_WANTS_NOTHING);
    return code < 400 ? LOAD_EVENT_PROTOCOL : give_up(session);
}

enum load_session_event load_greeting_secure(struct load_session *session,
                                             const struct load_script *script)
{
    CHECK(session->state == LOAD_AWAIT_TLS);
    CHECK(!session->is_secure);
    session->is_secure = true;
    session->offers = (struct load_offers){0};
    if (script->tls == LOAD_TLS_IMPLICIT)
        return want(session, LOAD_AWAIT_BANNER, LOAD_WANTS_NOTHING);
    if (script->dialogues != NULL) return begin_dialogue(session);
    return want(session, LOAD_AWAIT_EHLO, LOAD_WANTS_EHLO);
}

enum load_session_event load_greeting_take(struct load_session *session,
                                           const struct load_script *script, uint32_t code)
{
    CHECK(load_greeting_is_under_way(session));
    if (session->state == LOAD_AWAIT_BANNER) return take_banner(session, script, code);
    if (session->state == LOAD_AWAIT_STARTTLS) return take_starttls(session, code);
    if (session->state == LOAD_AWAIT_TLS) return LOAD_EVENT_PROTOCOL; /* nobody asked */
    if (session->state == LOAD_AWAIT_AUTH) return take_auth(session, script, code);
    return take_ehlo(session, script, code);
}

/* RFC 4954 3: "AUTH", and what is known. */
static void note_mechanisms(struct load_offers *offers, struct bytes words)
{
    while (words.size > 0) {
        struct bytes word = bytes_take(&words, bytes_find(words, ' '));
        if (bytes_equal_ignoring_case(word, BYTES("PLAIN"))) offers->auth_plain = true;
        if (bytes_equal_ignoring_case(word, BYTES("LOGIN"))) offers->auth_login = true;
        if (words.size > 0) (void)bytes_take(&words, 1);
    }
}

/* RFC 5321 4.1.1.1: every line after the first starts with a keyword. */
void load_greeting_note(struct load_session *session, struct bytes text)
{
    struct load_offers *offers = &session->offers;
    struct bytes word = bytes_take(&text, bytes_find(text, ' '));

    if (bytes_equal_ignoring_case(word, BYTES("PIPELINING"))) offers->pipelining = true;
    if (bytes_equal_ignoring_case(word, BYTES("CHUNKING"))) offers->chunking = true;
    if (bytes_equal_ignoring_case(word, BYTES("8BITMIME"))) offers->mime_8bit = true;
    if (bytes_equal_ignoring_case(word, BYTES("SMTPUTF8"))) offers->utf8 = true;
    if (bytes_equal_ignoring_case(word, BYTES("STARTTLS"))) offers->starttls = true;
    if (bytes_equal_ignoring_case(word, BYTES("AUTH"))) note_mechanisms(offers, text);
}
