/*
 * load_ceiling -- how many messages a second one worker can drive on this host, kept between runs.
 *
 * A file of the user's own (0600) in $XDG_CACHE_HOME/ringsink or ~/.cache/ringsink, one number for
 * each version, host, kind of message, and of connection where those don't last.
 *
 * Errors:     what can't be read is not known: 0.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_config.h"

#define LOAD_CEILING_PATH_MAX 4096u

/* 0 or -errno; `path` (LOAD_CEILING_PATH_MAX bytes) says where. */
MUST_USE int load_ceiling_store(const struct load_config *config, double per_worker, char *path);

/* Messages a second of one worker with messages like these; 0 if nobody calibrated that. */
double load_ceiling_find(const struct load_config *config);
