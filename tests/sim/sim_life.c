/*
 *   born (spool opened, first segment) -> serves -> drains -> checked        a clean end
 *                     \----------------\---------\-> crashed -> checked      at any point
 *
 * Behind a crash the life's code is let run to its end, to give back its memory; nothing it does is
 * seen by anybody.
 */
#include "sim_life.h"

#include "sim_client.h"
#include "sim_disk.h"
#include "sim_ring.h"
#include "sim_socket.h"
#include "sim_truth.h"
#include "sim_world.h"

#include "base/clock.h"
#include "server/worker.h"
#include "smtp/smtp_config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SEGMENT_SIZE (1u << 20)
/* More than any life needs. */
#define ENTERS_MAX 400000
/* Of content in a life, about. */
#define OCTETS_MAX 5000000u

struct life {
    struct config config;
    struct smtp_config smtp;
    uint8_t smtp_text[SMTP_CONFIG_TEXT_SIZE];
    struct worker_environment environment;
    struct steward steward;
    struct worker worker;
    uint64_t steward_due_ns;
    uint64_t drain_ns; /* it drains in the midst of its work; UINT64_MAX: it does not */
    uint64_t stop_ns;  /* a second signal */
    uint64_t enters_at_start;
    bool has_steward;
    bool is_serving;
    bool is_stewarding;
    bool is_signalled;
};

static struct life life;
static volatile sig_atomic_t was_told;

/* ---- chance ---- */

static uint32_t now_and_then(uint32_t per_thousand)
{
    return sim_chance(350) ? (uint32_t)sim_below(per_thousand) + 1 : 0;
}

static void draw_world(void)
{
    struct sim_settings *settings = &sim.settings;
    settings->is_synced = sim_chance(700);
    settings->is_unordered = sim_chance(300);
    settings->is_lmtp = sim_chance(200);
}

static void draw_load(struct sim_settings *settings)
{
    static const uint32_t contents[] = {300, 3000, 20000, 100000, 300000};
    bool is_heavy = sim_chance(200);
    settings->is_heavy = is_heavy;
    settings->client_count = 1 + (uint32_t)(is_heavy ? sim_below(16) : sim_delay(12));
    settings->transactions_max = 1 + (uint32_t)sim_delay(is_heavy ? 200 : 40);
    settings->content_max = contents[is_heavy ? 3 + sim_below(2) : sim_below(5)];
    /* No more than some megabytes in all, or a world takes too long. */
    uint64_t octets =
        (uint64_t)settings->client_count * settings->transactions_max * settings->content_max / 10;
    if (octets > OCTETS_MAX)
        settings->transactions_max =
            1 + (uint32_t)(OCTETS_MAX * 10 / settings->content_max / settings->client_count);
    settings->size_limit = sim_chance(150) ? settings->content_max / 2 : 0;
    settings->connections_max = sim_chance(200) ? 1 + (uint32_t)sim_below(4) : 40;
}

static void draw_settings(void)
{
    struct sim_settings *settings = &sim.settings;
    draw_load(settings);
    settings->is_refusing = sim_chance(300);
    settings->is_shared_listener = sim_chance(300);
    settings->worker = sim_chance(100) ? 1 : 0;
    settings->bound_segments = 3 * (settings->worker + 1) + (uint32_t)sim_delay(5);
    settings->idle_timeout_ns = (sim_chance(150) ? 2 : 300) * CLOCK_NS_PER_S;
    settings->command_timeout_ns = (sim_chance(150) ? 1 : 300) * CLOCK_NS_PER_S;
    settings->client_pause_ns = 1ull << (10 + sim_below(18));
    settings->completion_ns = 1ull << (8 + sim_below(18));
    settings->sync_ns = 1ull << (12 + sim_below(18));
    settings->steward_ns = 1ull << (10 + sim_below(21));
    settings->is_steward_slow = sim_chance(settings->is_heavy ? 600 : 100);
    if (settings->is_steward_slow) settings->steward_ns = 1ull << (23 + sim_below(10));
    settings->cut_chance = (uint32_t)sim_below(700);
    settings->end_chance = now_and_then(100);
    settings->no_buffers_chance = now_and_then(100);
    settings->short_chance = now_and_then(400);
    settings->send_fault_chance = now_and_then(10);
    settings->receive_fault_chance = now_and_then(10);
    settings->accept_fault_chance = now_and_then(200);
    settings->create_fault_chance = sim_chance(700) ? 0 : now_and_then(300);
    settings->write_back_chance = sim_chance(500) ? (uint32_t)sim_below(100) : 0;
    settings->abort_chance = now_and_then(100);
    settings->failing_sync = sim_chance(150) ? 1 + (uint32_t)sim_delay(60) : 0;
    if (settings->is_heavy && sim_chance(300)) settings->failing_sync = 1 + (uint32_t)sim_below(40);
    settings->sync_error = sim_chance(500) ? -EIO : -ENOSPC;
}

