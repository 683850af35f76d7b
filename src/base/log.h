/*
 * log -- one line an event on stderr, and die().
 *
 * Thread:     any; a line is one write(2). Peer bytes go through bytes_escape() first.
 * Bounds:     a line is cut at LOG_LINE_MAX.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>

#define LOG_LINE_MAX 1024

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* `program` prefixes every line; it is kept, not copied. */
void log_open(const char *program, enum log_level level, enum log_format format);

/* Reads error|warning|warn|info|debug in any case. */
MUST_USE bool log_level_parse(const char *text, enum log_level *level);
bool log_is_on(enum log_level level);

__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);

/* Start-up failure: the line, then exit(code). Say what was tried, the errno text, what to do. */
__attribute__((format(printf, 2, 3), noreturn, cold)) void die(int exit_code, const char *format,
                                                               ...);
