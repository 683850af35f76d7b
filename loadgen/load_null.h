/*
 * load_null -- a server that takes every message and keeps none, for finding out how fast the
 * generator is.
 *
 * Owns:       its listener on 127.0.0.1, its threads, their connections and TLS contexts, a
 *             certificate made in memory.
 * Errors:     a sentence.
 * Bounds:     LOAD_NULL_THREADS_MAX threads, and connections as many as the recipe has for each.
 * Thread:     open and close: main; each connection belongs to one of its threads.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_script.h"
#include "tls/tls_context.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_NULL_THREADS_MAX 64u
#define LOAD_NULL_ERROR_MAX   TLS_ERROR_MAX

struct load_null;
struct load_null_connection;

struct load_null_recipe {
    uint32_t threads;
    uint32_t connections; /* that any of them may come to have */
    enum load_tls_mode tls;
    bool is_lmtp;
};

struct load_null_thread {
    const struct load_null *null;
    pthread_t thread;
    struct load_null_connection *connections; /* as many as the recipe has */
    struct tls_context *tls;                  /* or NULL                   */
};

struct load_null {
    struct load_null_recipe recipe;
    uint16_t port;
    int listener;
    int stop; /* eventfd: readable once it is over */
    struct tls_credentials *credentials;
    uint8_t ticket_keys[TLS_TICKET_KEYS_SIZE];
    uint32_t count;
    struct load_null_thread threads[LOAD_NULL_THREADS_MAX];
};

/* False with a sentence in `error` (LOAD_NULL_ERROR_MAX), and nothing to close. */
MUST_USE bool load_null_open(struct load_null *null, const struct load_null_recipe *recipe,
                             char *error);
void load_null_close(struct load_null *null);
