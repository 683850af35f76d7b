/*
 * smtp_content -- a message's octets inside the dialogue: DATA's and BDAT's content, its size
 * limit, its end, and octets that nobody wants.
 *
 * Borrows:    the turn.
 * Invariants: (1) what is told by BODY never passes the size limit. (2) The octets of a chunk are
 * taken, whatever becomes of it (RFC 3030 2). (3) At most SMTP_DRAIN_MAX unwanted octets are read.
 */
#pragma once

#include "smtp/smtp_turn.h"

/* A message begins: nothing of it was taken yet. */
void smtp_content_begin(struct smtp_session *session);

/* In SMTP_IN_DATA: takes some of the input. */
void smtp_content_take_data(struct smtp_turn *turn);

/* In SMTP_IN_CHUNK: takes some of the input, or ends the chunk. */
void smtp_content_take_chunk(struct smtp_turn *turn);

/* The chunk that begins goes nowhere; `reply` comes behind it, or nothing if it is OK. */
void smtp_content_refuse_chunk(struct smtp_session *session, enum smtp_reply reply);

/* While is_swallowing: takes some of the input, or answers. */
void smtp_content_swallow(struct smtp_turn *turn);
