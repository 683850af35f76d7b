#include "audit/audit.h"

#include "base/clock.h"
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define ENTRIES_AT_FIRST 1024u
#define SLOTS_PER_ENTRY  2u

/* The generator's clock and the server's may differ by so much before a segment is passed over. */
#define CLOCK_SLACK_NS (10 * CLOCK_NS_PER_S)

#define STORED_HIGHEST_NS (3600 * CLOCK_NS_PER_S)

int audit_open(struct audit *audit)
{
    memset(audit, 0, sizeof(*audit));
    audit->first_sent_ns = UINT64_MAX;
    return histogram_open(&audit->stored, STORED_HIGHEST_NS, 3);
}

void audit_close(struct audit *audit)
{
    histogram_close(&audit->stored);
    free(audit->entries);
    free(audit->slots);
    free(audit->whole);
    memset(audit, 0, sizeof(*audit));
}

/* --- the table -------------------------------------------------------------------------------- */

static uint64_t slot_of(const struct audit *audit, uint64_t run, uint64_t sequence)
{
    return random_mix(run, sequence) & (audit->slot_count - 1);
}

/* The slot of that message, or the free one where it would be put. */
static uint32_t *slot_find(const struct audit *audit, uint64_t run, uint64_t sequence)
{
    for (uint64_t slot = slot_of(audit, run, sequence);;
         slot = (slot + 1) & (audit->slot_count - 1)) {
        uint32_t index = audit->slots[slot];
        if (index == 0) return &audit->slots[slot];
        const struct ledger_entry *entry = &audit->entries[index - 1].ledger;
        if (entry->run == run && entry->sequence == sequence) return &audit->slots[slot];
    }
}

static struct audit_entry *entry_find(const struct audit *audit, uint64_t run, uint64_t sequence)
{
    if (audit->entry_count == 0) return NULL;
    uint32_t index = *slot_find(audit, run, sequence);
    return index == 0 ? NULL : &audit->entries[index - 1];
}

