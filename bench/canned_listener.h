/*
 * canned_listener -- what the floors begin and end with: the address, the signals, the count.
 *
 * Errors:     said on stderr, with the program's name.
 */
#pragma once

#include "canned.h"

#include <signal.h>

/* SIGINT or SIGTERM came. */
extern volatile sig_atomic_t canned_listener_must_stop;

/* Listens on 127.0.0.1:`port`, with the descriptor limit raised: descriptor, or -errno. */
MUST_USE int canned_listener_open(const char *program, const char *port);

/* Says how many messages came, and of how many octets on the wire. */
void canned_listener_report(const char *program, const struct canned *canned);
