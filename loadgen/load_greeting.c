/*
 *   AWAIT_BANNER -> AWAIT_EHLO [220] -> (AWAIT_AUTH ->) IDLE [250], or AWAIT_HELO [5xx] -> IDLE
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

static enum load_session_event take_banner(struct load_session *session,
                                           const struct load_script *script, uint32_t code)
{
    if (code == 220 && script->dialogues != NULL) {
        session->mode = LOAD_PIPELINING_WRITTEN;
        session->state = LOAD_IDLE;
        return LOAD_EVENT_READY;
    }
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

/* RFC 4954 4: 235, or the session is of no use. */
static enum load_session_event take_auth(struct load_session *session,
                                         const struct load_script *script, uint32_t code)
{
    if (code == 235) return take_ready(session, script);
    return code < 400 ? LOAD_EVENT_PROTOCOL : give_up(session);
}

static enum load_session_event take_ehlo(struct load_session *session,
                                         const struct load_script *script, uint32_t code)
{
    if (code == 250 && script->auth_size > 0 && session->state == LOAD_AWAIT_EHLO)
        return want(session, LOAD_AWAIT_AUTH, LOAD_WANTS_AUTH);
    if (code == 250) return take_ready(session, script);
    if (code < 400) return LOAD_EVENT_PROTOCOL;
    if (session->state == LOAD_AWAIT_EHLO && code >= 500 && !script->is_lmtp) {
        session->offers = (struct load_offers){0};
        return want(session, LOAD_AWAIT_HELO, LOAD_WANTS_HELO);
    }
    return give_up(session);
}

enum load_session_event load_greeting_take(struct load_session *session,
                                           const struct load_script *script, uint32_t code)
{
    CHECK(load_greeting_is_under_way(session));
    if (session->state == LOAD_AWAIT_BANNER) return take_banner(session, script, code);
    if (session->state == LOAD_AWAIT_AUTH) return take_auth(session, script, code);
    return take_ehlo(session, script, code);
}

/* RFC 5321 4.1.1.1: every line after the first starts with a keyword. */
void load_greeting_note(struct load_session *session, struct bytes text)
{
    struct load_offers *offers = &session->offers;
    struct bytes word = bytes_make(text.data, bytes_find(text, ' '));

    if (bytes_equal_ignoring_case(word, BYTES("PIPELINING"))) offers->pipelining = true;
    if (bytes_equal_ignoring_case(word, BYTES("CHUNKING"))) offers->chunking = true;
    if (bytes_equal_ignoring_case(word, BYTES("8BITMIME"))) offers->mime_8bit = true;
    if (bytes_equal_ignoring_case(word, BYTES("SMTPUTF8"))) offers->utf8 = true;
}
