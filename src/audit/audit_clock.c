#include "audit/audit_clock.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* An offset of REALTIME to MONOTONIC that differs by less is the same, read twice. */
#define CLOCK_SAME_NS CLOCK_NS_PER_MS

void audit_clock_init(struct audit_clock *clock, struct boot_id boot, int64_t clock_ns)
{
    clock->boot = boot;
    clock->clock_ns = clock_ns;
    clock->kind = AUDIT_CLOCK_NONE;
    clock->ledger_count = 0;
    clock->reading_count = 0;
    clock->uncertainty_ns = 0;
    clock->reason[0] = '\0';
}

int64_t audit_clock_add(struct audit_clock *clock, const struct ledger_start *start, bool is_probe)
{
    if (clock->ledger_count == AUDIT_CLOCK_LEDGERS_MAX) return -E2BIG;
    clock->ledgers[clock->ledger_count] = (struct audit_clock_ledger){
        .start = *start,
        .low_ns = INT64_MIN,
        .high_ns = INT64_MAX,
        .first_ns = UINT64_MAX,
        .is_probe = is_probe,
    };
    return clock->ledger_count++;
}

void audit_clock_end(struct audit_clock *clock, int64_t clock_ns)
{
    CHECK(clock->ledger_count > 0);
    struct audit_clock_ledger *ledger = &clock->ledgers[clock->ledger_count - 1];
    ledger->end_ns = clock_ns;
    ledger->has_end = true;
}

static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* How far the offset moved between the ledger's lines and `clock_ns`. */
static uint64_t movement(const struct audit_clock_ledger *ledger, int64_t clock_ns)
{
    uint64_t moved_ns = distance(ledger->start.clock_ns, clock_ns);
    uint64_t end_moved_ns = ledger->has_end ? distance(ledger->end_ns, clock_ns) : 0;
    return end_moved_ns > moved_ns ? end_moved_ns : moved_ns;
}

