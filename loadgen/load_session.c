/*
 *   AWAIT_BANNER ... IDLE: see load_greeting
 *   IDLE -> (AWAIT_RESET ->) AWAIT_MAIL [begin] -> AWAIT_RECIPIENT -> AWAIT_DATA -> AWAIT_DOT
 *   AWAIT_DOT -> IDLE, or AWAIT_MAIL where the next group has left already
 *   with BDAT: AWAIT_RECIPIENT -> AWAIT_DOT -> IDLE -> AWAIT_MAIL [follow]
 *   IDLE -> AWAIT_QUIT [quit] -> OVER
 *   with --session: IDLE -> REPLAYING [begin] -> OVER [end], or AWAIT_QUIT [a reply that is not
 *   written]
 *   any -> OVER [421, or a reply out of place]
 *
 * Pipelined, the replies to a group are taken to the last one even if the first refuses: the server
 * answers each command (RFC 2920 3.2).
 */
#include "loadgen/load_session.h"

#include "base/bytes.h"
#include "loadgen/load_greeting.h"

#include <string.h>

void load_session_init(struct load_session *session, const struct load_script *script)
{
    bool is_implicit = script->tls == LOAD_TLS_IMPLICIT;
    *session = (struct load_session){.state = is_implicit ? LOAD_AWAIT_TLS : LOAD_AWAIT_BANNER};
}

enum load_session_event load_session_secure(struct load_session *session,
                                            const struct load_script *script)
{
    return load_greeting_secure(session, script);
}

/* Whether the replies to an envelope come whatever the first of them says. */
static bool is_grouped(const struct load_session *session)
{
    return session->mode >= LOAD_PIPELINING_GROUP && session->mode <= LOAD_PIPELINING_BDAT;
}

static bool is_chunked(const struct load_session *session)
{
    return session->mode == LOAD_PIPELINING_BDAT;
}

static void forget_message(struct load_session *session)
{
    session->mail_taken = false;
    session->is_void = false;
    session->recipients_answered = 0;
    session->recipients_accepted = 0;
    session->failure_code = 0;
}

/* What the dialogue wants next. */
static void follow_replay(struct load_session *session)
{
    switch (load_replay_wants(&session->replay)) {
    case LOAD_REPLAY_SENDS:
        session->wants = LOAD_WANTS_GROUP;
        break;
    case LOAD_REPLAY_MESSAGE:
        session->wants = LOAD_WANTS_CONTENT;
        break;
    case LOAD_REPLAY_PAUSES:
        session->wants = LOAD_WANTS_PAUSE;
        break;
    case LOAD_REPLAY_AWAITS:
        session->wants = LOAD_WANTS_NOTHING;
        break;
    case LOAD_REPLAY_ENDS:
    case LOAD_REPLAY_RESETS:
        session->wants = LOAD_WANTS_END;
        break;
    }
}

void load_session_begin(struct load_session *session, const struct load_script *script,
                        uint64_t sequence)
{
    CHECK(session->state == LOAD_IDLE);
    CHECK(session->wants == LOAD_WANTS_NOTHING);
    CHECK(script->recipients > 0);
    forget_message(session);
    if (script->dialogues != NULL) {
        session->state = LOAD_REPLAYING;
        session->news = LOAD_REPLAY_NO_NEWS;
        session->failed_line = 0;
        load_replay_begin(&session->replay, script->dialogues, sequence);
        follow_replay(session);
        return;
    }
    session->recipients = load_script_recipients(script, sequence);
    session->state = session->needs_reset ? LOAD_AWAIT_RESET : LOAD_AWAIT_MAIL;
    if (is_chunked(session))
        session->wants = LOAD_WANTS_MESSAGE;
    else if (is_grouped(session))
        session->wants = LOAD_WANTS_GROUP;
    else
        session->wants = session->needs_reset ? LOAD_WANTS_RESET : LOAD_WANTS_MAIL;
}

