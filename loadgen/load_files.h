/*
 * load_files -- what a run writes beside its JSON: seconds as CSV and as HdrHistogram log, and
 * histograms as percentile tables.
 *
 * Owns:       the open files. All are opened before the first connect.
 * Errors:     load_files_open() ends the program (2); the first failed write is kept for close.
 * Thread:     main.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_progress.h"
#include "loadgen/load_tally.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct load_result;

#define LOAD_HGRM_COUNT 4u

struct load_files {
    FILE *csv;  /* or NULL */
    FILE *hlog; /* or NULL */
    FILE *hgrm[LOAD_HGRM_COUNT];
    int error; /* errno of the first that failed */
};

void load_files_open(struct load_files *files, const struct load_config *config,
                     uint64_t started_realtime_ns);

/* One second is over: `slice` holds its histograms. */
void load_files_put(struct load_files *files, const struct load_config *config,
                    const struct load_interval *interval, const struct load_slice *slice);

/* The run is over: writes the tables, closes all. 0 or -errno. */
MUST_USE int load_files_close(struct load_files *files, const struct load_tally *tally);
