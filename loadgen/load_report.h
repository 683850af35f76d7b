/*
 * load_report -- a result as text: at most 78 columns, no colour needed to read it.
 *
 * The verdict stands before any number; the last two lines are for grep, and stay as they are.
 */
#pragma once

#include "loadgen/load_result.h"

#include <stdio.h>

#define LOAD_REPORT_VALUE_MAX 24u

void load_report_write(const struct load_result *result, FILE *file);

/* "1.84ms": three significant figures of `value_ns` in the unit that fits `scale_ns`, a row's
 * unless the value is a thousand of it. */
const char *load_report_duration(char *out, uint64_t value_ns, uint64_t scale_ns);

/* The histogram itself: rows of upper bound, count and bar, their bounds spaced evenly in log. */
void load_report_histogram(const struct histogram *histogram, FILE *file);
