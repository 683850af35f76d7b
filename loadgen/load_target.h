/*
 * load_target -- where a load goes, and from where: resolved, checked, kept off the public network.
 *
 * Errors:     one line that names the option and what to do.
 */
#pragma once

#include "loadgen/load_config.h"

/* Fills in config->addresses and sources; what is left of argv from `first` on may be a target. */
MUST_USE bool load_target_read(struct load_config *config, int argc, char **argv, int first,
                               char *error);

/* Loopback, RFC 1918, unique local, link-local or shared (RFC 6598) address space. */
bool load_target_is_private(const struct net_address *address);
