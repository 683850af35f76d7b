/*
 *   CONNECTED --HELO, EHLO--> IDLE --MAIL--> HAS_SENDER --RCPT--> HAS_RECIPIENT
 *                             ^  ^                                 |         |
 *                   IN_AUTH --+  |                               DATA      BDAT
 *                                |                                 v         v
 *                                +--verdict-- AWAIT_VERDICT <-- IN_DATA   IN_CHUNK <--> HAS_CHUNK
 *
 *   CONNECTED, IDLE            -> IDLE           [take_greeting in smtp_verb.c]
 *   IDLE                       -> IN_AUTH        [ask in smtp_auth.c]
 *   IN_AUTH                    -> IDLE           [smtp_auth_respond]
 *   IDLE                       -> HAS_SENDER     [take_mail]
 *   HAS_SENDER                 -> IDLE           [settle_refused]
 *   HAS_SENDER, HAS_RECIPIENT  -> HAS_RECIPIENT  [take_rcpt]
 *   HAS_RECIPIENT              -> HAS_SENDER     [settle_refused, where the only one is]
 *   HAS_SENDER ... HAS_CHUNK   -> IDLE           [smtp_turn_answer_dropping: RSET, HELO, QUIT...]
 *   HAS_RECIPIENT              -> IN_DATA        [settle_data]
 *   HAS_RECIPIENT              -> IN_CHUNK       [settle_chunk]
 *   IN_CHUNK                   -> HAS_CHUNK      [end_chunk in smtp_content.c]
 *   HAS_CHUNK                  -> IN_CHUNK       [take_bdat]
 *   IN_DATA, IN_CHUNK          -> AWAIT_VERDICT  [end_complete]
 *   IN_DATA, IN_CHUNK          -> IDLE           [end_refused]
 *   AWAIT_VERDICT              -> IDLE           [smtp_session_verdict]
 *   CONNECTED to HAS_RECIPIENT -> CONNECTED      [smtp_session_start_tls]
 *   any                        -> CLOSED         [smtp_turn_hang_up, smtp_session_dismiss]
 *
 * A refused chunk changes no state: is_swallowing says where its octets go.
 * A step first settles what an event left pending, then takes lines or content until it has an
 * event to return. Nothing is taken from the input before there is room for the reply it provokes.
 */
#include "smtp/smtp_session.h"

#include "smtp/smtp_auth.h"
#include "smtp/smtp_content.h"
#include "smtp/smtp_plain_line.h"
#include "smtp/smtp_turn.h"
#include "smtp/smtp_verb.h"

#include <assert.h>

static_assert(sizeof(struct smtp_session) <= 248, "an idle connection costs at most 512 bytes");
static_assert(SMTP_CLOSED > SMTP_AWAIT_VERDICT, "no step is made in the last two states");
static_assert(SMTP_STASH_SIZE >= SMTP_AUTH_LINE_MAX + 2, "a stash holds a whole line");

static void session_check(const struct smtp_session *session)
{
    if (session->stash_size > 0) {
        CHECK(session->stash != NULL);
        CHECK(session->stash_size <= SMTP_AUTH_LINE_MAX + 2);
    }
    if (session->state == SMTP_HAS_SENDER) CHECK(session->recipient_count == 0);
    if (session->state == SMTP_HAS_RECIPIENT) CHECK(session->recipient_count > 0);
    if (session->state == SMTP_CLOSED) CHECK(session->pending == SMTP_PENDING_NOTHING);
    if (session->is_too_big) CHECK(smtp_session_is_in_content(session));
}

/* Views of a line taken from the stash are valid until the event's reply is written. */
static void release_stash(struct smtp_session *session)
{
    if (session->pending == SMTP_PENDING_NOTHING) session->stash_size = 0;
}

static void stash_input(struct smtp_session *session, struct bytes *input)
{
    CHECK(session->stash_size + input->size <= SMTP_STASH_SIZE);
    memcpy(session->stash + session->stash_size, input->data, input->size);
    session->stash_size = (uint16_t)(session->stash_size + input->size);
    bytes_take(input, input->size);
}

/* Does the line that began in the stash and goes on in `rest` belong to an AUTH exchange? */
static bool is_of_auth(const struct smtp_session *session, struct bytes rest)
{
    if (session->state == SMTP_IN_AUTH) return true;
    if ((session->config->offers & SMTP_OFFER(AUTH)) == 0) return false;
    for (uint64_t i = 0; i < 4; i++) {
        if (i >= session->stash_size + rest.size) return false;
        uint8_t octet =
            i < session->stash_size ? session->stash[i] : rest.data[i - session->stash_size];
        if ((octet | 0x20) != "auth"[i]) return false;
    }
    return true;
}

