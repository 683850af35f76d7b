#include "base/options.h"
#include "unit/base/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

struct config {
    uint64_t connections;
    uint64_t size;
    uint64_t duration_ns;
    const char *spool;
    struct option_list hosts;
    int durability;
    bool is_lmtp;
    bool is_ipv4;
    bool is_quiet;
};

static const char *const durabilities[] = {"discard", "page", "disk", NULL};

static const struct option_row rows[] = {
    {.kind = OPTION_HEADING, .name = "load", .help = "Load"},
    {.kind = OPTION_COUNT,
     .letter = 'c',
     .alias = 's',
     .name = "connections",
     .offset = offsetof(struct config, connections),
     .argument = "N",
     .help = "concurrent SMTP sessions [10]",
     .minimum = 1,
     .maximum = 65536},
    {.kind = OPTION_DURATION,
     .letter = 'd',
     .name = "duration",
     .offset = offsetof(struct config, duration_ns),
     .argument = "T",
     .help = "measured time, after warm-up; a very long explanation follows here so that it has "
             "to be wrapped [10s]",
     .minimum = 1000000,
     .hint = "see -k"},
    {.kind = OPTION_HEADING, .name = "store", .help = "Store"},
    {.kind = OPTION_TEXT,
     .name = "spool",
     .offset = offsetof(struct config, spool),
     .argument = "DIR",
     .help = "where messages go [./spool]"},
    {.kind = OPTION_LIST,
     .letter = 'H',
     .name = "host",
     .offset = offsetof(struct config, hosts),
     .argument = "NAME",
     .help = "who may come"},
    {.kind = OPTION_SIZE,
     .name = "spool-size",
     .offset = offsetof(struct config, size),
     .argument = "SIZE",
     .help = "bound of the whole spool",
     .minimum = 1 << 20,
     .maximum = 1ull << 40},
    {.kind = OPTION_CHOICE,
     .name = "durability",
     .offset = offsetof(struct config, durability),
     .argument = "discard|page|disk-and-more",
     .choices = durabilities,
     .help = "what 250 means [page]"},
    {.kind = OPTION_FLAG,
     .letter = 'L',
     .name = "lmtp",
     .offset = offsetof(struct config, is_lmtp),
     .help = "speak LMTP"},
    {.kind = OPTION_FLAG,
     .letter = '4',
     .offset = offsetof(struct config, is_ipv4),
     .help = "IPv4 only"},
    {.kind = OPTION_FLAG,
     .letter = 'q',
     .name = "quiet",
     .offset = offsetof(struct config, is_quiet),
     .help = "say less"},
};

