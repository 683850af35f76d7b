#include "loadgen/load_worker.h"

#include "base/clock.h"
#include "loadgen/load_busy.h"
#include "loadgen/load_tls.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CONNECTING_MAX  512u /* of all workers: a server's SYN and accept queues are finite */
#define CLOCK_EVERY     32u  /* completions between two looks at the clock */
#define WAKE_SLOT       0u
#define SLEEP_MAX_NS    (100 * CLOCK_NS_PER_MS)
#define SLEPT_NS        (50 * CLOCK_NS_PER_US) /* an enter that took longer has waited */
#define CLOSING_NS      CLOCK_NS_PER_S         /* for operations to end after a cut */
#define PATIENCE_MIN_NS (10 * CLOCK_NS_PER_S)  /* without a single session, before giving up */
#define COMPLETIONS_MAX 65536u
/* How soon the ledger's stamps follow somebody who sets the clock. */
#define REALTIME_EVERY_NS (100 * CLOCK_NS_PER_MS)

static struct ring_options ring_options(uint64_t connections)
{
    uint64_t completions = 1024;
    while (completions < 2 * connections + 64 && completions < COMPLETIONS_MAX)
        completions *= 2;
    bool is_large = connections > 1024;
    return (struct ring_options){
        .submissions = is_large ? 4096 : 1024,
        .completions = (uint32_t)completions,
        .buffer_count = is_large ? 4096 : 1024,
        .buffer_size = is_large ? 512 : 1024,
    };
}

uint64_t load_worker_memory(const struct load_run *run, uint64_t connections)
{
    struct ring_options options = ring_options(connections);
    return ring_memory(&options) +
           load_clients_memory(run->config, run->mail, run->script, connections);
}

/* ---- the thread ---- */

static void wake_main(const struct load_worker *worker)
{
    uint64_t one = 1;
    CHECK(write(worker->run->wake_main, &one, sizeof one) == sizeof one);
}

static void publish(struct load_worker *worker)
{
    const struct load_clients *clients = &worker->clients;
    struct load_gauge *gauge = &worker->gauge;
    uint64_t accepted = clients->tally.outcomes[LOAD_OUTCOME_ACCEPTED] +
                        clients->warmup.outcomes[LOAD_OUTCOME_ACCEPTED];
    uint64_t failed = load_tally_failed(&clients->tally) + load_tally_failed(&clients->warmup);

    atomic_store_explicit(&gauge->accepted, accepted, memory_order_relaxed);
    atomic_store_explicit(&gauge->failed, failed, memory_order_relaxed);
    atomic_store_explicit(&gauge->due, clients->tally.due + clients->warmup.due,
                          memory_order_relaxed);
    atomic_store_explicit(&gauge->service_sum_ns,
                          (uint64_t)(clients->tally.service.sum + clients->warmup.service.sum),
                          memory_order_relaxed);
    atomic_store_explicit(&gauge->up, clients->up, memory_order_relaxed);
    atomic_store_explicit(&gauge->down, clients->down, memory_order_relaxed);
    atomic_store_explicit(&gauge->settled, clients->settled, memory_order_relaxed);
    if (worker->was_settled || clients->settled < clients->count) return;
    worker->was_settled = true;
    wake_main(worker);
}

static void listen_to_main(struct load_worker *worker)
{
    struct ring_token token = {.op = RING_OP_READ, .slot = WAKE_SLOT, .generation = 0};
    ring_read(worker->clients.ring, worker->wake, &worker->wake_count, sizeof worker->wake_count,
              token);
}

/* The measured time is over, or the worker is: only the first call counts. */
static void measure_busy(struct load_worker *worker)
{
    uint64_t length_ns = worker->clients.now_ns - worker->begin_ns;
    if (worker->begin_ns == 0 || length_ns == 0 || worker->busy_ratio > 0) return;
    uint64_t busy_ns = load_busy_ns(worker->thread_id) - worker->begin_busy_ns;
    worker->busy_ratio = (double)busy_ns / (double)length_ns;
    if (worker->busy_ratio > 1) worker->busy_ratio = 1;
}

static void obey(struct load_worker *worker)
{
    struct load_clients *clients = &worker->clients;
    int command = atomic_load_explicit(&worker->command, memory_order_acquire);

    if (command == LOAD_COMMAND_BEGIN && !clients->has_begun) {
        load_clients_begin(clients, worker->run->plan);
        worker->begin_ns = clients->now_ns;
        worker->begin_busy_ns = load_busy_ns(worker->thread_id);
    }
    if (command == LOAD_COMMAND_STOP) load_clients_abort(clients);
    listen_to_main(worker);
}

/*
 * How late this loop's completions may have been looked at: M12, the error bar of a latency. Where
 * the enter slept they came meanwhile, and what wakes too late for a timer wakes too late for a
 * reply; where it did not, they may have been there since the last look. Each counts, as in what it
 * is the error bar of.
 */
