/*
 * options -- one table that yields the parser, --help and the names of environment variables.
 *
 * Owns:       nothing; text values point into argv or the environment.
 * Errors:     one line that names the option, the value, what was expected, and the nearest name.
 * Invariants: precedence is command line, environment (PREFIX_LONG_NAME), default. An empty
 *             variable counts as not set; a flag's is 1|0, yes|no, true|false or on|off.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_HEADING,  /* no option: `help` is a group's title, `name` its name for --help=GROUP */
    OPTION_FLAG,     /* field: bool                                                            */
    OPTION_COUNT,    /* field: uint64_t, "10k"                                                 */
    OPTION_SIZE,     /* field: uint64_t, "64Mi"                                                */
    OPTION_DURATION, /* field: uint64_t nanoseconds, "50ms"                                    */
    OPTION_TEXT,     /* field: const char *                                                    */
    OPTION_LIST,     /* field: struct option_list; may be given again, no variable is read     */
    OPTION_CHOICE,   /* field: int, the index into `choices`                                   */
};

/* One row. `offset` is the field's place in the program's config struct. */
struct option_row {
    enum option_kind kind;
    char letter;      /* 0: none; '?' may not be used                  */
    const char *name; /* long name; NULL: letter only                  */
    size_t offset;
    const char *argument;       /* shown in help: "N", "T", "DIR"; NULL for flag */
    const char *help;           /* one line, default in brackets at its end      */
    const char *const *choices; /* OPTION_CHOICE: NULL-terminated                */
    uint64_t minimum;           /* numbers: smallest allowed                     */
    uint64_t maximum;           /* numbers: largest allowed; 0: no bound         */
    const char *hint;           /* appended to a bad value's error, or NULL      */
    char alias;                 /* second letter with the same meaning, or 0     */
};

#define OPTION_LIST_MAX 16u

struct option_list {
    const char *values[OPTION_LIST_MAX];
    uint32_t count;
};

struct options {
    const char *program;     /* "ringsink"                                            */
    const char *usage;       /* what follows "Usage: ", further lines as they stand   */
    const char *epilogue;    /* printed after the table, or NULL                      */
    const char *environment; /* "RINGSINK" gives RINGSINK_SPOOL_SIZE; NULL: none read */
    const struct option_row *rows;
    uint32_t count;
};

enum options_outcome {
    OPTIONS_PARSED,
    OPTIONS_HELP,    /* -h or --help[=GROUP]: options_print_help()        */
    OPTIONS_VERSION, /* -V or --version                                   */
    OPTIONS_WRONG,   /* `error` says why; the program exits with 2        */
};

#define OPTIONS_ERROR_MAX 512

struct options_result {
    enum options_outcome outcome;
    int first_operand;      /* index into argv, which is permuted so that operands come last */
    const char *help_group; /* --help=GROUP, else NULL */
    char error[OPTIONS_ERROR_MAX];
};

/* Fills `config`, which the caller preset with the defaults. -h, --help, -V, --version are built
 * in. */
void options_parse(const struct options *options, int argc, char **argv, void *config,
                   struct options_result *result);

/* Writes the help to stdout; -h and --help the same text, --help=GROUP one group. */
void options_print_help(const struct options *options, const char *group);
