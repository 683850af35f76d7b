#include "base/options.h"

#include "base/units.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_ROWS_MAX     192u
#define OPTIONS_BUILT_IN     2u /* --help and --version */
#define OPTIONS_NAME_MAX     64u
#define OPTIONS_DISTANCE_MAX 3u /* edits between a wrong name and the one that is proposed */
#define OPTIONS_WIDTH        80u
#define OPTIONS_COLUMN_MAX   28u /* where the text of a row begins, at the latest */

/* getopt_long() returns a letter, or one of these; a row's long name is its index above the base.
 */
#define OPTIONS_ROW_BASE 256

struct options_parser {
    const struct options *options;
    struct options_result *result;
    void *config;
    char letters[4 * OPTIONS_ROWS_MAX + 8]; /* letter and alias, each with a colon */
    struct option names[OPTIONS_ROWS_MAX + OPTIONS_BUILT_IN + 1];
};

__attribute__((format(printf, 2, 3))) static void options_fail(struct options_result *result,
                                                               const char *format, ...)
{
    va_list arguments;

    result->outcome = OPTIONS_WRONG;
    va_start(arguments, format);
    vsnprintf(result->error, sizeof(result->error), format, arguments);
    va_end(arguments);
}

/* Appends to a NUL-terminated text and cuts what does not fit. */
__attribute__((format(printf, 3, 4))) static void options_append(char *out, size_t capacity,
                                                                 const char *format, ...)
{
    size_t size = strlen(out);
    va_list arguments;

    CHECK(size < capacity);
    va_start(arguments, format);
    vsnprintf(out + size, capacity - size, format, arguments);
    va_end(arguments);
}

/* What the user calls the option: "-c, --connections", "--spool" or "-4". */
static void options_name_row(const struct option_row *row, char *name)
{
    name[0] = 0;
    if (row->letter != 0) options_append(name, OPTIONS_NAME_MAX, "-%c", row->letter);
    if (row->letter != 0 && row->name != NULL) options_append(name, OPTIONS_NAME_MAX, ", ");
    if (row->name != NULL) options_append(name, OPTIONS_NAME_MAX, "--%s", row->name);
}

/* RINGSINK_SPOOL_SIZE for --spool-size. */
static void options_name_variable(const struct options *options, const struct option_row *row,
                                  char *name)
{
    snprintf(name, OPTIONS_NAME_MAX, "%s_%s", options->environment, row->name);
    for (char *at = name; *at != 0; at++)
        *at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
}

static bool options_is_number(const struct option_row *row)
{
    return row->kind == OPTION_COUNT || row->kind == OPTION_SIZE || row->kind == OPTION_DURATION;
}

static void options_list_choices(const struct option_row *row, char *list, size_t capacity)
{
    list[0] = 0;
    for (uint32_t i = 0; row->choices[i] != NULL; i++)
        options_append(list, capacity, "%s%s", i == 0 ? "" : ", ", row->choices[i]);
}

/* Completes "'x' is " for a value that is not of the row's kind. */
static void options_expect(const struct option_row *row, char *text, size_t capacity)
{
    char choices[OPTIONS_ERROR_MAX / 2];

    switch (row->kind) {
    case OPTION_FLAG:
        snprintf(text, capacity, "neither yes nor no: try 1 or 0");
        break;
    case OPTION_COUNT:
        snprintf(text, capacity, "not a number: try 100, 10k, 1.5M");
        break;
    case OPTION_SIZE:
        snprintf(text, capacity, "not a size: try 4096, 64Mi, 10G");
        break;
    case OPTION_DURATION:
        snprintf(text, capacity, "not a time: try 10s, 500ms, 2m");
        break;
    case OPTION_CHOICE:
        options_list_choices(row, choices, sizeof(choices));
        snprintf(text, capacity, "none of %s", choices);
        break;
    case OPTION_HEADING:
    case OPTION_TEXT:
    case OPTION_LIST:
        CHECK(false); /* every text is a good text */
    }
}

static void options_append_hint(struct options_result *result, const struct option_row *row)
{
    if (row->hint == NULL) return;
    options_append(result->error, sizeof(result->error), " (%s)", row->hint);
}

/* `origin` is the option or the environment variable that the value came by. */
static void options_fail_value(const struct option_row *row, const char *origin, const char *value,
                               struct options_result *result)
{
    char expected[OPTIONS_ERROR_MAX / 2];

