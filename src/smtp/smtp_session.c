/*
 *   CONNECTED --HELO, EHLO--> IDLE --MAIL--> HAS_SENDER --RCPT--> HAS_RECIPIENT
 *                              ^                                        |
 *                              |                                      DATA
 *                              |                                        v
 *                              +--verdict-- AWAIT_VERDICT <--dot--   IN_DATA
 *
 *   CONNECTED, IDLE            -> IDLE           [take_greeting in smtp_verb.c]
 *   IDLE                       -> HAS_SENDER     [take_mail]
 *   HAS_SENDER                 -> IDLE           [settle_sender, where refused]
 *   HAS_SENDER, HAS_RECIPIENT  -> HAS_RECIPIENT  [take_rcpt]
 *   HAS_RECIPIENT              -> HAS_SENDER     [settle_recipient, where the only one is refused]
 *   HAS_SENDER, HAS_RECIPIENT  -> IDLE           [smtp_turn_answer_dropping: RSET, HELO, QUIT...]
 *   HAS_RECIPIENT              -> IN_DATA        [settle_data]
 *   IN_DATA                    -> AWAIT_VERDICT  [take_end]
 *   IN_DATA                    -> IDLE           [settle_too_big]
 *   AWAIT_VERDICT              -> IDLE           [smtp_session_verdict]
 *   any                        -> CLOSED         [smtp_turn_hang_up, smtp_session_dismiss]
 *
 * A step first settles what an event left pending, then takes lines or content until it has an
 * event to return. Nothing is taken from the input before there is room for the reply it provokes.
 */
#include "smtp/smtp_session.h"

#include "smtp/smtp_turn.h"
#include "smtp/smtp_verb.h"

#include <assert.h>

static_assert(sizeof(struct smtp_session) <= 192, "an idle connection costs at most 512 bytes");
static_assert(SMTP_STASH_SIZE >= SMTP_LINE_MAX, "a stash holds a whole line");

static void session_check(const struct smtp_session *session)
{
    CHECK(session->config != NULL);
    CHECK(session->stash != NULL || session->stash_size == 0);
    CHECK(session->stash_size <= SMTP_LINE_MAX);
    if (session->state == SMTP_HAS_SENDER) CHECK(session->recipient_count == 0);
    if (session->state == SMTP_HAS_RECIPIENT) CHECK(session->recipient_count > 0);
    if (session->state == SMTP_CLOSED) CHECK(session->pending == SMTP_PENDING_NOTHING);
    if (session->is_too_big) CHECK(session->state == SMTP_IN_DATA);
}

static bool has_room(const struct smtp_turn *turn)
{
    return smtp_replies_have_room(turn->replies, SMTP_REPLY_MAX);
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

/* No LF in the input: what will be too long with one is too long already. */
static void take_unfinished_line(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->is_skipping_line || session->stash_size + turn->input->size >= SMTP_LINE_MAX) {
        session->is_skipping_line = true;
        session->stash_size = 0;
        bytes_take(turn->input, turn->input->size);
    } else if (session->stash == NULL) {
        smtp_turn_end(turn, SMTP_WANT_STASH);
    } else {
        stash_input(session, turn->input);
    }
}

/* The first `size` octets of the input end a line. */
static void take_finished_line(struct smtp_turn *turn, uint64_t size)
{
    struct smtp_session *session = turn->session;
    struct bytes line = bytes_take(turn->input, size);
    session->command_count++;
    if (session->is_skipping_line || session->stash_size + size > SMTP_LINE_MAX) {
        session->is_skipping_line = false;
        smtp_turn_answer_bad(turn, SMTP_REPLY_LINE_TOO_LONG);
    } else if (session->stash_size == 0) {
        smtp_verb_take(turn, line);
    } else {
        stash_input(session, &line);
        smtp_verb_take(turn, bytes_make(session->stash, session->stash_size));
    }
    release_stash(session);
}

