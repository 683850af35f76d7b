#include "loadgen/load_report_tool.h"

#include "base/exit_codes.h"
#include "base/log.h"
#include "base/options.h"
#include "loadgen/load_json.h"
#include "loadgen/load_merge.h"
#include "loadgen/load_report.h"
#include "loadgen/load_saved.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 256

struct tool {
    bool is_json;
    bool no_histogram;
    struct load_saved *whole;
    json_t *merged; /* array: one row a run */
    int count;      /* of files */
    char hosts[LOAD_MERGED_HOSTS_MAX];
};

#define FIELD(name) .offset = offsetof(struct tool, name)

static const struct option_row rows[] = {
    {.kind = OPTION_FLAG,
     .name = "json",
     FIELD(is_json),
     .help = "write the result as JSON, in the schema of the files"},
    {.kind = OPTION_FLAG,
     .name = "no-histogram",
     FIELD(no_histogram),
     .help = "leave the histogram out"},
};

static const struct options options = {
    .program = "loadgen report",
    .usage = "loadgen report [OPTIONS] FILE...\n"
             "\n"
             "Prints the report of a saved result (-o) again. Several files are taken as the "
             "same\nrun on several machines: counts and histograms are added, and percentiles "
             "taken from\nthe sum.",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

/* The runs in a file: one, or those that were added up for it before. */
static void list_runs(struct tool *tool, const struct load_saved *saved)
{
    const json_t *run = json_object_get(saved->root, "run");
    const json_t *environment = json_object_get(saved->root, "environment");
    const json_t *verdict = json_object_get(saved->root, "verdict");
    const json_t *rates = json_object_get(saved->root, "rates");
    json_t *before = json_object_get(saved->root, "merged");

    if (json_array_size(before) > 0) {
        (void)json_array_extend(tool->merged, before);
        return;
    }
    json_t *row =
        json_pack("{s:O, s:O, s:O, s:O, s:O}", "id", json_object_get(run, "id"), "host",
                  json_object_get(environment, "host"), "started", json_object_get(run, "started"),
                  "status", json_object_get(verdict, "status"), "accepted_per_s",
                  json_object_get(rates, "accepted_per_s"));
    (void)json_array_append_new(tool->merged, row);
}

/* Of whom the report is, if not of one run. */
static void name_runs(struct tool *tool)
{
    struct load_result *result = &tool->whole->result;
    const json_t *row;
    size_t index;

    if (json_array_size(tool->merged) < 2) return;
    json_array_foreach(tool->merged, index, row)
    {
        const char *host = json_string_value(json_object_get(row, "host"));
        char name[64] = "?";
        if (host != NULL) bytes_escape(bytes_from_text(host), name, sizeof name);
        size_t size = strlen(tool->hosts);
        (void)snprintf(tool->hosts + size, sizeof tool->hosts - size, "%s%s", size > 0 ? ", " : "",
                       name);
    }
    result->merged_count = (uint32_t)json_array_size(tool->merged);
    result->merged_hosts = tool->hosts;
}

static struct load_saved *open_file(const char *path)
{
    char error[LOAD_SAVED_ERROR_MAX];
    struct load_saved *saved = malloc(sizeof *saved);
    if (saved == NULL) die(EXIT_CODE_FAILED, "no memory for %s", path);
    if (!load_saved_open(saved, path, error)) die(EXIT_CODE_USAGE, "%s", error);
    return saved;
}

static void add_file(struct tool *tool, const char *path)
{
    char error[LOAD_SAVED_ERROR_MAX];
    struct load_saved *saved = open_file(path);

    list_runs(tool, saved);
    if (tool->whole == NULL) {
        tool->whole = saved;
        return;
    }
    if (!load_merge_check(tool->whole, saved, error)) die(EXIT_CODE_USAGE, "%s: %s", path, error);
    if (load_merge_add(tool->whole, saved) < 0) die(EXIT_CODE_FAILED, "no memory for %s", path);
    load_saved_close(saved);
    free(saved);
}

/* What the sum can't know anew stays as the first file has it. */
static json_t *make_document(const struct tool *tool)
{
    static const char *const kept[] = {"config", "environment", "run", "tool"};
    json_t *first = tool->whole->root;
    if (tool->count == 1) return json_incref(first);
    json_t *root = load_json_make(&tool->whole->result);
    json_t *config = json_incref(json_object_get(root, "config"));
    for (size_t index = 0; index < sizeof kept / sizeof kept[0]; index++)
        (void)json_object_set(root, kept[index], json_object_get(first, kept[index]));
    /* Of the configuration these add up. */
    static const char *const summed[] = {"connections", "threads", "rate_per_s", "messages",
                                         "backlog_max"};
    for (size_t index = 0; index < sizeof summed / sizeof summed[0]; index++)
        (void)json_object_set(json_object_get(root, "config"), summed[index],
                              json_object_get(config, summed[index]));
    json_decref(config);
    (void)json_object_set(root, "merged", tool->merged);
    (void)json_object_update_missing(root, first);
    return root;
}

static int put(const struct tool *tool)
{
    int error = 0;
    if (tool->is_json) {
        json_t *root = make_document(tool);
        error = load_json_write_document(root, stdout);
        json_decref(root);
    } else {
        load_report_write(&tool->whole->result, stdout);
    }
    if (error == 0 && fflush(stdout) == 0 && ferror(stdout) == 0) return EXIT_CODE_OK;
    log_error("cannot write the report");
    return EXIT_CODE_FAILED;
}

static int report(struct tool *tool, int count, char **paths)
{
    if (count == 0)
        die(EXIT_CODE_USAGE, "no file to report on: loadgen report RESULT.json... (see --help)");
    if (count > FILES_MAX) die(EXIT_CODE_USAGE, "at most %d files", FILES_MAX);
    tool->count = count;
    tool->merged = json_array();
    for (int index = 0; index < count; index++)
        add_file(tool, paths[index]);
    tool->whole->config.no_histogram = tool->no_histogram;
    name_runs(tool);
    int code = put(tool);
    json_decref(tool->merged);
    load_saved_close(tool->whole);
    free(tool->whole);
    return code;
}

int load_report_tool_run(int argc, char **argv)
{
    struct tool tool = {0};
    struct options_result parsed;

    options_parse(&options, argc, argv, &tool, &parsed);
    switch (parsed.outcome) {
    case OPTIONS_HELP:
        options_print_help(&options, parsed.help_group);
        return EXIT_CODE_OK;
    case OPTIONS_VERSION:
        (void)printf("loadgen %s (%s)\n", RINGSINK_VERSION, RINGSINK_COMMIT);
        return EXIT_CODE_OK;
    case OPTIONS_WRONG:
        die(EXIT_CODE_USAGE, "%s", parsed.error);
    case OPTIONS_PARSED:
        break;
    }
    return report(&tool, argc - parsed.first_operand, argv + parsed.first_operand);
}
