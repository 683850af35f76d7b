/* load_report_tool -- "loadgen report FILE...": saved results as text, several added up. */
#pragma once

#include "base/check.h"

/* argv[0] is "report". Returns the exit status; 2 if a file can't be taken. */
MUST_USE int load_report_tool_run(int argc, char **argv);
