#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LOG_UNIT_MAX  8  /* the longest escape of one character */
#define LOG_CLOSE_MAX 4  /* room for what ends a line: quote, brace, LF */
#define LOG_TIME_MAX  80 /* what GCC thinks the largest of dates could need */

struct log_line {
    char text[LOG_LINE_MAX];
    uint32_t size;
    bool is_full; /* a unit did not fit; nothing further is added */
};

static const char *log_program;
static enum log_level log_level_max = LOG_LEVEL_INFO;
static enum log_format log_format;

static const char *const log_level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_open(const char *program, enum log_level level, enum log_format format)
{
    tzset(); /* else the first gmtime_r() would, and allocate for it */
    log_program = program;
    log_level_max = level;
    log_format = format;
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (uint32_t i = 0; i < sizeof(log_level_names) / sizeof(log_level_names[0]); i++) {
        if (strcasecmp(text, log_level_names[i]) != 0) continue;
        *level = (enum log_level)i;
        return true;
    }
    if (strcasecmp(text, "warn") != 0) return false;
    *level = LOG_LEVEL_WARNING;
    return true;
}

bool log_is_on(enum log_level level)
{
    return level <= log_level_max;
}

/* Adds a unit whole or not at all, so that a cut never splits an escape or a character. */
static void log_line_put(struct log_line *line, const char *unit, uint64_t size)
{
    if (size > LOG_LINE_MAX - LOG_CLOSE_MAX - line->size) line->is_full = true;
    if (line->is_full) return;
    memcpy(line->text + line->size, unit, size);
    line->size += (uint32_t)size;
}

static void log_line_put_text(struct log_line *line, const char *text)
{
    log_line_put(line, text, strlen(text));
}

/* Ends the line, for which log_line_put() left room, and hands it over in one call. */
static void log_line_write(struct log_line *line, const char *end)
{
    CHECK(strlen(end) <= LOG_LINE_MAX - line->size);
    memcpy(line->text + line->size, end, strlen(end));
    /* Where stderr is gone there is nobody left to tell. */
    ssize_t written = write(STDERR_FILENO, line->text, line->size + strlen(end));
    (void)written;
}

/* The size of the well-formed UTF-8 character at `text` (RFC 3629 4), or 0. */
static uint32_t log_utf8_size(const unsigned char *text)
{
    unsigned char lead = text[0];
    uint32_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead > 0xf4) return 0;
    for (uint32_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80) return 0; /* stops at the NUL, too */
    if (lead == 0xe0 && text[1] < 0xa0) return 0;
    if (lead == 0xed && text[1] > 0x9f) return 0;
    if (lead == 0xf0 && text[1] < 0x90) return 0;
    if (lead == 0xf4 && text[1] > 0x8f) return 0;
    return size;
}

static void log_line_put_json(struct log_line *line, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        char unit[LOG_UNIT_MAX];
        uint32_t size = log_utf8_size(at);
        if (size == 0)
            log_line_put_text(line, "\\ufffd");
        else if (*at == '"' || *at == '\\')
            log_line_put(line, (char[]){'\\', (char)*at}, 2);
        else if (*at < 0x20 || *at == 0x7f)
            log_line_put(line, unit, (uint64_t)snprintf(unit, sizeof(unit), "\\u%04x", *at));
        else
            log_line_put(line, (const char *)at, size);
        at += size == 0 ? 1 : size;
    }
}

/* 2026-09-22T10:15:00.123Z */
static void log_format_time(char *out, uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
    unsigned milliseconds = (unsigned)(realtime_ns % CLOCK_NS_PER_S / CLOCK_NS_PER_MS);
    struct tm date;

    CHECK(gmtime_r(&seconds, &date) != NULL);
    snprintf(out, LOG_TIME_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", date.tm_year + 1900,
             date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec, milliseconds);
}

static void log_write_json(enum log_level level, const char *message)
{
    struct log_line line = {.size = 0};
    char time[LOG_TIME_MAX];

    log_format_time(time, clock_realtime_ns());
    log_line_put_text(&line, "{\"time\":\"");
    log_line_put_text(&line, time);
    log_line_put_text(&line, "\",\"level\":\"");
    log_line_put_text(&line, log_level_names[level]);
    log_line_put_text(&line, "\",\"program\":\"");
    log_line_put_json(&line, log_program);
    log_line_put_text(&line, "\",\"message\":\"");
    log_line_put_json(&line, message);
    log_line_write(&line, "\"}\n");
}

static void log_write_text(enum log_level level, const char *message)
{
    struct log_line line = {.size = 0};

    log_line_put_text(&line, log_program);
    log_line_put_text(&line, ": ");
    log_line_put_text(&line, log_level_names[level]);
    log_line_put_text(&line, ": ");
    for (; *message != 0; message++) {
        /* A control character could end the line or steer the terminal. */
        bool is_control = (unsigned char)*message < 0x20 || *message == 0x7f;
        log_line_put(&line, is_control ? "?" : message, 1);
    }
    log_line_write(&line, "\n");
}

__attribute__((format(printf, 2, 0))) static void log_write(enum log_level level,
                                                            const char *format, va_list arguments)
{
    char message[LOG_LINE_MAX];
    int error = errno; /* a caller may log first and look at errno afterwards */

    if (log_program == NULL) log_program = program_invocation_short_name;
    if (log_is_on(level)) {
        vsnprintf(message, sizeof(message), format, arguments);
        switch (log_format) {
        case LOG_FORMAT_TEXT:
            log_write_text(level, message);
            break;
        case LOG_FORMAT_JSON:
            log_write_json(level, message);
            break;
        }
    }
    errno = error;
}

void log_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write(LOG_LEVEL_ERROR, format, arguments);
    va_end(arguments);
}

void log_warning(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write(LOG_LEVEL_WARNING, format, arguments);
    va_end(arguments);
}

void log_info(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write(LOG_LEVEL_INFO, format, arguments);
    va_end(arguments);
}

void log_debug(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_write(LOG_LEVEL_DEBUG, format, arguments);
    va_end(arguments);
}

void die(int exit_code, const char *format, ...)
{
    va_list arguments;

    CHECK(exit_code != 0);
    va_start(arguments, format);
    log_write(LOG_LEVEL_ERROR, format, arguments);
    va_end(arguments);
    exit(exit_code);
}
