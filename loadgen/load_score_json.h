/* load_score_json -- a score in a result file (docs/loadgen.result.schema.json, "sessions"). */
#pragma once

#include "loadgen/load_score.h"

#include <jansson.h>

/* The object, or NULL without dialogues. */
json_t *load_score_json_make(const struct load_score *score);

/* Reads it; null and nothing are no dialogues. False if it is anything else. */
MUST_USE bool load_score_json_read(struct load_score *score, json_t *object);