void load_session_add(struct load_session *session)
{
    CHECK(is_chunked(session));
    CHECK(load_session_has_message(session));
    CHECK(session->wants == LOAD_WANTS_NOTHING);
    session->wants = LOAD_WANTS_MESSAGE;
}

void load_session_follow(struct load_session *session, const struct load_script *script,
                         uint64_t sequence, bool has_reset)
{
    CHECK(is_chunked(session));
    CHECK(session->state == LOAD_IDLE);
    CHECK(session->wants == LOAD_WANTS_NOTHING);
    forget_message(session);
    session->recipients = load_script_recipients(script, sequence);
    session->state = has_reset ? LOAD_AWAIT_RESET : LOAD_AWAIT_MAIL;
}

void load_session_quit(struct load_session *session)
{
    CHECK(session->state == LOAD_IDLE);
    session->state = LOAD_AWAIT_QUIT;
    session->wants = LOAD_WANTS_QUIT;
}

static uint32_t put(uint8_t *out, const char *text, uint32_t size)
{
    memcpy(out, text, size);
    return size;
}

/* RFC 6152 2, RFC 6531 3.4: what the content and the addresses need, where it is offered. */
static uint32_t put_mail(const struct load_session *session, const struct load_script *script,
                         uint8_t *out)
{
    static const char body[] = " BODY=8BITMIME";
    static const char utf8[] = " SMTPUTF8";
    uint32_t size = put(out, script->mail, script->mail_size);
    if (script->is_8bit && session->offers.mime_8bit)
        size += put(out + size, body, sizeof body - 1);
    if (script->needs_utf8) size += put(out + size, utf8, sizeof utf8 - 1);
    return size + put(out + size, "\r\n", 2);
}

static uint32_t put_envelope(const struct load_session *session, const struct load_script *script,
                             uint64_t sequence, uint8_t *out)
{
    uint32_t size = put_mail(session, script, out);
    for (uint32_t index = 0; index < load_script_recipients(script, sequence); index++)
        size += load_script_put_recipient(script, sequence, index, out + size);
    return size;
}

static uint32_t put_group(const struct load_session *session, const struct load_script *script,
                          uint64_t sequence, uint8_t *out)
{
    uint32_t size = put_envelope(session, script, sequence, out);
    return size + put(out + size, "DATA\r\n", 6);
}

uint32_t load_session_put_chunk(uint64_t size, uint8_t *out)
{
    uint32_t written = put(out, "BDAT ", 5);
    written += bytes_put_number(out + written, size);
    return written + put(out + written, " LAST\r\n", 7);
}

uint32_t load_session_put(const struct load_session *session, const struct load_script *script,
                          uint64_t sequence, uint8_t *out)
{
    uint32_t size = 0;

    switch (session->wants) {
    case LOAD_WANTS_EHLO:
        return put(out, script->ehlo, script->ehlo_size);
    case LOAD_WANTS_HELO:
        return put(out, script->helo, script->helo_size);
    case LOAD_WANTS_STARTTLS:
        return put(out, "STARTTLS\r\n", 10);
    case LOAD_WANTS_AUTH:
        return load_greeting_put_auth(session, script, out);
    case LOAD_WANTS_RESET:
        return put(out, "RSET\r\n", 6);
    case LOAD_WANTS_MAIL:
        return put_mail(session, script, out);
    case LOAD_WANTS_RECIPIENT:
        return load_script_put_recipient(script, sequence, session->recipients_answered, out);
    case LOAD_WANTS_DATA:
        return put(out, "DATA\r\n", 6);
    case LOAD_WANTS_GROUP:
        if (session->state == LOAD_REPLAYING) return load_replay_put(&session->replay, out);
        if (session->needs_reset) size = put(out, "RSET\r\n", 6);
        return size + put_group(session, script, sequence, out + size);
    case LOAD_WANTS_MESSAGE:
        if (session->needs_reset) size = put(out, "RSET\r\n", 6);
        return size + put_envelope(session, script, sequence, out + size);
    case LOAD_WANTS_DOT:
        return put(out, ".\r\n", 3);
    case LOAD_WANTS_QUIT:
        return put(out, "QUIT\r\n", 6);
    case LOAD_WANTS_NOTHING:
    case LOAD_WANTS_CONTENT:
    case LOAD_WANTS_PAUSE:
    case LOAD_WANTS_END:
        break;
    }
    CHECK(false); /* nothing is wanted, or what load_mail writes */
    return 0;
}

