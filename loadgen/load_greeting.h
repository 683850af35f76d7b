/*
 * load_greeting -- from the banner to LOAD_IDLE: EHLO or HELO, STARTTLS and EHLO again, AUTH (RFC
 * 5321 3.1 and 3.2, RFC 3207, RFC 4954), without I/O.
 *
 * Owns:       nothing: what it finds out stands in the session.
 * Errors:     none. What the server says becomes an event; LOAD_EVENT_PROTOCOL: it must not say
 *             that here.
 * Invariants: where TLS is wanted, nothing is said in plain but EHLO, STARTTLS and QUIT.
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

/* The handshake is over. */
enum load_session_event load_greeting_secure(struct load_session *session,
                                             const struct load_script *script);

/* Writes what AUTH wants said next and returns its size. */
uint32_t load_greeting_put_auth(const struct load_session *session,
                                const struct load_script *script, uint8_t *out);
