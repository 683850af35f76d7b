/*
 * load_checks -- what on this machine would spoil a run, said before it begins, with what mends it
 * (pure).
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_environment.h"
#include "loadgen/load_plan.h"

#include <stdbool.h>

#define LOAD_CHECKS_TEXT_MAX 400u

/* `sources` is how many local addresses were named; 0: the kernel chooses one. False with `text`
 * (LOAD_CHECKS_TEXT_MAX bytes): the run can't be had as asked. */
MUST_USE bool load_checks_ports(const struct load_plan *plan, uint32_t sources,
                                const struct load_environment *environment, char *text);
MUST_USE bool load_checks_queue(const struct load_plan *plan, bool has_ramp,
                                const struct load_environment *environment, char *text);
/* False: it can be had, but its times will be worth less. */
MUST_USE bool load_checks_clock(const struct load_environment *environment, char *text);
