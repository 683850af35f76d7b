/*
 * smtp_reply -- every reply the server gives, and the bounded buffer they gather in.
 *
 * Invariants: every row ends in CR LF, has at most SMTP_REPLY_LINE_MAX octets a line, and its
 * enhanced code's class equals its first digit (RFC 2034 4).
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdint.h>

struct smtp_replies {
    uint8_t *data;
    uint32_t size; /* octets written */
    uint32_t capacity;
};

/* name, text without CR LF. Texts are Postfix's. */
#define SMTP_REPLIES(X)                                                                            \
    X(OK, "250 2.0.0 Ok")                                                                          \
    X(SENDER_OK, "250 2.1.0 Ok")                                                                   \
    X(RECIPIENT_OK, "250 2.1.5 Ok")                                                                \
    X(GO_AHEAD, "354 End data with <CR><LF>.<CR><LF>")                                             \
    X(BYE, "221 2.0.0 Bye")                                                                        \
    X(IDLE_TOO_LONG, "421 4.4.2 Error: timeout exceeded")                                          \
    X(SHUTTING_DOWN, "421 4.3.2 Service shutting down, closing transmission channel")              \
    X(TOO_MANY_CONNECTIONS, "421 4.3.2 Too many connections, try again later")

enum smtp_reply {
#define SMTP_REPLY_ENUM(name, text) SMTP_REPLY_##name,
    SMTP_REPLIES(SMTP_REPLY_ENUM)
#undef SMTP_REPLY_ENUM
        SMTP_REPLY_COUNT,
};

/* The row with its CR LF; static memory. */
struct bytes smtp_reply_text(enum smtp_reply reply);

/* Room left for at least `size` octets? */
bool smtp_replies_have_room(const struct smtp_replies *replies, uint32_t size);
void smtp_replies_put(struct smtp_replies *replies, enum smtp_reply reply);
void smtp_replies_put_bytes(struct smtp_replies *replies, struct bytes text);
