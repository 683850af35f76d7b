/*
 * smtp_auth -- AUTH PLAIN and LOGIN inside the dialogue (RFC 4954, 4616).
 *
 * Borrows:    the turn, the config's credentials.
 * Invariants: no password outlives the line it came in: what was decoded is wiped before return.
 */
#pragma once

#include "base/bytes.h"
#include "smtp/smtp_command.h"
#include "smtp/smtp_turn.h"

/* AUTH itself. */
void smtp_auth_take(struct smtp_turn *turn, const struct smtp_command *command);

/* In SMTP_IN_AUTH: a line without its end, the client's response to a 334. */
void smtp_auth_respond(struct smtp_turn *turn, struct bytes line);

/* AUTH, or the response to its 334, was longer than SMTP_AUTH_LINE_MAX. */
void smtp_auth_refuse_long(struct smtp_turn *turn);
