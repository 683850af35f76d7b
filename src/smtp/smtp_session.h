/*
 * smtp_session -- the server's side of one SMTP dialogue (RFC 5321), without I/O.
 *
 * Owns:       the dialogue state, the recipient count, the size of a message.
 * Borrows:    the caller's input, the config, and the stash lent to it. A view in `detail` is valid
 *             until the next step.
 * Errors:     none. What the peer does wrong becomes a reply; what the caller can't keep arrives by
 *             smtp_session_refuse() or smtp_session_verdict() and becomes a reply too.
 * Bounds:     line <= SMTP_LINE_MAX, recipients <= config->recipients_max, reply <= SMTP_REPLY_MAX.
 * Invariants: (1) Cutting the input differently changes neither events nor replies. One exception:
 *                 what stands behind STARTTLS in the same input ends the dialogue (CVE-2011-0411).
 *             (2) A reply that would not fit is never started: WANT_FLUSH comes instead.
 *             (3) While a verdict is wanted, or an answer to STARTTLS, no input is taken.
 *             (4) The reply to a command that is an event is written by the step after the event.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "smtp/smtp_config.h"
#include "smtp/smtp_data.h"
#include "smtp/smtp_line_ends.h"
#include "smtp/smtp_reply.h"

#include <stdbool.h>
#include <stdint.h>

enum smtp_event {
    SMTP_WANT_INPUT,   /* all input is used; config->is_traced: or a line or a reply           */
    SMTP_WANT_STASH,   /* `input` is an unfinished line: smtp_session_lend_stash(), step again */
    SMTP_WANT_FLUSH,   /* send replies, step again with room; what provokes the next reply was
                          not taken from `input`, or was already told by an event             */
    SMTP_SENDER,       /* detail: the reverse-path and its parameters; a transaction begins    */
    SMTP_RECIPIENT,    /* detail: one forward-path and its parameters                          */
    SMTP_DATA_BEGINS,  /* DATA, or the first BDAT of a message; may be refused                 */
    SMTP_BODY,         /* detail.body: octets of content, a view into input or a constant      */
    SMTP_WANT_VERDICT, /* the message is complete: commit it, smtp_session_verdict(), step on  */
    SMTP_ABANDONED,    /* the open transaction is dropped: by RSET, HELO, EHLO, QUIT or a limit
                          (their reply comes by the next step), or because content passed the
                          size limit: exactly that much was told by BODY, no more of it will be,
                          and its 552 comes behind the final dot or chunk; or at the end of
                          content that its line ends condemn                                   */
    SMTP_STARTTLS,     /* smtp_session_refuse(), or drop the transaction if there is one and
                          smtp_session_start_tls(); before either it may take its time         */
    SMTP_HANG_UP,      /* the last reply is written: send it, then close; no step follows      */
};

enum smtp_hang_up {
    SMTP_HANG_UP_QUIT,
    SMTP_HANG_UP_TOO_MANY_BAD,
    SMTP_HANG_UP_WRONG_PROTOCOL,
    SMTP_HANG_UP_LOST_SYNC,  /* a BDAT whose size can't be read: what follows is unknown        */
    SMTP_HANG_UP_TOO_MUCH,   /* content went on and on past the size limit                      */
    SMTP_HANG_UP_EARLY_TALK, /* strict: input where the client had to wait for a reply          */
    SMTP_HANG_UP_INJECTED,   /* input in plain behind STARTTLS, as one in the middle would add it */
};

/* Why the caller refuses a SENDER, RECIPIENT, DATA_BEGINS, STARTTLS, or how a message fared. */
enum smtp_verdict {
    SMTP_STORED,       /* 250 2.0.0 Ok: queued as <ID>                       */
    SMTP_NO_SPACE,     /* 452 4.3.1 Insufficient system storage              */
    SMTP_NO_MEMORY,    /* 452 4.3.1: envelope blocks used up; 452 4.5.3 for a recipient */
    SMTP_STORE_FAILED, /* 451 4.3.0 Error: queue file write error            */
    SMTP_NO_TLS,       /* of STARTTLS alone: 454 4.7.0 TLS not available due to local problem */
};

