#include "audit/audit.h"

#include "base/clock.h"
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The generator's clock and the server's may differ by so much before a segment is passed over. */
#define CLOCK_SLACK_NS (10 * CLOCK_NS_PER_S)

#define STORED_HIGHEST_NS (3600 * CLOCK_NS_PER_S)

int audit_open(struct audit *audit)
{
    memset(audit, 0, sizeof(*audit));
    audit->first_sent_ns = UINT64_MAX;
    audit_clock_init(&audit->clock, boot_id_read(), clock_offset_ns());
    return histogram_open(&audit->stored, STORED_HIGHEST_NS, 3);
}

void audit_close(struct audit *audit)
{
    histogram_close(&audit->stored);
    audit_table_close(&audit->table);
    audit_table_close(&audit->probes);
    audit_deliveries_close(&audit->deliveries);
    free(audit->whole);
    free(audit->envelope);
    memset(audit, 0, sizeof(*audit));
}

static struct audit_run *run_find(struct audit *audit, uint64_t run)
{
    for (uint32_t i = 0; i < audit->run_count; i++)
        if (audit->runs[i].run == run) return &audit->runs[i];
    return NULL;
}

/* --- ledgers ---------------------------------------------------------------------------------- */

/* Acknowledged outweighs unknown, which outweighs refused: one try of several is enough. */
static uint32_t state_weight(enum ledger_state state)
{
    switch (state) {
    case LEDGER_ACKED:
        return 2;
    case LEDGER_UNKNOWN:
        return 1;
    case LEDGER_REFUSED:
        return 0;
    }
    return 0;
}

static int run_add(struct audit *audit, uint64_t number, struct audit_run **run)
{
    *run = run_find(audit, number);
    if (*run != NULL) return 0;
    if (audit->run_count == AUDIT_RUNS_MAX) return -E2BIG;
    *run = &audit->runs[audit->run_count++];
    **run = (struct audit_run){.run = number};
    return 0;
}

static int entry_add(struct audit *audit, const struct ledger_entry *ledger)
{
    struct audit_run *run;
    struct audit_entry *entry = audit_table_find(&audit->table, ledger->run, ledger->sequence);

    if (entry != NULL) {
        audit->repeated_lines++;
        if (state_weight(ledger->state) > state_weight(entry->ledger.state))
            entry->ledger = *ledger;
        return 0;
    }
    int error = run_add(audit, ledger->run, &run);
    if (error < 0) return error;
    run->entry_count++;
    return audit_table_add(&audit->table, ledger, (uint32_t)(run - audit->runs));
}

/* Only what was acknowledged tells both ends of its time. */
static int probe_add(struct audit *audit, const struct ledger_entry *ledger, uint32_t ledger_index)
{
    bool is_of_use = ledger->state == LEDGER_ACKED && ledger->accepted_ns != 0;
    bool is_there = audit_table_find(&audit->probes, ledger->run, ledger->sequence) != NULL;
    return is_of_use && !is_there ? audit_table_add(&audit->probes, ledger, ledger_index) : 0;
}

/* A line without its LF. `is_whole`: it had one. */
static struct bytes line_take(struct bytes *text, bool *is_whole)
{
    struct bytes line = bytes_take(text, bytes_find(*text, '\n'));
    *is_whole = text->size > 0;
    if (*is_whole) (void)bytes_take(text, 1);
    return line;
}

/* A comment, or the first or last line of a ledger that was put behind another. */
static int comment_take(struct audit *audit, struct bytes line, bool is_probe, int64_t *index)
{
    struct ledger_start start;
    int64_t clock_ns;

    if (ledger_parse_end(line, &clock_ns)) audit_clock_end(&audit->clock, clock_ns);
    if (!ledger_parse_start(line, &start)) return 0;
    *index = audit_clock_add(&audit->clock, &start, is_probe);
    return *index < 0 ? (int)*index : 0;
}

/* Of format 2's last number, digits that are missing can't be told: its lines are whole. */
static bool entry_parse(struct bytes line, bool is_whole, uint32_t format,
                        struct ledger_entry *entry)
{
    if (format > 1 && !is_whole) return false;
    return ledger_parse_entry(line, format, entry);
}

static int text_add(struct audit *audit, struct bytes text, bool is_probe)
{
    struct ledger_start start;
    struct ledger_entry entry;
    bool is_whole;

    if (!ledger_parse_start(line_take(&text, &is_whole), &start)) return -EBADMSG;
    int64_t index = audit_clock_add(&audit->clock, &start, is_probe);
    int error = index < 0 ? (int)index : 0;
    while (text.size > 0 && error == 0) {
        struct bytes line = line_take(&text, &is_whole);
        if (line.size == 0) continue;
        if (line.data[0] == '#') {
            error = comment_take(audit, line, is_probe, &index);
            continue;
        }
        uint32_t format = audit->clock.ledgers[index].start.format;
        if (!entry_parse(line, is_whole, format, &entry)) {
            audit->bad_lines++;
            continue;
        }
        if (entry.sent_ns < audit->first_sent_ns) audit->first_sent_ns = entry.sent_ns;
        error = is_probe ? probe_add(audit, &entry, (uint32_t)index) : entry_add(audit, &entry);
    }
    return error;
}

