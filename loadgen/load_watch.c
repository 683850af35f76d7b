#include "loadgen/load_watch.h"

#include "base/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CGROUPS   "/sys/fs/cgroup"
#define LINE_SIZE 1024u

/* Processes that are looked at together. */
struct processes {
    uint32_t count;
    pid_t pids[LOAD_WATCH_PROCESSES_MAX];
    pid_t parents[LOAD_WATCH_PROCESSES_MAX];
};

static bool read_line(const char *path, char *line)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool has_line = fgets(line, LINE_SIZE, file) != NULL;
    (void)fclose(file);
    return has_line;
}

/* What stands behind the command's name, which may hold anything: from the state on. */
static bool read_stat(pid_t pid, char *line, const char **fields)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_line(path, line)) return false;
    const char *end = strrchr(line, ')');
    if (end == NULL || end[1] != ' ') return false;
    *fields = end + 2;
    return true;
}

static void add(struct processes *processes, pid_t pid, pid_t parent)
{
    if (processes->count == LOAD_WATCH_PROCESSES_MAX) return;
    processes->pids[processes->count] = pid;
    processes->parents[processes->count++] = parent;
}

static void list_all(struct processes *processes)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    char line[LINE_SIZE];
    const char *fields;
    int parent;

    if (directory == NULL) return;
    while ((entry = readdir(directory)) != NULL) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0 || !read_stat(pid, line, &fields)) continue;
        if (sscanf(fields, "%*c %d", &parent) == 1) add(processes, pid, (pid_t)parent);
    }
    (void)closedir(directory);
}

static bool is_listed(const struct processes *processes, pid_t pid)
{
    for (uint32_t index = 0; index < processes->count; index++)
        if (processes->pids[index] == pid) return true;
    return false;
}

/* The process and its descendants: each round finds those one step further away. */
static void list_family(struct processes *family, const struct processes *all, pid_t pid)
{
    uint32_t before = 0;
    if (is_listed(all, pid)) add(family, pid, 0);
    while (before < family->count) {
        before = family->count;
        for (uint32_t index = 0; index < all->count; index++)
            if (!is_listed(family, all->pids[index]) && is_listed(family, all->parents[index]))
                add(family, all->pids[index], all->parents[index]);
    }
}

static void list_group(struct processes *processes, const char *directory)
{
    char path[LOAD_WATCH_PATH_MAX + 16];
    char line[LINE_SIZE];

    (void)snprintf(path, sizeof path, "%s/cgroup.procs", directory);
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL)
        add(processes, (pid_t)atoi(line), 0);
    (void)fclose(file);
}

/* The groups below a unit's are the unit's too. */
static void list_groups(struct processes *processes, const char *cgroup)
{
    char *roots[] = {(char *)(uintptr_t)cgroup, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    const FTSENT *entry;

    if (tree == NULL) return;
    while ((entry = fts_read(tree)) != NULL)
        if (entry->fts_info == FTS_D) list_group(processes, entry->fts_path);
    (void)fts_close(tree);
}

/* True if it is alive, and not only waited for. Times of children that have ended and were waited
 * for are in their parents'. */
static bool add_cpu(pid_t pid, struct load_watch_usage *usage)
{
    char line[LINE_SIZE];
    const char *fields;
    uint64_t user;
    uint64_t system;
    uint64_t child_user;
    uint64_t child_system;

    if (!read_stat(pid, line, &fields)) return false;
    if (sscanf(fields,
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64,
               &user, &system, &child_user, &child_system) != 4)
        return false;
    uint64_t tick_ns = CLOCK_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    usage->cpu_ns += (user + system + child_user + child_system) * tick_ns;
    return fields[0] != 'Z' && fields[0] != 'X';
}

static void add_memory(pid_t pid, struct load_watch_usage *usage)
{
    char path[64];
    char line[LINE_SIZE];
    uint64_t pages;

    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (!read_line(path, line) || sscanf(line, "%*u %" SCNu64, &pages) != 1) return;
    usage->rss_bytes += pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_io(pid_t pid, struct load_watch_usage *usage)
{
    char path[64];
    char line[LINE_SIZE];
    uint64_t bytes;
    uint32_t found = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "read_bytes: %" SCNu64, &bytes) != 1 &&
            sscanf(line, "write_bytes: %" SCNu64, &bytes) != 1)
            continue;
        usage->io_bytes += bytes;
        found++;
    }
    if (file != NULL) (void)fclose(file);
    if (found < 2) usage->has_io = false;
}

/* The group's own count is exact: it keeps the time of those that have ended. */
static void read_group_cpu(const char *cgroup, struct load_watch_usage *usage)
{
    char path[LOAD_WATCH_PATH_MAX + 16];
    char line[LINE_SIZE];
    uint64_t usage_us;

    (void)snprintf(path, sizeof path, "%s/cpu.stat", cgroup);
    if (read_line(path, line) && sscanf(line, "usage_usec %" SCNu64, &usage_us) == 1)
        usage->cpu_ns = usage_us * CLOCK_NS_PER_US;
}

static struct load_watch_usage read_usage(const struct load_watch *watch,
                                          const struct processes *all)
{
    struct load_watch_usage usage = {.has_io = true};
    struct processes *own = calloc(1, sizeof *own);

    if (own == NULL) return usage;
    if (watch->pid != 0)
        list_family(own, all, watch->pid);
    else
        list_groups(own, watch->cgroup);
    for (uint32_t index = 0; index < own->count; index++) {
        if (!add_cpu(own->pids[index], &usage)) continue;
        usage.is_known = true;
        add_memory(own->pids[index], &usage);
        add_io(own->pids[index], &usage);
    }
    if (watch->pid == 0) read_group_cpu(watch->cgroup, &usage);
    free(own);
    return usage;
}