/* What an event tells. Views, valid until the next step. */
struct smtp_detail {
    struct bytes path;       /* without brackets and source route; empty for <>          */
    struct bytes parameters; /* as sent, checked: "SIZE=10 BODY=8BITMIME"                */
    struct bytes body;
    struct bytes line; /* for a log: the command line that this step took, with its end, or empty */
    bool is_line_secret; /* it may hold a password: not for a log */
};

enum smtp_state {
    SMTP_CONNECTED,     /* greeted; waiting for HELO or EHLO                 */
    SMTP_IDLE,          /* between transactions; no envelope held            */
    SMTP_HAS_SENDER,    /* MAIL taken, no recipient yet                      */
    SMTP_HAS_RECIPIENT, /* at least one RCPT taken; DATA may come            */
    SMTP_IN_DATA,       /* 354 sent; octets are message content              */
    SMTP_IN_CHUNK,      /* BDAT taken: so many octets are message content    */
    SMTP_HAS_CHUNK,     /* a chunk was answered; BDAT, RSET or QUIT may come */
    SMTP_IN_AUTH,       /* 334 sent; a line with a response comes            */
    SMTP_AWAIT_VERDICT, /* message complete; the store has not yet answered  */
    SMTP_CLOSED,        /* last reply written; nothing more is taken         */
};

struct smtp_session {
    const struct smtp_config *config;
    uint8_t *stash;         /* lent, or NULL; at a close without HANG_UP the caller takes it back */
    uint64_t message_size;  /* octets of content so far (RFC 1870 5: without stuffing) */
    uint64_t declared_size; /* SIZE= of MAIL, or 0 */
    uint64_t chunk_left;    /* octets of BDAT that are still to come, kept or not */
    uint64_t drained_size;  /* octets of content that nobody wants, so far */
    uint32_t recipient_count;
    uint32_t command_count; /* lines taken so far; wraps */
    uint32_t replies_left;  /* LMTP: recipients of the last message that still get a reply */
    uint32_t login;         /* AUTH LOGIN: the credential named, plus one; 0: unknown */
    uint16_t stash_size;    /* octets of a line in the stash */
    uint16_t bad_count;     /* commands refused as bad so far */
    uint16_t run_on_count;  /* refused DATAs with input behind them, which is read as commands */
    uint8_t state;          /* enum smtp_state; written by smtp_turn_enter() alone */
    uint8_t pending;        /* what the next step has to write or tell first */
    uint8_t pending_reply;  /* enum smtp_reply, where `pending` or a chunk has one to choose */
    uint8_t refusal;        /* enum smtp_verdict for `pending`; SMTP_STORED: none */
    uint8_t hang_up_reason; /* enum smtp_hang_up */
    uint8_t skipping;       /* enum smtp_skip: the rest of a line that is too long */
    uint8_t auth_step;      /* enum smtp_auth_step */
    uint8_t helo_size;
    uint8_t id_size;
    bool is_extended;         /* EHLO or LHLO, not HELO */
    bool is_secure;           /* inside TLS */
    bool is_authenticated;    /* RFC 4954 */
    bool is_utf8;             /* MAIL said SMTPUTF8 */
    bool is_binary;           /* MAIL said BODY=BINARYMIME */
    bool is_too_big;          /* content is past the limit: drain it, then 552 */
    bool is_swallowing;       /* a refused chunk: its octets go nowhere, then pending_reply */
    bool is_last_chunk;       /* BDAT LAST; behind it, until the next DATA */
    bool owes_newline;        /* normalizing: a lone LF was taken, CR LF is to be told */
    bool has_lost_recipients; /* a RCPT of this transaction was refused */
    bool is_after_cr;         /* the last octet of the unfinished line was CR */
    bool has_lost_auth;       /* AUTH was refused: what follows may be a password */
    struct smtp_data data;
    struct smtp_line_ends line_ends;
    uint8_t helo_text[SMTP_HELO_KEPT]; /* name given in HELO or EHLO, cut at its size */
    uint8_t id[SMTP_ID_MAX];           /* LMTP: of the last message */
};