static void draw_end(void)
{
    static const uint64_t points[SIM_POINT_COUNT] = {
        [SIM_POINT_TIME] = 8000,     [SIM_POINT_RING] = 6000,     [SIM_POINT_DIRECTORY] = 80,
        [SIM_POINT_STORE] = 12000,   [SIM_POINT_PROMISE] = 300,   [SIM_POINT_SYNC_BEGUN] = 200,
        [SIM_POINT_SYNC_DONE] = 200, [SIM_POINT_SYNC_FAILED] = 1, [SIM_POINT_MARK] = 3};
    sim.end = sim_chance(250) ? SIM_END_CLEAN : sim_chance(450) ? SIM_END_KILL : SIM_END_POWER;
    sim.crash_countdown = 0;
    sim.is_crash_near = false;
    if (sim.end == SIM_END_CLEAN) return;
    sim.crash_at = (enum sim_point)sim_below(SIM_POINT_COUNT);
    if (sim.settings.failing_sync > 0 && sim_chance(500)) sim.crash_at = SIM_POINT_SYNC_FAILED;
    uint64_t most = points[sim.crash_at] * (sim.settings.is_heavy ? 10 : 1);
    sim.crash_countdown = 1 + (sim.settings.is_heavy ? sim_below(most) : sim_delay(most));
    if (sim.crash_at == SIM_POINT_SYNC_FAILED) sim.crash_countdown = 1;
    sim.crash_after = (uint32_t)sim_delay(sim_chance(500) ? 4 : 200);
    if (sim.crash_at == SIM_POINT_MARK) {
        sim.crash_countdown = 1 + sim_below(10);
        if (sim_chance(700)) sim.crash_after = 0;
    }
}

/* ---- the crash ---- */

void sim_crash(void)
{
    if (sim.is_dead) return;
    sim.is_dead = true;
    sim_trace("%s", sim.end == SIM_END_POWER ? "the power is cut" : "killed");
    if (sim.end == SIM_END_POWER)
        SIM_COUNT(power_cuts);
    else
        SIM_COUNT(kills);
    if (sim.is_crash_near && sim.crash_at == SIM_POINT_DIRECTORY)
        SIM_COUNT(crashes_in_the_directory);
    if (sim.is_crash_near && sim.crash_at == SIM_POINT_PROMISE) SIM_COUNT(crashes_behind_a_promise);
    if (sim.is_crash_near && sim.crash_at == SIM_POINT_SYNC_FAILED)
        SIM_COUNT(crashes_behind_a_failed_sync);
    sim_disk_crash(sim.end == SIM_END_POWER);
    if (life.is_serving) sim_ring_crash(life.worker.shared.ring);
}

/* ---- the steward's thread, the main thread ---- */

static bool take_rousing(int wake)
{
    uint64_t count = 0;
    return read(wake, &count, sizeof count) == (ssize_t)sizeof count;
}

static void steward_turn(bool was_roused)
{
    life.is_stewarding = true;
    int sleep_ms = steward_step(&life.steward, was_roused);
    life.is_stewarding = false;
    CHECK(sleep_ms >= 0);
    life.steward_due_ns = sim.now_ns + 1000 + (uint32_t)sleep_ms * CLOCK_NS_PER_MS;
}

static void steward_watch(void)
{
    if (take_rousing(life.steward.wake)) {
        uint64_t due_ns =
            sim.now_ns + (sim.settings.is_steward_slow ? sim.settings.steward_ns
                                                       : sim_delay(sim.settings.steward_ns));
        if (due_ns < life.steward_due_ns) life.steward_due_ns = due_ns;
    }
    if (sim.now_ns >= life.steward_due_ns) steward_turn(true);
}

void sim_life_between(void)
{
    if (!life.is_serving || life.is_stewarding || sim.is_dead) return;
    /* What a worker waits for may come at any moment of its loop. */
    bool is_awaited = life.worker.shared.is_stalled;
    if (sim.settings.is_steward_slow && !is_awaited) return;
    if (!sim_chance(is_awaited ? 100 : 10)) return;
    if (take_rousing(life.steward.wake) || is_awaited) steward_turn(true);
}

static void drain(bool is_at_once)
{
    if (!atomic_load(&life.environment.is_draining)) sim_trace("the server drains");
    atomic_store(&life.environment.is_draining, true);
    if (is_at_once) atomic_store(&life.environment.must_stop_now, true);
    worker_rouse(&life.worker);
}

