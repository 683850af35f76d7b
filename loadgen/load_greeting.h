/*
 * load_greeting -- from the banner to LOAD_IDLE: EHLO or HELO, then AUTH (RFC 5321 3.1, 3.2, RFC
 * 4954), without I/O.
 *
 * Owns:       nothing: what it finds out stands in the session.
 * Errors:     none. What the server says becomes an event; LOAD_EVENT_PROTOCOL: it must not say
 *             that here.
 */
#pragma once

#include "base/bytes.h"
#include "loadgen/load_session.h"

#include <stdbool.h>
#include <stdint.h>

static inline bool load_greeting_is_under_way(const struct load_session *session)
{
    return session->state <= LOAD_AWAIT_AUTH;
}

/* One line of the reply to EHLO: an extension, or the greeting's first. */
void load_greeting_note(struct load_session *session, struct bytes text);

/* The reply to what was said last. */
enum load_session_event load_greeting_take(struct load_session *session,
                                           const struct load_script *script, uint32_t code);