/* A session that has sent nothing. `config` is kept; it must be prepared. */
void smtp_session_init(struct smtp_session *session, const struct smtp_config *config);

/* Before the greeting: the connection began with TLS (RFC 8314 3.3). */
void smtp_session_set_secure(struct smtp_session *session);

/* Writes the 220 greeting (RFC 5321 3.1). */
void smtp_session_greet(struct smtp_session *session, struct smtp_replies *replies);

/*
 * Takes input, writes replies, returns one event. `input` shrinks by what was taken. Not called
 * while a verdict is wanted, nor after HANG_UP. After WANT_FLUSH `replies` must have room for
 * SMTP_REPLY_MAX.
 */
enum smtp_event smtp_session_step(struct smtp_session *session, struct bytes *input,
                                  struct smtp_replies *replies, struct smtp_detail *detail);

/*
 * After SENDER, RECIPIENT or DATA_BEGINS, before the next step: it can't be kept. After a refused
 * SENDER no transaction is open and none is told as abandoned; after a refused RECIPIENT or
 * DATA_BEGINS the transaction stays open as it was before. After STARTTLS: SMTP_NO_TLS, which
 * changes nothing.
 */
void smtp_session_refuse(struct smtp_session *session, enum smtp_verdict why);

/*
 * After STARTTLS, with room for SMTP_REPLY_MAX: writes the 220, the last that is sent in plain, and
 * forgets all that the client said (RFC 3207 4.2), an open transaction too, of which the caller
 * drops what it holds without being told. What is stepped from here on was decrypted.
 */
void smtp_session_start_tls(struct smtp_session *session, struct smtp_replies *replies);

/*
 * After WANT_VERDICT, before the next step, with room for SMTP_REPLY_MAX: writes the reply; `id`
 * (at most SMTP_ID_MAX octets) names the message when stored. The transaction is over either way.
 */
void smtp_session_verdict(struct smtp_session *session, struct smtp_replies *replies,
                          enum smtp_verdict verdict, struct bytes id);

/* Lends SMTP_STASH_SIZE octets for an unfinished line. */
void smtp_session_lend_stash(struct smtp_session *session, uint8_t *stash);

/* The stash, if one is lent and nothing is in it, to be given back; else NULL. */
uint8_t *smtp_session_reclaim_stash(struct smtp_session *session);

/*
 * Writes `reply` (421 for idle, shutdown) if it fits and ends the dialogue; no step follows. What
 * the caller holds of an open transaction it drops without being told.
 */
void smtp_session_dismiss(struct smtp_session *session, struct smtp_replies *replies,
                          enum smtp_reply reply);

/* The name given in HELO, EHLO or LHLO: printable, at most SMTP_HELO_KEPT octets. */
static inline struct bytes smtp_session_helo(const struct smtp_session *session)
{
    return bytes_make(session->helo_text, session->helo_size);
}

/* What the dialogue is, as "with" of a Received line has it (RFC 3848, 6531 4.3); static memory. */
struct bytes smtp_session_protocol(const struct smtp_session *session);

/* After WANT_VERDICT: the message came by BDAT, not by DATA. */
static inline bool smtp_session_was_chunked(const struct smtp_session *session)
{
    return session->is_last_chunk;
}

/* LMTP: replies to the last message, which is stored, that are still to be written. */
uint32_t smtp_session_queued_left(const struct smtp_session *session);

/* LMTP: that message is lost after all, and those replies say so. */
void smtp_session_revoke(struct smtp_session *session);

/* Is it between commands: has it taken no part of a line, a chunk or content that goes on? */
bool smtp_session_is_at_rest(const struct smtp_session *session);

/* Is what comes next content of a message, kept or not? */
bool smtp_session_is_in_content(const struct smtp_session *session);

/* Does the caller hold an open transaction? If not, nothing would be lost by closing now. */
bool smtp_session_has_transaction(const struct smtp_session *session);