    options_expect(row, expected, sizeof(expected));
    options_fail(result, "%s '%s' is %s", origin, value, expected);
    options_append_hint(result, row);
}

static const char *options_format_number(const struct option_row *row, char *out, uint64_t number)
{
    if (row->kind == OPTION_SIZE) return units_format_size(out, number);
    if (row->kind == OPTION_DURATION) return units_format_duration(out, number);
    snprintf(out, UNITS_TEXT_MAX, "%llu", (unsigned long long)number);
    return out;
}

static void options_fail_range(const struct option_row *row, const char *origin, const char *value,
                               struct options_result *result)
{
    char least[UNITS_TEXT_MAX];
    char most[UNITS_TEXT_MAX];

    options_format_number(row, least, row->minimum);
    options_format_number(row, most, row->maximum);
    if (row->maximum == 0)
        options_fail(result, "%s '%s' is too small: at least %s", origin, value, least);
    else
        options_fail(result, "%s '%s' is out of range: %s to %s", origin, value, least, most);
    options_append_hint(result, row);
}

static bool options_parse_number(const struct option_row *row, const char *value, uint64_t *number)
{
    if (row->kind == OPTION_SIZE) return units_parse_size(value, number);
    if (row->kind == OPTION_DURATION) return units_parse_duration(value, number);
    return units_parse_count(value, number);
}

static bool options_parse_flag(const char *value, bool *flag)
{
    static const char *const words[] = {"0", "1", "no", "yes", "false", "true", "off", "on"};

    for (uint32_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i]) != 0) continue;
        *flag = i % 2 == 1;
        return true;
    }
    return false;
}

static bool options_parse_choice(const struct option_row *row, const char *value, int *choice)
{
    for (int i = 0; row->choices[i] != NULL; i++) {
        if (strcasecmp(value, row->choices[i]) != 0) continue;
        *choice = i;
        return true;
    }
    return false;
}

static void options_set_number(struct options_parser *parser, const struct option_row *row,
                               const char *origin, const char *value)
{
    uint64_t number;

    if (!options_parse_number(row, value, &number))
        options_fail_value(row, origin, value, parser->result);
    else if (number < row->minimum || (row->maximum != 0 && number > row->maximum))
        options_fail_range(row, origin, value, parser->result);
    else
        memcpy((char *)parser->config + row->offset, &number, sizeof(number));
}

static void options_add(struct options_parser *parser, struct option_list *list, const char *origin,
                        const char *value)
{
    if (list->count == OPTION_LIST_MAX)
        options_fail(parser->result, "%s may be given %u times at most", origin, OPTION_LIST_MAX);
    else
        list->values[list->count++] = value;
}

/* Reads `value` as the row's kind into its field, or leaves an error. */
static void options_set(struct options_parser *parser, const struct option_row *row,
                        const char *origin, const char *value)
{
    void *field = (char *)parser->config + row->offset;

    switch (row->kind) {
    case OPTION_FLAG:
        if (!options_parse_flag(value, field))
            options_fail_value(row, origin, value, parser->result);
        break;
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        options_set_number(parser, row, origin, value);
        break;
    case OPTION_TEXT:
        *(const char **)field = value;
        break;
    case OPTION_LIST:
        options_add(parser, field, origin, value);
        break;
    case OPTION_CHOICE:
        if (!options_parse_choice(row, value, field))
            options_fail_value(row, origin, value, parser->result);
        break;
    case OPTION_HEADING:
        CHECK(false);
    }
}

/* An empty variable counts as not set. */
static void options_parse_environment(struct options_parser *parser)
{
    const struct options *options = parser->options;

    if (options->environment == NULL) return;
    for (uint32_t i = 0; i < options->count; i++) {
        char name[OPTIONS_NAME_MAX];
        const struct option_row *row = &options->rows[i];
        if (row->kind == OPTION_HEADING || row->kind == OPTION_LIST || row->name == NULL) continue;
        options_name_variable(options, row, name);
        const char *value = getenv(name);
        if (value != NULL && value[0] != 0) options_set(parser, row, name, value);
        if (parser->result->outcome == OPTIONS_WRONG) return;
    }
}

static char *options_put_letter(char *end, char letter, bool has_argument)
{
    if (letter == 0) return end;
    CHECK(letter != '?'); /* what getopt_long() returns for a wrong option */
    *end++ = letter;
    if (has_argument) *end++ = ':';
    return end;
}

