/* load_environment -- the machine a result was made on, as far as it matters to the numbers. */
#pragma once

#include "ring/net.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_ENVIRONMENT_TEXT_MAX 136u

struct load_environment {
    char host[LOAD_ENVIRONMENT_TEXT_MAX]; /* a text that could not be read is empty */
    char kernel[LOAD_ENVIRONMENT_TEXT_MAX];
    char cpu[LOAD_ENVIRONMENT_TEXT_MAX];
    char clock_source[LOAD_ENVIRONMENT_TEXT_MAX];
    char port_range[LOAD_ENVIRONMENT_TEXT_MAX];
    char somaxconn[LOAD_ENVIRONMENT_TEXT_MAX];
    char target[NET_TEXT_MAX];
    uint32_t cpus_online;
    uint64_t clock_cost_ns;
    bool is_same_host;
    bool is_unix; /* the target is this machine */
};

void load_environment_read(struct load_environment *environment, const struct net_address *target);
