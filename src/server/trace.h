/*
 * trace -- -v: what clients said and were answered, one escaped log line each, without passwords.
 */
#pragma once

#include "base/bytes.h"
#include "smtp/smtp_session.h"

/* The command line that a step took, if it took one. */
void trace_command(struct bytes peer, const struct smtp_detail *detail);

/* Replies, which may be none. */
void trace_replies(struct bytes peer, struct bytes replies);

/* Why TLS failed: no octet of the peer's is in it. */
void trace_tls_failure(struct bytes peer, const char *failure);
