#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *expression)
{
    /* stderr is unbuffered, and one call keeps the line whole among threads. */
    fprintf(stderr, "%s: bug: %s:%d: %s does not hold\n", program_invocation_short_name, file, line,
            expression);
    abort();
}
