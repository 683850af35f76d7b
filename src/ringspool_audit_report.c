/* audit's report: text for eyes, JSON for tools. */
#include "ringspool_audit.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdlib.h>

#define EXAMPLES_MAX  5
#define BAR_WIDTH     44
#define STEPS_MAX     64 /* three a power of ten: 1 us to a thousand years */
#define WAIT_TEXT_MAX (UNITS_TEXT_MAX + 1)

struct percentile {
    double percent;
    const char *text;
    const char *field;
};

static const struct percentile percentiles[] = {
    {50, "p50", "p50"}, {90, "p90", "p90"}, {99, "p99", "p99"}, {99.9, "p99.9", "p99_9"}};

#define PERCENTILE_COUNT (sizeof(percentiles) / sizeof(percentiles[0]))

/* ---- text ---- */

static const char *verdict_of(const struct ringspool_audit *told)
{
    bool is_relayed = told->relay != NULL;

    if (told->status == EXIT_CODE_OK)
        return is_relayed ? "everything accepted was delivered, once and unchanged"
                          : "everything acknowledged is there, once and unchanged";
    if (told->status == EXIT_CODE_FAILED)
        return is_relayed ? "FAILED: not everything accepted was delivered, once and unchanged"
                          : "FAILED: the spool does not hold what was promised";
    if (told->status == EXIT_CODE_USAGE)
        return "the spool never saw this run: is it another one's?";
    return "unprovable: recycling took what is missing";
}

static void line_put(const char *name, uint64_t value)
{
    (void)printf("%-20s %" PRIu64 "\n", name, value);
}

static void duration_put(const char *name, uint64_t duration_ns)
{
    char text[UNITS_TEXT_MAX];
    (void)printf("%s %s", name, units_format_duration(text, duration_ns));
}

/* "1.84ms", or "<1.2ms" where the clocks tell no better. */
static const char *wait_text(char *out, const struct audit *audit, uint64_t wait_ns)
{
    char text[UNITS_TEXT_MAX];
    uint64_t uncertain_ns = audit->clock.uncertainty_ns;
    bool is_sure = audit_relay_is_sure(audit, wait_ns);

    (void)snprintf(out, WAIT_TEXT_MAX, "%s%s", is_sure ? "" : "<",
                   units_format_duration(text, is_sure ? wait_ns : uncertain_ns));
    return out;
}

static void clock_put(const struct audit_clock *clock)
{
    char text[UNITS_TEXT_MAX];

    switch (clock->kind) {
    case AUDIT_CLOCK_NONE:
        (void)printf("%-20s %s\n", "no times", clock->reason);
        return;
    case AUDIT_CLOCK_MONOTONIC:
        (void)printf("%-20s one host's\n", "clock");
        return;
    case AUDIT_CLOCK_OFFSET:
        (void)printf("%-20s two hosts', their offset known to %s\n", "clock",
                     units_format_duration(text, clock->uncertainty_ns));
        return;
    }
}

static void waits_put(const struct audit_relay *relay, const struct audit *audit)
{
    const struct histogram *waits = &relay->waits;
    char text[WAIT_TEXT_MAX];
    uint64_t value_ns;

    if (waits->total_count == 0) return;
    (void)printf("%-20s", "accept to delivered");
    (void)printf(" min %s", wait_text(text, audit, waits->minimum));
    for (uint32_t i = 0; i < PERCENTILE_COUNT; i++) {
        bool is_known = histogram_percentile_shown(waits, percentiles[i].percent, &value_ns);
        (void)printf("  %s %s", percentiles[i].text,
                     is_known ? wait_text(text, audit, value_ns) : "-");
    }
    (void)printf("  max %s", wait_text(text, audit, waits->maximum));
    (void)printf("  mean %s\n", wait_text(text, audit, (uint64_t)histogram_mean(waits)));
    if (relay->early > 0) line_put("  before the reply", relay->early);
}

/* The next of 1, 2, 5, 10, 20, 50, ... */
static uint64_t step_after(uint64_t step_ns)
{
    uint64_t power = 1;
    while (step_ns / power >= 10)
        power *= 10;
    uint64_t digit = step_ns / power;
    return power * (digit < 2 ? 2 : digit < 5 ? 5 : 10);
}

/* What the steps up to the longest wait hold; how many steps. The first ends at first_ns. */
static uint32_t count_steps(const struct histogram *waits, uint64_t first_ns,
                            uint64_t counts[STEPS_MAX])
{
    uint64_t from_ns = 0;
    uint64_t to_ns = first_ns;
    uint32_t steps = 0;

    while (from_ns <= waits->maximum) {
        CHECK(steps < STEPS_MAX);
        counts[steps++] = histogram_count_between(waits, from_ns, to_ns);
        from_ns = to_ns;
        to_ns = step_after(to_ns);
    }
    return steps;
}

