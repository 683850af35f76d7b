/*
 * load_barrier -- what kept sessions from being ready though the server was reached, and what to do
 * about it (pure).
 *
 * Bounds:     LOAD_BARRIER_TEXT_MAX octets a text.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_tally.h"

#include <stdbool.h>

#define LOAD_BARRIER_TEXT_MAX 400u

struct load_config;

struct load_barrier {
    char text[LOAD_BARRIER_TEXT_MAX];   /* "no TLS with 127.0.0.1:25: hostname mismatch" */
    char remedy[LOAD_BARRIER_TEXT_MAX]; /* empty: none is known                          */
};

/*
 * False where it was neither TLS nor a greeting, or a reply to what follows it, that did not come;
 * `gave_up` is an errno, or 0.
 */
MUST_USE bool load_barrier_find(struct load_barrier *barrier, const struct load_config *config,
                                const struct load_tally *tally, int gave_up, const char *target);
