/*
 * load_null -- a server that takes every message and keeps none, for finding out how fast the
 * generator is.
 *
 * Owns:       its listener on 127.0.0.1, its threads, its connections.
 * Bounds:     LOAD_NULL_THREADS_MAX threads.
 * Thread:     open and close: main; each connection belongs to one of its threads.
 */
#pragma once

#include "base/check.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_NULL_THREADS_MAX 64u

struct load_null {
    uint16_t port;
    int listener;
    int stop; /* eventfd: readable once it is over */
    bool is_lmtp;
    uint32_t count;
    pthread_t threads[LOAD_NULL_THREADS_MAX];
};

/* 0 or -errno. */
MUST_USE int load_null_open(struct load_null *null, uint32_t threads, bool is_lmtp);
void load_null_close(struct load_null *null);