static void take_line(struct smtp_turn *turn)
{
    uint64_t end = bytes_find(*turn->input, '\n');
    if (turn->input->size == 0)
        smtp_turn_end(turn, SMTP_WANT_INPUT);
    else if (end == turn->input->size)
        take_unfinished_line(turn);
    else if (!has_room(turn))
        smtp_turn_end(turn, SMTP_WANT_FLUSH);
    else
        take_finished_line(turn, end + 1);
}

static void take_end(struct smtp_turn *turn)
{
    if (turn->session->is_too_big) {
        turn->session->pending = SMTP_PENDING_TOO_BIG;
        return;
    }
    smtp_turn_enter(turn->session, SMTP_AWAIT_VERDICT);
    smtp_turn_end(turn, SMTP_WANT_VERDICT);
}

/* Content that passes the limit: the part below it is told, so that cuts don't show (invariant 1).
 */
static void take_overflow(struct smtp_turn *turn, struct bytes slice, uint64_t room)
{
    struct smtp_session *session = turn->session;
    session->is_too_big = true;
    if (room == 0) {
        smtp_turn_end(turn, SMTP_ABANDONED);
        return;
    }
    session->message_size += room;
    session->pending = SMTP_PENDING_OVERFLOW;
    turn->detail->body = bytes_take(&slice, room);
    smtp_turn_end(turn, SMTP_BODY);
}

static void take_content(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    struct bytes slice = smtp_data_next(&session->data, turn->input);
    if (slice.size == 0) {
        if (session->data.state == SMTP_DATA_DONE)
            take_end(turn);
        else
            smtp_turn_end(turn, SMTP_WANT_INPUT);
        return;
    }
    if (session->is_too_big) return;
    uint64_t room = smtp_turn_size_limit(session) - session->message_size;
    if (slice.size > room) {
        take_overflow(turn, slice, room);
        return;
    }
    session->message_size += slice.size;
    turn->detail->body = slice;
    smtp_turn_end(turn, SMTP_BODY);
}

/* What a caller's refusal of a command becomes. */
static enum smtp_reply reply_to_refusal(enum smtp_verdict why, bool is_recipient)
{
    switch (why) {
    case SMTP_NO_SPACE:
        return SMTP_REPLY_NO_SPACE;
    case SMTP_NO_MEMORY: /* RFC 5321 4.5.3.1.10 */
        return is_recipient ? SMTP_REPLY_TOO_MANY_RECIPIENTS : SMTP_REPLY_NO_SPACE;
    case SMTP_STORE_FAILED:
        return SMTP_REPLY_STORE_FAILED;
    case SMTP_STORED:
        break;
    }
    CHECK(why != SMTP_STORED);
    return SMTP_REPLY_STORE_FAILED;
}

static void settle_sender(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->refusal == SMTP_STORED) {
        smtp_turn_put(turn, SMTP_REPLY_SENDER_OK);
        return;
    }
    smtp_turn_enter(session, SMTP_IDLE);
    smtp_turn_put(turn, reply_to_refusal(session->refusal, false));
}

static void settle_recipient(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->refusal == SMTP_STORED) {
        smtp_turn_put(turn, SMTP_REPLY_RECIPIENT_OK);
        return;
    }
    session->has_lost_recipients = true;
    session->recipient_count--;
    if (session->recipient_count == 0) smtp_turn_enter(session, SMTP_HAS_SENDER);
    smtp_turn_put(turn, reply_to_refusal(session->refusal, true));
}

static void settle_data(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->refusal != SMTP_STORED) {
        smtp_turn_put(turn, reply_to_refusal(session->refusal, false));
        return;
    }
    session->message_size = 0;
    smtp_data_init(&session->data);
    smtp_turn_enter(session, SMTP_IN_DATA);
    smtp_turn_put(turn, SMTP_REPLY_GO_AHEAD);
}

static void settle_too_big(struct smtp_turn *turn)
{
    turn->session->is_too_big = false;
    smtp_turn_enter(turn->session, SMTP_IDLE);
    smtp_turn_put(turn, SMTP_REPLY_MESSAGE_TOO_BIG);
}