/* Is a line of the stash and `rest` longer than it may be? Only AUTH may pass SMTP_LINE_MAX. */
static bool is_too_long(const struct smtp_session *session, struct bytes rest, uint64_t size)
{
    if (size <= SMTP_LINE_MAX) return false;
    return size > SMTP_AUTH_LINE_MAX + 2 || !is_of_auth(session, rest);
}

static void skip_line(struct smtp_session *session, struct bytes rest)
{
    session->skipping = is_of_auth(session, rest) ? SMTP_SKIP_AUTH_LINE : SMTP_SKIP_LINE;
    if (session->stash_size > 0) explicit_bzero(session->stash, session->stash_size);
    session->stash_size = 0;
}

static void answer_skipped_line(struct smtp_turn *turn)
{
    enum smtp_skip skipped = turn->session->skipping;
    turn->session->skipping = SMTP_SKIP_NOTHING;
    if (skipped == SMTP_SKIP_AUTH_LINE)
        smtp_auth_refuse_long(turn);
    else
        smtp_turn_answer_bad(turn, SMTP_REPLY_LINE_TOO_LONG);
}

/* No LF in the input: what will be too long with one is too long already. */
static void take_unfinished_line(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->skipping == SMTP_SKIP_NOTHING &&
        is_too_long(session, *turn->input, session->stash_size + turn->input->size + 1))
        skip_line(session, *turn->input);
    if (session->skipping == SMTP_SKIP_NOTHING && session->stash == NULL) {
        smtp_turn_end(turn, SMTP_WANT_STASH);
        return;
    }
    session->is_after_cr = turn->input->data[turn->input->size - 1] == '\r';
    if (session->skipping != SMTP_SKIP_NOTHING)
        bytes_take(turn->input, turn->input->size);
    else
        stash_input(session, turn->input);
}

/* A password must not stay in the stash. */
static void take_whole_line(struct smtp_turn *turn, struct bytes line)
{
    turn->detail->line = line;
    smtp_verb_take(turn, line);
    if (turn->detail->is_line_secret && turn->session->stash_size > 0)
        explicit_bzero(turn->session->stash, turn->session->stash_size);
}

/* A line of which something was stashed or skipped, or that may be too long. */
RARE static void take_odd_line(struct smtp_turn *turn, struct bytes line)
{
    struct smtp_session *session = turn->session;
    if (session->skipping == SMTP_SKIP_NOTHING &&
        is_too_long(session, line, session->stash_size + line.size))
        skip_line(session, line);
    if (session->skipping != SMTP_SKIP_NOTHING) {
        answer_skipped_line(turn);
    } else if (session->stash_size == 0) {
        take_whole_line(turn, line);
    } else {
        stash_input(session, &line);
        take_whole_line(turn, bytes_make(session->stash, session->stash_size));
    }
    release_stash(session);
}

/* The first `size` octets of the input end a line. */
static void take_finished_line(struct smtp_turn *turn, uint64_t size)
{
    struct smtp_session *session = turn->session;
    struct bytes line = bytes_take(turn->input, size);
    session->command_count++;
    session->is_after_cr = false;
    bool is_odd =
        session->stash_size > 0 || session->skipping != SMTP_SKIP_NOTHING || size > SMTP_LINE_MAX;
    if (is_odd)
        take_odd_line(turn, line);
    else
        take_whole_line(turn, line);
}

/*
 * Index of the LF that ends the line, or input.size. A lenient server takes a bare one, for people
 * who type into nc; to a strict one it is an octet of the line (RFC 5321 2.3.8).
 */
static uint64_t find_line_end(const struct smtp_session *session, struct bytes input)
{
    uint64_t end = bytes_find(input, '\n');
    if (!session->config->is_strict) return end;
    bool is_after_cr = session->is_after_cr;
    while (end < input.size) {
        if (end > 0) is_after_cr = input.data[end - 1] == '\r';
        if (is_after_cr) break;
        is_after_cr = false;
        struct bytes rest = bytes_make(input.data + end + 1, input.size - end - 1);
        end += 1 + bytes_find(rest, '\n');
    }
    return end;
}

/* A plain line that is in order here, with nothing before it. False: nothing was taken. */
static bool take_plain_line(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    bool may_be_plain = session->config->takes_plain && session->stash_size == 0 &&
                        session->skipping == SMTP_SKIP_NOTHING && smtp_turn_has_room(turn);
    if (!may_be_plain) return false;
    struct smtp_plain_line plain = smtp_plain_line_read(*turn->input);
    if (!smtp_verb_take_plain(turn, &plain)) return false;
    turn->detail->line = bytes_take(turn->input, plain.line.size);
    session->command_count++;
    session->is_after_cr = false;
    return true;
}

