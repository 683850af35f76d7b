/*
 * smtp_data -- dot-unstuffing and the end of data (RFC 5321 4.5.2), by slicing.
 *
 * Borrows:    the input; a slice is a view into it, or of a one-octet constant.
 * Invariants: only CR LF . CR LF ends data, at every cut; the concatenated slices do not depend on
 * cuts.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

enum smtp_data_state {
    SMTP_DATA_LINE_START,   /* the last octet taken ended a CRLF, or nothing was taken yet */
    SMTP_DATA_IN_TEXT,      /* inside a line                                               */
    SMTP_DATA_AFTER_CR,     /* inside a line, and the last octet was CR                    */
    SMTP_DATA_AFTER_DOT,    /* CRLF "."      taken; the dot is held back                   */
    SMTP_DATA_AFTER_DOT_CR, /* CRLF "." CR   taken; the CR is held back too                */
    SMTP_DATA_DONE,         /* CRLF "." CRLF taken                                         */
};

struct smtp_data {
    enum smtp_data_state state;
};

void smtp_data_init(struct smtp_data *data);

/*
 * The next slice of content in `input`, which shrinks by what was taken; an empty slice when input
 * is used up or the end was reached (state SMTP_DATA_DONE; what stands behind the end stays in
 * `input`).
 */
struct bytes smtp_data_next(struct smtp_data *data, struct bytes *input);
