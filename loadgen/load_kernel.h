/*
 * load_kernel -- what the kernel counted of TCP in this network namespace.
 *
 * Errors:     counters that can't be read are not known.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct load_kernel {
    bool is_known;
    uint64_t segments; /* sent                                        */
    uint64_t retransmits;
    uint64_t listen_overflows; /* connects that found a listener's queue full */
};

/* `directory` is "/proc/net". */
void load_kernel_read(struct load_kernel *kernel, const char *directory);

/* What was counted between two readings. */
struct load_kernel load_kernel_since(const struct load_kernel *before,
                                     const struct load_kernel *after);