static void watch_signals(void)
{
    if (was_told != 0 && !life.is_signalled) {
        life.is_signalled = true;
        uint64_t drain_ns = sim.now_ns + sim_delay(CLOCK_NS_PER_S);
        if (drain_ns < life.drain_ns) life.drain_ns = drain_ns;
    }
    if (sim.now_ns >= life.drain_ns) {
        life.drain_ns = UINT64_MAX;
        drain(false);
    }
    if (sim.now_ns >= life.stop_ns && sim_life_is_stopping()) {
        life.stop_ns = UINT64_MAX;
        drain(true);
    }
}

void sim_life_step(void)
{
    if (sim_counts[SIM_COUNT_enters] - life.enters_at_start > ENTERS_MAX) {
        sim_violation("the life does not end");
        sim_crash();
        return;
    }
    watch_signals();
    steward_watch();
    if (sim.is_dead || sim.is_quiet_now || !sim_client_are_all_done()) return;
    if (sim.end != SIM_END_CLEAN) {
        sim_crash();
        return;
    }
    sim.is_quiet_now = true;
    drain(false);
}

uint64_t sim_life_next_ns(void)
{
    uint64_t next_ns = life.steward_due_ns;
    if (life.drain_ns < next_ns) next_ns = life.drain_ns;
    if (life.stop_ns < next_ns && life.stop_ns > sim.now_ns) next_ns = life.stop_ns;
    return next_ns;
}

bool sim_life_is_stopping(void)
{
    return atomic_load(&life.environment.is_draining);
}

void sim_life_trace(void)
{
    const struct worker *worker = &life.worker;
    const struct connection_shared *shared = &worker->shared;
    sim_trace(
        "the worker is %s, %u completions deferred, %u connections, segments %s%s%s, full: %d, "
        "committed %llu, durable %llu, sync out: %d",
        shared->is_stalled ? "stalled" : "not stalled", worker->deferred_count,
        shared->connections.taken_count, worker->writer.tail != NULL ? "tail " : "",
        worker->writer.next != NULL ? "next " : "", worker->writer.sealed != NULL ? "sealed" : "",
        atomic_load(&life.steward.is_full), (unsigned long long)worker->writer.committed_count,
        (unsigned long long)worker->committer.sync.durable_count,
        worker->committer.sync.out != NULL);
    sim_trace("the steward has used %llu of %llu, of old %llu of %llu, %s",
              (unsigned long long)life.steward.used_bytes,
              (unsigned long long)life.steward.bound_bytes,
              (unsigned long long)life.steward.old_next, (unsigned long long)life.steward.old_count,
              queue_is_empty(&life.steward.sealed) ? "none sealed" : "some sealed");
    for (uint32_t i = 0; i < shared->connections.touched_end; i++) {
        const struct connection *connection = slots_at(&shared->connections, i);
        if (!connection->slot.is_taken) continue;
        sim_trace("slot %u: session %d, %llu octets, transaction waits %d, message %d, held %u, "
                  "operations %u, receiving %d, sending %d, replies %u",
                  i, connection->session.state,
                  (unsigned long long)connection->session.message_size,
                  connection->transaction.waiting, (int)connection->transaction.message.state,
                  connection->held.size, connection->operation_count, connection->is_receiving,
                  connection->is_sending, connection->outbox.replies.size);
    }
}

/* ---- one life ---- */

static void settle_config(void)
{
    const struct sim_settings *settings = &sim.settings;
    life.config = (struct config){
        .durability = settings->is_synced ? CONFIG_DISK : CONFIG_PAGE,
        .when_full = settings->is_refusing ? CONFIG_REFUSE : CONFIG_RECYCLE,
        .threads = settings->worker + 1,
        .max_connections = settings->connections_max,
        .backlog = 16,
        .spool_size = (uint64_t)settings->bound_segments * SEGMENT_SIZE,
        .segment_size = SEGMENT_SIZE,
        .size_limit = settings->size_limit,
        .max_recipients = 1000,
        .idle_timeout_ns = settings->idle_timeout_ns,
        .command_timeout_ns = settings->command_timeout_ns,
        .min_data_rate = 0,
        .is_lmtp = settings->is_lmtp,
    };
    life.smtp = (struct smtp_config){
        .hostname = BYTES("sim.test"),
        .size_limit = settings->size_limit,
        .recipients_max = 1000,
        .offers = SMTP_OFFERS_EVERY & ~SMTP_OFFER(AUTH) & ~SMTP_OFFER(STARTTLS),
        .is_lmtp = settings->is_lmtp,
    };
    smtp_config_prepare(&life.smtp, life.smtp_text);
}

static bool open_spool(void)
{
    int wakes[SIM_LIVES_MAX + 2];
    if (steward_open(&life.steward, "/spool", sim.settings.is_synced) < 0) return false;
    life.has_steward = true;
    life.environment.steward = &life.steward;
    for (uint32_t i = 0; i <= sim.settings.worker; i++)
        wakes[i] = life.worker.wake;
    return steward_prepare(&life.steward, &life.config, wakes) == 0;
}

