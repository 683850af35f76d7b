/*
 * smtp_parameter -- the ESMTP parameters of MAIL and RCPT (RFC 5321 4.1.2, 1870, 6152, 3030,
 * 6531, 3461, 4954).
 *
 * Borrows:    the text.
 * Errors:     the reply that the first wrong parameter earned.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "smtp/smtp_reply.h"

#include <stdbool.h>
#include <stdint.h>

enum smtp_parameter_command { SMTP_PARAMETER_OF_MAIL, SMTP_PARAMETER_OF_RCPT };

/* What the session itself has to know of them. */
struct smtp_parameters {
    uint64_t size;  /* SIZE=; 0: not given; UINT64_MAX: past any limit */
    bool is_binary; /* BODY=BINARYMIME */
    bool is_utf8;   /* SMTPUTF8 */
};

/*
 * Checks "KEYWORD[=value] ..."; SMTP_REPLY_OK if all are of an extension in `offers`
 * (SMTP_OFFER()), well formed and given once.
 */
enum smtp_reply smtp_parameter_check(struct bytes text, enum smtp_parameter_command command,
                                     uint32_t offers, struct smtp_parameters *parameters);
