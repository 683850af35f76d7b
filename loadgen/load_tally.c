#include "loadgen/load_tally.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HIGHEST_NS 3600000000000ull /* one hour */

/* Histograms beside those of the phases, with their significant digits. */
#define LOAD_TALLY_HISTOGRAMS(X)                                                                   \
    X(response, 3)                                                                                 \
    X(service, 3)                                                                                  \
    X(failure, 3)                                                                                  \
    X(unfinished, 3)                                                                               \
    X(lateness, 3)                                                                                 \
    X(late_own, 3)                                                                                 \
    X(reap, 2)

int load_tally_open(struct load_tally *tally)
{
    static const uint32_t digits[] = {
#define X(name, text, phase_digits) phase_digits,
        LOAD_PHASES(X)
#undef X
    };
    *tally = (struct load_tally){0};
    int error = 0;
#define X(name, name_digits)                                                                       \
    if (error == 0) error = histogram_open(&tally->name, HIGHEST_NS, name_digits);
    LOAD_TALLY_HISTOGRAMS(X)
#undef X
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT && error == 0; phase++)
        error = histogram_open(&tally->phases[phase], HIGHEST_NS, digits[phase]);
    if (error < 0) load_tally_close(tally);
    return error;
}

void load_tally_close(struct load_tally *tally)
{
#define X(name, name_digits) histogram_close(&tally->name);
    LOAD_TALLY_HISTOGRAMS(X)
#undef X
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT; phase++)
        histogram_close(&tally->phases[phase]);
    *tally = (struct load_tally){0};
}

static struct load_tally_row *find_row(struct load_tally *tally, enum load_phase phase,
                                       uint32_t code, uint64_t first_ns)
{
    for (uint32_t index = 0; index < tally->row_count; index++)
        if (tally->rows[index].phase == phase && tally->rows[index].code == code)
            return &tally->rows[index];
    if (tally->row_count == LOAD_TALLY_ROWS_MAX) return NULL;
    struct load_tally_row *row = &tally->rows[tally->row_count++];
    *row = (struct load_tally_row){.phase = phase, .code = code, .first_ns = first_ns};
    return row;
}

/* Counts a text among the first few distinct ones of its row; others are in the code's count. */
static void add_text(struct load_tally_row *row, struct bytes text, uint64_t count)
{
    for (uint32_t index = 0; index < row->text_count; index++) {
        struct load_tally_text *known = &row->texts[index];
        if (!bytes_equal(text, bytes_make(known->octets, known->size))) continue;
        known->count += count;
        return;
    }
    if (row->text_count == LOAD_TALLY_TEXTS_MAX) return;
    struct load_tally_text *added = &row->texts[row->text_count++];
    added->count = count;
    added->size = (uint32_t)text.size;
    CHECK(text.size <= sizeof added->octets);
    if (text.size > 0) memcpy(added->octets, text.data, text.size);
}

void load_tally_reply(struct load_tally *tally, enum load_phase phase,
                      const struct load_reply_line *line, uint64_t since_begin_ns)
{
    CHECK(line->code >= 200);
    CHECK(line->code < 200 + LOAD_TALLY_CODES);
    tally->replies[phase][line->code - 200]++;
    if (line->code < 400) return;
    struct load_tally_row *row = find_row(tally, phase, line->code, since_begin_ns);
    if (row != NULL) add_text(row, line->text, 1);
}

static void add_error(struct load_tally *tally, const struct load_tally_error *error)
{
    for (uint32_t index = 0; index < tally->error_count; index++) {
        struct load_tally_error *known = &tally->errors[index];
        if (known->phase != error->phase || known->kind != error->kind) continue;
        if (known->number != error->number || strcmp(known->why, error->why) != 0) continue;
        known->count += error->count;
        return;
    }
    if (tally->error_count == LOAD_TALLY_ERRORS_MAX)
        tally->errors_beyond += error->count;
    else
        tally->errors[tally->error_count++] = *error;
}

void load_tally_error(struct load_tally *tally, enum load_phase phase, enum load_outcome kind,
                      int number)
{
    CHECK(number >= 0);
    struct load_tally_error error = {.phase = phase, .kind = kind, .number = number, .count = 1};
    add_error(tally, &error);
}

