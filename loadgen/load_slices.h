/*
 * load_slices -- what one worker's messages came to in each second, while the run goes on.
 *
 * A worker writes to one of two slices and goes on to the other when its second is over; main has
 * until the next change to read the one that is done.
 *
 * Owns:       the histograms, allocated once.
 * Invariants: slice k holds what ended in the k-th second since the run began.
 * Thread:     load_slices_turn() and the recording: the worker; load_slices_merge(): main.
 */
#pragma once

#include "base/check.h"
#include "base/histogram.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_SLICE_NS 1000000000ull

struct load_slice {
    struct histogram response; /* open loop: of accepted messages */
    struct histogram service;
    struct histogram dot;
};

struct load_slices {
    struct load_slice slices[2];
    struct load_slice *active;
    uint64_t next_ns;       /* when the active one is done */
    _Atomic uint64_t ended; /* how many are done           */
};

/* One slice alone, for merging. 0 or -ENOMEM. */
MUST_USE int load_slice_open(struct load_slice *slice);
void load_slice_close(struct load_slice *slice);
void load_slice_reset(struct load_slice *slice);

/* 0 or -ENOMEM. */
MUST_USE int load_slices_open(struct load_slices *slices);
void load_slices_close(struct load_slices *slices);

/* The run begins. */
void load_slices_begin(struct load_slices *slices, uint64_t now_ns);

/* Goes on to the next slice if its time has come, or if the run is over. */
void load_slices_turn(struct load_slices *slices, uint64_t now_ns, bool is_over);

/* Adds slice `number`; false if it is not done yet, or was written over. */
MUST_USE bool load_slices_merge(const struct load_slices *slices, uint64_t number,
                                struct load_slice *into);
