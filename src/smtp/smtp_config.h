/*
 * smtp_config -- what the server offers: one for all sessions, never changed while one lives.
 *
 * Borrows:    the hostname, and the caller's buffer that holds the prebuilt replies.
 * Invariants: after smtp_config_prepare() every prebuilt reply is whole, at most SMTP_REPLY_MAX
 *             octets, and no line of it is longer than SMTP_REPLY_LINE_MAX.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "smtp/smtp_limits.h"

#include <stdbool.h>
#include <stdint.h>

/* Room for the four replies that name the server. */
#define SMTP_CONFIG_TEXT_SIZE (4 * SMTP_REPLY_MAX)

/*
 * What EHLO may offer: name, keyword. Each can be switched off, and then its command and its
 * parameters are refused as unknown.
 */
#define SMTP_EXTENSIONS(X)                                                                         \
    X(PIPELINING, "PIPELINING")                                                                    \
    X(SIZE, "SIZE")                                                                                \
    X(VRFY, "VRFY")                                                                                \
    X(ETRN, "ETRN")                                                                                \
    X(ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES")                                                  \
    X(8BITMIME, "8BITMIME")                                                                        \
    X(DSN, "DSN")                                                                                  \
    X(SMTPUTF8, "SMTPUTF8")                                                                        \
    X(CHUNKING, "CHUNKING")                                                                        \
    X(BINARYMIME, "BINARYMIME")                                                                    \
    X(AUTH, "AUTH")                                                                                \
    X(HELP, "HELP")                                                                                \
    X(STARTTLS, "STARTTLS")

enum smtp_extension {
#define SMTP_EXTENSION_ENUM(name, keyword) SMTP_EXTENSION_##name,
    SMTP_EXTENSIONS(SMTP_EXTENSION_ENUM)
#undef SMTP_EXTENSION_ENUM
        SMTP_EXTENSION_COUNT,
};

#define SMTP_OFFER(name)  (1u << SMTP_EXTENSION_##name)
#define SMTP_OFFERS_EVERY ((1u << SMTP_EXTENSION_COUNT) - 1)

/* What becomes of a CR or an LF that stands alone in DATA. Only CR LF . CR LF ever ends data. */
enum smtp_bare_newline {
    SMTP_BARE_KEEP,      /* stored as it came                              */
    SMTP_BARE_REJECT,    /* 550 5.5.2 behind the end of data               */
    SMTP_BARE_NORMALIZE, /* a lone LF is stored as CR LF, a lone CR stays  */
};

/* One who may log in. */
struct smtp_credential {
    struct bytes user;
    struct bytes password;
};

struct smtp_config {
    /* Set by the caller. */
    struct bytes hostname;     /* in greeting, HELO and EHLO; 1 to SMTP_DOMAIN_MAX octets        */
    uint64_t size_limit;       /* octets of a message, offered by SIZE (RFC 1870); 0: none       */
    uint32_t recipients_max;   /* of one transaction; the next gets 452 (RFC 5321 4.5.3.1.10)    */
    uint32_t bad_commands_max; /* the next one gets 421; 0: SMTP_BAD_COMMANDS_MAX              */
    uint32_t offers;           /* SMTP_OFFER() of what is wanted; what lacks its base goes       */
    const struct smtp_credential *credentials; /* who may log in; NULL: anybody may            */
    uint32_t credential_count;
    enum smtp_bare_newline bare_newline;
    bool is_strict;            /* refuse what the RFC lets a server tolerate                   */
    bool has_strict_lines;     /* content with a line beyond SMTP_TEXT_LINE_MAX gets 554       */
    bool is_lmtp;              /* RFC 2033: LHLO, a reply for each recipient                   */
    bool is_auth_required;     /* 530 to MAIL before AUTH                                      */
    bool is_auth_tls_required; /* 538 to AUTH before TLS, and it is not offered                */
    bool is_tls_required;      /* RFC 3207 4: 530 before TLS to all that does not lead there   */
    bool is_out_of_service;    /* RFC 5321 3.1: 554 instead of the greeting, 503 until QUIT    */
    bool is_traced;            /* for a log: a step ends behind one line, or one reply         */

    /* Written by smtp_config_prepare(). */
    bool is_enhanced;   /* replies carry enhanced codes (RFC 2034)           */
    bool is_inspecting; /* the line ends of content are to be looked at      */
    bool takes_plain;   /* a line may be read by smtp_plain_line              */
    struct bytes greeting_reply;
    struct bytes helo_reply;
    /* In plain, and inside TLS: by smtp_session's is_secure. */
    uint32_t offers_now[2];
    struct bytes ehlo_replies[2];
};

/*
 * Completes a config whose first part is set: call once, before the first session. `text`
 * (SMTP_CONFIG_TEXT_SIZE octets) holds the replies and must live as long as the config.
 */
void smtp_config_prepare(struct smtp_config *config, uint8_t *text);