ASIDE static void take_any_line(struct smtp_turn *turn)
{
    uint64_t end = find_line_end(turn->session, *turn->input);
    if (end == turn->input->size)
        take_unfinished_line(turn);
    else if (!smtp_turn_has_room(turn))
        smtp_turn_end(turn, SMTP_WANT_FLUSH);
    else
        take_finished_line(turn, end + 1);
}

static void take_line(struct smtp_turn *turn)
{
    if (turn->input->size == 0)
        smtp_turn_end(turn, SMTP_WANT_INPUT);
    else if (!take_plain_line(turn))
        take_any_line(turn);
}

/* What a caller's refusal of a command becomes. */
RARE static enum smtp_reply reply_to_refusal(enum smtp_verdict why, bool is_recipient)
{
    switch (why) {
    case SMTP_NO_SPACE:
        return SMTP_REPLY_NO_SPACE;
    case SMTP_NO_MEMORY: /* RFC 5321 4.5.3.1.10 */
        return is_recipient ? SMTP_REPLY_TOO_MANY_RECIPIENTS : SMTP_REPLY_NO_SPACE;
    case SMTP_STORE_FAILED:
        return SMTP_REPLY_STORE_FAILED;
    case SMTP_NO_TLS:
        return SMTP_REPLY_NO_TLS;
    case SMTP_STORED:
        break;
    }
    CHECK(why != SMTP_STORED);
    return SMTP_REPLY_STORE_FAILED;
}

static enum smtp_reply reply_to_verdict(enum smtp_verdict verdict)
{
    return verdict == SMTP_STORED ? SMTP_REPLY_OK : reply_to_refusal(verdict, false);
}

static void settle_data(struct smtp_turn *turn)
{
    smtp_content_begin(turn->session);
    smtp_turn_enter(turn->session, SMTP_IN_DATA);
    smtp_turn_put(turn, SMTP_REPLY_GO_AHEAD);
}

static void settle_chunk(struct smtp_turn *turn)
{
    smtp_content_begin(turn->session);
    smtp_turn_enter(turn->session, SMTP_IN_CHUNK);
}

/* The caller refused what its event told. */
RARE static void settle_refused(struct smtp_turn *turn, enum smtp_pending pending)
{
    struct smtp_session *session = turn->session;
    enum smtp_reply reply = reply_to_refusal(session->refusal, pending == SMTP_PENDING_RECIPIENT);
    session->refusal = SMTP_STORED;
    if (pending == SMTP_PENDING_CHUNK) {
        smtp_content_refuse_chunk(session, reply);
        return;
    }
    if (pending == SMTP_PENDING_SENDER) smtp_turn_enter(session, SMTP_IDLE);
    if (pending == SMTP_PENDING_RECIPIENT) {
        session->has_lost_recipients = true;
        session->recipient_count--;
        if (session->recipient_count == 0) smtp_turn_enter(session, SMTP_HAS_SENDER);
    }
    smtp_turn_put(turn, reply);
}

static void put_queued(struct smtp_session *session, struct smtp_replies *replies, struct bytes id)
{
    if (session->config->is_enhanced)
        smtp_replies_put_line(replies, BYTES("250 2.0.0 Ok: queued as "), id);
    else
        smtp_replies_put_line(replies, BYTES("250 Ok: queued as "), id);
}

/* One final reply; under LMTP there may be more (RFC 2033 4.2). */
ASIDE static void put_final(struct smtp_session *session, struct smtp_replies *replies)
{
    if (session->pending_reply == SMTP_REPLY_OK)
        put_queued(session, replies, bytes_make(session->id, session->id_size));
    else
        smtp_replies_put(replies, session->pending_reply, session->config->is_enhanced);
    session->replies_left--;
    session->pending = session->replies_left > 0 ? SMTP_PENDING_FINAL : SMTP_PENDING_NOTHING;
}

