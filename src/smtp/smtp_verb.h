/*
 * smtp_verb -- every command: where it may come, what is said where it may not, what it does.
 *
 * A new one is a row of the table in smtp_verb.c and a function.
 */
#pragma once

#include "base/bytes.h"
#include "smtp/smtp_turn.h"

/* One whole line, with its end. The turn has room for the reply. */
void smtp_verb_take(struct smtp_turn *turn, struct bytes line);
