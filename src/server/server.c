#include "server/server.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/units.h"
#include "ring/ring_probe.h"
#include "server/fault.h"
#include "server/worker.h"
#include "smtp/smtp_config.h"
#include "version.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNTERS_EVERY_NS CLOCK_NS_PER_S
#define LOCKED_TRIES      20
#define LOCKED_PAUSE_US   50000

struct server {
    struct config *config;
    struct worker_environment environment;
    struct smtp_config smtp;
    uint8_t smtp_text[SMTP_CONFIG_TEXT_SIZE];
    struct steward steward;
    struct identity identity;
    struct unix_listeners unix_listeners;
    struct worker *workers;
    uint32_t worker_count;
    uint64_t started_ns;
    uint64_t last_messages; /* at the last counters line */
    uint64_t last_bytes;
};

/* ---- before anything is opened ---- */

/* Signals are taken by main in wait_for_end() alone; threads inherit the mask. */
static sigset_t block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signals;
}

/* One small ring, so that a refusal is told before anything else is set up. */
static void check_ring(void)
{
    char text[RING_PROBE_TEXT_MAX];
    struct ring_options options = {
        .submissions = 8, .completions = 16, .buffer_count = 8, .buffer_size = 64};
    int error = 0;
    struct ring *ring = ring_open(&options, &error);
    if (ring == NULL) die(EXIT_CODE_NO_RING, "%s", ring_probe_explain(text, error));
    ring_close(ring);
}