static void options_check_row(const struct option_row *row)
{
    CHECK(row->letter != 0 || row->name != NULL);
    CHECK(row->letter != 'h');
    CHECK(row->letter != 'V');
    CHECK((row->kind == OPTION_CHOICE) == (row->choices != NULL));
    CHECK((row->kind == OPTION_FLAG) == (row->argument == NULL));
    if (row->name != NULL) CHECK(strlen(row->name) < OPTIONS_NAME_MAX / 2);
    if (!options_is_number(row)) CHECK(row->maximum == 0);
}

/* Turns the table into what getopt_long() wants. */
static void options_build(struct options_parser *parser)
{
    char *letter = parser->letters;
    struct option *name = parser->names;

    CHECK(parser->options->count <= OPTIONS_ROWS_MAX);
    *letter++ = ':'; /* tell a missing value from an unknown option */
    for (uint32_t i = 0; i < parser->options->count; i++) {
        const struct option_row *row = &parser->options->rows[i];
        if (row->kind == OPTION_HEADING) continue;
        options_check_row(row);
        int has_argument = row->kind == OPTION_FLAG ? no_argument : required_argument;
        letter = options_put_letter(letter, row->letter, has_argument != no_argument);
        letter = options_put_letter(letter, row->alias, has_argument != no_argument);
        if (row->name == NULL) continue;
        *name++ = (struct option){row->name, has_argument, NULL, OPTIONS_ROW_BASE + (int)i};
    }
    memcpy(letter, "hV", sizeof("hV"));
    *name++ = (struct option){"help", optional_argument, NULL, 'h'};
    *name++ = (struct option){"version", no_argument, NULL, 'V'};
    *name = (struct option){0};
}

/* The row of what getopt_long() returned or left in optopt; NULL for the built-in ones. */
static const struct option_row *options_find(const struct options *options, int code)
{
    if (code >= OPTIONS_ROW_BASE) return &options->rows[code - OPTIONS_ROW_BASE];
    for (uint32_t i = 0; i < options->count; i++) {
        const struct option_row *row = &options->rows[i];
        if (row->kind == OPTION_HEADING) continue;
        if (row->letter == code || row->alias == code) return row;
    }
    return NULL;
}

static uint32_t options_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, one line of the table at a time. */
static uint32_t options_distance(const char *a, size_t a_size, const char *b)
{
    uint32_t line[OPTIONS_NAME_MAX];
    size_t b_size = strlen(b);

    CHECK(b_size < OPTIONS_NAME_MAX);
    for (uint32_t j = 0; j <= b_size; j++)
        line[j] = j;
    for (uint32_t i = 1; i <= a_size; i++) {
        uint32_t diagonal = line[0];
        line[0] = i;
        for (uint32_t j = 1; j <= b_size; j++) {
            uint32_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = line[j];
            line[j] = options_least(replaced, options_least(line[j], line[j - 1]) + 1);
        }
    }
    return line[b_size];
}

/* The long name that was probably meant, or NULL. */
static const char *options_nearest(const struct option *names, const char *wrong, size_t size)
{
    const char *nearest = NULL;
    uint32_t limit = options_least(OPTIONS_DISTANCE_MAX, 1 + (uint32_t)size / 4);

    for (; size < OPTIONS_NAME_MAX && names->name != NULL; names++) {
        uint32_t distance = options_distance(wrong, size, names->name);
        if (distance > limit) continue;
        nearest = names->name;
        limit = distance - 1; /* later ones must be nearer; 0 is not unknown */
    }
    return nearest;
}

/* A long name that is unknown, or the start of several. */
static void options_fail_name(struct options_parser *parser, const char *wrong)
{
    size_t size = strcspn(wrong, "=");
    const char *nearest = options_nearest(parser->names, wrong, size);
    char *error = parser->result->error;
    uint32_t count = 0;

    options_fail(parser->result, "option --%.*s could be", (int)size, wrong);
    for (const struct option *name = parser->names; name->name != NULL; name++) {
        if (strncmp(name->name, wrong, size) != 0) continue;
        options_append(error, OPTIONS_ERROR_MAX, "%s --%s", count == 0 ? "" : " or", name->name);
        count++;
    }
    if (count > 0) return;
    options_fail(parser->result, "unknown option --%.*s; ", (int)size, wrong);
    if (nearest == NULL)
        options_append(error, OPTIONS_ERROR_MAX, "see --help");
    else
        options_append(error, OPTIONS_ERROR_MAX, "did you mean --%s?", nearest);
}

