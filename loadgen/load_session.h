/*
 * load_session -- the client's side of one SMTP dialogue (RFC 5321, RFC 2920), without I/O.
 *
 * The client asks session.wants what to send next, writes it by load_session_put() or, for the
 * message's content, by load_mail, says load_session_sent(), and hands in each reply line.
 *
 * Owns:       what is awaited and what is wanted; how the message in progress fares.
 * Borrows:    the script, shared by all sessions of a run.
 * Errors:     none. What the server says becomes an event; what it must not say, PROTOCOL.
 * Bounds:     at most one message awaits its verdict, and one more has its envelope sent (stream);
 *             with BDAT as many as the caller adds, of which the session knows the oldest.
 * Invariants: (1) WANTS_NOTHING while replies are awaited that the next octets depend on.
 *             (2) In LOAD_IDLE no reply is outstanding; with BDAT none but those to messages that
 *             the caller then lets follow.
 *             (3) In LOAD_AWAIT_TLS nothing is wanted, and no line may come.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_phase.h"
#include "loadgen/load_replay.h"
#include "loadgen/load_reply.h"
#include "loadgen/load_script.h"

#include <stdbool.h>
#include <stdint.h>

enum load_session_state {
    LOAD_AWAIT_BANNER,    /* connected; nothing may be sent yet                          */
    LOAD_AWAIT_EHLO,      /* EHLO sent, or wanted                                        */
    LOAD_AWAIT_HELO,      /* EHLO was refused                                            */
    LOAD_AWAIT_STARTTLS,  /* STARTTLS sent, or wanted                                    */
    LOAD_AWAIT_TLS,       /* no reply is due: load_session_secure() ends the handshake   */
    LOAD_AWAIT_AUTH,      /* AUTH sent, or wanted                                        */
    LOAD_IDLE,            /* no transaction, no reply outstanding                        */
    LOAD_AWAIT_RESET,     /* RSET sent ahead of a MAIL                                   */
    LOAD_AWAIT_MAIL,      /* the message began; the server has not answered it yet       */
    LOAD_AWAIT_RECIPIENT, /* recipients_answered replies of RCPT came                    */
    LOAD_AWAIT_DATA,      /* all RCPT answered                                           */
    LOAD_AWAIT_DOT,       /* 354 came; content is wanted, or on its way; or BDAT's reply  */
    LOAD_REPLAYING,       /* a session of --session is under way                         */
    LOAD_AWAIT_QUIT,      /* QUIT sent, or wanted                                        */
    LOAD_OVER,            /* nothing more will be said; the connection is to be closed   */
};

enum load_session_wants {
    LOAD_WANTS_NOTHING,
    LOAD_WANTS_EHLO,
    LOAD_WANTS_HELO,
    LOAD_WANTS_STARTTLS,
    LOAD_WANTS_AUTH,
    LOAD_WANTS_RESET,     /* pipelining off: before a MAIL after a failed transaction   */
    LOAD_WANTS_MAIL,      /* pipelining off                                              */
    LOAD_WANTS_RECIPIENT, /* pipelining off                                              */
    LOAD_WANTS_DATA,      /* pipelining off                                              */
    LOAD_WANTS_GROUP,     /* MAIL, RCPT ..., DATA, with RSET in front where needed       */
    LOAD_WANTS_CONTENT,   /* the message and its final dot; a new group may follow       */
    LOAD_WANTS_MESSAGE,   /* BDAT: RSET where needed, MAIL, RCPT ..., the chunk and its octets */
    LOAD_WANTS_DOT,       /* 354 although no recipient was taken: RFC 2920 3.1           */
    LOAD_WANTS_QUIT,
    LOAD_WANTS_PAUSE, /* --session: load_session_pause() says how long           */
    LOAD_WANTS_END,   /* --session: it went as written; the connection is to end */
};

enum load_session_event {
    LOAD_EVENT_NONE,
    LOAD_EVENT_READY,    /* greeted; messages may begin                                 */
    LOAD_EVENT_GO_AHEAD, /* 354: the envelope was taken                                 */
    LOAD_EVENT_ACCEPTED, /* 2xx after the final dot                                     */
    LOAD_EVENT_TEMPFAIL, /* the message was refused with failure_code, 4xx              */
    LOAD_EVENT_REJECT,   /* 5xx                                                         */
    LOAD_EVENT_KEPT,     /* --session: a message of it was accepted                       */
    LOAD_EVENT_NOT_KEPT, /* --session: a message of it was refused, as written            */
    LOAD_EVENT_CLOSING,  /* the server ends the session (421) and no message is to blame */
    LOAD_EVENT_UNUSABLE, /* the server does not want this session: banner, EHLO and HELO */
    LOAD_EVENT_PROTOCOL, /* a reply that has no place here; the session is over          */
};