/* Room for one entry more, the table at most half full. 0, -E2BIG or -ENOMEM. */
static int table_reserve(struct audit *audit)
{
    if (audit->entry_count < audit->entry_capacity) return 0;
    uint64_t capacity = audit->entry_capacity == 0 ? ENTRIES_AT_FIRST : audit->entry_capacity * 2;
    if (capacity > UINT32_MAX / 2) return -E2BIG;
    struct audit_entry *entries = realloc(audit->entries, capacity * sizeof(*entries));
    if (entries == NULL) return -ENOMEM;
    audit->entries = entries;
    uint32_t *slots = calloc(capacity * SLOTS_PER_ENTRY, sizeof(*slots));
    if (slots == NULL) return -ENOMEM;
    free(audit->slots);
    audit->slots = slots;
    audit->slot_count = capacity * SLOTS_PER_ENTRY;
    audit->entry_capacity = capacity;
    for (uint64_t i = 0; i < audit->entry_count; i++)
        *slot_find(audit, entries[i].ledger.run, entries[i].ledger.sequence) = (uint32_t)i + 1;
    return 0;
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

static int entry_add(struct audit *audit, const struct ledger_entry *ledger)
{
    int error = table_reserve(audit);
    if (error < 0) return error;
    struct audit_run *run = run_find(audit, ledger->run);
    if (run == NULL) {
        if (audit->run_count == AUDIT_RUNS_MAX) return -E2BIG;
        run = &audit->runs[audit->run_count++];
        *run = (struct audit_run){.run = ledger->run};
    }
    if (ledger->sent_ns < audit->first_sent_ns) audit->first_sent_ns = ledger->sent_ns;
    uint32_t *slot = slot_find(audit, ledger->run, ledger->sequence);
    if (*slot != 0) {
        struct audit_entry *entry = &audit->entries[*slot - 1];
        audit->repeated_lines++;
        if (state_weight(ledger->state) > state_weight(entry->ledger.state))
            entry->ledger = *ledger;
        return 0;
    }
    audit->entries[audit->entry_count++] =
        (struct audit_entry){.ledger = *ledger, .run_index = (uint32_t)(run - audit->runs)};
    *slot = (uint32_t)audit->entry_count;
    run->entry_count++;
    return 0;
}

/* A line without its LF. `is_whole`: it had one. */
static struct bytes line_take(struct bytes *text, bool *is_whole)
{
    struct bytes line = bytes_take(text, bytes_find(*text, '\n'));
    *is_whole = text->size > 0;
    if (*is_whole) (void)bytes_take(text, 1);
    return line;
}

int audit_add_ledger(struct audit *audit, struct bytes text)
{
    struct ledger_start start;
    struct ledger_entry entry;
    bool is_whole;

    if (!ledger_parse_start(line_take(&text, &is_whole), &start)) return -EBADMSG;
    while (text.size > 0) {
        struct ledger_start other;
        struct bytes line = line_take(&text, &is_whole);
        if (ledger_parse_start(line, &other)) start = other; /* one put behind the other */
        if (line.size == 0 || line.data[0] == '#') continue;
        /* Of format 2's last number, digits that are missing can't be told otherwise. */
        bool may_be_cut = start.format > 1 && !is_whole;
        if (may_be_cut || !ledger_parse_entry(line, start.format, &entry)) {
            audit->bad_lines++;
            continue;
        }
        int error = entry_add(audit, &entry);
        if (error < 0) return error;
    }
    return 0;
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

/* A message was committed whose beginning was freed: whose it was can't be told any more. */
static void headless_take(struct audit *audit, const struct spool_reader_message *message)
{
    audit->headless++;
    if (message->committed_ns > audit->headless_ns) audit->headless_ns = message->committed_ns;
}

static void found_count(struct audit *audit, struct audit_entry *entry, bool is_corrupt,
                        uint64_t committed_ns)
{
    if (is_corrupt) entry->is_corrupt = true;
    if (entry->found_count++ > 0 || entry->ledger.state != LEDGER_ACKED) return;
    uint64_t sent_ns = entry->ledger.sent_ns;
    histogram_record(&audit->stored, committed_ns > sent_ns ? committed_ns - sent_ns : 0);
}

/* One message that is whole. 0 or -ENOMEM. */
static int message_take(struct audit *audit, const struct spool_archive *archive,
                        const struct spool_reader_message *message,
                        const struct spool_archive_content *content)
{
    struct ledger_entry header;
    struct bytes body;
    struct bytes whole = message_whole(audit, content);

    if (whole.data == NULL) return -ENOMEM;
    bool has_header = ledger_find_header(whole, &header, &body);
    uint64_t hash = has_header ? XXH3_64bits(body.data, body.size) : 0;
    if (!spool_archive_is_current(archive, message)) {
        headless_take(audit, message);
        return 0;
    }
    struct audit_run *run = has_header ? run_find(audit, header.run) : NULL;
    struct audit_entry *entry = has_header ? entry_find(audit, header.run, header.sequence) : NULL;
    if (run != NULL) run->seen_count++;
    if (entry == NULL) {
        audit->unlisted += run != NULL;
        audit->others += run == NULL;
        return 0;
    }
    bool is_corrupt = hash != header.hash || hash != entry->ledger.hash ||
                      body.size != header.size || whole.size != entry->ledger.size;
    found_count(audit, entry, is_corrupt, message->committed_ns);
    return 0;
}

bool audit_can_skip(const struct audit *audit, const struct spool_archive *archive, uint64_t index)
{
    if (index + 1 >= archive->count) return false;
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

int audit_finish(struct audit *audit, const struct spool_archive *archive)
{
    struct spool_file *files;

    int64_t count = spool_directory_list(&archive->directory, &files);
    if (count < 0) return (int)count;
    for (int64_t i = 0; i < count; i++)
        if (files[i].is_empty && files[i].freed_ns > audit->horizon_ns)
            audit->horizon_ns = files[i].freed_ns;
    free(files);
    return 0;
}

/* --- the judgement ---------------------------------------------------------------------------- */

enum audit_verdict audit_judge(const struct audit *audit, const struct audit_entry *entry)
{
    bool is_found = entry->found_count > 0;

    if (entry->is_corrupt) return AUDIT_CORRUPT;
    if (entry->ledger.state == LEDGER_REFUSED) return is_found ? AUDIT_REFUSED_PRESENT : AUDIT_FINE;
    if (entry->found_count > 1) return AUDIT_DUPLICATED;
    if (is_found || entry->ledger.state == LEDGER_UNKNOWN) return AUDIT_FINE;
    bool is_excused =
        entry->ledger.sent_ns <= audit->horizon_ns || entry->ledger.sent_ns <= audit->headless_ns;
    return is_excused ? AUDIT_EXPIRED : AUDIT_LOST;
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

void audit_sum(const struct audit *audit, struct audit_report *report)
{
    uint64_t lost_of_run[AUDIT_RUNS_MAX] = {0};
    uint64_t headless_count = 0; /* excused by nothing but headless messages */

    memset(report, 0, sizeof(*report));
    for (uint64_t i = 0; i < audit->entry_count; i++) {
        const struct audit_entry *entry = &audit->entries[i];
        enum audit_verdict verdict = audit_judge(audit, entry);
        state_sum(entry, report);
        report->corrupt += entry->is_corrupt;
        report->duplicated += entry->found_count > 1;
        report->lost += verdict == AUDIT_LOST;
        report->expired += verdict == AUDIT_EXPIRED;
        lost_of_run[entry->run_index] += verdict == AUDIT_LOST;
        headless_count += verdict == AUDIT_EXPIRED && entry->ledger.sent_ns > audit->horizon_ns;
    }
    if (headless_count > audit->headless) { /* more are missing than can be those */
        report->lost += headless_count - audit->headless;
        report->expired -= headless_count - audit->headless;
    }
    for (uint32_t i = 0; i < audit->run_count; i++) {
        if (audit->runs[i].seen_count > 0 || lost_of_run[i] == 0) continue;
        report->unseen_runs++;
        report->lost_unseen += lost_of_run[i];
    }
}