uint32_t load_session_put_next(struct load_session *session, const struct load_script *script,
                               uint64_t sequence, uint8_t *out)
{
    CHECK(session->mode == LOAD_PIPELINING_STREAM);
    CHECK(session->wants == LOAD_WANTS_CONTENT);
    CHECK(!session->next_begun);
    session->next_begun = true;
    session->next_recipients = load_script_recipients(script, sequence);
    return put_group(session, script, sequence, out);
}

void load_session_sent(struct load_session *session)
{
    CHECK(session->wants != LOAD_WANTS_NOTHING);
    CHECK(session->wants != LOAD_WANTS_END);
    if (session->state == LOAD_REPLAYING) {
        load_replay_advance(&session->replay);
        follow_replay(session);
        return;
    }
    /* One RSET is enough, whatever the messages before it may still come to. */
    if (session->wants == LOAD_WANTS_MESSAGE) session->needs_reset = false;
    session->wants = LOAD_WANTS_NOTHING;
}

/* ---- replies ---- */

static enum load_session_event end_session(struct load_session *session,
                                           enum load_session_event event)
{
    session->state = LOAD_OVER;
    session->wants = LOAD_WANTS_NOTHING;
    return event;
}

static enum load_session_event protocol(struct load_session *session)
{
    return end_session(session, LOAD_EVENT_PROTOCOL);
}

static void note_failure(struct load_session *session, uint32_t code, enum load_phase phase)
{
    if (session->failure_code != 0) return;
    session->failure_code = code;
    session->failure_phase = phase;
}

/* The message in progress has its verdict; the session goes on. */
static enum load_session_event end_message(struct load_session *session)
{
    uint32_t code = session->failure_code;

    session->messages_ended++;
    session->state = session->next_begun ? LOAD_AWAIT_MAIL : LOAD_IDLE;
    if (code == 0) return LOAD_EVENT_ACCEPTED;
    return code < 500 ? LOAD_EVENT_TEMPFAIL : LOAD_EVENT_REJECT;
}

/* The message in progress failed before its content: a transaction may be left open. */
static enum load_session_event end_envelope(struct load_session *session)
{
    CHECK(session->failure_code != 0);
    CHECK(!session->next_begun);
    session->needs_reset = session->mail_taken;
    return end_message(session);
}

/* RFC 5321 3.8, 4.2.3: 421 may come in place of any reply, and the connection ends. */
static enum load_session_event take_closing(struct load_session *session, uint32_t code)
{
    bool is_blamed = load_session_is_blamed(session);

    /* This is what the message failed of, whatever was refused before. */
    if (is_blamed) {
        session->failure_code = code;
        session->failure_phase = load_session_phase(session);
    }
    bool is_greeting = load_greeting_is_under_way(session);
    session->state = LOAD_OVER;
    session->wants = LOAD_WANTS_NOTHING;
    if (is_blamed) return LOAD_EVENT_TEMPFAIL;
    return is_greeting ? LOAD_EVENT_UNUSABLE : LOAD_EVENT_CLOSING;
}

static enum load_session_event take_greeting(struct load_session *session,
                                             const struct load_script *script, uint32_t code)
{
    enum load_session_event event = load_greeting_take(session, script, code);
    return event == LOAD_EVENT_PROTOCOL ? protocol(session) : event;
}