static void settle(struct smtp_turn *turn, enum smtp_pending pending)
{
    switch (pending) {
    case SMTP_PENDING_SENDER:
        smtp_turn_put(turn, SMTP_REPLY_SENDER_OK);
        break;
    case SMTP_PENDING_RECIPIENT:
        smtp_turn_put(turn, SMTP_REPLY_RECIPIENT_OK);
        break;
    case SMTP_PENDING_DATA:
        settle_data(turn);
        break;
    case SMTP_PENDING_CHUNK:
        settle_chunk(turn);
        break;
    case SMTP_PENDING_TLS:
        CHECK(false); /* a step before the caller has answered STARTTLS */
        break;
    case SMTP_PENDING_REPLY:
        smtp_turn_put(turn, turn->session->pending_reply);
        break;
    case SMTP_PENDING_GREETING:
        smtp_turn_put_greeting(turn);
        break;
    case SMTP_PENDING_LAST:
        smtp_turn_hang_up(turn, turn->session->pending_reply);
        break;
    case SMTP_PENDING_OVERFLOW:
        smtp_turn_end(turn, SMTP_ABANDONED);
        break;
    case SMTP_PENDING_FINAL:
        put_final(turn->session, turn->replies);
        break;
    case SMTP_PENDING_NOTHING:
        break;
    }
}

static void settle_pending(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    enum smtp_pending pending = session->pending;
    if (!smtp_turn_has_room(turn)) {
        smtp_turn_end(turn, SMTP_WANT_FLUSH);
        return;
    }
    session->pending = SMTP_PENDING_NOTHING;
    release_stash(session);
    if (session->refusal == SMTP_STORED)
        settle(turn, pending);
    else
        settle_refused(turn, pending);
}

/* For a log: has the step taken a line or written a reply, with more input to take? */
static bool has_told(const struct smtp_turn *turn, uint32_t replies_before)
{
    /* With all input used the step goes on: BDAT 0 is answered though nothing follows it. */
    return turn->input->size > 0 &&
           (turn->detail->line.size > 0 || turn->replies->size > replies_before);
}

enum smtp_event smtp_session_step(struct smtp_session *session, struct bytes *input,
                                  struct smtp_replies *replies, struct smtp_detail *detail)
{
    CHECK(session->state < SMTP_AWAIT_VERDICT); /* nor closed */
    struct smtp_turn turn = {
        .session = session, .input = input, .replies = replies, .detail = detail};
    detail->line = bytes_make(NULL, 0);
    detail->is_line_secret = false;
    uint32_t replies_before = replies->size;
    while (!turn.is_over) {
        if (session->pending != SMTP_PENDING_NOTHING)
            settle_pending(&turn);
        else if (session->config->is_traced && has_told(&turn, replies_before))
            smtp_turn_end(&turn, SMTP_WANT_INPUT);
        else if (session->state == SMTP_IN_DATA)
            smtp_content_take_data(&turn);
        else if (session->state == SMTP_IN_CHUNK)
            smtp_content_take_chunk(&turn);
        else if (session->is_swallowing)
            smtp_content_swallow(&turn);
        else
            take_line(&turn);
    }
    session_check(session);
    return turn.event;
}

void smtp_session_init(struct smtp_session *session, const struct smtp_config *config)
{
    CHECK(config->ehlo_replies[true].size > 0);
    *session = (struct smtp_session){.config = config, .state = SMTP_CONNECTED};
}

void smtp_session_set_secure(struct smtp_session *session)
{
    CHECK(session->state == SMTP_CONNECTED);
    CHECK(session->command_count == 0);
    session->is_secure = true;
}

void smtp_session_greet(struct smtp_session *session, struct smtp_replies *replies)
{
    CHECK(session->state == SMTP_CONNECTED);
    smtp_replies_put_bytes(replies, session->config->greeting_reply);
}

void smtp_session_refuse(struct smtp_session *session, enum smtp_verdict why)
{
    bool is_of_message =
        session->pending == SMTP_PENDING_SENDER || session->pending == SMTP_PENDING_RECIPIENT ||
        session->pending == SMTP_PENDING_DATA || session->pending == SMTP_PENDING_CHUNK;
    CHECK(why != SMTP_STORED);
    CHECK(is_of_message || session->pending == SMTP_PENDING_TLS);
    CHECK(is_of_message == (why != SMTP_NO_TLS));
    session->refusal = (uint8_t)why;
}

/* What the server counts and what it was lent is not the client's, and stays. */
void smtp_session_start_tls(struct smtp_session *session, struct smtp_replies *replies)
{
    CHECK(session->pending == SMTP_PENDING_TLS);
    CHECK(session->refusal == SMTP_STORED);
    smtp_replies_put(replies, SMTP_REPLY_READY_FOR_TLS, session->config->is_enhanced);
    *session = (struct smtp_session){
        .config = session->config,
        .stash = session->stash,
        .command_count = session->command_count,
        .bad_count = session->bad_count,
        .run_on_count = session->run_on_count,
        .is_secure = true,
        .state = SMTP_CONNECTED,
    };
}

