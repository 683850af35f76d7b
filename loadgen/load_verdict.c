#include "loadgen/load_verdict.h"

#include "base/units.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUSY_LIMIT        0.95 /* in a closed loop a busy generator is normal, but says so      */
#define CLOCK_LIMIT_NS    200u /* above, reading the clock has become a system call             */
#define FAILED_PERCENT    1u   /* above, rate and latency are of a mixture */
#define SHORTEST_NS       1000000000u
#define LATE_SHARE        0.01 /* of the messages due may start late by our doing */
#define LITTLE_LOW        0.98
#define LITTLE_HIGH       1.02
#define CEILING_SHARE     0.8
#define RETRANSMITS_LEAST 10u /* fewer move no percentile                             */
#define RETRANSMITS_SHARE 0.001
#define DOWN_LIMIT        1000u /* one connection in so many may be down                        */

__attribute__((format(printf, 3, 4))) static void
add(struct load_verdict *verdict, enum load_verdict_status status, const char *format, ...)
{
    va_list arguments;

    if (status > verdict->status) verdict->status = status;
    if (verdict->reason_count == LOAD_VERDICT_REASONS_MAX) return;
    va_start(arguments, format);
    (void)vsnprintf(verdict->reasons[verdict->reason_count++], LOAD_VERDICT_TEXT_MAX, format,
                    arguments);
    va_end(arguments);
}

static void judge_counts(struct load_verdict *verdict, const struct load_verdict_facts *facts)
{
    if (facts->is_open && facts->due != facts->with_outcome + facts->dropped)
        add(verdict, LOAD_VERDICT_INVALID,
            "%llu messages were due, but %llu have an outcome and %llu were dropped",
            (unsigned long long)facts->due, (unsigned long long)facts->with_outcome,
            (unsigned long long)facts->dropped);
    if (!facts->is_open && facts->started != facts->with_outcome)
        add(verdict, LOAD_VERDICT_INVALID, "%llu messages started, but %llu have an outcome",
            (unsigned long long)facts->started, (unsigned long long)facts->with_outcome);
    if (facts->acknowledged != facts->accepted)
        add(verdict, LOAD_VERDICT_INVALID, "%llu messages accepted, but %llu acknowledged",
            (unsigned long long)facts->accepted, (unsigned long long)facts->acknowledged);
}

static void judge_outcomes(struct load_verdict *verdict, const struct load_verdict_facts *facts)
{
    char measured[UNITS_TEXT_MAX];
    uint64_t good = facts->accepted + facts->expected;
    uint64_t failed = facts->with_outcome > good ? facts->with_outcome - good : 0;

    if (facts->started > 0 && good == 0)
        add(verdict, LOAD_VERDICT_INVALID, "no message was accepted: see the replies and errors");
    else if (failed * 100 > facts->with_outcome * FAILED_PERCENT)
        add(verdict, LOAD_VERDICT_SUSPECT,
            "%.1f %% of the messages failed: the rate is that of a mixture",
            100.0 * (double)failed / (double)facts->with_outcome);
    if (facts->measured_ns < SHORTEST_NS)
        add(verdict, LOAD_VERDICT_SUSPECT, "measured for %s only: a rate wants a second at least",
            units_format_duration(measured, facts->measured_ns));
}

static void judge_population(struct load_verdict *verdict, const struct load_verdict_facts *facts)
{
    if (facts->barrier != NULL)
        add(verdict, LOAD_VERDICT_INVALID, "population lost: %s%s%s", facts->barrier,
            facts->remedy[0] == '\0' ? "" : ": ", facts->remedy);
    else if (facts->gave_up != 0)
        add(verdict, LOAD_VERDICT_INVALID, "population lost: no connection to be had: %s",
            strerror(facts->gave_up));
    else if (facts->reached < facts->asked)
        add(verdict, LOAD_VERDICT_INVALID, "population lost: %llu of %llu connections were ready",
            (unsigned long long)facts->reached, (unsigned long long)facts->asked);
    else if (facts->down_worst > facts->asked / DOWN_LIMIT)
        add(verdict, LOAD_VERDICT_INVALID,
            "population lost: %llu of %llu connections were down for more than a second",
            (unsigned long long)facts->down_worst, (unsigned long long)facts->asked);
}

static void judge_generator(struct load_verdict *verdict, const struct load_verdict_facts *facts)
{
    char reap[UNITS_TEXT_MAX];

    /* Where no session was ever ready, nothing can be said of latencies or the server's speed. */
    if (!facts->is_open && facts->reached > 0 && facts->busy_max_ratio > BUSY_LIMIT)
        add(verdict, LOAD_VERDICT_SUSPECT,
            "generator-bound%s; latencies include our own queueing (reap delay p99 %s)",
            facts->accepted == facts->with_outcome ? ": the server can do at least this" : "",
            units_format_duration(reap, facts->reap_p99_ns));
    if (facts->clock_cost_ns > CLOCK_LIMIT_NS)
        add(verdict, LOAD_VERDICT_SUSPECT,
            "reading the clock costs %llu ns: clock source %s is no match for this",
            (unsigned long long)facts->clock_cost_ns, facts->clock_source);
}