static void record_reap(struct load_worker *worker, uint64_t due_ns, uint64_t woken_ns,
                        uint32_t count)
{
    struct load_clients *clients = &worker->clients;
    bool has_slept = woken_ns - clients->entered_ns > SLEPT_NS;
    uint64_t since_ns = has_slept ? woken_ns : worker->looked_ns;

    if (has_slept && due_ns < woken_ns) since_ns = due_ns;
    worker->looked_ns = clients->now_ns;
    histogram_record_many(&clients->tally.reap, clients->now_ns - since_ns, count);
}

/* Returns how many there were. */
static uint32_t take_completions(struct load_worker *worker)
{
    struct load_clients *clients = &worker->clients;
    struct ring_completion completion;
    uint32_t count = 0;

    while (ring_next(clients->ring, &completion)) {
        count++;
        if (count % CLOCK_EVERY == 0) clients->now_ns = clock_now_ns();
        if (count % CLOCK_EVERY == 0 && clients->is_open) load_clients_arrive(clients);
        if (completion.token.op == RING_OP_READ)
            obey(worker);
        else
            load_clients_complete(clients, &completion);
    }
    return count;
}

/* Stopped by time or told to: what is in flight has so long. By the count of messages: no limit. */
static void watch_drain(struct load_worker *worker)
{
    struct load_clients *clients = &worker->clients;
    uint64_t now_ns = clients->now_ns;

    if (!clients->has_begun) return;
    if (!worker->is_measuring && now_ns >= clients->measure_ns) {
        worker->is_measuring = true;
        worker->begin_ns = now_ns;
        worker->begin_busy_ns = load_busy_ns(worker->thread_id);
    }
    if (worker->drain_ns == UINT64_MAX && now_ns >= clients->share.stop_ns) {
        worker->drain_ns = now_ns + worker->run->config->drain_ns;
        if (clients->gave_up != 0) worker->drain_ns = now_ns;
        load_clients_stop(clients); /* those that rest are to end */
        measure_busy(worker);
    }
    if (now_ns < worker->drain_ns || worker->is_cut) return;
    worker->is_cut = true;
    worker->cut_ns = now_ns;
    load_clients_cut(clients);
}

/* Nobody answers any more: the rest of the run would only wait. */
static void watch_population(struct load_worker *worker, uint64_t *last_up_ns)
{
    struct load_clients *clients = &worker->clients;

    if (clients->up > 0 || !clients->has_begun) *last_up_ns = clients->now_ns;
    uint64_t patience_ns = worker->run->config->timeout_ns;
    if (patience_ns < PATIENCE_MIN_NS) patience_ns = PATIENCE_MIN_NS;
    if (clients->now_ns - *last_up_ns < patience_ns) return;
    if (clients->gave_up == 0) clients->gave_up = ETIMEDOUT;
    load_clients_stop(clients);
}

static bool is_over(const struct load_worker *worker)
{
    const struct load_clients *clients = &worker->clients;
    if (load_clients_are_done(clients)) return true;
    return worker->is_cut && clients->now_ns - worker->cut_ns > CLOSING_NS;
}

static uint64_t sleep_ns(const struct load_worker *worker)
{
    const struct load_clients *clients = &worker->clients;
    uint64_t sleep = wheel_sleep_ns(&clients->wheel, clients->now_ns, SLEEP_MAX_NS);
    if (clients->sweep_next < clients->count) return 0;
    if (clients->connecting < clients->connecting_max && !queue_is_empty(&clients->to_connect)) {
        uint64_t connect_ns = load_clients_next_connect(clients);
        if (connect_ns == LOAD_NEVER || connect_ns <= clients->now_ns) return 0;
        if (connect_ns - clients->now_ns < sleep) sleep = connect_ns - clients->now_ns;
    }
    uint64_t due_ns = load_clients_next_due(clients);
    if (due_ns <= clients->now_ns) return 0;
    if (due_ns - clients->now_ns < sleep) sleep = due_ns - clients->now_ns;
    uint64_t stop_ns = clients->share.stop_ns;
    if (clients->has_begun && stop_ns > clients->now_ns && stop_ns - clients->now_ns < sleep)
        sleep = stop_ns - clients->now_ns;
    return sleep;
}

/* The ledger's stamps are this loop's times, moved by an offset: spans stay those of one clock. */
static void follow_realtime(struct load_clients *clients)
{
    if (clients->now_ns - clients->clock_read_ns < REALTIME_EVERY_NS) return;
    clients->clock_read_ns = clients->now_ns;
    clients->clock_ns = clock_offset_ns();
}

static void loop_once(struct load_worker *worker)
{
    struct load_clients *clients = &worker->clients;

    clients->now_ns = clock_now_ns();
    uint64_t sleep = sleep_ns(worker);
    clients->entered_ns = clients->now_ns;
    if (clients->ledger.ledger != NULL) follow_realtime(clients);
    int error = ring_enter(clients->ring, sleep);
    CHECK(error == 0);
    clients->now_ns = clock_now_ns();
    uint64_t woken_ns = clients->now_ns;
    uint32_t count = take_completions(worker);
    load_clients_advance(clients);
    clients->now_ns = clock_now_ns();
    record_reap(worker, clients->entered_ns + sleep, woken_ns, count > 0 ? count : 1);
    load_slices_turn(&clients->slices, clients->now_ns, false);
}