int audit_add_ledger(struct audit *audit, struct bytes text)
{
    return text_add(audit, text, false);
}

int audit_add_probes(struct audit *audit, struct bytes text)
{
    return text_add(audit, text, true);
}

/* --- the spool -------------------------------------------------------------------------------- */

/* The message in one piece: as it lies, or copied together. data is NULL if memory runs out. */
static struct bytes message_whole(struct audit *audit, const struct spool_archive_content *content)
{
    uint64_t size = content->head.content_size;
    uint64_t at = 0;

    if (content->count == 1) return content->pieces[0];
    if (size >= audit->whole_capacity) {
        uint8_t *whole = realloc(audit->whole, size + 1);
        if (whole == NULL) return bytes_make(NULL, 0);
        audit->whole = whole;
        audit->whole_capacity = size + 1;
    }
    for (uint32_t i = 0; i < content->count; i++) {
        struct bytes piece = content->pieces[i];
        if (piece.size > 0) memcpy(audit->whole + at, piece.data, piece.size);
        at += piece.size;
    }
    CHECK(at == size);
    return bytes_make(audit->whole, size);
}

/* Out of the segment, which may be recycled once it was found current. False: no memory. */
static bool envelope_save(struct audit *audit, struct bytes *envelope)
{
    if (!audit->is_relayed || envelope->size == 0) return true;
    if (envelope->size > audit->envelope_capacity) {
        uint8_t *copy = realloc(audit->envelope, envelope->size);
        if (copy == NULL) return false;
        audit->envelope = copy;
        audit->envelope_capacity = envelope->size;
    }
    memcpy(audit->envelope, envelope->data, envelope->size);
    envelope->data = audit->envelope;
    return true;
}

/* A message was committed whose beginning was freed: whose it was can't be told any more. */
static void headless_take(struct audit *audit, const struct spool_reader_message *message)
{
    audit->headless++;
    if (message->committed_ns > audit->headless_ns) audit->headless_ns = message->committed_ns;
}

static bool has_null_sender(struct bytes envelope)
{
    enum spool_item item;
    struct bytes value;

    while (spool_envelope_next(&envelope, &item, &value))
        if (item == SPOOL_ITEM_SENDER) return value.size == 0;
    return false;
}

/* Of no run that is audited. */
static void stranger_count(struct audit *audit, struct bytes envelope)
{
    bool is_bounce = audit->is_relayed && has_null_sender(envelope);
    audit->bounced += is_bounce;
    audit->others += !is_bounce;
}

/* A probe may be there twice if it was acknowledged late: the first counts. */
static void probe_found(struct audit_entry *probe, uint64_t committed_ns)
{
    if (probe->found_count++ == 0 || committed_ns < probe->completed_ns)
        probe->completed_ns = committed_ns;
}

static int copy_keep(struct audit *audit, struct audit_entry *entry,
                     const struct spool_reader_message *message, struct bytes envelope)
{
    enum spool_item item;
    struct bytes value;

    int error = audit_deliveries_add(&audit->deliveries, &entry->copies, &message->id,
                                     message->committed_ns);
    if (!audit->is_relayed) return error;
    while (error == 0 && spool_envelope_next(&envelope, &item, &value))
        if (item == SPOOL_ITEM_RECIPIENT)
            error = audit_deliveries_add_recipient(&audit->deliveries, value);
    return error;
}

static int entry_found(struct audit *audit, struct audit_entry *entry, bool is_corrupt,
                       const struct spool_reader_message *message, struct bytes envelope)
{
    uint64_t sent_ns = entry->ledger.sent_ns;
    uint64_t committed_ns = message->committed_ns;

    if (is_corrupt) entry->is_corrupt = true;
    bool is_first = entry->found_count++ == 0;
    if (is_first && entry->ledger.state == LEDGER_ACKED && !audit->is_relayed)
        histogram_record(&audit->stored, committed_ns > sent_ns ? committed_ns - sent_ns : 0);
    if (!audit->is_relayed && !audit->keeps_copies) return 0;
    return copy_keep(audit, entry, message, envelope);
}

