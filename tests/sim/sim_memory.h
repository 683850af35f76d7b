/*
 * sim_memory -- stores into segments, as seen by a crash: read in front of the files that make
 * them.
 *
 * kill -9 strikes between any two instructions: here, between any two octets of a copy.
 */
#pragma once

#include <stddef.h>
#include <string.h>

void *sim_memory_copy(void *to, const void *from, size_t size);

#undef memcpy
#define memcpy(to, from, size) sim_memory_copy((to), (from), (size))
