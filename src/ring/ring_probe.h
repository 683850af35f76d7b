/* ring_probe -- what this kernel can do, and why io_uring is refused here. */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define RING_PROBE_TEXT_MAX 512

/* Cause and remedy of a ring_open() error, in one line, into `out` (RING_PROBE_TEXT_MAX). */
const char *ring_probe_explain(char *out, int error);

/* "Linux 6.18: multishot accept and receive, provided buffers (plain)" into `out`. */
const char *ring_probe_features(char *out);

/* Kernel release as major * 1000 + minor, e.g. 6001 for 6.1. */
uint32_t ring_probe_kernel(void);
