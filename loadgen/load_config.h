/*
 * load_config -- the command line as one checked struct.
 *
 * Borrows:    texts point into argv or the environment.
 * Errors:     one line that names the option, what was expected and what to do.
 * Invariants: after LOAD_CONFIG_READY every field is in range and every text fit for a command.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_expect.h"
#include "loadgen/load_length.h"
#include "loadgen/load_pause.h"
#include "loadgen/load_schedule.h"
#include "loadgen/load_script.h"
#include "loadgen/load_source.h"
#include "loadgen/load_threshold.h"
#include "ring/net.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_ADDRESSES_MAX      8u
#define LOAD_THRESHOLD_LIST_MAX 1024u
#define LOAD_CONFIG_ERROR_MAX   600u
#define LOAD_UNLIMITED          UINT64_MAX

enum load_progress_mode {
    LOAD_PROGRESS_AUTO,
    LOAD_PROGRESS_BLOCK,
    LOAD_PROGRESS_LINE,
    LOAD_PROGRESS_JSON,
    LOAD_PROGRESS_NONE,
};

/* What the connections are for. */
enum load_scenario {
    LOAD_SCENARIO_DELIVER,
    LOAD_SCENARIO_CONNECT, /* banner, EHLO, QUIT, and again             */
    LOAD_SCENARIO_IDLE,    /* sessions that are held and say nothing    */
};

/* How a session ends that has nothing more to do. */
enum load_quit {
    LOAD_QUIT_QUIT,
    LOAD_QUIT_RESET, /* TCP RST */
    LOAD_QUIT_DROP,  /* FIN     */
};

struct load_config {
    uint64_t connections;
    uint64_t threads; /* 0: chosen by load_plan */
    uint64_t duration_ns;
    uint64_t messages;
    uint64_t per_connection;
    uint64_t per_connection_max;
    struct load_length length;
    uint64_t recipients;
    uint64_t recipients_max;
    const char *domains; /* list, or NULL */
    uint64_t seed;
    uint64_t timeout_ns;
    uint64_t drain_ns;
    uint64_t warmup_ns;
    uint64_t ramp_ns;    /* 0: connections open as fast as they can            */
    uint64_t rate_per_s; /* 0: closed loop                                     */
    uint64_t backlog;    /* messages due that may wait for a session           */
    struct load_schedule_recipe arrival;
    uint64_t retry_connect; /* connects of a connection that may fail before the run does */
    struct load_expects expects;
    struct load_sources sources;
    bool repeats_recipients; /* not numbered through the run */
    const char *sender;
    const char *recipient;
    const char *subject;
    const char *helo;
    const char *credentials; /* user:password, or NULL */
    const char *ledger;      /* file, or NULL             */
    const char *output;      /* file, "-", or NULL        */
    const char *csv;         /* file, or NULL             */
    const char *hlog;        /* file, or NULL             */
    const char *watch;       /* list, or NULL             */
    const char *samples;     /* file, or NULL             */
    const char *labels;      /* list of K=V, or NULL      */
    const char *hdr_prefix;
    struct load_threshold thresholds[LOAD_THRESHOLDS_MAX];
    uint32_t threshold_count;
    bool is_calibration; /* find out how fast this machine can drive at all */
    bool is_strict;      /* an INVALID run is a failure */
    const char *target;  /* as given, or the default  */
    int pipelining;      /* enum load_pipelining      */
    int scenario;        /* enum load_scenario */
    int quit;            /* enum load_quit */
    int tls;             /* enum load_tls_mode */
    bool tls_resumes;
    bool tls_verifies;
    const char *tls_ca;   /* file, or NULL: the system's                    */
    const char *tls_name; /* the server's, or an address; NULL: of a unix socket */
    bool has_think;
    struct load_pause think; /* between two messages of a connection */
    uint64_t window;         /* messages in flight on a connection; more than one with BDAT only */
    int progress;            /* enum load_progress_mode */
    bool no_histogram;
    bool is_quiet;
    bool is_verbose;
    bool is_lmtp;
    bool is_chunked; /* BDAT */
    bool only_v4;
    bool only_v6;
    bool allow_public;
    bool is_pinned; /* cpus holds where to      */
    cpu_set_t cpus;
    struct net_address addresses[LOAD_ADDRESSES_MAX];
    uint32_t address_count;

    /* As given; the fields above are what they mean. */
    const char *per_connection_text;
    const char *recipients_text;
    const char *file_text;    /* -F, or NULL       */
    const char *corpus_text;  /* --corpus, or NULL */
    const char *session_text; /* --session, or NULL */
    int corpus_order;         /* 0: one after the other, 1: drawn */
    const char *arrival_text;
    const char *think_text;
    const char *expect_text;
    const char *source_text;
    const char *length_text;
    const char *threshold_text;
    char threshold_list[LOAD_THRESHOLD_LIST_MAX]; /* what config->thresholds points into */
    const char *cpus_text;
    char host[NET_HOST_MAX]; /* of the target; empty: it has none */
    bool numbers_recipients; /* -N: what is done anyway          */
    bool does_not_abort;     /* -A of smtp-source: done anyway   */
};

enum load_config_outcome {
    LOAD_CONFIG_READY,
    LOAD_CONFIG_HELP,    /* the help was printed               */
    LOAD_CONFIG_VERSION, /* the caller prints the version      */
    LOAD_CONFIG_WRONG,   /* `error` says why; exit 2           */
};

/* Reads the command line and the environment, checks, resolves the target. */
MUST_USE enum load_config_outcome load_config_read(struct load_config *config, int argc,
                                                   char **argv, char *error);

const char *load_scenario_name(enum load_scenario scenario);
const char *load_quit_name(enum load_quit quit);
const char *load_tls_name(enum load_tls_mode mode);

/* Writes why a value is wrong (LOAD_CONFIG_ERROR_MAX bytes); returns false. */
__attribute__((format(printf, 2, 3))) bool load_config_fail(char *error, const char *format, ...);

/* Reads "0,2-3" into `cpus`. False if it is anything else, or empty. */
MUST_USE bool load_config_parse_cpus(const char *text, cpu_set_t *cpus);
