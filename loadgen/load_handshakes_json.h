/* load_handshakes_json -- TLS in a result file (docs/loadgen.result.schema.json, "tls"). */
#pragma once

#include "base/check.h"
#include "loadgen/load_result.h"

#include <jansson.h>
#include <stdbool.h>

/* The object, or NULL without TLS. */
json_t *load_handshakes_json_make(const struct load_result *result);

/* Reads it; null and nothing are no TLS. False if it is anything else. */
MUST_USE bool load_handshakes_json_read(struct load_result *result, json_t *object);
