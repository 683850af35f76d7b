/*
 * config_options -- ringsink's command line as a table: names, bounds, help.
 */
#pragma once

#include "base/options.h"

/* Fills a struct config. */
extern const struct options config_options;
