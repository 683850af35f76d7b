/*
 * spool_place -- which directory a spool's path means, and whose it is.
 *
 * Errors:     -errno.
 * Invariants: what is used is ours, and nobody else can write there.
 * Thread:     any.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>

#define SPOOL_WORKERS_MAX 100
#define SPOOL_PATH_MAX    4096

/*
 * Of a server: made 0700 if it is missing; where others can write, our own "ringsink-<uid>" in it.
 * Puts what is used to `used`, of SPOOL_PATH_MAX. Its descriptor, -EPERM (not ours), or -errno.
 */
MUST_USE int spool_place_make(char *used, const char *path);

/* The same of a reader: nothing is made. -ENOENT also where no spool is in it. */
MUST_USE int spool_place_find(char *used, const char *path);

/* Takes the lock. Its descriptor, -EWOULDBLOCK (another server has it), or -errno. */
MUST_USE int spool_place_lock(int folder);

/* Has a server taken it? */
bool spool_place_is_locked(int folder);
