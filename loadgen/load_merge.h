/*
 * load_merge -- the results of several machines that loaded one server together, added up.
 *
 * Counts and histograms are added, and percentiles taken from the sum; where only percentiles were
 * kept, those of single seconds, nothing is made up. The verdict is the worst of all.
 *
 * Errors:     results that do not add up are refused, with one line why.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_saved.h"

#include <stdbool.h>

/* False with `error` (LOAD_SAVED_ERROR_MAX bytes). */
MUST_USE bool load_merge_check(const struct load_saved *into, const struct load_saved *from,
                               char *error);

/* Adds a result that load_merge_check() found to fit. 0 or -ENOMEM. */
MUST_USE int load_merge_add(struct load_saved *into, const struct load_saved *from);
