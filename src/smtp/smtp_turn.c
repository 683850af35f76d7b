#include "smtp/smtp_turn.h"

void smtp_turn_end(struct smtp_turn *turn, enum smtp_event event)
{
    CHECK(!turn->is_over);
    turn->event = event;
    turn->is_over = true;
}

void smtp_turn_enter(struct smtp_session *session, enum smtp_state state)
{
    CHECK(session->state != SMTP_CLOSED);
    session->state = (uint8_t)state;
}

void smtp_turn_put(struct smtp_turn *turn, enum smtp_reply reply)
{
    smtp_replies_put(turn->replies, reply, turn->session->config->is_enhanced);
}

void smtp_turn_put_greeting(struct smtp_turn *turn)
{
    const struct smtp_session *session = turn->session;
    const struct smtp_config *config = session->config;
    smtp_replies_put_bytes(turn->replies, session->is_extended
                                              ? config->ehlo_replies[session->is_secure]
                                              : config->helo_reply);
}

bool smtp_turn_has_room(const struct smtp_turn *turn)
{
    return smtp_replies_have_room(turn->replies, SMTP_REPLY_MAX);
}

uint32_t smtp_turn_offers(const struct smtp_session *session)
{
    return session->config->offers_now[session->is_secure];
}

bool smtp_turn_lacks_tls(const struct smtp_session *session)
{
    return session->config->is_tls_required && !session->is_secure;
}

uint64_t smtp_turn_size_limit(const struct smtp_session *session)
{
    return session->config->size_limit == 0 ? UINT64_MAX : session->config->size_limit;
}

void smtp_turn_hang_up(struct smtp_turn *turn, enum smtp_reply reply)
{
    smtp_turn_put(turn, reply);
    smtp_turn_enter(turn->session, SMTP_CLOSED);
    smtp_turn_end(turn, SMTP_HANG_UP);
}

bool smtp_turn_answer_dropping(struct smtp_turn *turn, enum smtp_pending pending,
                               enum smtp_reply reply)
{
    struct smtp_session *session = turn->session;
    if (!smtp_session_has_transaction(session)) return false;
    smtp_turn_enter(session, SMTP_IDLE);
    session->pending = (uint8_t)pending;
    session->pending_reply = (uint8_t)reply;
    smtp_turn_end(turn, SMTP_ABANDONED);
    return true;
}

void smtp_turn_answer_last(struct smtp_turn *turn, enum smtp_reply reply, enum smtp_hang_up reason)
{
    turn->session->hang_up_reason = (uint8_t)reason;
    if (!smtp_turn_answer_dropping(turn, SMTP_PENDING_LAST, reply)) smtp_turn_hang_up(turn, reply);
}

void smtp_turn_answer_bad(struct smtp_turn *turn, enum smtp_reply reply)
{
    struct smtp_session *session = turn->session;
    if (session->bad_count >= session->config->bad_commands_max) {
        smtp_turn_answer_last(turn, SMTP_REPLY_TOO_MANY_BAD, SMTP_HANG_UP_TOO_MANY_BAD);
        return;
    }
    session->bad_count++;
    smtp_turn_put(turn, reply);
}
