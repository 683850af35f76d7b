/*
 * smtp_plain_line -- the commands that bring nearly all mail, as nearly all clients write them,
 * recognised whole: "MAIL FROM:<local@domain>", "RCPT TO:<local@domain>" and "DATA", with CR LF.
 *
 * Borrows:    the input.
 * Invariants: what is recognised is what smtp_command, smtp_path (lenient) and smtp_parameter would
 *             find in that line. Whether it is in order is not asked here.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdint.h>

enum smtp_plain_verb {
    SMTP_PLAIN_NONE, /* something else, or not all of it is there */
    SMTP_PLAIN_MAIL,
    SMTP_PLAIN_RCPT,
    SMTP_PLAIN_DATA,
};

struct smtp_plain_line {
    enum smtp_plain_verb verb;
    struct bytes line; /* with its CR LF                    */
    struct bytes path; /* of MAIL and RCPT, without brackets */
};

/* What `input` begins with. */
struct smtp_plain_line smtp_plain_line_read(struct bytes input);
