#include "audit/audit_relay.h"

#include "base/clock.h"

#include <errno.h>

/* Longer than the five days after which a relay gives up (RFC 5321 4.5.4.1). */
#define WAIT_HIGHEST_NS (7 * 24 * 3600 * CLOCK_NS_PER_S)
#define WAIT_DIGITS     3

/* What is counted as accepted. */
static bool is_accepted(const struct audit_entry *entry)
{
    return entry->ledger.state == LEDGER_ACKED && entry->ledger.accepted_ns != 0;
}

static uint64_t accepted_at(const struct audit *audit, const struct audit_entry *entry)
{
    return audit_clock_to_spool(&audit->clock, entry->ledger.accepted_ns);
}

/* Its times can be compared. */
static bool has_waited(const struct audit *audit, const struct audit_entry *entry)
{
    return is_accepted(entry) && entry->completed_ns != 0 && audit->clock.kind != AUDIT_CLOCK_NONE;
}

static uint64_t waited(uint64_t accepted_ns, uint64_t completed_ns)
{
    return completed_ns > accepted_ns ? completed_ns - accepted_ns : 0;
}

static void span_take(uint64_t *first_ns, uint64_t *last_ns, uint64_t time_ns)
{
    if (*first_ns == 0 || time_ns < *first_ns) *first_ns = time_ns;
    if (time_ns > *last_ns) *last_ns = time_ns;
}

static void entry_sum(struct audit_relay *relay, const struct audit *audit,
                      const struct audit_entry *entry)
{
    relay->duplicate_copies += entry->duplicate_count;
    if (entry->ledger.state != LEDGER_ACKED) return;
    relay->recipients_expected += entry->ledger.recipients;
    relay->recipients_delivered += entry->delivered_count;
    relay->delivered += entry->completed_ns != 0;
    if (entry->completed_ns != 0)
        span_take(&relay->first_delivered_ns, &relay->last_delivered_ns, entry->completed_ns);
    if (!is_accepted(entry)) return;
    uint64_t accepted_ns = accepted_at(audit, entry);
    span_take(&relay->first_accepted_ns, &relay->last_accepted_ns, accepted_ns);
    if (!has_waited(audit, entry)) return;
    histogram_record(&relay->waits, waited(accepted_ns, entry->completed_ns));
    relay->early += entry->completed_ns < accepted_ns;
}

int audit_relay_open(struct audit_relay *relay, const struct audit *audit)
{
    CHECK(audit->is_relayed);
    *relay = (struct audit_relay){0};
    int error = histogram_open(&relay->waits, WAIT_HIGHEST_NS, WAIT_DIGITS);
    if (error < 0) return error;
    for (uint64_t i = 0; i < audit->table.count; i++)
        entry_sum(relay, audit, &audit->table.entries[i]);
    return 0;
}

void audit_relay_close(struct audit_relay *relay)
{
    histogram_close(&relay->waits);
}

bool audit_relay_is_sure(const struct audit *audit, uint64_t value_ns)
{
    return audit->clock.kind != AUDIT_CLOCK_OFFSET || value_ns >= audit->clock.uncertainty_ns;
}

bool audit_relay_percentile(const struct audit_relay *relay, const struct audit *audit,
                            double percentile, uint64_t *value_ns)
{
    return histogram_percentile_shown(&relay->waits, percentile, value_ns) &&
           audit_relay_is_sure(audit, *value_ns);
}

int audit_relay_timeline(const struct audit_relay *relay, const struct audit *audit,
                         struct audit_timeline *timeline)
{
    int error = audit_timeline_open(timeline, relay->first_accepted_ns, audit->table.count);
    if (error < 0) return error;
    for (uint64_t i = 0; i < audit->table.count; i++) {
        const struct audit_entry *entry = &audit->table.entries[i];
        if (!is_accepted(entry)) continue;
        uint64_t accepted_ns = accepted_at(audit, entry);
        audit_timeline_accept(timeline, accepted_ns);
        if (has_waited(audit, entry))
            audit_timeline_deliver(timeline, accepted_ns, waited(accepted_ns, entry->completed_ns));
    }
    audit_timeline_begin(timeline);
    return 0;
}
