/*
 * load_watch -- what the server's processes take of CPU, memory and disk while they are loaded.
 *
 *   pid:N         the process and what it started, and what these started
 *   unit:NAME     all processes of the unit's control group
 *   cgroup:PATH   of that group: its directory, or its path below /sys/fs/cgroup
 *
 * Errors:     what can't be found at the start is refused; what is gone later is not known.
 * Bounds:     LOAD_WATCHES_MAX; LOAD_WATCH_PROCESSES_MAX processes.
 * Thread:     main.
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_WATCHES_MAX         4u
#define LOAD_WATCH_PROCESSES_MAX 16384u
#define LOAD_WATCH_WHAT_MAX      128u
#define LOAD_WATCH_PATH_MAX      4096u
#define LOAD_WATCH_ERROR_MAX     300u

/* What was taken between two looks. */
struct load_watch_row {
    bool is_known;
    bool has_io;           /* else this user may not see it */
    double cpu_ratio;      /* 1: all of one CPU */
    uint64_t rss_bytes;    /* at the second look */
    double io_bytes_per_s; /* read from disks and written to them */
};

struct load_watch_usage {
    bool is_known;
    bool has_io;
    uint64_t cpu_ns;
    uint64_t rss_bytes;
    uint64_t io_bytes;
};

struct load_watch {
    char what[LOAD_WATCH_WHAT_MAX];
    pid_t pid;                        /* 0: a control group  */
    char cgroup[LOAD_WATCH_PATH_MAX]; /* its directory, or "" */
    struct load_watch_usage last;
};

struct load_watches {
    uint32_t count;
    uint64_t last_ns;
    struct load_watch items[LOAD_WATCHES_MAX];
};

/* `text` is a list with commas, or NULL. False with `error` (LOAD_WATCH_ERROR_MAX bytes). */
MUST_USE bool load_watch_open(struct load_watches *watches, const char *text, char *error);

/* How many are in a list. */
uint32_t load_watch_count(const char *text);

/* One row for each into `rows`, of the time since the last look. */
void load_watch_take(struct load_watches *watches, uint64_t now_ns, struct load_watch_row *rows);