/* Everything that was taken has been given back. */
static void leaks_judge(void)
{
    const struct worker *worker = &life.worker;
    const struct connection_shared *shared = &worker->shared;
    if (shared->connections.taken_count != 0) sim_violation("connections are left");
    if (shared->reply_blocks.taken_count != 0) sim_violation("blocks of replies are left");
    if (shared->stashes.taken_count != 0) sim_violation("stashes are left");
    if (shared->holds.taken_count != 0) sim_violation("held input is left");
    if (shared->store.envelopes.taken_count != 0) sim_violation("envelopes are left");
    if (worker->deferred_count != 0) sim_violation("deferred completions are left");
    if (ring_buffers_out(shared->ring) != 0) sim_violation("received buffers are left");
    if (atomic_load(&life.environment.open_count) != 0) sim_violation("the count is not zero");
    if (sim_socket_open_count() != 0) sim_violation("sockets are left");
}

static void serve(void)
{
    int result = worker_set_up(&life.worker);
    CHECK(result == 0);
    life.is_serving = true;
    sim_client_open_all(sim.settings.client_count);
    worker_run(&life.worker);
    sim_counts[SIM_COUNT_stalls] += counter_read(&life.worker.counters.segment_waits);
    if (!sim.is_dead) leaks_judge();
    sim_client_close_all();
    life.is_serving = false;
    worker_tear_down(&life.worker);
    sim_socket_close_all();
}

static void be_told(int number)
{
    (void)number;
    was_told = 1;
}

static void prepare(void)
{
    memset(&life, 0, sizeof life);
    was_told = 0;
    settle_config();
    life.enters_at_start = sim_counts[SIM_COUNT_enters];
    life.steward_due_ns = sim.now_ns;
    life.drain_ns = UINT64_MAX;
    life.stop_ns = UINT64_MAX;
    if (sim.end == SIM_END_CLEAN && sim_chance(400)) {
        life.drain_ns = sim.now_ns + sim_delay(4 * CLOCK_NS_PER_S);
        if (sim_chance(300)) life.stop_ns = life.drain_ns + sim_delay(2 * CLOCK_NS_PER_S);
    }
    life.environment.config = &life.config;
    life.environment.smtp = &life.smtp;
    life.environment.main_thread = pthread_self();
    (void)signal(SIGTERM, be_told);
}

static void live(void)
{
    prepare();
    SIM_COUNT(lives);
    int result = worker_prepare(&life.worker, sim.settings.worker, &life.environment);
    CHECK(result == 0);
    bool is_open = open_spool();
    if (is_open && !sim.is_dead) serve();
    if (life.has_steward) steward_stop(&life.steward);
    worker_close(&life.worker);
    if (sim.is_dead) return;
    if (sim_disk_open_count() > 0) sim_violation("segments are left open");
    sim.is_quiet_now = true;
    sim.end = SIM_END_CLEAN; /* the crash that was planned never came */
    SIM_COUNT(clean_ends);
}

static void check(void)
{
    sim_disk_restart();
    sim_truth_check();
    /* The machine goes down later: what was promised must have been on the disk. */
    if (sim.end == SIM_END_POWER || !sim_chance(300)) {
        if (sim.end == SIM_END_POWER && !sim.settings.is_synced) sim.has_lost_pages = true;
        return;
    }
    sim_trace("the power is cut behind the end");
    sim.end = SIM_END_POWER;
    if (!sim.settings.is_synced) sim.has_lost_pages = true;
    sim_disk_crash(true);
    sim_disk_restart();
    sim_truth_check();
}

bool sim_life_run_world(uint64_t seed, bool is_verbose)
{
    memset(&sim, 0, sizeof sim);
    sim.seed = seed;
    sim.is_verbose = is_verbose;
    random_init(&sim.random, seed, 0);
    sim.now_ns = CLOCK_NS_PER_S;
    sim.real_offset_ns = 1700000000ull * CLOCK_NS_PER_S;
    sim_disk_open();
    sim_truth_open();
    draw_world();
    uint32_t lives = 1 + (uint32_t)sim_below(SIM_LIVES_MAX);
    for (sim.life = 1; sim.life <= lives && sim.violations == 0; sim.life++) {
        draw_settings();
        draw_end();
        sim.is_dead = false;
        sim.is_quiet_now = false;
        sim.has_sync_failed = false;
        sim.is_disk_dead = false;
        live();
        check();
        sim.now_ns += sim_delay(100 * CLOCK_NS_PER_S);
    }
    sim_disk_close();
    sim_truth_close();
    return sim.violations == 0;
}