static void bars_put(const struct histogram *waits, uint64_t uncertain_ns)
{
    uint64_t counts[STEPS_MAX];
    uint64_t to_ns = CLOCK_NS_PER_US;
    uint64_t most = 0;
    uint32_t step = 0;
    char text[UNITS_TEXT_MAX];

    if (waits->total_count == 0) return;
    while (to_ns < uncertain_ns)
        to_ns = step_after(to_ns);
    uint32_t steps = count_steps(waits, to_ns, counts);
    for (uint32_t i = 0; i < steps; i++)
        if (counts[i] > most) most = counts[i];
    for (; step < steps && counts[step] == 0; step++)
        to_ns = step_after(to_ns);
    for (; step < steps; step++, to_ns = step_after(to_ns)) {
        (void)printf("  < %9s %12" PRIu64 "  ", units_format_duration(text, to_ns), counts[step]);
        for (uint64_t i = 0; i < (counts[step] * BAR_WIDTH + most - 1) / most; i++)
            (void)putchar('#');
        (void)putchar('\n');
    }
}

static void relay_put(const struct audit_relay *relay, const struct audit *audit)
{
    (void)printf("%-20s %" PRIu64 " of %" PRIu64 "\n", "recipients reached",
                 relay->recipients_delivered, relay->recipients_expected);
    line_put("duplicate copies", relay->duplicate_copies);
    line_put("bounced", audit->bounced);
}

void ringspool_audit_put_text(const struct ringspool_audit *told)
{
    const struct audit *audit = told->audit;
    const struct audit_report *report = told->report;
    const struct audit_relay *relay = told->relay;

    line_put("acknowledged", report->acknowledged);
    line_put("found", report->found);
    if (relay != NULL) line_put("delivered", relay->delivered);
    line_put("lost", report->lost);
    if (relay != NULL) line_put("partial", report->partial);
    line_put("duplicated", report->duplicated);
    line_put("corrupt", report->corrupt);
    line_put("refused", report->refused);
    line_put("refused yet present", report->refused_present);
    line_put("expired", report->expired);
    line_put("unknown", report->unknown);
    line_put("unknown yet present", report->unknown_present);
    line_put("in no ledger", audit->unlisted);
    line_put("of other runs", audit->others);
    line_put("damaged", audit->damaged + audit->damaged_places);
    if (audit->bad_lines > 0) line_put("unreadable lines", audit->bad_lines);
    if (audit->stored.total_count > 0) {
        (void)printf("%-20s ", "sent to stored");
        duration_put("p50", histogram_percentile(&audit->stored, 50));
        duration_put("  p99", histogram_percentile(&audit->stored, 99));
        duration_put("  max", audit->stored.maximum);
        (void)putchar('\n');
    }
    if (relay != NULL) {
        relay_put(relay, audit);
        waits_put(relay, audit);
        bars_put(&relay->waits, audit->clock.uncertainty_ns);
        clock_put(&audit->clock);
    }
    (void)printf("%-20s %s\n", "verdict", verdict_of(told));
}

/* ---- JSON ---- */

static void field_put(const char *name, uint64_t value)
{
    (void)printf(",\"%s\":%" PRIu64, name, value);
}

/* null where it is not known. */
static void known_put(const char *name, bool is_known, uint64_t value)
{
    if (is_known)
        field_put(name, value);
    else
        (void)printf(",\"%s\":null", name);
}

static void wait_fields_put(const struct audit_relay *relay, const struct audit *audit)
{
    const struct histogram *waits = &relay->waits;
    bool has_any = waits->total_count > 0;
    uint64_t value_ns = 0;
    uint64_t mean_ns = (uint64_t)histogram_mean(waits);

    (void)printf(",\"accept_to_delivered_ns\":{\"count\":%" PRIu64, waits->total_count);
    known_put("min", has_any && audit_relay_is_sure(audit, waits->minimum), waits->minimum);
    for (uint32_t i = 0; i < PERCENTILE_COUNT; i++) {
        bool is_known = audit_relay_percentile(relay, audit, percentiles[i].percent, &value_ns);
        known_put(percentiles[i].field, is_known, value_ns);
    }
    known_put("max", has_any && audit_relay_is_sure(audit, waits->maximum), waits->maximum);
    known_put("mean", has_any && audit_relay_is_sure(audit, mean_ns), mean_ns);
    field_put("delivered_before_accepted", relay->early);
    char *encoded = has_any ? histogram_encode(waits) : NULL;
    if (has_any && encoded == NULL) die(EXIT_CODE_FAILED, "out of memory");
    if (encoded == NULL)
        (void)printf(",\"hdr\":null}");
    else
        (void)printf(",\"hdr\":\"%s\"}", encoded);
    free(encoded);
}