static struct load_watch_row compare(const struct load_watch_usage *before,
                                     const struct load_watch_usage *now, uint64_t length_ns)
{
    struct load_watch_row row = {
        .is_known = before->is_known && now->is_known && length_ns > 0,
        .has_io = before->has_io && now->has_io,
        .rss_bytes = now->rss_bytes,
    };
    if (!row.is_known) return (struct load_watch_row){0};
    /* Of a process that nobody waited for the counts are lost: less is none. */
    if (now->cpu_ns > before->cpu_ns)
        row.cpu_ratio = (double)(now->cpu_ns - before->cpu_ns) / (double)length_ns;
    if (now->io_bytes > before->io_bytes)
        row.io_bytes_per_s =
            (double)(now->io_bytes - before->io_bytes) * (double)CLOCK_NS_PER_S / (double)length_ns;
    return row;
}

void load_watch_take(struct load_watches *watches, uint64_t now_ns, struct load_watch_row *rows)
{
    if (watches->count == 0) return;
    struct processes *all = calloc(1, sizeof *all);
    if (all == NULL) return;
    list_all(all);
    for (uint32_t index = 0; index < watches->count; index++) {
        struct load_watch *watch = &watches->items[index];
        struct load_watch_usage usage = read_usage(watch, all);
        if (rows != NULL) rows[index] = compare(&watch->last, &usage, now_ns - watches->last_ns);
        watch->last = usage;
    }
    watches->last_ns = now_ns;
    free(all);
}

/* ---- what is to be watched ---- */

static bool find_unit(struct load_watch *watch, const char *name)
{
    char *roots[] = {(char *)(uintptr_t)CGROUPS, NULL};
    char service[LOAD_WATCH_WHAT_MAX + 16];
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    const FTSENT *entry;

    (void)snprintf(service, sizeof service, "%s.service", name);
    while (tree != NULL && watch->cgroup[0] == '\0' && (entry = fts_read(tree)) != NULL) {
        bool is_it = strcmp(entry->fts_name, name) == 0 || strcmp(entry->fts_name, service) == 0;
        if (entry->fts_info == FTS_D && is_it && strlen(entry->fts_path) < sizeof watch->cgroup)
            strcpy(watch->cgroup, entry->fts_path);
    }
    if (tree != NULL) (void)fts_close(tree);
    return watch->cgroup[0] != '\0';
}

/* A group's directory, or its name below where groups are mounted. */
static bool find_group(struct load_watch *watch, const char *path)
{
    char procs[LOAD_WATCH_PATH_MAX + 16];
    int size = snprintf(watch->cgroup, sizeof watch->cgroup, "%s%s",
                        path[0] == '/' ? "" : CGROUPS "/", path);
    if (size < 0 || (size_t)size >= sizeof watch->cgroup) return false;
    (void)snprintf(procs, sizeof procs, "%s/cgroup.procs", watch->cgroup);
    return access(procs, R_OK) == 0;
}

static bool find_process(struct load_watch *watch, const char *number)
{
    char line[LINE_SIZE];
    const char *fields;
    char *end;
    long pid = strtol(number, &end, 10);
    if (!isdigit((unsigned char)number[0]) || *end != '\0' || pid <= 0 || pid > INT32_MAX)
        return false;
    watch->pid = (pid_t)pid;
    return read_stat(watch->pid, line, &fields);
}

static bool open_one(struct load_watch *watch, const char *text, size_t size, char *error)
{
    if (size >= sizeof watch->what) size = sizeof watch->what - 1;
    memcpy(watch->what, text, size);
    watch->what[size] = '\0';
    const char *what = watch->what;
    bool is_pid = strncmp(what, "pid:", 4) == 0;
    bool is_unit = strncmp(what, "unit:", 5) == 0;
    bool is_group = strncmp(what, "cgroup:", 7) == 0;

    if (is_pid && find_process(watch, what + 4)) return true;
    if (is_unit && what[5] != '\0' && find_unit(watch, what + 5)) return true;
    if (is_group && what[7] != '\0' && find_group(watch, what + 7)) return true;
    if (is_pid || is_unit || is_group)
        (void)snprintf(error, LOAD_WATCH_ERROR_MAX, "--watch %s: there is no such %s here", what,
                       is_pid    ? "process"
                       : is_unit ? "unit: see systemctl status"
                                 : "control group");
    else
        (void)snprintf(error, LOAD_WATCH_ERROR_MAX,
                       "--watch '%s': try pid:1234, unit:postfix.service or cgroup:PATH", what);
    return false;
}

uint32_t load_watch_count(const char *text)
{
    uint32_t count = text == NULL ? 0 : 1;
    for (; text != NULL && (text = strchr(text, ',')) != NULL; text++)
        count++;
    return count;
}

bool load_watch_open(struct load_watches *watches, const char *text, char *error)
{
    *watches = (struct load_watches){0};
    if (load_watch_count(text) > LOAD_WATCHES_MAX) {
        (void)snprintf(error, LOAD_WATCH_ERROR_MAX, "--watch: %u at most", LOAD_WATCHES_MAX);
        return false;
    }
    while (text != NULL) {
        size_t size = strcspn(text, ",");
        if (!open_one(&watches->items[watches->count], text, size, error)) return false;
        watches->count++;
        text = text[size] == ',' ? text + size + 1 : NULL;
    }
    return true;
}