/* Late although a session was idle: that is us. Late because all were busy: that is the server. */
static void judge_schedule(struct load_verdict *verdict, const struct load_verdict_facts *facts)
{
    char limit[UNITS_TEXT_MAX];
    double due = (double)facts->due;

    if (!facts->is_open || facts->due == 0) return;
    units_format_duration(limit, facts->late_limit_ns);
    if (facts->dropped > 0)
        add(verdict, LOAD_VERDICT_INVALID,
            "%llu of %llu messages due were dropped: all sessions were busy and the backlog was "
            "full; the server (or -c) can't take this rate",
            (unsigned long long)facts->dropped, (unsigned long long)facts->due);
    if ((double)facts->late_own > LATE_SHARE * due)
        add(verdict, LOAD_VERDICT_INVALID,
            "schedule not kept: %.1f %% of the messages started more than %s late while sessions "
            "were idle: the generator, or this machine, is too slow for it",
            100 * (double)facts->late_own / due, limit);
    if (facts->busy_seconds >= LOAD_BUSY_INVALID_S)
        add(verdict, LOAD_VERDICT_INVALID,
            "generator saturated: a worker was busy above %.0f %% for %u s running",
            100 * LOAD_BUSY_INVALID, facts->busy_seconds);
    else if (facts->busy_worst > LOAD_BUSY_SUSPECT)
        add(verdict, LOAD_VERDICT_SUSPECT,
            "a worker was busy %.0f %% of a second: more -t, or a "
            "lower -R",
            100 * facts->busy_worst);
    if (facts->littles_ratio < LITTLE_LOW || facts->littles_ratio > LITTLE_HIGH)
        add(verdict, LOAD_VERDICT_INVALID,
            "Little's law does not hold: messages in flight are %.3f of what their times say",
            facts->littles_ratio);
}

static void judge_ceiling(struct load_verdict *verdict, const struct load_verdict_facts *facts)
{
    if (!facts->is_open || facts->ceiling_per_s <= 0) return;
    if (facts->rate_per_s <= CEILING_SHARE * facts->ceiling_per_s) return;
    add(verdict, LOAD_VERDICT_SUSPECT,
        "%.0f msg/s is %.0f %% of what this generator can drive at all (%.0f msg/s by "
        "--calibrate): more -t, more machines, or a lower -R",
        facts->rate_per_s, 100 * facts->rate_per_s / facts->ceiling_per_s, facts->ceiling_per_s);
}

static void judge_trend(struct load_verdict *verdict, const struct load_trend *trend,
                        const char *what)
{
    if (!trend->is_known || !trend->is_drift) return;
    add(verdict, LOAD_VERDICT_SUSPECT,
        "not steady: %s went %s by %.0f %% over the measured time (second half to first: %.2f); a "
        "longer --warmup, or -d, tells where it ends",
        what, trend->drift_ratio > 0 ? "up" : "down", 100 * fabs(trend->drift_ratio),
        trend->halves_ratio);
}

static void judge_kernel(struct load_verdict *verdict, const struct load_verdict_facts *facts)
{
    const struct load_kernel *kernel = &facts->kernel;

    if (!kernel->is_known) return;
    if (kernel->retransmits >= RETRANSMITS_LEAST &&
        (double)kernel->retransmits > RETRANSMITS_SHARE * (double)kernel->segments)
        add(verdict, LOAD_VERDICT_SUSPECT,
            "%llu of %llu TCP segments of this host were sent again: latencies hold the kernel's "
            "waits for that, 200 ms and more each",
            (unsigned long long)kernel->retransmits, (unsigned long long)kernel->segments);
    if (kernel->listen_overflows > 0)
        add(verdict, LOAD_VERDICT_SUSPECT,
            "%llu connects found the server's queue full and tried again after a second: raise "
            "its backlog and net.core.somaxconn (%s)",
            (unsigned long long)kernel->listen_overflows, facts->somaxconn);
}

struct load_verdict load_verdict_make(const struct load_verdict_facts *facts)
{
    struct load_verdict verdict = {.status = LOAD_VERDICT_VALID};
    judge_counts(&verdict, facts);
    judge_outcomes(&verdict, facts);
    judge_population(&verdict, facts);
    judge_generator(&verdict, facts);
    judge_schedule(&verdict, facts);
    judge_ceiling(&verdict, facts);
    judge_kernel(&verdict, facts);
    judge_trend(&verdict, &facts->rate_trend, "messages accepted a second");
    judge_trend(&verdict, &facts->p99_trend, "the p99");
    return verdict;
}

const char *load_verdict_name(enum load_verdict_status status)
{
    switch (status) {
    case LOAD_VERDICT_VALID:
        return "VALID";
    case LOAD_VERDICT_SUSPECT:
        return "SUSPECT";
    case LOAD_VERDICT_INVALID:
        return "INVALID";
    }
    return "UNKNOWN";
}