static enum load_session_event take_reset(struct load_session *session, uint32_t code)
{
    if (code != 250) return protocol(session);
    session->needs_reset = false;
    session->state = LOAD_AWAIT_MAIL;
    if (!is_grouped(session)) session->wants = LOAD_WANTS_MAIL;
    return LOAD_EVENT_NONE;
}

static enum load_session_event take_mail(struct load_session *session, uint32_t code)
{
    /* A message of stream that began behind another's dot starts its own account here. */
    if (session->next_begun) {
        session->next_begun = false;
        forget_message(session);
        session->recipients = session->next_recipients;
    }
    if (code >= 300 && code < 400) return protocol(session);
    session->mail_taken = code < 300;
    if (code >= 400) {
        note_failure(session, code, LOAD_PHASE_MAIL);
        if (!is_grouped(session)) return end_envelope(session);
    }
    session->state = LOAD_AWAIT_RECIPIENT;
    if (!is_grouped(session)) session->wants = LOAD_WANTS_RECIPIENT;
    return LOAD_EVENT_NONE;
}

/* RFC 3030 4.2: the chunk left with its envelope; RFC 2033 4.2: LMTP answers it more than once. */
static void await_chunk(struct load_session *session, const struct load_script *script)
{
    session->is_void = session->recipients_accepted == 0;
    session->dots_awaited = script->is_lmtp ? session->recipients_accepted : 1;
    if (session->is_void) session->dots_awaited = 1;
    session->is_dot_taken = false;
    session->state = LOAD_AWAIT_DOT;
}

static enum load_session_event take_recipient(struct load_session *session,
                                              const struct load_script *script, uint32_t code)
{
    if (code >= 300 && code < 400) return protocol(session);
    session->recipients_answered++;
    if (code < 300)
        session->recipients_accepted++;
    else if (session->recipients_accepted == 0)
        note_failure(session, code, LOAD_PHASE_RCPT);
    if (session->recipients_answered < session->recipients) {
        if (!is_grouped(session)) session->wants = LOAD_WANTS_RECIPIENT;
        return LOAD_EVENT_NONE;
    }
    /* A message is accepted if one of its recipients is, whatever became of the others. */
    if (session->recipients_accepted > 0 && session->mail_taken) session->failure_code = 0;
    if (!is_grouped(session)) {
        if (session->failure_code != 0) return end_envelope(session);
        session->wants = LOAD_WANTS_DATA;
    }
    session->state = LOAD_AWAIT_DATA;
    if (is_chunked(session)) await_chunk(session, script);
    return LOAD_EVENT_NONE;
}

static enum load_session_event take_data(struct load_session *session,
                                         const struct load_script *script, uint32_t code)
{
    if (code >= 400) {
        note_failure(session, code, LOAD_PHASE_DATA);
        return end_envelope(session);
    }
    if (code != 354) return protocol(session);
    session->is_void = session->failure_code != 0;
    /* RFC 2033 4.2: without a recipient DATA must be refused. */
    if (session->is_void && script->is_lmtp) return protocol(session);
    session->dots_awaited = script->is_lmtp ? session->recipients_accepted : 1;
    session->is_dot_taken = false;
    session->state = LOAD_AWAIT_DOT;
    session->wants = session->is_void ? LOAD_WANTS_DOT : LOAD_WANTS_CONTENT;
    return session->is_void ? LOAD_EVENT_NONE : LOAD_EVENT_GO_AHEAD;
}

/* RFC 2033 4.2: a reply for each recipient taken; the message is accepted if one of them says so.
 */
static enum load_session_event take_verdict(struct load_session *session,
                                            const struct load_script *script, uint32_t code)
{
    if (!script->is_lmtp || session->is_void) return end_message(session);
    if (code < 300)
        session->is_dot_taken = true;
    else
        session->recipients_accepted--;
    if (--session->dots_awaited > 0) return LOAD_EVENT_NONE;
    if (session->is_dot_taken) session->failure_code = 0;
    return end_message(session);
}