static void settle(struct smtp_turn *turn, enum smtp_pending pending)
{
    switch (pending) {
    case SMTP_PENDING_SENDER:
        settle_sender(turn);
        break;
    case SMTP_PENDING_RECIPIENT:
        settle_recipient(turn);
        break;
    case SMTP_PENDING_DATA:
        settle_data(turn);
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
    case SMTP_PENDING_TOO_BIG:
        settle_too_big(turn);
        break;
    case SMTP_PENDING_NOTHING:
        break;
    }
}

static void settle_pending(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    enum smtp_pending pending = session->pending;
    if (!has_room(turn)) {
        smtp_turn_end(turn, SMTP_WANT_FLUSH);
        return;
    }
    session->pending = SMTP_PENDING_NOTHING;
    release_stash(session);
    settle(turn, pending);
    session->refusal = SMTP_STORED;
}

enum smtp_event smtp_session_step(struct smtp_session *session, struct bytes *input,
                                  struct smtp_replies *replies, struct smtp_detail *detail)
{
    CHECK(session->state != SMTP_CLOSED);
    CHECK(session->state != SMTP_AWAIT_VERDICT);
    struct smtp_turn turn = {
        .session = session, .input = input, .replies = replies, .detail = detail};
    while (!turn.is_over) {
        if (session->pending != SMTP_PENDING_NOTHING)
            settle_pending(&turn);
        else if (session->state == SMTP_IN_DATA)
            take_content(&turn);
        else
            take_line(&turn);
    }
    session_check(session);
    return turn.event;
}

void smtp_session_init(struct smtp_session *session, const struct smtp_config *config)
{
    CHECK(config->ehlo_reply.size > 0);
    *session = (struct smtp_session){.config = config, .state = SMTP_CONNECTED};
}

void smtp_session_greet(struct smtp_session *session, struct smtp_replies *replies)
{
    CHECK(session->state == SMTP_CONNECTED);
    smtp_replies_put_bytes(replies, session->config->greeting_reply);
}

void smtp_session_refuse(struct smtp_session *session, enum smtp_verdict why)
{
    CHECK(why != SMTP_STORED);
    CHECK(session->pending == SMTP_PENDING_SENDER || session->pending == SMTP_PENDING_RECIPIENT ||
          session->pending == SMTP_PENDING_DATA);
    session->refusal = (uint8_t)why;
}

void smtp_session_verdict(struct smtp_session *session, struct smtp_replies *replies,
                          enum smtp_verdict verdict, struct bytes id)
{
    CHECK(session->state == SMTP_AWAIT_VERDICT);
    CHECK(id.size <= SMTP_ID_MAX);
    smtp_turn_enter(session, SMTP_IDLE);
    if (verdict != SMTP_STORED) {
        smtp_replies_put(replies, reply_to_refusal(verdict, false));
        return;
    }
    smtp_replies_put_bytes(replies, BYTES("250 2.0.0 Ok: queued as "));
    smtp_replies_put_bytes(replies, id);
    smtp_replies_put_bytes(replies, BYTES("\r\n"));
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
    if (smtp_replies_have_room(replies, SMTP_REPLY_LINE_MAX)) smtp_replies_put(replies, reply);
    smtp_turn_enter(session, SMTP_CLOSED);
    session->pending = SMTP_PENDING_NOTHING;
    session->is_too_big = false;
    session->stash_size = 0;
}

bool smtp_session_is_in_content(const struct smtp_session *session)
{
    return session->state == SMTP_IN_DATA || session->state == SMTP_IN_CHUNK;
}

bool smtp_session_is_at_rest(const struct smtp_session *session)
{
    return !smtp_session_is_in_content(session) && session->stash_size == 0 &&
           !session->is_skipping_line;
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
    case SMTP_CLOSED:
        break;
    }
    return false;
}
