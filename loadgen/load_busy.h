/* load_busy -- how long a thread of this process was not blocked: it ran, or waited for a CPU. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Nanoseconds since the thread began; 0 if the kernel does not say. */
uint64_t load_busy_ns(pid_t thread_id);