/* A relay adds to the headers: only the body is what it was. */
static bool is_altered(const struct audit *audit, const struct audit_entry *entry,
                       const struct ledger_entry *header, struct bytes whole, struct bytes body,
                       uint64_t hash)
{
    if (hash != header->hash || hash != entry->ledger.hash || body.size != header->size)
        return true;
    return !audit->is_relayed && whole.size != entry->ledger.size;
}

/* One message that is whole. 0, -E2BIG or -ENOMEM. */
static int message_take(struct audit *audit, const struct spool_archive *archive,
                        const struct spool_reader_message *message,
                        const struct spool_archive_content *content)
{
    struct ledger_entry header;
    struct bytes body;
    struct bytes envelope = content->head.envelope;
    struct bytes whole = message_whole(audit, content);

    if (whole.data == NULL || !envelope_save(audit, &envelope)) return -ENOMEM;
    bool has_header = ledger_find_header(whole, &header, &body);
    uint64_t hash = has_header ? hash_octets(body.data, body.size) : 0;
    if (!spool_archive_is_current(archive, message)) {
        headless_take(audit, message);
        return 0;
    }
    struct audit_run *run = has_header ? run_find(audit, header.run) : NULL;
    if (run == NULL) {
        struct audit_entry *probe =
            has_header ? audit_table_find(&audit->probes, header.run, header.sequence) : NULL;
        if (probe == NULL)
            stranger_count(audit, envelope);
        else
            probe_found(probe, message->committed_ns);
        return 0;
    }
    run->seen_count++;
    struct audit_entry *entry = audit_table_find(&audit->table, header.run, header.sequence);
    if (entry == NULL) {
        audit->unlisted++;
        return 0;
    }
    bool is_corrupt = is_altered(audit, entry, &header, whole, body, hash);
    return entry_found(audit, entry, is_corrupt, message, envelope);
}

bool audit_can_skip(const struct audit *audit, const struct spool_archive *archive, uint64_t index)
{
    if (index + 1 >= archive->count) return false;
    if (audit->is_relayed && !audit_clock_is_local(&audit->clock)) return false;
    const struct spool_reader_segment *next = &archive->segments[index + 1];
    return next->worker == archive->segments[index].worker && next->opened_ns != 0 &&
           next->opened_ns + CLOCK_SLACK_NS < audit->first_sent_ns;
}

