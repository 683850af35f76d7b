/* sim_log -- base/log.h: told in a traced world only. */
#include "base/log.h"
#include "sim_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool log_is_on(enum log_level level)
{
    (void)level;
    return sim.is_verbose;
}

#define TELL()                                                                                     \
    va_list arguments;                                                                             \
    if (!sim.is_verbose) return;                                                                   \
    printf("  log: ");                                                                             \
    va_start(arguments, format);                                                                   \
    (void)vprintf(format, arguments);                                                              \
    va_end(arguments);                                                                             \
    printf("\n")

void log_error(const char *format, ...)
{
    TELL();
}

void log_warning(const char *format, ...)
{
    TELL();
}

void log_info(const char *format, ...)
{
    TELL();
}

void log_debug(const char *format, ...)
{
    TELL();
}

void die(int exit_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    exit(exit_code);
}
