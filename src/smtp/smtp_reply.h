/*
 * smtp_reply -- every fixed reply the server gives, and the bounded buffer they gather in.
 *
 * Borrows:    the memory replies gather in.
 * Invariants: every row ends in CR LF, has at most SMTP_REPLY_LINE_MAX octets a line, and its
 *             enhanced code's class equals its first digit; only replies to HELO and EHLO have
 *             none (RFC 2034 4).
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

struct smtp_replies {
    uint8_t *data;
    uint32_t size; /* octets written */
    uint32_t capacity;
};

/* name, text without CR LF. Texts are Postfix's where Postfix has one. */
#define SMTP_REPLIES(X)                                                                            \
    X(OK, "250 2.0.0 Ok")                                                                          \
    X(SENDER_OK, "250 2.1.0 Ok")                                                                   \
    X(RECIPIENT_OK, "250 2.1.5 Ok")                                                                \
    X(GO_AHEAD, "354 End data with <CR><LF>.<CR><LF>")                                             \
    X(BYE, "221 2.0.0 Bye")                                                                        \
    X(LOGGED_IN, "235 2.7.0 Authentication successful")                                            \
    X(CHALLENGE, "334 ")                                                                           \
    X(ASK_USER, "334 VXNlcm5hbWU6")                                                                \
    X(ASK_PASSWORD, "334 UGFzc3dvcmQ6")                                                            \
    X(CANNOT_VERIFY, "252 2.0.0 Cannot VRFY user, but will accept message and keep it")            \
    X(HELP, "214 2.0.0 Every message is accepted and kept, none is relayed: see RFC 5321")         \
    X(READY_FOR_TLS, "220 2.0.0 Ready to start TLS")                                               \
    /* the server's own troubles */                                                                \
    X(IDLE_TOO_LONG, "421 4.4.2 Error: timeout exceeded")                                          \
    X(SHUTTING_DOWN, "421 4.3.2 Service shutting down, closing transmission channel")              \
    X(TOO_MANY_CONNECTIONS, "421 4.3.2 Too many connections, try again later")                     \
    X(NO_SPACE, "452 4.3.1 Insufficient system storage")                                           \
    X(STORE_FAILED, "451 4.3.0 Error: queue file write error")                                     \
    X(NO_TLS, "454 4.7.0 TLS not available due to local problem")                                  \
    /* limits */                                                                                   \
    X(TOO_MANY_BAD, "421 4.7.0 Error: too many errors")                                            \
    X(TOO_MANY_RECIPIENTS, "452 4.5.3 Error: too many recipients")                                 \
    X(SIZE_OVER_LIMIT, "552 5.3.4 Message size exceeds fixed limit")                               \
    X(MESSAGE_TOO_BIG, "552 5.3.4 Error: message file too big")                                    \
    X(LINE_TOO_LONG, "500 5.5.2 Error: line too long")                                             \
    X(AUTH_LINE_TOO_LONG, "500 5.5.6 Error: authentication exchange line is too long")             \
    X(TOO_MUCH_CONTENT, "421 4.7.0 Error: message goes on past the size limit")                    \
    X(TOO_SLOW, "421 4.4.2 Error: command or message takes too long")                              \
    /* order */                                                                                    \
    X(NEED_HELO, "503 5.5.1 Error: send HELO/EHLO first")                                          \
    X(NESTED_MAIL, "503 5.5.1 Error: nested MAIL command")                                         \
    X(NEED_MAIL, "503 5.5.1 Error: need MAIL command")                                             \
    X(NEED_RCPT, "503 5.5.1 Error: need RCPT command")                                             \
    X(NO_RECIPIENTS, "554 5.5.1 Error: no valid recipients")                                       \
    X(IN_TRANSACTION, "503 5.5.1 Error: MAIL transaction in progress")                             \
    X(IN_CHUNKS, "503 5.5.1 Error: BDAT in progress: only BDAT or RSET may come")                  \
    X(NEED_BDAT, "503 5.5.1 Error: BODY=BINARYMIME needs BDAT")                                    \
    X(OUT_OF_SERVICE, "503 5.5.1 Error: no SMTP service here")                                     \
    X(EARLY_TALK, "554 5.5.0 Error: SMTP protocol synchronization")                                \
    X(TLS_TWICE, "554 5.5.1 Error: TLS already active")                                            \
    X(INJECTED, "554 5.5.1 Error: nothing may be sent behind STARTTLS before its reply")           \
    /* syntax */                                                                                   \
    X(UNKNOWN_COMMAND, "500 5.5.2 Error: command not recognized")                                  \
    X(BAD_SYNTAX, "500 5.5.2 Error: bad syntax")                                                   \
    X(BARE_LF, "500 5.5.2 Error: bare <LF> received")                                              \
    X(NOT_IMPLEMENTED, "502 5.5.1 Error: command not implemented")                                 \
    X(WRONG_PROTOCOL, "421 4.7.0 Error: this is SMTP, not HTTP")                                   \
    X(SYNTAX_HELO, "501 Syntax: HELO hostname")                                                    \
    X(SYNTAX_EHLO, "501 Syntax: EHLO hostname")                                                    \
    X(SYNTAX_MAIL, "501 5.5.4 Syntax: MAIL FROM:<address>")                                        \
    X(SYNTAX_RCPT, "501 5.5.4 Syntax: RCPT TO:<address>")                                          \
    X(SYNTAX_DATA, "501 5.5.4 Syntax: DATA")                                                       \
    X(SYNTAX_BDAT, "501 5.5.4 Syntax: BDAT count [LAST]")                                          \
    X(SYNTAX_AUTH, "501 5.5.4 Syntax: AUTH mechanism")                                             \
    X(SYNTAX_LHLO, "501 Syntax: LHLO hostname")                                                    \
    X(SYNTAX_RSET, "501 5.5.4 Syntax: RSET")                                                       \
    X(SYNTAX_QUIT, "501 5.5.4 Syntax: QUIT")                                                       \
    X(SYNTAX_VRFY, "501 5.5.4 Syntax: VRFY address")                                               \
    X(SYNTAX_ETRN, "501 5.5.4 Syntax: ETRN domain")                                                \
    X(SYNTAX_STARTTLS, "501 5.5.4 Syntax: STARTTLS")                                               \
    X(NODE_NOT_ALLOWED, "459 4.7.1 Node not allowed: nothing is ever relayed")                     \
    X(BAD_SENDER, "501 5.1.7 Bad sender address syntax")                                           \
    X(BAD_RECIPIENT, "501 5.1.3 Bad recipient address syntax")                                     \
    X(NULL_RECIPIENT, "550 5.1.3 Error: null recipient address")                                   \
    X(NOT_ASCII, "553 5.6.7 Must declare SMTPUTF8 to permit unicode address")                      \
    /* content */                                                                                  \
    X(BARE_NEWLINE, "550 5.5.2 Error: bare <CR> or <LF> received")                                 \
    X(TEXT_LINE_TOO_LONG, "554 5.6.0 Error: a line of the message is longer than 998 octets")      \
    /* encryption and authentication */                                                            \
    X(NEED_TLS, "530 5.7.0 Must issue a STARTTLS command first")                                   \
    X(AUTH_NEEDS_TLS, "538 5.7.11 Encryption required for requested authentication mechanism")     \
    X(NEED_AUTH, "530 5.7.0 Authentication required")                                              \
    X(AUTH_FAILED, "535 5.7.8 Error: authentication failed")                                       \
    X(AUTH_CANCELLED, "501 5.7.0 Authentication aborted")                                          \
    X(AUTH_BAD_BASE64, "501 5.5.2 Error: not BASE64")                                              \
    X(AUTH_UNKNOWN, "504 5.5.4 Unrecognized authentication type")                                  \
    X(AUTH_TWICE, "503 5.5.1 Error: already authenticated")                                        \
    /* parameters */                                                                               \
    X(UNKNOWN_PARAMETER, "555 5.5.4 Unsupported option")                                           \
    X(BAD_PARAMETER, "501 5.5.4 Bad or repeated parameter")                                        \
    X(BAD_SIZE, "501 5.5.4 Bad message size syntax")                                               \
    X(BAD_BODY, "501 5.5.4 Bad BODY parameter syntax")                                             \
    X(BAD_AUTH, "501 5.5.4 Bad AUTH parameter syntax")                                             \
    X(BAD_RET, "501 5.5.4 Bad RET parameter syntax")                                               \
    X(BAD_ENVID, "501 5.5.4 Bad ENVID parameter syntax")                                           \
    X(BAD_NOTIFY, "501 5.5.4 Error: Bad NOTIFY parameter syntax")                                  \
    X(BAD_ORCPT, "501 5.5.4 Error: Bad ORCPT parameter syntax")

enum smtp_reply {
#define SMTP_REPLY_ENUM(name, text) SMTP_REPLY_##name,
    SMTP_REPLIES(SMTP_REPLY_ENUM)
#undef SMTP_REPLY_ENUM
        SMTP_REPLY_COUNT,
};

/* The row with its CR LF; static memory. */
struct bytes smtp_reply_text(enum smtp_reply reply);

/* Octets of the code with its blank. */
#define SMTP_REPLY_CODE_SIZE 4

/* Room left for at least `size` octets? */
bool smtp_replies_have_room(const struct smtp_replies *replies, uint32_t size);
/* One row, with its enhanced code or without. */
void smtp_replies_put(struct smtp_replies *replies, enum smtp_reply reply, bool is_enhanced);
void smtp_replies_put_bytes(struct smtp_replies *replies, struct bytes text);
/* Head, tail, CR LF. */
void smtp_replies_put_line(struct smtp_replies *replies, struct bytes head, struct bytes tail);