static void give_reason(struct audit_clock *clock, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void give_reason(struct audit_clock *clock, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(clock->reason, sizeof(clock->reason), format, arguments);
    va_end(arguments);
}

/* ---- one host ---- */

static bool is_local(const struct audit_clock *clock, const struct audit_clock_ledger *ledger)
{
    return boot_id_equal(ledger->start.boot, clock->boot) &&
           movement(ledger, clock->clock_ns) < CLOCK_SAME_NS;
}

/* The first ledger of messages that is of another clock, or NULL. */
static const struct audit_clock_ledger *find_foreign(const struct audit_clock *clock)
{
    for (uint32_t i = 0; i < clock->ledger_count; i++) {
        const struct audit_clock_ledger *ledger = &clock->ledgers[i];
        if (!ledger->is_probe && !is_local(clock, ledger)) return ledger;
    }
    return NULL;
}

bool audit_clock_is_local(const struct audit_clock *clock)
{
    return find_foreign(clock) == NULL;
}

static void explain_foreign(struct audit_clock *clock, const struct audit_clock_ledger *ledger)
{
    uint64_t run = ledger->start.run;

    if (ledger->start.format < 2)
        give_reason(clock,
                    "the ledger of run %016" PRIx64 " is of format 1, without times of "
                    "acceptance: repeat the run with this loadgen",
                    run);
    else if (!boot_id_equal(ledger->start.boot, clock->boot))
        give_reason(clock,
                    "run %016" PRIx64 " was another machine's, or this one was restarted since: "
                    "give --clock LEDGER of probes that its loadgen sent straight to this "
                    "ringsink before the run, and one from behind it",
                    run);
    else
        give_reason(clock,
                    "this machine's clock was set, or it slept, by %.3f ms since run %016" PRIx64
                    " began: repeat the run, or give --clock LEDGER of probes from before and "
                    "behind it",
                    (double)movement(ledger, clock->clock_ns) / (double)CLOCK_NS_PER_MS, run);
}

static void judge_local(struct audit_clock *clock)
{
    clock->kind = AUDIT_CLOCK_MONOTONIC;
    for (uint32_t i = 0; i < clock->ledger_count; i++) {
        const struct audit_clock_ledger *ledger = &clock->ledgers[i];
        uint64_t moved_ns = ledger->is_probe ? 0 : movement(ledger, clock->clock_ns);
        if (moved_ns > clock->uncertainty_ns) clock->uncertainty_ns = moved_ns;
    }
}

/* ---- two hosts ---- */

void audit_clock_bound(struct audit_clock_ledger *ledger, uint64_t sent_ns, uint64_t accepted_ns,
                       uint64_t committed_ns)
{
    int64_t low_ns = (int64_t)(committed_ns - accepted_ns);
    int64_t high_ns = (int64_t)(committed_ns - sent_ns);

    if (low_ns > ledger->low_ns) ledger->low_ns = low_ns;
    if (high_ns < ledger->high_ns) ledger->high_ns = high_ns;
    if (sent_ns < ledger->first_ns) ledger->first_ns = sent_ns;
    if (accepted_ns > ledger->last_ns) ledger->last_ns = accepted_ns;
    ledger->probe_count++;
}

/* All ledgers, those of probes too, are by one clock that nobody set; else the reason why not. */
static bool is_one_generator(struct audit_clock *clock)
{
    const struct audit_clock_ledger *first = &clock->ledgers[0];

    for (uint32_t i = 0; i < clock->ledger_count; i++) {
        const struct audit_clock_ledger *ledger = &clock->ledgers[i];
        if (!boot_id_equal(ledger->start.boot, first->start.boot)) {
            give_reason(clock,
                        "runs %016" PRIx64 " and %016" PRIx64 " are of different machines, or of "
                        "one that was restarted between them: audit them apart",
                        first->start.run, ledger->start.run);
            return false;
        }
        if (movement(ledger, first->start.clock_ns) >= CLOCK_SAME_NS) {
            give_reason(clock,
                        "the generator's clock was set between the begin of run %016" PRIx64
                        " and the end of run %016" PRIx64 ": repeat the run and its probes",
                        first->start.run, ledger->start.run);
            return false;
        }
    }
    return true;
}

static bool take_reading(struct audit_clock *clock, const struct audit_clock_ledger *ledger)
{
    if (ledger->probe_count == 0) {
        give_reason(clock,
                    "this spool has no probe of run %016" PRIx64 ": let loadgen send them straight "
                    "to this ringsink, and audit before they are recycled",
                    ledger->start.run);
        return false;
    }
    if (ledger->low_ns > ledger->high_ns) {
        give_reason(clock,
                    "the probes of run %016" PRIx64 " contradict each other by %.3f ms: a clock "
                    "was set while they ran, or they took so long that it drifted: send fewer",
                    ledger->start.run,
                    (double)distance(ledger->low_ns, ledger->high_ns) / (double)CLOCK_NS_PER_MS);
        return false;
    }
    clock->readings[clock->reading_count++] = (struct audit_clock_reading){
        .time_ns = ledger->first_ns + (ledger->last_ns - ledger->first_ns) / 2,
        .low_ns = ledger->low_ns,
        .high_ns = ledger->high_ns,
    };
    return true;
}

static int compare_readings(const void *left, const void *right)
{
    const struct audit_clock_reading *a = left;
    const struct audit_clock_reading *b = right;
    return (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
}

/* How far the generator's clock was moved from ledger to ledger: little, but it counts. */
static uint64_t movement_of_all(const struct audit_clock *clock)
{
    uint64_t most_ns = 0;

    for (uint32_t i = 0; i < clock->ledger_count; i++) {
        uint64_t moved_ns = movement(&clock->ledgers[i], clock->ledgers[0].start.clock_ns);
        if (moved_ns > most_ns) most_ns = moved_ns;
    }
    return most_ns;
}

/* Half the widest reading, and half of what the widest gap between two leaves open. */
static uint64_t uncertainty_of(const struct audit_clock *clock)
{
    uint64_t widest_ns = 0;
    uint64_t gap_ns = 0;

    for (uint32_t i = 0; i < clock->reading_count; i++) {
        const struct audit_clock_reading *reading = &clock->readings[i];
        uint64_t width_ns = distance(reading->low_ns, reading->high_ns);
        if (width_ns > widest_ns) widest_ns = width_ns;
        if (i == 0) continue;
        const struct audit_clock_reading *before = reading - 1;
        uint64_t apart_ns = 0;
        if (before->high_ns < reading->low_ns)
            apart_ns = distance(before->high_ns, reading->low_ns);
        if (reading->high_ns < before->low_ns)
            apart_ns = distance(reading->high_ns, before->low_ns);
        if (apart_ns > gap_ns) gap_ns = apart_ns;
    }
    return (widest_ns + 1) / 2 + (gap_ns + 1) / 2 + movement_of_all(clock);
}

/* Readings are there, from before the first message and from behind the last. */
static bool encloses(struct audit_clock *clock, uint64_t first_ns, uint64_t last_ns)
{
    const struct audit_clock_reading *readings = clock->readings;
    uint32_t count = clock->reading_count;

    if (count >= 2 && readings[0].time_ns <= first_ns && readings[count - 1].time_ns >= last_ns)
        return true;
    give_reason(clock, "--clock needs probes from before the run and from behind it: one reading "
                       "can't tell how the clocks drift");
    return false;
}

static void judge_probes(struct audit_clock *clock, uint64_t first_ns, uint64_t last_ns)
{
    if (!is_one_generator(clock)) return;
    for (uint32_t i = 0; i < clock->ledger_count; i++) {
        const struct audit_clock_ledger *ledger = &clock->ledgers[i];
        if (ledger->is_probe && !take_reading(clock, ledger)) return;
    }
    qsort(clock->readings, clock->reading_count, sizeof(clock->readings[0]), compare_readings);
    if (!encloses(clock, first_ns, last_ns)) return;
    clock->uncertainty_ns = uncertainty_of(clock);
    clock->reason[0] = '\0';
    clock->kind = AUDIT_CLOCK_OFFSET;
}

static bool has_probes(const struct audit_clock *clock)
{
    for (uint32_t i = 0; i < clock->ledger_count; i++)
        if (clock->ledgers[i].is_probe) return true;
    return false;
}

void audit_clock_judge(struct audit_clock *clock, uint64_t first_accepted_ns,
                       uint64_t last_accepted_ns)
{
    const struct audit_clock_ledger *foreign = find_foreign(clock);

    CHECK(clock->kind == AUDIT_CLOCK_NONE);
    if (foreign == NULL) {
        judge_local(clock);
        return;
    }
    explain_foreign(clock, foreign);
    if (foreign->start.format >= 2 && has_probes(clock))
        judge_probes(clock, first_accepted_ns, last_accepted_ns);
}

/* ---- what it says ---- */

static int64_t middle_of(const struct audit_clock_reading *reading)
{
    return reading->low_ns + (int64_t)(distance(reading->low_ns, reading->high_ns) / 2);
}

static int64_t offset_at(const struct audit_clock *clock, uint64_t time_ns)
{
    const struct audit_clock_reading *readings = clock->readings;
    uint32_t next = 1;

    CHECK(clock->reading_count >= 2);
    while (next + 1 < clock->reading_count && readings[next].time_ns < time_ns)
        next++;
    const struct audit_clock_reading *from = &readings[next - 1];
    const struct audit_clock_reading *to = &readings[next];
    if (time_ns <= from->time_ns) return middle_of(from);
    if (time_ns >= to->time_ns) return middle_of(to);
    double share = (double)(time_ns - from->time_ns) / (double)(to->time_ns - from->time_ns);
    return middle_of(from) + (int64_t)(share * (double)(middle_of(to) - middle_of(from)));
}

uint64_t audit_clock_to_spool(const struct audit_clock *clock, uint64_t time_ns)
{
    if (clock->kind != AUDIT_CLOCK_OFFSET) return time_ns;
    return time_ns + (uint64_t)offset_at(clock, time_ns);
}
