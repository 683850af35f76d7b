/* load_options -- the table of options: what is parsed, helped with, and taken from the
 * environment. */
#pragma once

#include "base/options.h"

#define LOAD_OPTIONS_BACKLOG_MAX 16000000u
#define LOAD_OPTIONS_TARGET      "127.0.0.1:2525"

/* Writes into a struct load_config. */
extern const struct options load_options;
