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

/* Room for the three replies that name the server. */
#define SMTP_CONFIG_TEXT_SIZE (3 * SMTP_REPLY_MAX)

struct smtp_config {
    /* Set by the caller. */
    struct bytes hostname;     /* in greeting, HELO and EHLO; 1 to SMTP_DOMAIN_MAX octets        */
    uint64_t size_limit;       /* octets of a message, offered by SIZE (RFC 1870); 0: none       */
    uint32_t recipients_max;   /* of one transaction; the next gets 452 (RFC 5321 4.5.3.1.10)    */
    uint32_t bad_commands_max; /* the next one gets 421; 0: SMTP_BAD_COMMANDS_MAX              */
    bool is_strict;            /* refuse what the RFC lets a server tolerate                   */

    /* Written by smtp_config_prepare(). */
    struct bytes greeting_reply;
    struct bytes helo_reply;
    struct bytes ehlo_reply;
};

/*
 * Completes a config whose first part is set: call once, before the first session. `text`
 * (SMTP_CONFIG_TEXT_SIZE octets) holds the replies and must live as long as the config.
 */
void smtp_config_prepare(struct smtp_config *config, uint8_t *text);