/* '?': an unknown name (optopt is 0), a flag with a value, or an unknown letter. */
static void options_fail_option(struct options_parser *parser, const char *word)
{
    char name[OPTIONS_NAME_MAX];

    if (optopt == 0) {
        options_fail_name(parser, word + 2);
    } else if (optopt == 'V') {
        options_fail(parser->result, "--version takes no value");
    } else if (optopt >= OPTIONS_ROW_BASE) {
        options_name_row(options_find(parser->options, optopt), name);
        options_fail(parser->result, "%s takes no value", name);
    } else if (isgraph(optopt)) {
        options_fail(parser->result, "unknown option -%c; see --help", optopt);
    } else {
        options_fail(parser->result, "unknown option -\\x%02x; see --help", optopt & 0xff);
    }
}

/* "N: try 100, 10k, 1.5M", "DIR", or all choices. */
static void options_describe_value(const struct option_row *row, char *text, size_t capacity)
{
    if (row->kind == OPTION_CHOICE) {
        options_list_choices(row, text, capacity);
        return;
    }
    snprintf(text, capacity, "%s", row->argument);
    if (!options_is_number(row)) return;
    char expected[OPTIONS_ERROR_MAX / 2];
    options_expect(row, expected, sizeof(expected));
    options_append(text, capacity, "%s", strchr(expected, ':'));
}

static void options_fail_missing(struct options_parser *parser)
{
    const struct option_row *row = options_find(parser->options, optopt);
    char name[OPTIONS_NAME_MAX];
    char value[OPTIONS_ERROR_MAX / 2];

    CHECK(row != NULL);
    options_name_row(row, name);
    options_describe_value(row, value, sizeof(value));
    options_fail(parser->result, "%s needs a value, %s", name, value);
    options_append_hint(parser->result, row);
}

static bool options_has_group(const struct options *options, const char *group)
{
    for (uint32_t i = 0; i < options->count; i++) {
        const struct option_row *row = &options->rows[i];
        if (row->kind != OPTION_HEADING || row->name == NULL) continue;
        if (strcasecmp(row->name, group) == 0) return true;
    }
    return false;
}

/* "load, message, smtp"; empty if the table has no groups with names. */
static void options_list_groups(const struct options *options, char *list, size_t capacity)
{
    list[0] = 0;
    for (uint32_t i = 0; i < options->count; i++) {
        const struct option_row *row = &options->rows[i];
        if (row->kind != OPTION_HEADING || row->name == NULL) continue;
        options_append(list, capacity, "%s%s", list[0] == 0 ? "" : ", ", row->name);
    }
}

static void options_ask_help(struct options_parser *parser, const char *group)
{
    char groups[OPTIONS_ERROR_MAX / 2];

    parser->result->outcome = OPTIONS_HELP;
    parser->result->help_group = group;
    if (group == NULL || options_has_group(parser->options, group)) return;
    options_list_groups(parser->options, groups, sizeof(groups));
    options_fail(parser->result, "--help has no group '%s'; its groups: %s", group, groups);
}

/* One option of the command line. */
static void options_take(struct options_parser *parser, int code, char **argv)
{
    char name[OPTIONS_NAME_MAX];

    switch (code) {
    case '?':
        options_fail_option(parser, argv[optind - 1]);
        return;
    case ':':
        options_fail_missing(parser);
        return;
    case 'h':
        options_ask_help(parser, optarg);
        return;
    case 'V':
        parser->result->outcome = OPTIONS_VERSION;
        return;
    default: {
        const struct option_row *row = options_find(parser->options, code);
        CHECK(row != NULL);
        options_name_row(row, name);
        options_set(parser, row, name, row->kind == OPTION_FLAG ? "1" : optarg);
    }
    }
}

void options_parse(const struct options *options, int argc, char **argv, void *config,
                   struct options_result *result)
{
    struct options_parser parser = {.options = options, .result = result, .config = config};
    struct options_result from_environment;

    options_build(&parser);
    *result = (struct options_result){.outcome = OPTIONS_PARSED};
    options_parse_environment(&parser);
    from_environment = *result;

