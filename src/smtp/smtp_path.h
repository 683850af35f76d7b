/*
 * smtp_path -- reverse-path and forward-path (RFC 5321 4.1.2), as views.
 *
 * Borrows:    the text.
 * Errors:     an enum that says which reply the peer earned.
 * Bounds:     none when lenient but the line's own; the sizes of RFC 5321 4.5.3.1 when strict.
 *
 * Lenient, as clients are: blanks before the path, no brackets, no domain, an unquoted local part
 * of any printable octets that do not delimit something, underscores and a last dot in a domain.
 * UTF-8 (RFC 3629) is part of the grammar (RFC 6531 3.3); whether it was agreed on is the caller's.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

enum smtp_path_kind {
    SMTP_PATH_MAILBOX,   /* a mailbox, or a local part alone such as Postmaster */
    SMTP_PATH_NULL,      /* <>                                                  */
    SMTP_PATH_MISSING,   /* nothing there                                       */
    SMTP_PATH_MALFORMED, /* something else                                      */
    SMTP_PATH_UTF8,      /* a mailbox that only RFC 6531 (SMTPUTF8) allows      */
};

/*
 * Takes a path off the front of `text`. When it is a mailbox, UTF-8 or not, `path` is the mailbox
 * without brackets and source route, case and quotes as sent, and `text` goes on with a blank or is
 * empty.
 */
enum smtp_path_kind smtp_path_take(struct bytes *text, bool is_strict, struct bytes *path);

/* Is the whole of `text` a domain or an address literal, as HELO must name one? */
MUST_USE bool smtp_path_is_domain(struct bytes text, bool is_strict);