static void become_user(const char *name)
{
    if (name == NULL) return;
    const struct passwd *user = getpwnam(name);
    if (user == NULL) die(EXIT_CODE_USAGE, "-u %s: there is no such user", name);
    if (setgid(user->pw_gid) != 0 || initgroups(name, user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        die(EXIT_CODE_USAGE, "-u %s: %s; only root may become another user", name, strerror(errno));
}

/* ---- the spool ---- */

static void die_of_spool(const char *path, int error)
{
    if (error == -EWOULDBLOCK)
        die(EXIT_CODE_IN_USE,
            "the spool %s is in use by another ringsink: stop it, or use --spool DIR", path);
    if (error == -ENOENT)
        die(EXIT_CODE_NO_SPOOL,
            "the spool %s can't be made: its parent directory does not exist; "
            "make it with: mkdir -p \"$(dirname %s)\"",
            path, path);
    if (error == -EPERM)
        die(EXIT_CODE_NO_SPOOL, "the spool %s belongs to another user: use --spool DIR of your own",
            path);
    if (error == -ENOTDIR)
        die(EXIT_CODE_NO_SPOOL, "the spool %s is not a directory: use another --spool DIR", path);
    if (error == -ENOSPC || error == -EDQUOT)
        die(EXIT_CODE_NO_SPOOL,
            "the disk of the spool %s is full (%s): free some space, or use a "
            "smaller --segment-size or another --spool",
            path, strerror(-error));
    die(EXIT_CODE_NO_SPOOL, "the spool %s can't be opened: %s", path, strerror(-error));
}

static void open_spool(struct server *server)
{
    struct config *config = server->config;
    if (config->durability == CONFIG_DISCARD) {
        config_settle_sizes(config, UINT64_MAX / 2, 0);
        return;
    }
    bool is_synced = config->durability == CONFIG_DISK;
    int result = steward_open(&server->steward, config->spool, is_synced);
    /* A killed server's lock outlives it by moments, as its sockets do. */
    for (int tries = 0; tries < LOCKED_TRIES && result == -EWOULDBLOCK; tries++) {
        usleep(LOCKED_PAUSE_US);
        result = steward_open(&server->steward, config->spool, is_synced);
    }
    if (result < 0) {
        listener_remove_unix(&server->unix_listeners, config);
        die_of_spool(config->spool, result);
    }
    if (is_synced && spool_directory_is_volatile(&server->steward.directory)) {
        listener_remove_unix(&server->unix_listeners, config);
        die(EXIT_CODE_NO_SPOOL,
            "the spool %s is in memory (tmpfs), which keeps nothing over a power loss: name a "
            "directory on a disk with --spool, or use --durability page",
            config->spool);
    }
    if (strcmp(server->steward.directory.path, config->spool) != 0)
        log_warning("others can write to %s: messages go to %s, which is ours alone", config->spool,
                    server->steward.directory.path);
    config_settle_sizes(config, spool_directory_free_bytes(&server->steward.directory),
                        steward_used_bytes(&server->steward));
    server->environment.steward = &server->steward;
}

/* ---- start ---- */

static void prepare_smtp(struct server *server)
{
    const struct config *config = server->config;
    server->smtp = (struct smtp_config){
        .hostname = bytes_from_text(config->hostname),
        .size_limit = config->size_limit,
        .recipients_max = (uint32_t)config->max_recipients,
        .bad_commands_max = (uint32_t)config->max_bad_commands,
        .offers = config_offers(config),
        .credentials = config->credentials.entries,
        .credential_count = config->credentials.count,
        .bare_newline = (enum smtp_bare_newline)config->bare_newline,
        .is_strict = config->is_strict,
        .has_strict_lines = config->has_strict_lines,
        .is_lmtp = config->is_lmtp,
        .is_auth_required = config->is_auth_required,
        .is_tls_required = config->is_tls_required,
        .is_auth_tls_required = config->is_auth_tls_required,
        .is_out_of_service = config->is_out_of_service,
        .is_traced = config->is_verbose,
    };
    smtp_config_prepare(&server->smtp, server->smtp_text);
}

static void prepare_environment(struct server *server)
{
    struct worker_environment *environment = &server->environment;
    environment->config = server->config;
    environment->smtp = &server->smtp;
    environment->unix_listeners = &server->unix_listeners;
    environment->identity = &server->identity;
    environment->main_thread = pthread_self();
    atomic_store(&environment->messages_left, server->config->stop_after);
    atomic_store(&environment->sessions_left, server->config->stop_sessions);
}

static void prepare_workers(struct server *server)
{
    server->worker_count = (uint32_t)server->config->threads;
    server->workers = calloc(server->worker_count, sizeof *server->workers);
    if (server->workers == NULL) die(EXIT_CODE_FAILED, "no memory for the workers");
    for (uint32_t i = 0; i < server->worker_count; i++) {
        int result = worker_prepare(&server->workers[i], i, &server->environment);
        if (result < 0)
            die(EXIT_CODE_FAILED, "worker %u can't be set up: %s", i, strerror(-result));
    }
}

/* Leaves nothing behind of a start that failed. */
static void withdraw(struct server *server)
{
    listener_remove_unix(&server->unix_listeners, server->config);
    if (server->environment.steward != NULL) steward_stop(&server->steward);
}

static void start_steward(struct server *server)
{
    int wakes[CONFIG_THREADS_MAX];
    if (server->environment.steward == NULL) return;
    for (uint32_t i = 0; i < server->worker_count; i++)
        wakes[i] = server->workers[i].wake;
    int result = steward_prepare(&server->steward, server->config, wakes);
    if (result == 0) result = steward_start(&server->steward);
    if (result == 0) return;
    withdraw(server);
    die_of_spool(server->config->spool, result);
}

/* Those that run use what the steward owns. */
static void end_workers(struct server *server, uint32_t count)
{
    atomic_store(&server->environment.must_stop_now, true);
    atomic_store(&server->environment.is_draining, true);
    for (uint32_t i = 0; i < count; i++)
        worker_rouse(&server->workers[i]);
    for (uint32_t i = 0; i < count; i++)
        worker_join(&server->workers[i]);
}

static void start_workers(struct server *server)
{
    for (uint32_t i = 0; i < server->worker_count; i++) {
        int result = worker_start(&server->workers[i]);
        if (result == 0) continue;
        end_workers(server, i);
        withdraw(server);
        die(EXIT_CODE_FAILED, "worker %u: %s can't be set up: %s", i, server->workers[i].failed,
            strerror(-result));
    }
}

static const char *promise(const struct config *config)
{
    switch ((enum config_durability)config->durability) {
    case CONFIG_DISCARD:
        return "discard: 250 means the message was read to its end and counted, not kept";
    case CONFIG_PAGE:
        return "page: 250 means the whole message is in the page cache; it survives kill -9, not "
               "power loss";
    case CONFIG_DISK:
        return "disk: 250 means the whole message was synced to the disk; it survives power loss";
    }
    CHECK(false); /* a durability that does not exist */
    return "";
}

static void print_addresses(const struct config *config)
{
    char text[NET_TEXT_MAX];
    bool has_tcp = false;
    bool is_loopback = true;
    (void)fprintf(stderr, "listening on");
    for (uint32_t i = 0; i < config->listen_count; i++) {
        const struct net_address *address = &config->listens[i].address;
        has_tcp |= !net_is_unix(address);
        is_loopback &= net_is_loopback(address);
        (void)fprintf(stderr, " %s%s", net_format(text, address),
                      config->listens[i].is_tls ? " (TLS)" : "");
    }
    (void)fprintf(stderr, "%s\n", has_tcp && is_loopback ? " (use :PORT for all interfaces)" : "");
}

static void print_banner(const struct server *server)
{
    const struct config *config = server->config;
    char first[UNITS_TEXT_MAX];
    char second[UNITS_TEXT_MAX];
    char features[RING_PROBE_TEXT_MAX];
    if (config->is_quiet) return;
    (void)fprintf(stderr, "ringsink %s (%s), %s\n", RINGSINK_VERSION, RINGSINK_COMMIT,
                  ring_probe_features(features));
    print_addresses(config);
    (void)fprintf(stderr, "%u worker%s, %llu connections at most, messages up to %s\n",
                  server->worker_count, server->worker_count == 1 ? "" : "s",
                  (unsigned long long)config->max_connections,
                  units_format_size(first, config->size_limit));
    (void)fprintf(stderr, "durability %s\n", promise(config));
    if (config->durability != CONFIG_DISCARD)
        (void)fprintf(stderr, "spool %s keeps the newest %s in segments of %s, then %s\n",
                      server->steward.directory.path, units_format_size(first, config->spool_size),
                      units_format_size(second, config->segment_size),
                      config->when_full == CONFIG_RECYCLE ? "recycles the oldest" : "answers 452");
    identity_print(&server->identity, config);
    (void)fprintf(stderr, "memory at most %s, most of it touched only under load\n",
                  units_format_size(first, worker_memory(config) * server->worker_count));
    if (config->tls != CONFIG_TLS_OFF)
        (void)fprintf(stderr,
                      "and OpenSSL's, which comes and goes with TLS connections: %s at most\n",
                      units_format_size(first, identity_memory(config)));
    (void)fprintf(stderr, "ready\n");
}

/* ---- while it serves ---- */

static void sum_counters(const struct server *server, struct counters *sum)
{
    memset(sum, 0, sizeof *sum);
    for (uint32_t i = 0; i < server->worker_count; i++)
        counters_merge(sum, &server->workers[i].counters);
}

static void print_totals(const struct server *server)
{
    struct counters sum;
    char text[COUNTERS_TEXT_MAX];
    sum_counters(server, &sum);
    double seconds = (double)(clock_now_ns() - server->started_ns) / (double)CLOCK_NS_PER_S;
    (void)fprintf(stderr, "totals after %.1f s\n%s", seconds, counters_format(text, &sum));
}

static void print_counters_line(struct server *server)
{
    struct counters sum;
    sum_counters(server, &sum);
    uint64_t messages = counter_read(&sum.messages);
    uint64_t bytes = counter_read(&sum.content_bytes);
    (void)fprintf(
        stderr, "open %u  messages %llu  +%llu/s  %.1f MB/s  refused %llu  segment waits %llu\n",
        atomic_load(&server->environment.open_count), (unsigned long long)messages,
        (unsigned long long)(messages - server->last_messages),
        (double)(bytes - server->last_bytes) / 1e6,
        (unsigned long long)(counter_read(&sum.refused_space) + counter_read(&sum.refused_full)),
        (unsigned long long)counter_read(&sum.segment_waits));
    server->last_messages = messages;
    server->last_bytes = bytes;
}

static void rouse_workers(struct server *server)
{
    for (uint32_t i = 0; i < server->worker_count; i++)
        worker_rouse(&server->workers[i]);
}

static void stop(struct server *server)
{
    if (atomic_load(&server->environment.is_draining)) {
        atomic_store(&server->environment.must_stop_now, true);
    } else {
        if (!server->config->is_quiet) (void)fprintf(stderr, "draining\n");
        listener_remove_unix(&server->unix_listeners, server->config);
        atomic_store(&server->environment.is_draining, true);
    }
    rouse_workers(server);
}

static uint32_t ended_count(const struct server *server)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->worker_count; i++)
        if (atomic_load_explicit(&server->workers[i].has_ended, memory_order_acquire)) count++;
    return count;
}

