/*
 * load_record -- what is kept of a client's replies: how long they took, what the server said
 * first, a line for the log.
 *
 * When "taken by the kernel" is asked, the answer is the time just before the enter that brought
 * the completion: never later than the truth, so a latency from it is never flattered.
 */
#pragma once

#include "loadgen/load_clients.h"

/* One line of what the first session of a worker is told, for the report. */
void load_record_greeting(struct load_clients *clients, struct bytes text, enum load_phase phase);

/* The reply of this phase came: spans that begin when we sent what it replies to. */
void load_record_reply(struct load_clients *clients, struct load_client *client,
                       enum load_phase phase);

/* The kernel has taken the last octet of the content that was being sent. */
void load_record_content(struct load_clients *clients, struct load_client *client);

/* -v: a line for a reply that refuses. */
void load_record_refusal(const struct load_client *client, enum load_phase phase,
                         const struct load_reply_line *line);