    result->outcome = OPTIONS_PARSED;
    opterr = 0;
    optind = 0; /* glibc: begin anew, and forget where the last parse stood */
    while (result->outcome == OPTIONS_PARSED) {
        int code = getopt_long(argc, argv, parser.letters, parser.names, NULL);
        if (code == -1) break;
        options_take(&parser, code, argv);
    }
    /* A wrong variable must not keep anybody from the help. */
    if (result->outcome == OPTIONS_PARSED) *result = from_environment;
    result->first_operand = optind;
}

/* "  -c, --connections N" */
static void options_label(const struct option_row *row, char *label)
{
    snprintf(label, OPTIONS_NAME_MAX, row->letter == 0 ? "      " : "  -%c", row->letter);
    if (row->letter != 0 && row->name != NULL) options_append(label, OPTIONS_NAME_MAX, ", ");
    if (row->name != NULL) options_append(label, OPTIONS_NAME_MAX, "--%s", row->name);
    if (row->argument != NULL) options_append(label, OPTIONS_NAME_MAX, " %s", row->argument);
}

/* Where texts begin: two behind the longest label, but no further than OPTIONS_COLUMN_MAX. */
static uint32_t options_column(const struct options *options)
{
    size_t column = strlen("  -h, --help[=GROUP]") + 2;

    for (uint32_t i = 0; i < options->count; i++) {
        char label[OPTIONS_NAME_MAX];
        if (options->rows[i].kind == OPTION_HEADING) continue;
        options_label(&options->rows[i], label);
        if (strlen(label) + 2 > column) column = strlen(label) + 2;
    }
    return column > OPTIONS_COLUMN_MAX ? OPTIONS_COLUMN_MAX : (uint32_t)column;
}

/* Prints the words of `text` from `column` on, wrapped; `at` is where the line stands now. */
static uint32_t options_print_words(const char *text, uint32_t column, uint32_t at)
{
    while (*text != 0) {
        uint32_t size = (uint32_t)strcspn(text, " ");
        if (at > column && at + 1 + size > OPTIONS_WIDTH) {
            putchar('\n');
            at = 0;
        }
        uint32_t gap = at < column ? column - at : at > column ? 1 : 0;
        printf("%*s%.*s", (int)gap, "", (int)size, text);
        at += gap + size;
        text += size;
        text += strspn(text, " ");
    }
    return at;
}

static void options_print_row(const char *label, const char *text, char alias, uint32_t column)
{
    char note[] = "(alias -x)";
    uint32_t at = (uint32_t)strlen(label);

    fputs(label, stdout);
    if (at + 1 > column) {
        putchar('\n');
        at = 0;
    }
    at = options_print_words(text, column, at);
    if (alias != 0) {
        note[sizeof(note) - 3] = alias;
        options_print_words(note, column, at);
    }
    putchar('\n');
}

static void options_print_rows(const struct options *options, const char *group, uint32_t column)
{
    bool is_shown = group == NULL;

    for (uint32_t i = 0; i < options->count; i++) {
        char label[OPTIONS_NAME_MAX];
        const struct option_row *row = &options->rows[i];
        if (row->kind == OPTION_HEADING) {
            if (group != NULL) is_shown = row->name != NULL && strcasecmp(row->name, group) == 0;
            if (is_shown) printf("%s%s\n", group == NULL ? "\n" : "", row->help);
            continue;
        }
        if (!is_shown) continue;
        options_label(row, label);
        options_print_row(label, row->help, row->alias, column);
    }
}

static void options_print_built_in(const struct options *options, uint32_t column)
{
    char groups[OPTIONS_ERROR_MAX / 2];
    char text[OPTIONS_ERROR_MAX];

    options_list_groups(options, groups, sizeof(groups));
    putchar('\n');
    if (groups[0] == 0) {
        options_print_row("  -h, --help", "this text", 0, column);
    } else {
        snprintf(text, sizeof(text), "this text, or one group of it: %s", groups);
        options_print_row("  -h, --help[=GROUP]", text, 0, column);
    }
    options_print_row("  -V, --version", "what this is, and its version", 0, column);
}

void options_print_help(const struct options *options, const char *group)
{
    uint32_t column = options_column(options);

    if (group != NULL) {
        options_print_rows(options, group, column);
        return;
    }
    printf("Usage: %s\n", options->usage);
    options_print_rows(options, NULL, column);
    options_print_built_in(options, column);
    if (options->epilogue != NULL) printf("%s\n", options->epilogue);
}
