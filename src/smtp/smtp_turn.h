/*
 * smtp_turn -- one step of a session in the making: what smtp_session and smtp_verb share.
 *
 * Borrows:    the arguments of the step.
 * Invariants: (1) smtp_turn_enter() alone writes a session's state.
 *             (2) A turn is ended once, by the event its step returns.
 */
#pragma once

#include "base/check.h"
#include "smtp/smtp_reply.h"
#include "smtp/smtp_session.h"

#include <stdbool.h>
#include <stdint.h>

/* What the step after an event has to do before anything else. */
enum smtp_pending {
    SMTP_PENDING_NOTHING,
    SMTP_PENDING_SENDER,    /* reply to MAIL, as refused or not          */
    SMTP_PENDING_RECIPIENT, /* reply to RCPT, as refused or not          */
    SMTP_PENDING_DATA,      /* reply to DATA, as refused or not          */
    SMTP_PENDING_CHUNK,     /* take the first chunk, as refused or not   */
    SMTP_PENDING_TLS,       /* reply to STARTTLS, which was refused      */
    SMTP_PENDING_REPLY,     /* write pending_reply                       */
    SMTP_PENDING_GREETING,  /* reply to HELO or EHLO                     */
    SMTP_PENDING_LAST,      /* write pending_reply, then hang up         */
    SMTP_PENDING_OVERFLOW,  /* tell that the message was abandoned       */
    SMTP_PENDING_FINAL,     /* a final reply of replies_left: pending_reply, or queued */
};

/* Why the rest of a line is skipped. */
enum smtp_skip { SMTP_SKIP_NOTHING, SMTP_SKIP_LINE, SMTP_SKIP_AUTH_LINE };

struct smtp_turn {
    struct smtp_session *session;
    struct bytes *input;
    struct smtp_replies *replies;
    struct smtp_detail *detail;
    enum smtp_event event; /* valid once it is over */
    bool is_over;
};

void smtp_turn_enter(struct smtp_session *session, enum smtp_state state);
void smtp_turn_end(struct smtp_turn *turn, enum smtp_event event);

/* Is there room for a reply? */
bool smtp_turn_has_room(const struct smtp_turn *turn);

/* SMTP_OFFER() of what EHLO says now. */
uint32_t smtp_turn_offers(const struct smtp_session *session);

/* Is TLS wanted before anything else, and not there yet? */
bool smtp_turn_lacks_tls(const struct smtp_session *session);

/* Octets a message may have; UINT64_MAX without a limit. */
uint64_t smtp_turn_size_limit(const struct smtp_session *session);

void smtp_turn_put(struct smtp_turn *turn, enum smtp_reply reply);
/* The reply to HELO or EHLO, whichever came last. */
void smtp_turn_put_greeting(struct smtp_turn *turn);
void smtp_turn_hang_up(struct smtp_turn *turn, enum smtp_reply reply);

/*
 * Drops an open transaction, if there is one: then its event comes first, and `pending` with the
 * next step. False: there was none, the caller answers at once.
 */
MUST_USE bool smtp_turn_answer_dropping(struct smtp_turn *turn, enum smtp_pending pending,
                                        enum smtp_reply reply);

/* The last reply of the dialogue; an open transaction is dropped first. */
void smtp_turn_answer_last(struct smtp_turn *turn, enum smtp_reply reply, enum smtp_hang_up reason);

/* A command refused as bad; one too many ends the dialogue instead (RFC 5321 7.8). */
void smtp_turn_answer_bad(struct smtp_turn *turn, enum smtp_reply reply);
