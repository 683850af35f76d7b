/*
 * load_reply -- the client's reading of SMTP replies (RFC 5321 4.2), without I/O.
 *
 * Owns:       the head of a line that the input's end cut in two.
 * Borrows:    the input. A line's text is valid until the next step.
 * Errors:     LOAD_REPLY_WRONG, final: `fault` says what the server did.
 * Bounds:     a line <= LOAD_REPLY_LINE_MAX with its CR LF, a reply <= LOAD_REPLY_LINES_MAX lines;
 *             of a line's text the first LOAD_REPLY_TEXT_MAX octets are handed out.
 * Invariants: Cutting the input differently changes neither events nor texts.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

/* RFC 5321 4.5.3.1.5 says 512; a generator measures servers that are more talkative, too. */
#define LOAD_REPLY_LINE_MAX  4096u
#define LOAD_REPLY_LINES_MAX 128u
#define LOAD_REPLY_TEXT_MAX  96u

enum load_reply_event {
    LOAD_REPLY_WANTS_INPUT, /* the input is used up                        */
    LOAD_REPLY_LINE,        /* one line of a reply that goes on            */
    LOAD_REPLY_DONE,        /* the last line of a reply                    */
    LOAD_REPLY_WRONG,       /* not SMTP: nothing after it can be trusted   */
};

enum load_reply_fault {
    LOAD_REPLY_FAULT_NONE,
    LOAD_REPLY_FAULT_CODE,      /* a line does not start with 2xx to 5xx and blank or hyphen */
    LOAD_REPLY_FAULT_CHANGED,   /* lines of one reply with different codes                   */
    LOAD_REPLY_FAULT_BARE_LF,   /* a line ends in LF alone (RFC 5321 2.3.8)                  */
    LOAD_REPLY_FAULT_LONG_LINE, /* past LOAD_REPLY_LINE_MAX                                  */
    LOAD_REPLY_FAULT_ENDLESS,   /* past LOAD_REPLY_LINES_MAX                                 */
};

struct load_reply_line {
    uint32_t code;
    struct bytes text; /* after "250 "; peer bytes: escape before printing */
};

struct load_reply {
    enum load_reply_fault fault;
    uint16_t code;       /* of the reply in progress, 0 between replies */
    uint16_t line_count; /* of the reply in progress                    */
    uint16_t cut_size;   /* octets of a cut line so far, kept or not    */
    uint8_t cut_last;    /* its last octet                              */
    uint8_t kept[4 + LOAD_REPLY_TEXT_MAX];
};

void load_reply_init(struct load_reply *reply);

/* Takes at most one line from `input`. */
MUST_USE enum load_reply_event load_reply_step(struct load_reply *reply, struct bytes *input,
                                               struct load_reply_line *line);

/* Whether nothing of a reply has come that is not whole. */
static inline bool load_reply_is_between(const struct load_reply *reply)
{
    return reply->code == 0 && reply->cut_size == 0;
}

/* A sentence about what the server did. */
const char *load_reply_explain(enum load_reply_fault fault);