void load_tally_tls_error(struct load_tally *tally, enum load_phase phase, const char *why)
{
    struct load_tally_error error = {
        .phase = phase, .kind = LOAD_OUTCOME_CONNECTION, .number = LOAD_TALLY_TLS, .count = 1};
    (void)snprintf(error.why, sizeof error.why, "%s", why);
    add_error(tally, &error);
}

static void merge_rows(struct load_tally *into, const struct load_tally *from)
{
    for (uint32_t index = 0; index < from->row_count; index++) {
        const struct load_tally_row *row = &from->rows[index];
        struct load_tally_row *same = find_row(into, row->phase, row->code, row->first_ns);
        if (same == NULL) continue;
        if (row->first_ns < same->first_ns) same->first_ns = row->first_ns;
        for (uint32_t text = 0; text < row->text_count; text++)
            add_text(same, bytes_make(row->texts[text].octets, row->texts[text].size),
                     row->texts[text].count);
    }
}

static void merge_counts(struct load_tally *into, const struct load_tally *from)
{
    into->due += from->due;
    into->dropped += from->dropped;
    into->started += from->started;
    for (uint32_t outcome = 0; outcome < LOAD_OUTCOME_COUNT; outcome++)
        into->outcomes[outcome] += from->outcomes[outcome];
    for (uint32_t mode = 0; mode < LOAD_PIPELINING_COUNT; mode++)
        into->sessions[mode] += from->sessions[mode];
    into->body_bytes += from->body_bytes;
    into->accepted_in_time += from->accepted_in_time;
    into->bytes_in_time += from->bytes_in_time;
    into->recipients_accepted += from->recipients_accepted;
    into->recipients_rejected += from->recipients_rejected;
    into->sent_bytes += from->sent_bytes;
    into->received_bytes += from->received_bytes;
    into->connects += from->connects;
    into->reconnects += from->reconnects;
    into->reached += from->reached;
    into->sessions_in_time += from->sessions_in_time;
    into->lost += from->lost;
    into->stale += from->stale;
    into->errors_beyond += from->errors_beyond;
    if (from->last_end_ns > into->last_end_ns) into->last_end_ns = from->last_end_ns;
}

void load_tally_merge(struct load_tally *into, const struct load_tally *from)
{
    merge_counts(into, from);
    for (uint32_t phase = 0; phase < LOAD_PHASE_COUNT; phase++) {
        for (uint32_t code = 0; code < LOAD_TALLY_CODES; code++)
            into->replies[phase][code] += from->replies[phase][code];
        histogram_merge(&into->phases[phase], &from->phases[phase]);
    }
    merge_rows(into, from);
    load_score_merge(&into->score, &from->score);
    load_handshakes_merge(&into->handshakes, &from->handshakes);
    for (uint32_t index = 0; index < from->error_count; index++)
        add_error(into, &from->errors[index]);
#define X(name, name_digits) histogram_merge(&into->name, &from->name);
    LOAD_TALLY_HISTOGRAMS(X)
#undef X
}

bool load_tally_percentile(const struct histogram *histogram, double percentile, uint64_t *value)
{
    if (!histogram_percentile_shown(histogram, percentile, value)) return false;
    if (*value > histogram->maximum) *value = histogram->maximum;
    return true;
}

bool load_tally_is_bound(const struct load_tally *tally, uint64_t value_ns)
{
    if (tally->unfinished.total_count == 0) return false;
    return tally->unfinished.minimum <= value_ns;
}

uint64_t load_tally_failed(const struct load_tally *tally)
{
    uint64_t failed = 0;
    for (uint32_t outcome = 0; outcome < LOAD_OUTCOME_COUNT; outcome++)
        if (outcome != LOAD_OUTCOME_ACCEPTED && outcome != LOAD_OUTCOME_EXPECTED)
            failed += tally->outcomes[outcome];
    return failed;
}

const char *load_outcome_name(enum load_outcome outcome)
{
    static const char *const names[] = {
#define X(name, text) text,
        LOAD_OUTCOMES(X)
#undef X
    };
    return names[outcome];
}

const char *load_tally_error_detail(int number)
{
    switch (number) {
    case 0:
        return "closed";
    case LOAD_TALLY_TLS:
        return "tls";
    case ECONNREFUSED:
        return "refused";
    case ECONNRESET:
    case EPIPE:
        return "reset";
    case EADDRNOTAVAIL:
        return "no-port";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return "unreachable";
    case EMFILE:
    case ENFILE:
        return "no-descriptor";
    default:
        return "other";
    }
}