/* What the server said in reply to EHLO. */
struct load_offers {
    bool pipelining;
    bool chunking;
    bool mime_8bit;
    bool utf8;
    bool starttls;
    bool auth_plain;
    bool auth_login;
};

struct load_session {
    enum load_session_state state;
    enum load_session_wants wants;
    enum load_pipelining mode; /* as agreed: never AUTO once idle                      */
    struct load_offers offers;
    bool is_secure;               /* TLS is established          */
    bool lacks_tls;               /* it would have to be offered */
    bool lacks_utf8;              /* it would have to be offered */
    uint32_t login_line;          /* AUTH LOGIN: of the script's, what is said next */
    bool mail_taken;              /* so the server holds a transaction until it ends      */
    bool needs_reset;             /* a transaction was left open by a failure             */
    bool is_void;                 /* the content is a lone dot: the message failed before */
    bool next_begun;              /* stream: the next message's group is on its way       */
    uint32_t recipients;          /* of the message in progress                       */
    uint32_t next_recipients;     /* stream: of the one behind it                     */
    uint32_t recipients_answered; /* of the message in progress                           */
    uint32_t recipients_accepted;
    uint32_t dots_awaited; /* LMTP: replies to the content still to come        */
    bool is_dot_taken;     /* LMTP: one of them was 2xx                          */
    uint32_t failure_code; /* first refusal of the message in progress, or 0       */
    enum load_phase failure_phase;
    uint32_t messages_ended; /* with a verdict, in this session                      */
    struct load_replay replay;
    enum load_replay_news news; /* --session: of a message, in the reply that was not written */
    uint32_t failed_line;       /* --session: where that came; 0: none did                    */
};

/* Connected; with implicit TLS the session begins in LOAD_AWAIT_TLS. */
void load_session_init(struct load_session *session, const struct load_script *script);

/* LOAD_AWAIT_TLS only: the handshake is over, and what was said before it is forgotten (RFC 3207
 * 4.2). */
enum load_session_event load_session_secure(struct load_session *session,
                                            const struct load_script *script);

/* LOAD_IDLE only: a message begins; or the session ends by QUIT. */
void load_session_begin(struct load_session *session, const struct load_script *script,
                        uint64_t sequence);
void load_session_quit(struct load_session *session);

/* BDAT: a message more is to be sent, while the replies to others are awaited. */
void load_session_add(struct load_session *session);

/*
 * BDAT: the replies to come are those of message `sequence`, which has left already; `has_reset`:
 * with RSET in front.
 */
void load_session_follow(struct load_session *session, const struct load_script *script,
                         uint64_t sequence, bool has_reset);

/*
 * Writes the command or the group wanted, for message `sequence`, and returns its size. Content and
 * its dot come from load_mail.
 */
uint32_t load_session_put(const struct load_session *session, const struct load_script *script,
                          uint64_t sequence, uint8_t *out);

/* BDAT: writes the command in front of `size` octets of content. */
uint32_t load_session_put_chunk(uint64_t size, uint8_t *out);

/* Stream: writes the group of the message after this one; to follow this one's final dot. */
uint32_t load_session_put_next(struct load_session *session, const struct load_script *script,
                               uint64_t sequence, uint8_t *out);

/* What was wanted is on its way, or the pause is over. */
void load_session_sent(struct load_session *session);

/* One line of a reply, `is_last` or not, becomes at most one event. */
enum load_session_event load_session_reply(struct load_session *session,
                                           const struct load_script *script,
                                           const struct load_reply_line *line, bool is_last);

/* --session: the pause that is wanted; the number of the message whose content is wanted. */
const struct load_pause *load_session_pause(const struct load_session *session);
uint64_t load_session_message(const struct load_session *session);

/* What the server owes us a reply to. */
enum load_phase load_session_phase(const struct load_session *session);

/* Whether a message is in progress that a loss of the connection now is to be blamed on. */
bool load_session_is_blamed(const struct load_session *session);

/* Whether a message began whose verdict is outstanding (not the next one of stream). */
bool load_session_has_message(const struct load_session *session);

/* Whether the server is to close the connection, after a QUIT (RFC 5321 4.1.1.10). */
bool load_session_said_goodbye(const struct load_session *session);

/* Whether the next reply ends what is timed from the content's last octet: LMTP has several. */
bool load_session_is_last_dot(const struct load_session *session);
