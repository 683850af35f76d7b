/* load_json -- a result as JSON, schema loadgen.result/1. */
#pragma once

#include "base/check.h"
#include "loadgen/load_result.h"

#include <jansson.h>
#include <stdio.h>

/*
 * Durations are integer nanoseconds, sizes octets, ratios 0..1; what is not known, or does not
 * apply to this run, is null. NULL if memory runs out.
 */
MUST_USE json_t *load_json_make(const struct load_result *result);

/* 0 or -errno. */
MUST_USE int load_json_write_document(const json_t *root, FILE *file);
MUST_USE int load_json_write(const struct load_result *result, FILE *file);
