/*
 * smtp_verb -- every command: where it may come, what is said where it may not, what it does.
 *
 * A new one is a row of the table in smtp_verb.c and a function.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "smtp/smtp_plain_line.h"
#include "smtp/smtp_turn.h"

#include <stdbool.h>

/* One whole line, with its end. The turn has room for the reply. */
void smtp_verb_take(struct smtp_turn *turn, struct bytes line);

/*
 * The same for a plain one, where the config takes such. False: it is not in order here, nothing
 * was done, and smtp_verb_take() knows the reply.
 */
MUST_USE bool smtp_verb_take_plain(struct smtp_turn *turn, const struct smtp_plain_line *plain);
