/*
 * load_expect -- refusals that are no errors: "RCPT=450,DATA.=421" (pure).
 *
 * Bounds:     at most LOAD_EXPECTS_MAX of them.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_phase.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_EXPECTS_MAX 32u

struct load_expect {
    enum load_phase phase;
    uint32_t code;
};

struct load_expects {
    uint32_t count;
    struct load_expect rows[LOAD_EXPECTS_MAX];
};

/* What refuses a message: MAIL, RCPT, DATA, or its end: DATA., BDAT, DOT. False: something else. */
MUST_USE bool load_expects_parse(struct load_expects *expects, const char *text);

bool load_expects_has(const struct load_expects *expects, enum load_phase phase, uint32_t code);