static void run_loop(struct load_worker *worker)
{
    uint64_t last_up_ns = worker->clients.now_ns;

    worker->looked_ns = worker->clients.now_ns;
    listen_to_main(worker);
    load_clients_advance(&worker->clients);
    while (!is_over(worker)) {
        loop_once(worker);
        watch_drain(worker);
        watch_population(worker, &last_up_ns);
        publish(worker);
    }
}

static void pin(const struct load_worker *worker)
{
    cpu_set_t set;
    if (worker->cpu < 0) return;
    CPU_ZERO(&set);
    CPU_SET((unsigned)worker->cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static bool open_tls(struct load_worker *worker)
{
    const struct load_run *run = worker->run;
    struct load_clients *clients = &worker->clients;

    if (run->config->tls == LOAD_TLS_OFF) return true;
    clients->tls = load_tls_open(run->config, run->mail, (uint32_t)clients->share.connections,
                                 worker->tls_error);
    return clients->tls != NULL;
}

/* False: ring_error, memory_error or tls_error say why. */
static bool open_in_thread(struct load_worker *worker)
{
    struct load_clients *clients = &worker->clients;
    const struct load_run *run = worker->run;
    struct ring_options options = ring_options(clients->share.connections);
    uint32_t connecting = CONNECTING_MAX / run->plan->workers;

    clients->ring = ring_open(&options, &worker->ring_error);
    if (clients->ring == NULL) return false;
    if (!open_tls(worker)) return false;
    clients->now_ns = clock_now_ns();
    worker->memory_error = load_ledger_buffer_open(&clients->ledger, run->ledger);
    if (worker->memory_error == 0)
        worker->memory_error = load_samples_buffer_open(&clients->samples, run->samples);
    if (worker->memory_error == 0)
        worker->memory_error = load_clients_open(clients, connecting > 0 ? connecting : 1);
    return worker->memory_error == 0;
}

static void *run_thread(void *argument)
{
    struct load_worker *worker = argument;

    (void)prctl(PR_SET_TIMERSLACK, 1ul); /* the default, 50 us, would stand in every wait */
    worker->thread_id = gettid();
    pin(worker);
    if (open_in_thread(worker)) {
        atomic_store(&worker->gauge.has_started, true);
        wake_main(worker);
        run_loop(worker);
        load_slices_turn(&worker->clients.slices, worker->clients.now_ns, true);
        measure_busy(worker);
        worker->ring_counts = ring_counts(worker->clients.ring);
        load_ledger_buffer_close(&worker->clients.ledger);
        load_samples_buffer_close(&worker->clients.samples);
    }
    /* The ring belongs to this thread; what is still in flight ends with it. */
    if (worker->clients.ring != NULL) ring_close(worker->clients.ring);
    worker->clients.ring = NULL;
    atomic_store(&worker->gauge.is_finished, true);
    wake_main(worker);
    return NULL;
}

/* ---- from main ---- */

static void open_schedule(struct load_worker *worker)
{
    const struct load_config *config = worker->run->config;
    struct load_schedule_recipe recipe = config->arrival;
    if (worker->run->plan->rate_per_s == 0) return;
    recipe.rate_per_s = worker->run->plan->rate_per_s;
    recipe.seed = config->seed;
    recipe.worker = worker->index;
    recipe.workers = worker->run->plan->workers;
    worker->clients.is_open = true;
    load_schedule_open(&worker->clients.schedule, &recipe);
}

int load_worker_start(struct load_worker *worker, const struct load_run *run, uint32_t index,
                      int cpu)
{
    memset(worker, 0, sizeof *worker);
    worker->run = run;
    worker->index = index;
    worker->cpu = cpu;
    worker->drain_ns = UINT64_MAX;
    worker->clients.config = run->config;
    worker->clients.worker = (uint16_t)index;
    worker->clients.mail = run->mail;
    worker->clients.script = run->script;
    worker->clients.share = load_plan_share(run->plan, index);
    open_schedule(worker);
    worker->wake = eventfd(0, EFD_CLOEXEC);
    if (worker->wake < 0) return -errno;
    int error = pthread_create(&worker->thread, NULL, run_thread, worker);
    if (error != 0) (void)close(worker->wake);
    return -error;
}

void load_worker_tell(struct load_worker *worker, enum load_command command)
{
    uint64_t one = 1;
    atomic_store_explicit(&worker->command, (int)command, memory_order_release);
    CHECK(write(worker->wake, &one, sizeof one) == sizeof one);
}

void load_worker_join(struct load_worker *worker)
{
    CHECK(pthread_join(worker->thread, NULL) == 0);
}

void load_worker_close(struct load_worker *worker)
{
    (void)close(worker->wake);
    if (worker->clients.clients != NULL) load_clients_close(&worker->clients);
    tls_context_close(worker->clients.tls);
}