/*
 * The reply to BDAT LAST decides, whatever was refused before: content that was taken is there. One
 * that was refused may leave a transaction open (RFC 3030 2), which the next RSET ends.
 */
static enum load_session_event take_chunk(struct load_session *session,
                                          const struct load_script *script, uint32_t code)
{
    if (code >= 400) {
        note_failure(session, code, session->is_void ? LOAD_PHASE_DATA : LOAD_PHASE_DOT);
        session->needs_reset = session->needs_reset || session->mail_taken;
    } else if (!session->is_void && !script->is_lmtp) {
        session->failure_code = 0;
    }
    return take_verdict(session, script, code);
}

static enum load_session_event take_dot(struct load_session *session,
                                        const struct load_script *script, uint32_t code)
{
    if (code >= 300 && code < 400) return protocol(session);
    if (is_chunked(session)) return take_chunk(session, script, code);
    if (code >= 400) note_failure(session, code, LOAD_PHASE_DOT);
    if (session->wants == LOAD_WANTS_NOTHING) return take_verdict(session, script, code);
    /* A verdict on content that has not left: where the server stands now is anybody's guess. */
    if (code < 300) return protocol(session);
    return end_session(session, end_message(session));
}

/* ---- a written-down dialogue ---- */

static enum load_session_event event_of(enum load_replay_news news)
{
    if (news == LOAD_REPLAY_KEPT) return LOAD_EVENT_KEPT;
    return news == LOAD_REPLAY_NOT_KEPT ? LOAD_EVENT_NOT_KEPT : LOAD_EVENT_NONE;
}

static enum load_session_event take_written(struct load_session *session, uint32_t code)
{
    if (load_replay_phase(&session->replay) == LOAD_PHASE_RCPT) {
        session->recipients_answered++;
        session->recipients_accepted += code < 300;
    }
    enum load_replay_news news = load_replay_take(&session->replay, code);
    follow_replay(session);
    return event_of(news);
}

/*
 * A session that goes another way fails. It says QUIT, unless more replies are on their way: the
 * server might take what is said for content.
 */
static enum load_session_event take_unwritten(struct load_session *session, uint32_t code)
{
    bool owes_more = load_replay_owes_more(&session->replay);
    session->failed_line = load_replay_line(&session->replay);
    note_failure(session, code, load_replay_phase(&session->replay));
    session->news = load_replay_take(&session->replay, code);
    if (code < 400) return protocol(session);
    enum load_session_event event = end_message(session);
    if (owes_more) return end_session(session, event);
    session->state = LOAD_AWAIT_QUIT;
    session->wants = LOAD_WANTS_QUIT;
    return event;
}

static enum load_session_event take_replayed(struct load_session *session,
                                             const struct load_reply_line *line)
{
    const struct load_step *step = load_replay_expects(&session->replay);
    if (step != NULL && load_step_accepts(step, line->code, line->text))
        return take_written(session, line->code);
    if (line->code == 421) return take_closing(session, line->code);
    if (step != NULL) return take_unwritten(session, line->code);
    /* Nobody waits for it: the session goes on. */
    return load_replay_is_owed(&session->replay) ? take_written(session, line->code)
                                                 : protocol(session);
}

static enum load_session_event take_last_line(struct load_session *session,
                                              const struct load_script *script, uint32_t code)
{
    switch (session->state) {
    case LOAD_AWAIT_BANNER:
    case LOAD_AWAIT_EHLO:
    case LOAD_AWAIT_HELO:
    case LOAD_AWAIT_STARTTLS:
    case LOAD_AWAIT_TLS:
    case LOAD_AWAIT_AUTH:
        return take_greeting(session, script, code);
    case LOAD_AWAIT_RESET:
        return take_reset(session, code);
    case LOAD_AWAIT_MAIL:
        return take_mail(session, code);
    case LOAD_AWAIT_RECIPIENT:
        return take_recipient(session, script, code);
    case LOAD_AWAIT_DATA:
        return take_data(session, script, code);
    case LOAD_AWAIT_DOT:
        return take_dot(session, script, code);
    case LOAD_AWAIT_QUIT:
        return end_session(session, LOAD_EVENT_NONE);
    case LOAD_IDLE:
    case LOAD_REPLAYING:
    case LOAD_OVER:
        break;
    }
    return protocol(session);
}