/* Waits for signals and for the workers to end; true if one ended without having been told to. */
static bool wait_for_end(struct server *server, const sigset_t *signals)
{
    bool has_failed = false;
    uint64_t next_line_ns = clock_now_ns() + COUNTERS_EVERY_NS;
    while (ended_count(server) < server->worker_count) {
        bool is_draining = atomic_load(&server->environment.is_draining);
        struct timespec pause = {.tv_sec = is_draining ? 0 : 1,
                                 .tv_nsec = is_draining ? 5000000 : 0};
        int number = sigtimedwait(signals, NULL, &pause);
        if (number == SIGUSR1) print_totals(server);
        if (number == SIGINT || number == SIGTERM) stop(server);
        if (server->config->has_counters_line && clock_now_ns() >= next_line_ns) {
            print_counters_line(server);
            next_line_ns += COUNTERS_EVERY_NS;
        }
        if (!has_failed && ended_count(server) > 0 &&
            !atomic_load(&server->environment.is_draining)) {
            has_failed = true;
            stop(server);
        }
    }
    return has_failed;
}

int server_run(struct config *config)
{
    static struct server server; /* large, and one a process */
    server.config = config;
    sigset_t signals = block_signals();
    fault_install();
    check_ring();
    identity_open(&server.identity, config); /* as root the key may be read */
    listener_check(config);
    prepare_environment(&server);
    listener_open_unix(&server.unix_listeners, config);
    prepare_workers(&server);
    become_user(config->user);
    open_spool(&server);
    prepare_smtp(&server);
    start_steward(&server);
    start_workers(&server);
    server.started_ns = clock_now_ns();
    print_banner(&server);
    bool has_failed = wait_for_end(&server, &signals);
    for (uint32_t i = 0; i < server.worker_count; i++)
        worker_join(&server.workers[i]);
    if (server.environment.steward != NULL) steward_stop(&server.steward);
    for (uint32_t i = 0; i < server.worker_count; i++)
        worker_close(&server.workers[i]);
    listener_close_unix(&server.unix_listeners);
    if (!config->is_quiet) print_totals(&server);
    free(server.workers);
    credentials_close(&config->credentials);
    identity_close(&server.identity);
    if (atomic_load(&server.environment.has_sync_failed)) return EXIT_CODE_SYNC_FAILED;
    return has_failed ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