int audit_segment(struct audit *audit, struct spool_archive *archive, uint64_t index)
{
    const struct spool_reader_segment *segment = &archive->segments[index];
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    enum spool_reader_event event;
    int error = 0;

    if (segment->base == NULL) {
        audit->damaged_places++;
        return 0;
    }
    spool_reader_start(&reader, segment);
    while (error == 0 && (event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
        struct spool_archive_content content;
        if (event == SPOOL_READER_DAMAGE && spool_reader_segment_is_current(segment))
            audit->damaged_places++;
        if (event != SPOOL_READER_MESSAGE) continue;
        audit->messages++;
        switch (spool_archive_read(archive, &message, &content)) {
        case SPOOL_READER_WHOLE:
            error = message_take(audit, archive, &message, &content);
            break;
        case SPOOL_READER_DAMAGED:
            audit->damaged++;
            break;
        case SPOOL_READER_EXPIRED:
            headless_take(audit, &message);
            break;
        }
    }
    return error;
}

/* ---- the judgement ---- */

/* How the clocks stand, by the probes that were found and when messages were accepted. */
static void clock_judge(struct audit *audit)
{
    uint64_t first_ns = UINT64_MAX;
    uint64_t last_ns = 0;

    for (uint64_t i = 0; i < audit->probes.count; i++) {
        const struct audit_entry *probe = &audit->probes.entries[i];
        if (probe->found_count > 0)
            audit_clock_bound(&audit->clock.ledgers[probe->run_index], probe->ledger.sent_ns,
                              probe->ledger.accepted_ns, probe->completed_ns);
    }
    for (uint64_t i = 0; i < audit->table.count; i++) {
        const struct ledger_entry *ledger = &audit->table.entries[i].ledger;
        if (ledger->state != LEDGER_ACKED || ledger->accepted_ns == 0) continue;
        if (ledger->accepted_ns < first_ns) first_ns = ledger->accepted_ns;
        if (ledger->accepted_ns > last_ns) last_ns = ledger->accepted_ns;
    }
    audit_clock_judge(&audit->clock, first_ns, last_ns);
}

static int deliveries_judge(struct audit *audit)
{
    int error = 0;

    for (uint64_t i = 0; i < audit->table.count && error == 0; i++) {
        struct audit_entry *entry = &audit->table.entries[i];
        struct audit_delivery delivery;
        if (entry->copies == AUDIT_COPY_NONE) continue;
        error = audit_deliveries_judge(&audit->deliveries, &entry->copies, entry->ledger.recipients,
                                       &delivery);
        if (error < 0 || !audit->is_relayed) continue;
        entry->completed_ns = delivery.completed_ns;
        entry->delivered_count = delivery.delivered_count;
        entry->duplicate_count = delivery.duplicate_count;
    }
    return error;
}

int audit_finish(struct audit *audit, const struct spool_archive *archive)
{
    struct spool_file *files;

    int64_t count = spool_directory_list(&archive->directory, &files);
    if (count < 0) return (int)count;
    for (int64_t i = 0; i < count; i++)
        if (files[i].is_empty && files[i].freed_ns > audit->horizon_ns)
            audit->horizon_ns = files[i].freed_ns;
    free(files);
    if (audit->is_relayed) clock_judge(audit);
    return deliveries_judge(audit);
}

/* By the spool's clock, as far as that is known. */
static uint64_t sent_at(const struct audit *audit, const struct audit_entry *entry)
{
    uint64_t sent_ns = entry->ledger.sent_ns;
    return sent_ns == 0 ? 0 : audit_clock_to_spool(&audit->clock, sent_ns);
}

static bool is_duplicated(const struct audit *audit, const struct audit_entry *entry)
{
    return audit->is_relayed ? entry->duplicate_count > 0 : entry->found_count > 1;
}

/* Some recipients have it, and not all. */
static bool is_partial(const struct audit *audit, const struct audit_entry *entry)
{
    return audit->is_relayed && entry->ledger.state == LEDGER_ACKED && entry->found_count > 0 &&
           entry->completed_ns == 0;
}

enum audit_verdict audit_judge(const struct audit *audit, const struct audit_entry *entry)
{
    bool is_found = entry->found_count > 0;
    bool has_part = is_partial(audit, entry);

    if (entry->is_corrupt) return AUDIT_CORRUPT;
    if (entry->ledger.state == LEDGER_REFUSED) return is_found ? AUDIT_REFUSED_PRESENT : AUDIT_FINE;
    if (is_duplicated(audit, entry)) return AUDIT_DUPLICATED;
    if (entry->ledger.state == LEDGER_UNKNOWN) return AUDIT_FINE;
    if (is_found && !has_part) return AUDIT_FINE;
    uint64_t sent_ns = sent_at(audit, entry);
    bool is_excused = sent_ns <= audit->horizon_ns || sent_ns <= audit->headless_ns;
    if (is_excused) return AUDIT_EXPIRED;
    return has_part ? AUDIT_PARTIAL : AUDIT_LOST;
}

static void state_sum(const struct audit_entry *entry, struct audit_report *report)
{
    bool is_found = entry->found_count > 0;

    switch (entry->ledger.state) {
    case LEDGER_ACKED:
        report->acknowledged++;
        report->found += is_found;
        break;
    case LEDGER_REFUSED:
        report->refused++;
        report->refused_present += is_found;
        break;
    case LEDGER_UNKNOWN:
        report->unknown++;
        report->unknown_present += is_found;
        break;
    }
}

/* More are excused than the headless messages can be: so many of them are not. */
static void excess_sum(struct audit_report *report, uint64_t excess, uint64_t excused_whole)
{
    uint64_t whole = excess < excused_whole ? excess : excused_whole;
    report->expired -= excess;
    report->lost += whole;
    report->partial += excess - whole;
}

void audit_sum(const struct audit *audit, struct audit_report *report)
{
    uint64_t lost_of_run[AUDIT_RUNS_MAX] = {0};
    uint64_t headless_count = 0; /* excused by nothing but headless messages */
    uint64_t headless_whole = 0; /* of those: of which no copy is there */

    memset(report, 0, sizeof(*report));
    for (uint64_t i = 0; i < audit->table.count; i++) {
        const struct audit_entry *entry = &audit->table.entries[i];
        enum audit_verdict verdict = audit_judge(audit, entry);
        state_sum(entry, report);
        report->corrupt += entry->is_corrupt;
        report->duplicated += is_duplicated(audit, entry);
        report->lost += verdict == AUDIT_LOST;
        report->partial += verdict == AUDIT_PARTIAL;
        report->expired += verdict == AUDIT_EXPIRED;
        lost_of_run[entry->run_index] += verdict == AUDIT_LOST;
        if (verdict != AUDIT_EXPIRED || sent_at(audit, entry) <= audit->horizon_ns) continue;
        headless_count++;
        headless_whole += entry->found_count == 0;
    }
    if (headless_count > audit->headless)
        excess_sum(report, headless_count - audit->headless, headless_whole);
    for (uint32_t i = 0; i < audit->run_count; i++) {
        if (audit->runs[i].seen_count > 0 || lost_of_run[i] == 0) continue;
        report->unseen_runs++;
        report->lost_unseen += lost_of_run[i];
    }
}