/* A reply to a command that has not left: where the server stands is anybody's guess. */
static bool is_too_early(const struct load_session *session)
{
    if (session->state == LOAD_AWAIT_DOT || session->state == LOAD_AWAIT_QUIT) return false;
    return session->wants != LOAD_WANTS_NOTHING;
}

enum load_session_event load_session_reply(struct load_session *session,
                                           const struct load_script *script,
                                           const struct load_reply_line *line, bool is_last)
{
    if (session->state == LOAD_AWAIT_EHLO && line->code == 250)
        load_greeting_note(session, line->text);
    if (!is_last) return LOAD_EVENT_NONE;
    if (session->state == LOAD_REPLAYING) return take_replayed(session, line);
    if (line->code == 421 && session->state != LOAD_AWAIT_QUIT)
        return take_closing(session, line->code);
    if (is_too_early(session)) return protocol(session);
    return take_last_line(session, script, line->code);
}

/* ---- questions ---- */

enum load_phase load_session_phase(const struct load_session *session)
{
    switch (session->state) {
    case LOAD_AWAIT_BANNER:
        return LOAD_PHASE_BANNER;
    case LOAD_AWAIT_EHLO:
    case LOAD_AWAIT_HELO:
        return LOAD_PHASE_EHLO;
    case LOAD_AWAIT_STARTTLS:
        return LOAD_PHASE_STARTTLS;
    case LOAD_AWAIT_TLS:
        return LOAD_PHASE_TLS;
    case LOAD_AWAIT_AUTH:
        return LOAD_PHASE_AUTH;
    case LOAD_AWAIT_RESET:
        return LOAD_PHASE_RSET;
    case LOAD_IDLE:
    case LOAD_AWAIT_MAIL:
        return LOAD_PHASE_MAIL;
    case LOAD_AWAIT_RECIPIENT:
        return LOAD_PHASE_RCPT;
    case LOAD_AWAIT_DATA:
        return LOAD_PHASE_DATA;
    case LOAD_AWAIT_DOT:
        return session->is_void ? LOAD_PHASE_DATA : LOAD_PHASE_DOT;
    case LOAD_REPLAYING:
        return load_replay_phase(&session->replay);
    case LOAD_AWAIT_QUIT:
    case LOAD_OVER:
        break;
    }
    return LOAD_PHASE_QUIT;
}

const struct load_pause *load_session_pause(const struct load_session *session)
{
    CHECK(session->wants == LOAD_WANTS_PAUSE);
    return &load_replay_step(&session->replay)->pause;
}

uint64_t load_session_message(const struct load_session *session)
{
    CHECK(session->wants == LOAD_WANTS_CONTENT);
    return load_replay_message(&session->replay);
}

bool load_session_said_goodbye(const struct load_session *session)
{
    if (session->state == LOAD_REPLAYING) return session->replay.says_goodbye;
    return session->state == LOAD_AWAIT_QUIT;
}

bool load_session_has_message(const struct load_session *session)
{
    return session->state >= LOAD_AWAIT_RESET && session->state <= LOAD_REPLAYING;
}

bool load_session_is_blamed(const struct load_session *session)
{
    if (!load_session_has_message(session)) return false;
    bool is_unanswered = session->state <= LOAD_AWAIT_MAIL;
    /* A server that closes between messages has not judged the one that was just begun. */
    return !is_unanswered || session->messages_ended == 0;
}

bool load_session_is_last_dot(const struct load_session *session)
{
    if (session->state == LOAD_REPLAYING) return load_replay_is_last_verdict(&session->replay);
    return session->state == LOAD_AWAIT_DOT && session->dots_awaited <= 1;
}
