/* load_hgrm -- a histogram as HdrHistogram's classic percentile table, in milliseconds. */
#pragma once

#include "base/histogram.h"

#include <stdio.h>

/* Writes it; ferror() tells whether that went well. */
void load_hgrm_write(const struct histogram *histogram, FILE *file);
