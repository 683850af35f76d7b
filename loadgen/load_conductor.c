#include "loadgen/load_conductor.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "loadgen/load_block.h"
#include "ring/ring_probe.h"
#include "tls/tls_memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A second signal sooner than this is the first one's echo. */
#define SAME_SIGNAL_NS (300 * CLOCK_NS_PER_MS)
#define LINE_EVERY     10u /* intervals, where stderr is no terminal */
#define SLICE_WAIT_NS  (300 * CLOCK_NS_PER_MS)
#define SLICE_LOOK_NS  (5 * CLOCK_NS_PER_MS)

static void list_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
}

void load_conductor_block_signals(void)
{
    sigset_t set;
    list_signals(&set);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void open_files(struct load_conductor *conductor)
{
    sigset_t set;
    list_signals(&set);
    conductor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    conductor->run.wake_main = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (conductor->signals < 0 || conductor->run.wake_main < 0)
        die(EXIT_CODE_FAILED, "no descriptors for signals: %s", strerror(errno));
}

static void tell_all(struct load_conductor *conductor, enum load_command command)
{
    for (uint32_t index = 0; index < conductor->count; index++)
        load_worker_tell(&conductor->workers[index], command);
}

/* The first signal stops the run, and there will be a report; the second one ends it now. */
static void take_signals(struct load_conductor *conductor)
{
    struct signalfd_siginfo info;

    while (read(conductor->signals, &info, sizeof info) == sizeof info) {
        /* timeout(1) sends to the process and to its group: that is one wish, not two. */
        uint64_t now_ns = clock_now_ns();
        if (conductor->signal_number != 0 && now_ns - conductor->signal_ns < SAME_SIGNAL_NS)
            continue;
        if (conductor->signal_number != 0) _exit(128 + (int)info.ssi_signo);
        conductor->signal_ns = now_ns;
        conductor->signal_number = (int)info.ssi_signo;
        tell_all(conductor, LOAD_COMMAND_STOP);
    }
}

/* Sleeps until a worker or a signal has something to say, or `until_ns`. */
static void wait_until(struct load_conductor *conductor, uint64_t until_ns)
{
    struct pollfd files[] = {
        {.fd = conductor->signals, .events = POLLIN},
        {.fd = conductor->run.wake_main, .events = POLLIN},
    };
    uint64_t now_ns = clock_now_ns();
    uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec wait = {
        .tv_sec = (time_t)(wait_ns / CLOCK_NS_PER_S),
        .tv_nsec = (long)(wait_ns % CLOCK_NS_PER_S),
    };
    uint64_t count;

    (void)ppoll(files, 2, &wait, NULL);
    (void)!read(conductor->run.wake_main, &count, sizeof count);
    take_signals(conductor);
}

static bool all_finished(const struct load_conductor *conductor)
{
    for (uint32_t index = 0; index < conductor->count; index++)
        if (!atomic_load(&conductor->workers[index].gauge.is_finished)) return false;
    return true;
}

static uint64_t settled(const struct load_conductor *conductor)
{
    uint64_t sum = 0;
    for (uint32_t index = 0; index < conductor->count; index++)
        sum += atomic_load_explicit(&conductor->workers[index].gauge.settled, memory_order_relaxed);
    return sum;
}

static int choose_cpu(const struct load_config *config, uint32_t index)
{
    if (!config->is_pinned) return -1;
    uint32_t skip = index % (uint32_t)CPU_COUNT(&config->cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((unsigned)cpu, &config->cpus) && skip-- == 0) return cpu;
    CHECK(false);
    return -1;
}

static void start_workers(struct load_conductor *conductor)
{
    conductor->workers = calloc(conductor->count, sizeof *conductor->workers);
    if (conductor->workers == NULL) die(EXIT_CODE_FAILED, "no memory for the workers");
    for (uint32_t index = 0; index < conductor->count; index++) {
        int error = load_worker_start(&conductor->workers[index], &conductor->run, index,
                                      choose_cpu(conductor->run.config, index));
        if (error < 0) die(EXIT_CODE_FAILED, "cannot start a thread: %s", strerror(-error));
    }
}

static void check_started(const struct load_worker *worker)
{
    char text[RING_PROBE_TEXT_MAX];

    if (worker->ring_error < 0)
        die(EXIT_CODE_NO_RING, "%s", ring_probe_explain(text, worker->ring_error));
    if (worker->memory_error < 0)
        die(EXIT_CODE_FAILED, "no memory for %llu connections: %s",
            (unsigned long long)worker->clients.share.connections, strerror(-worker->memory_error));
    if (worker->tls_error[0] != '\0') die(EXIT_CODE_FAILED, "%s", worker->tls_error);
}

static void await_start(struct load_conductor *conductor)
{
    for (uint32_t index = 0; index < conductor->count; index++) {
        const struct load_gauge *gauge = &conductor->workers[index].gauge;
        while (!atomic_load(&gauge->has_started) && !atomic_load(&gauge->is_finished))
            wait_until(conductor, clock_now_ns() + CLOCK_NS_PER_S);
        check_started(&conductor->workers[index]);
    }
}

/* Every connection was ready or failed once; or time enough has passed for that. */
static void await_population(struct load_conductor *conductor)
{
    const struct load_config *config = conductor->run.config;
    uint64_t end_ns = conductor->opened_ns + config->ramp_ns + config->timeout_ns;

    while (settled(conductor) < conductor->run.plan->connections) {
        if (conductor->signal_number != 0 || all_finished(conductor)) return;
        if (clock_now_ns() >= end_ns) return;
        uint64_t soon_ns = clock_now_ns() + 100 * CLOCK_NS_PER_MS;
        wait_until(conductor, soon_ns < end_ns ? soon_ns : end_ns);
    }
}

static void show(struct load_conductor *conductor, const struct load_interval *interval)
{
    const struct load_config *config = conductor->run.config;
    char line[LOAD_PROGRESS_MAX];

    if (config->progress == LOAD_PROGRESS_JSON) {
        load_progress_format_json(line, interval, config);
        (void)fprintf(stderr, "%s\n", line);
        return;
    }
    if (config->is_quiet || config->progress == LOAD_PROGRESS_NONE) return;
    if (config->progress == LOAD_PROGRESS_BLOCK && conductor->progress.is_terminal) {
        load_block_show(&conductor->progress, config, stderr);
        return;
    }
    bool is_rewritten = conductor->progress.is_terminal && config->progress == LOAD_PROGRESS_AUTO;
    if (!is_rewritten && conductor->progress.count % LINE_EVERY != 0) return;
    load_progress_format(line, interval, config->duration_ns);
    (void)fprintf(stderr, is_rewritten ? "\r%s\033[K" : "%s\n", line);
}

static void end_line(const struct load_conductor *conductor)
{
    const struct load_config *config = conductor->run.config;
    if (config->is_quiet || config->progress != LOAD_PROGRESS_AUTO) return;
    if (conductor->progress.is_terminal && conductor->is_begun) (void)fprintf(stderr, "\r\033[K");
}

static struct load_interval take_interval(struct load_conductor *conductor)
{
    struct load_interval interval = load_progress_take(&conductor->progress, conductor->workers,
                                                       conductor->count, clock_now_ns());
    load_files_put(&conductor->files, conductor->run.config, &interval, &conductor->progress.slice);
    return interval;
}

/* A worker that sleeps turns its slice when it wakes, at the latest after a tenth of a second. */
static void await_slices(struct load_conductor *conductor)
{
    uint64_t end_ns = clock_now_ns() + SLICE_WAIT_NS;
    while (!load_progress_is_due(&conductor->progress, conductor->workers, conductor->count) &&
           clock_now_ns() < end_ns)
        wait_until(conductor, clock_now_ns() + SLICE_LOOK_NS);
}

/* OpenSSL takes memory as connections come and go; in between nobody looks. */
static void look_at_memory(struct load_conductor *conductor)
{
    uint64_t bytes = tls_memory_used();
    if (bytes > conductor->tls_memory_max) conductor->tls_memory_max = bytes;
}

static void watch(struct load_conductor *conductor)
{
    uint64_t next_ns = conductor->begin_ns + CLOCK_NS_PER_S;

    while (!all_finished(conductor)) {
        wait_until(conductor, next_ns);
        if (clock_now_ns() < next_ns) continue;
        look_at_memory(conductor);
        await_slices(conductor);
        struct load_interval interval = take_interval(conductor);
        show(conductor, &interval);
        next_ns += CLOCK_NS_PER_S;
    }
    (void)take_interval(conductor);
    end_line(conductor);
}

static void open_watches(struct load_conductor *conductor)
{
    char error[LOAD_WATCH_ERROR_MAX];
    if (!load_watch_open(&conductor->watches, conductor->run.config->watch, error))
        die(EXIT_CODE_USAGE, "%s", error);
    conductor->progress.watches = &conductor->watches;
}

void load_conductor_run(struct load_conductor *conductor, const struct load_run *run)
{
    *conductor = (struct load_conductor){.run = *run, .count = run->plan->workers};
    open_files(conductor);
    if (load_progress_open(&conductor->progress) < 0)
        die(EXIT_CODE_FAILED, "no memory for the intervals");
    open_watches(conductor);
    conductor->started_realtime_ns = clock_realtime_ns();
    load_files_open(&conductor->files, run->config, conductor->started_realtime_ns);
    conductor->opened_ns = clock_now_ns();
    start_workers(conductor);
    await_start(conductor);
    await_population(conductor);
    look_at_memory(conductor);
    conductor->begin_ns = clock_now_ns();
    load_progress_begin(&conductor->progress, conductor->workers, conductor->count,
                        conductor->begin_ns);
    struct load_kernel before;
    struct load_kernel after;
    load_kernel_read(&before, "/proc/net");
    conductor->is_begun = conductor->signal_number == 0;
    if (conductor->is_begun) tell_all(conductor, LOAD_COMMAND_BEGIN);
    watch(conductor);
    conductor->end_ns = clock_now_ns();
    load_kernel_read(&after, "/proc/net");
    conductor->kernel = load_kernel_since(&before, &after);
    for (uint32_t index = 0; index < conductor->count; index++)
        load_worker_join(&conductor->workers[index]);
}

void load_conductor_close(struct load_conductor *conductor)
{
    for (uint32_t index = 0; index < conductor->count; index++)
        load_worker_close(&conductor->workers[index]);
    free(conductor->workers);
    load_progress_close(&conductor->progress);
    (void)close(conductor->signals);
    (void)close(conductor->run.wake_main);
}