void smtp_session_verdict(struct smtp_session *session, struct smtp_replies *replies,
                          enum smtp_verdict verdict, struct bytes id)
{
    CHECK(session->state == SMTP_AWAIT_VERDICT);
    CHECK(id.size <= SMTP_ID_MAX);
    smtp_turn_enter(session, SMTP_IDLE);
    if (session->config->is_lmtp) {
        memcpy(session->id, id.data, id.size);
        session->id_size = (uint8_t)id.size;
        session->pending_reply = (uint8_t)reply_to_verdict(verdict);
        session->replies_left = session->recipient_count;
        put_final(session, replies);
    } else if (verdict == SMTP_STORED) {
        put_queued(session, replies, id);
    } else {
        smtp_replies_put(replies, reply_to_verdict(verdict), session->config->is_enhanced);
    }
}

void smtp_session_lend_stash(struct smtp_session *session, uint8_t *stash)
{
    CHECK(session->stash == NULL);
    CHECK(stash != NULL);
    session->stash = stash;
}

uint8_t *smtp_session_reclaim_stash(struct smtp_session *session)
{
    if (session->stash_size > 0) return NULL;
    uint8_t *stash = session->stash;
    session->stash = NULL;
    return stash;
}

void smtp_session_dismiss(struct smtp_session *session, struct smtp_replies *replies,
                          enum smtp_reply reply)
{
    if (smtp_replies_have_room(replies, SMTP_REPLY_LINE_MAX))
        smtp_replies_put(replies, reply, session->config->is_enhanced);
    smtp_turn_enter(session, SMTP_CLOSED);
    session->pending = SMTP_PENDING_NOTHING;
    session->is_too_big = false;
    session->is_swallowing = false;
    if (session->stash_size > 0) explicit_bzero(session->stash, session->stash_size);
    session->stash_size = 0;
}

#define PROTOCOL(name)                                                                             \
    {                                                                                              \
        name, sizeof(name) - 1                                                                     \
    }

/* By LMTP, UTF-8, login and TLS. */
static const struct protocol {
    char name[15];
    uint8_t size;
} protocols[2][2][2][2] = {
    {{{PROTOCOL("ESMTP"), PROTOCOL("ESMTPS")}, {PROTOCOL("ESMTPA"), PROTOCOL("ESMTPSA")}},
     {{PROTOCOL("UTF8SMTP"), PROTOCOL("UTF8SMTPS")},
      {PROTOCOL("UTF8SMTPA"), PROTOCOL("UTF8SMTPSA")}}},
    {{{PROTOCOL("LMTP"), PROTOCOL("LMTPS")}, {PROTOCOL("LMTPA"), PROTOCOL("LMTPSA")}},
     {{PROTOCOL("UTF8LMTP"), PROTOCOL("UTF8LMTPS")},
      {PROTOCOL("UTF8LMTPA"), PROTOCOL("UTF8LMTPSA")}}},
};

struct bytes smtp_session_protocol(const struct smtp_session *session)
{
    if (!session->is_extended) return BYTES("SMTP");
    const struct protocol *protocol = &protocols[session->config->is_lmtp][session->is_utf8]
                                                [session->is_authenticated][session->is_secure];
    return bytes_make(protocol->name, protocol->size);
}

uint32_t smtp_session_queued_left(const struct smtp_session *session)
{
    bool is_stored =
        session->pending == SMTP_PENDING_FINAL && session->pending_reply == SMTP_REPLY_OK;
    return is_stored ? session->replies_left : 0;
}

void smtp_session_revoke(struct smtp_session *session)
{
    if (smtp_session_queued_left(session) == 0) return;
    session->pending_reply = (uint8_t)reply_to_verdict(SMTP_STORE_FAILED);
}

bool smtp_session_is_in_content(const struct smtp_session *session)
{
    return session->state == SMTP_IN_DATA || session->state == SMTP_IN_CHUNK ||
           session->is_swallowing;
}

bool smtp_session_is_at_rest(const struct smtp_session *session)
{
    return !smtp_session_is_in_content(session) && session->stash_size == 0 &&
           session->skipping == SMTP_SKIP_NOTHING;
}

bool smtp_session_has_transaction(const struct smtp_session *session)
{
    switch ((enum smtp_state)session->state) {
    case SMTP_HAS_SENDER:
    case SMTP_HAS_RECIPIENT:
    case SMTP_HAS_CHUNK:
    case SMTP_AWAIT_VERDICT:
        return true;
    case SMTP_IN_CHUNK:
    case SMTP_IN_DATA:
        return !session->is_too_big || session->pending == SMTP_PENDING_OVERFLOW;
    case SMTP_CONNECTED:
    case SMTP_IDLE:
    case SMTP_IN_AUTH:
    case SMTP_CLOSED:
        break;
    }
    return false;
}
