/*
 * load_block -- progress as a few lines that are rewritten in place: how far, and the last minute's
 * rate and p99 as bars.
 *
 * Plain cursor movement, no colour, no second screen: what scrolled by stays.
 */
#pragma once

#include "loadgen/load_progress.h"

#include <stdio.h>

#define LOAD_BLOCK_SECONDS 60u
#define LOAD_BLOCK_BAR_MAX (LOAD_BLOCK_SECONDS * 3 + 1)

/* One bar a value, the largest is the highest; below 0: unknown, a blank. NUL-terminated. */
void load_block_bars(char *out, const double *values, uint32_t count);

/* Takes the place of the block before. */
void load_block_show(struct load_progress *progress, const struct load_config *config, FILE *file);
