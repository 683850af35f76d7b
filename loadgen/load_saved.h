/*
 * load_saved -- a result read again from the JSON that a run wrote.
 *
 * Owns:       the document, and everything that `result` points to.
 * Errors:     one line that names what is missing or wrong; the file may be anybody's.
 * Bounds:     LOAD_SAVED_FILE_MAX octets, LOAD_INTERVALS_MAX intervals.
 * Invariants: every number of the text report comes out as it did after the run.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_result.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_SAVED_FILE_MAX  (256u << 20)
#define LOAD_SAVED_ERROR_MAX 400u

struct load_saved {
    json_t *root; /* texts are borrowed from it */
    struct load_config config;
    struct load_plan plan;
    struct load_clients first; /* banner and EHLO only */
    struct load_progress progress;
    struct load_watches watches; /* names only */
    struct load_result result;
    uint64_t begin_ns; /* of the measured time, on the wall clock */
    char recipients_text[48];
    char version[40];
};

/* False with `error` (LOAD_SAVED_ERROR_MAX bytes), and nothing to close. */
MUST_USE bool load_saved_open(struct load_saved *saved, const char *path, char *error);
void load_saved_close(struct load_saved *saved);

/* The recipients a message have changed: so does the text that says how many. */
void load_saved_describe(struct load_saved *saved);