static const struct options options = {
    .program = "sink",
    .usage = "sink [OPTIONS] [ADDRESS]...",
    .epilogue = "\nNumbers take k, M, G.",
    .environment = "SINK",
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

#define WORDS_MAX 48

struct run {
    struct config config;
    struct options_result result;
    char *argv[WORDS_MAX];
    int argc;
    char words[512];
};

/* Splits `line` at spaces and parses it as the arguments. */
static void parse(struct run *run, const char *line)
{
    memset(run, 0, sizeof(*run));
    run->config.connections = 10;
    run->config.durability = 1;
    snprintf(run->words, sizeof(run->words), "sink %s", line);
    for (char *word = strtok(run->words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(run->argc < WORDS_MAX - 1);
        run->argv[run->argc++] = word;
    }
    options_parse(&options, run->argc, run->argv, &run->config, &run->result);
}

static void test_nothing_given_leaves_the_defaults(void **state)
{
    struct run run;
    (void)state;
    parse(&run, "");
    assert_int_equal(run.result.outcome, OPTIONS_PARSED);
    assert_int_equal(run.result.first_operand, 1);
    assert_int_equal(run.config.connections, 10);
    assert_int_equal(run.config.durability, 1);
    assert_false(run.config.is_lmtp);
    assert_null(run.config.spool);
}

static void test_every_kind(void **state)
{
    struct run run;
    (void)state;
    parse(&run, "-c 10k --spool-size=64Mi -d 50ms --spool /var/x --durability disk --lmtp -4");
    assert_string_equal(run.result.error, "");
    assert_int_equal(run.result.outcome, OPTIONS_PARSED);
    assert_int_equal(run.config.connections, 10000);
    assert_int_equal(run.config.size, 64 << 20);
    assert_int_equal(run.config.duration_ns, 50000000);
    assert_string_equal(run.config.spool, "/var/x");
    assert_int_equal(run.config.durability, 2);
    assert_true(run.config.is_lmtp);
    assert_true(run.config.is_ipv4);
    assert_false(run.config.is_quiet);
}

static void test_ways_to_write_it(void **state)
{
    static const char *const lines[] = {
        "-c 7 -L -q",
        "-c7 -Lq",
        "-Lqc7",
        "-Lqc 7",
        "-s 7 -qL",
        "--connections=7 --lmtp --quiet",
        "--connections 7 --quiet -L",
        "--conn 7 -Lq",
        "-c 3 -c 7 -Lq",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct run run;
        parse(&run, lines[i]);
        assert_string_equal(run.result.error, "");
        assert_int_equal(run.config.connections, 7);
        assert_true(run.config.is_lmtp);
        assert_true(run.config.is_quiet);
    }
}

static void test_operands_may_stand_anywhere(void **state)
{
    struct run run;
    (void)state;
    parse(&run, "one -c 7 two --lmtp three -- -q");
    assert_int_equal(run.result.outcome, OPTIONS_PARSED);
    assert_int_equal(run.argc - run.result.first_operand, 4);
    assert_string_equal(run.argv[run.result.first_operand], "one");
    assert_string_equal(run.argv[run.result.first_operand + 1], "two");
    assert_string_equal(run.argv[run.result.first_operand + 2], "three");
    assert_string_equal(run.argv[run.result.first_operand + 3], "-q");
    assert_true(run.config.is_lmtp);
    assert_false(run.config.is_quiet);
}

static void test_a_list_grows(void **state)
{
    struct run run;
    (void)state;
    setenv("SINK_HOST", "z", 1);
    parse(&run, "-H a one --host=b -Hc");
    assert_int_equal(run.result.outcome, OPTIONS_PARSED);
    assert_int_equal(run.config.hosts.count, 3);
    assert_string_equal(run.config.hosts.values[0], "a");
    assert_string_equal(run.config.hosts.values[1], "b");
    assert_string_equal(run.config.hosts.values[2], "c");
    parse(&run, "-H1 -H2 -H3 -H4 -H5 -H6 -H7 -H8 -H9 -H10 -H11 -H12 -H13 -H14 -H15 -H16");
    assert_int_equal(run.config.hosts.count, OPTION_LIST_MAX);
    parse(&run, "");
    assert_int_equal(run.config.hosts.count, 0);
    unsetenv("SINK_HOST");
}

static void test_wrong(void **state)
{
    static const struct {
        const char *line;
        const char *error;
    } wrongs[] = {
        {"--spoolsize 1", "unknown option --spoolsize; did you mean --spool-size?"},
        {"--spoolsize=1", "unknown option --spoolsize; did you mean --spool-size?"},
        {"one --conections 7", "unknown option --conections; did you mean --connections?"},
        {"--limtp", "unknown option --limtp; did you mean --lmtp?"},
        {"--hepl", "unknown option --hepl; did you mean --help?"},
        {"--utterly-different", "unknown option --utterly-different; see --help"},
        {"--x", "unknown option --x; see --help"},
        {"--du 1", "option --du could be --duration or --durability"},
        {"-z", "unknown option -z; see --help"},
        {"-Lz", "unknown option -z; see --help"},
        {"-\xff", "unknown option -\\xff; see --help"},
        {"--lmtp=1", "-L, --lmtp takes no value"},
        {"--version=1", "--version takes no value"},
        {"-c abc", "-c, --connections 'abc' is not a number: try 100, 10k, 1.5M"},
        {"-s abc", "-c, --connections 'abc' is not a number: try 100, 10k, 1.5M"},
        {"-c 0", "-c, --connections '0' is out of range: 1 to 65536"},
        {"-c 65537", "-c, --connections '65537' is out of range: 1 to 65536"},
        {"-c", "-c, --connections needs a value, N: try 100, 10k, 1.5M"},
        {"--connections", "-c, --connections needs a value, N: try 100, 10k, 1.5M"},
        {"--spool", "--spool needs a value, DIR"},
        {"--host", "-H, --host needs a value, NAME"},
        {"-H1 -H2 -H3 -H4 -H5 -H6 -H7 -H8 -H9 -H10 -H11 -H12 -H13 -H14 -H15 -H16 -H17",
         "-H, --host may be given 16 times at most"},
        {"--durability", "--durability needs a value, discard, page, disk"},
        {"-d abc", "-d, --duration 'abc' is not a time: try 10s, 500ms, 2m (see -k)"},
        {"-d -c", "-d, --duration '-c' is not a time: try 10s, 500ms, 2m (see -k)"},
        {"-d", "-d, --duration needs a value, T: try 10s, 500ms, 2m (see -k)"},
        {"-d 1us", "-d, --duration '1us' is too small: at least 1ms (see -k)"},
        {"--spool-size 5x", "--spool-size '5x' is not a size: try 4096, 64Mi, 10G"},
        {"--spool-size 1k", "--spool-size '1k' is out of range: 1 MiB to 1 TiB"},
        {"--spool-size 2Ti", "--spool-size '2Ti' is out of range: 1 MiB to 1 TiB"},
        {"--durability tape", "--durability 'tape' is none of discard, page, disk"},
        {"--help=nothing", "--help has no group 'nothing'; its groups: load, store"},
        {"-z -h", "unknown option -z; see --help"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct run run;
        parse(&run, wrongs[i].line);
        assert_string_equal(run.result.error, wrongs[i].error);
        assert_int_equal(run.result.outcome, OPTIONS_WRONG);
    }
}

static void test_a_long_wrong_name_is_no_harm(void **state)
{
    static char line[480];
    struct run run;
    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    line[0] = line[1] = '-';
    parse(&run, line);
    assert_int_equal(run.result.outcome, OPTIONS_WRONG);
    assert_memory_equal(run.result.error, "unknown option --xxx", 20);
}

static void test_help_and_version(void **state)
{
    struct run run;
    (void)state;
    parse(&run, "-h");
    assert_int_equal(run.result.outcome, OPTIONS_HELP);
    assert_null(run.result.help_group);
    parse(&run, "-L --help -z");
    assert_int_equal(run.result.outcome, OPTIONS_HELP);
    parse(&run, "--help=store");
    assert_int_equal(run.result.outcome, OPTIONS_HELP);
    assert_string_equal(run.result.help_group, "store");
    parse(&run, "-V");
    assert_int_equal(run.result.outcome, OPTIONS_VERSION);
    parse(&run, "--version");
    assert_int_equal(run.result.outcome, OPTIONS_VERSION);
}

static void test_environment_stands_between_default_and_command_line(void **state)
{
    struct run run;
    (void)state;
    setenv("SINK_CONNECTIONS", "20", 1);
    setenv("SINK_SPOOL_SIZE", "2Mi", 1);
    setenv("SINK_DURABILITY", "disk", 1);
    setenv("SINK_LMTP", "yes", 1);
    setenv("SINK_QUIET", "off", 1);
    setenv("SINK_SPOOL", "", 1);
    parse(&run, "-c 7");
    unsetenv("SINK_CONNECTIONS");
    unsetenv("SINK_SPOOL_SIZE");
    unsetenv("SINK_DURABILITY");
    unsetenv("SINK_LMTP");
    unsetenv("SINK_QUIET");
    unsetenv("SINK_SPOOL");
    assert_string_equal(run.result.error, "");
    assert_int_equal(run.config.connections, 7);
    assert_int_equal(run.config.size, 2 << 20);
    assert_int_equal(run.config.durability, 2);
    assert_true(run.config.is_lmtp);
    assert_false(run.config.is_quiet);
    assert_null(run.config.spool);
}

static void test_wrong_environment_is_named(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *error;
    } wrongs[] = {
        {"SINK_SPOOL_SIZE", "much", "SINK_SPOOL_SIZE 'much' is not a size: try 4096, 64Mi, 10G"},
        {"SINK_CONNECTIONS", "0", "SINK_CONNECTIONS '0' is out of range: 1 to 65536"},
        {"SINK_LMTP", "maybe", "SINK_LMTP 'maybe' is neither yes nor no: try 1 or 0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct run run;
        struct run help;
        setenv(wrongs[i].name, wrongs[i].value, 1);
        parse(&run, "-c 7");
        parse(&help, "-c 7 --help");
        unsetenv(wrongs[i].name);
        assert_int_equal(run.result.outcome, OPTIONS_WRONG);
        assert_string_equal(run.result.error, wrongs[i].error);
        assert_int_equal(help.result.outcome, OPTIONS_HELP);
    }
}

static struct capture capture;

static const char *help(const char *group)
{
    capture_begin(&capture, STDOUT_FILENO);
    options_print_help(&options, group);
    return capture_end(&capture);
}

static void test_help_text(void **state)
{
    (void)state;
    assert_string_equal(
        help(NULL), "Usage: sink [OPTIONS] [ADDRESS]...\n"
                    "\n"
                    "Load\n"
                    "  -c, --connections N       concurrent SMTP sessions [10] (alias -s)\n"
                    "  -d, --duration T          measured time, after warm-up; a very long\n"
                    "                            explanation follows here so that it has to be\n"
                    "                            wrapped [10s]\n"
                    "\n"
                    "Store\n"
                    "      --spool DIR           where messages go [./spool]\n"
                    "  -H, --host NAME           who may come\n"
                    "      --spool-size SIZE     bound of the whole spool\n"
                    "      --durability discard|page|disk-and-more\n"
                    "                            what 250 means [page]\n"
                    "  -L, --lmtp                speak LMTP\n"
                    "  -4                        IPv4 only\n"
                    "  -q, --quiet               say less\n"
                    "\n"
                    "  -h, --help[=GROUP]        this text, or one group of it: load, store\n"
                    "  -V, --version             what this is, and its version\n"
                    "\n"
                    "Numbers take k, M, G.\n");
}

static void test_help_of_one_group(void **state)
{
    (void)state;
    assert_string_equal(
        help("load"), "Load\n"
                      "  -c, --connections N       concurrent SMTP sessions [10] (alias -s)\n"
                      "  -d, --duration T          measured time, after warm-up; a very long\n"
                      "                            explanation follows here so that it has to be\n"
                      "                            wrapped [10s]\n");
}

static void test_help_fits_80_columns(void **state)
{
    (void)state;
    for (const char *line = help(NULL); *line != 0; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_given_leaves_the_defaults),
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_ways_to_write_it),
        cmocka_unit_test(test_operands_may_stand_anywhere),
        cmocka_unit_test(test_a_list_grows),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_a_long_wrong_name_is_no_harm),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_environment_stands_between_default_and_command_line),
        cmocka_unit_test(test_wrong_environment_is_named),
        cmocka_unit_test(test_help_text),
        cmocka_unit_test(test_help_of_one_group),
        cmocka_unit_test(test_help_fits_80_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