static void clock_fields_put(const struct audit_clock *clock)
{
    static const char *const names[] = {
        [AUDIT_CLOCK_NONE] = "none",
        [AUDIT_CLOCK_MONOTONIC] = "monotonic",
        [AUDIT_CLOCK_OFFSET] = "offset",
    };
    bool is_known = clock->kind != AUDIT_CLOCK_NONE;

    (void)printf(",\"clock\":\"%s\"", names[clock->kind]);
    known_put("clock_uncertainty_ns", is_known, clock->uncertainty_ns);
    (void)printf(",\"clock_reason\":");
    if (is_known)
        (void)printf("null");
    else
        ringspool_put_json(bytes_from_text(clock->reason));
}

static void relay_fields_put(const struct ringspool_audit *told)
{
    const struct audit_relay *relay = told->relay;
    bool has_accepted = relay->last_accepted_ns > 0;
    bool has_delivered = relay->last_delivered_ns > 0;

    (void)printf(",\"relayed\":true");
    field_put("delivered", relay->delivered);
    field_put("partial", told->report->partial);
    field_put("bounced", told->audit->bounced);
    field_put("recipients_expected", relay->recipients_expected);
    field_put("recipients_delivered", relay->recipients_delivered);
    field_put("duplicate_copies", relay->duplicate_copies);
    known_put("first_accepted_ns", has_accepted, relay->first_accepted_ns);
    known_put("last_accepted_ns", has_accepted, relay->last_accepted_ns);
    known_put("first_delivered_ns", has_delivered, relay->first_delivered_ns);
    known_put("last_delivered_ns", has_delivered, relay->last_delivered_ns);
    clock_fields_put(&told->audit->clock);
    wait_fields_put(relay, told->audit);
}

void ringspool_audit_put_json(const struct ringspool_audit *told)
{
    const struct audit *audit = told->audit;
    const struct audit_report *report = told->report;
    const struct histogram *stored = &audit->stored;

    (void)printf("{\"schema\":\"ringspool.audit/1\"");
    field_put("acknowledged", report->acknowledged);
    field_put("found", report->found);
    field_put("lost", report->lost);
    field_put("duplicated", report->duplicated);
    field_put("corrupt", report->corrupt);
    field_put("refused", report->refused);
    field_put("refused_present", report->refused_present);
    field_put("expired", report->expired);
    field_put("unknown", report->unknown);
    field_put("unknown_present", report->unknown_present);
    field_put("unlisted", audit->unlisted);
    field_put("others", audit->others);
    field_put("damaged_messages", audit->damaged);
    field_put("damaged_places", audit->damaged_places);
    field_put("headless", audit->headless);
    field_put("unreadable_lines", audit->bad_lines);
    field_put("unseen_runs", report->unseen_runs);
    (void)printf(",\"stored_ns\":{\"count\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64
                 ",\"max\":%" PRIu64 "}",
                 stored->total_count, histogram_percentile(stored, 50),
                 histogram_percentile(stored, 99), stored->maximum);
    if (told->relay != NULL) relay_fields_put(told);
    (void)printf(",\"status\":%d}\n", told->status);
}

/* ---- examples ---- */

static const char *const verdict_names[] = {
    [AUDIT_FINE] = "fine",
    [AUDIT_LOST] = "lost",
    [AUDIT_CORRUPT] = "corrupt",
    [AUDIT_DUPLICATED] = "duplicated",
    [AUDIT_REFUSED_PRESENT] = "refused yet present",
    [AUDIT_PARTIAL] = "partial",
    [AUDIT_EXPIRED] = "expired",
};

void ringspool_audit_put_examples(const struct audit *audit)
{
    uint32_t shown[AUDIT_EXPIRED + 1] = {0};

    for (uint64_t i = 0; i < audit->table.count; i++) {
        const struct audit_entry *entry = &audit->table.entries[i];
        enum audit_verdict verdict = audit_judge(audit, entry);
        if (verdict == AUDIT_FINE || verdict == AUDIT_EXPIRED) continue;
        if (shown[verdict]++ >= EXAMPLES_MAX) continue;
        log_error("%s: run=%016" PRIx64 " seq=%012" PRIu64 " sent_ns=%" PRIu64,
                  verdict_names[verdict], entry->ledger.run, entry->ledger.sequence,
                  entry->ledger.sent_ns);
    }
}
