/* sim_ring -- what the simulation asks of its ring beside ring/ring.h. */
#pragma once

struct ring;

/* The crash: octets that were being sent may have left, or not. */
void sim_ring_crash(struct ring *ring);
