/*
 * load_ledger -- the file that says what became of every message, for an audit of the spool.
 *
 * Each worker fills a buffer of its own and writes whole lines out when it is full; the workers
 * share one file.
 *
 * Owns:       the file; each buffer its memory, allocated at open.
 * Errors:     the first failed write is kept; from then on nothing is written.
 * Bounds:     LOAD_LEDGER_BUFFER_SIZE a worker.
 * Thread:     load_ledger_write() any; a buffer, its worker.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "base/ledger.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_LEDGER_BUFFER_SIZE (256u << 10)

struct load_ledger {
    pthread_mutex_t lock;
    int file;
    int error; /* errno of the first failed write, or 0 */
    uint64_t run;
};

struct load_ledger_buffer {
    struct load_ledger *ledger; /* NULL: no ledger is kept */
    uint8_t *octets;
    uint32_t size;
};

/* Creates or empties `path` and writes the first line: 0 or -errno. */
MUST_USE int load_ledger_open(struct load_ledger *ledger, const char *path, uint64_t run);

/* Writes the last line. 0, or the -errno of what failed first: then the ledger is not whole. */
MUST_USE int load_ledger_close(struct load_ledger *ledger);

/* `ledger` may be NULL: nothing is kept then. 0 or -ENOMEM. */
MUST_USE int load_ledger_buffer_open(struct load_ledger_buffer *buffer, struct load_ledger *ledger);
void load_ledger_buffer_close(struct load_ledger_buffer *buffer);

void load_ledger_put(struct load_ledger_buffer *buffer, const struct ledger_entry *entry);
