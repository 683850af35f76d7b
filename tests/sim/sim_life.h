/* sim_life -- one life of the server: its parts opened, run until the end that was planned,
 * checked. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct steward;

/* A world from its seed to its end; false if a promise was broken. */
bool sim_life_run_world(uint64_t seed, bool is_verbose);

/* Other threads may run between two calls of the worker: the steward, here. */
void sim_life_between(void);

/* The same from within ring_enter(): signals, the drain, the steward when it is its time. */
void sim_life_step(void);

/* When something of that is next to happen. */
uint64_t sim_life_next_ns(void);

/* May a connection end without a word now: the server was told to stop? */
bool sim_life_is_stopping(void);

/* What the worker is waiting for, into the trace. */
void sim_life_trace(void);
