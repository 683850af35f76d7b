/*
 * sim_client -- clients of all manners, who keep an account of what they were told.
 *
 * Each reads its replies in order, matches them with its commands, and tells sim_truth what became
 * of its messages.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The clients of a life, to connect one after another. */
void sim_client_open_all(uint32_t count);
/* The life is over: what they have not read is lost. */
void sim_client_close_all(void);

/* Something for it has come, or it was accepted. */
void sim_client_rouse(uint32_t client);
/* Everyone whose time it is acts. */
void sim_client_step_all(void);
/* When the next one will act of itself; UINT64_MAX: nobody. */
uint64_t sim_client_next_ns(void);
bool sim_client_are_all_done(void);
/* All go at once, politely or not: the life is to end. */
void sim_client_give_up(void);
