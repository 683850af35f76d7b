/*
 * server -- all workers, the steward, the signals, and the drain.
 *
 * Owns:       the environment, the workers, the steward.
 * Errors:     start-up failures end the program with the exit codes of exit_codes.h.
 * Thread:     main.
 */
#pragma once

#include "server/config.h"

/* Serves until drained; returns the program's exit status. `config` is completed on the way. */
int server_run(struct config *config);
