#include "loadgen/load_threshold.h"

#include "base/units.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 64u

/* Takes `word` off the front of `text`. */
static bool take(const char **text, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(*text, word, size) != 0) return false;
    *text += size;
    return true;
}

static void take_span(struct load_threshold *threshold, const char **text)
{
    if (take(text, "response."))
        threshold->span = LOAD_THRESHOLD_RESPONSE;
    else if (take(text, "service."))
        threshold->span = LOAD_THRESHOLD_SERVICE;
    else if (take(text, "dot."))
        threshold->span = LOAD_THRESHOLD_DOT;
}

static bool take_percentile(struct load_threshold *threshold, const char **text)
{
    char *end = NULL;
    if (**text < '0' || **text > '9') return false;
    threshold->what = LOAD_THRESHOLD_PERCENTILE;
    threshold->percentile = strtod(*text, &end);
    *text = end;
    return threshold->percentile > 0 && threshold->percentile < 100;
}

static bool take_within(struct load_threshold *threshold, const char **text)
{
    char number[NUMBER_MAX] = {0};
    size_t size = strcspn(*text, ")");
    if ((*text)[size] != ')' || size >= sizeof number) return false;
    memcpy(number, *text, size);
    *text += size + 1;
    threshold->what = LOAD_THRESHOLD_WITHIN;
    return units_parse_duration(number, &threshold->within_ns);
}

static bool take_what(struct load_threshold *threshold, const char **text)
{
    static const struct {
        const char *name;
        enum load_threshold_what what;
    } names[] = {
        {"min", LOAD_THRESHOLD_MINIMUM}, {"max", LOAD_THRESHOLD_MAXIMUM},
        {"mean", LOAD_THRESHOLD_MEAN},   {"fail", LOAD_THRESHOLD_FAIL},
        {"rate", LOAD_THRESHOLD_RATE},
    };
    take_span(threshold, text);
    if (take(text, "within(")) return take_within(threshold, text);
    if (take(text, "p")) return take_percentile(threshold, text);
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (!take(text, names[index].name)) continue;
        threshold->what = names[index].what;
        return true;
    }
    return false;
}

static bool is_share(const struct load_threshold *threshold)
{
    return threshold->what == LOAD_THRESHOLD_FAIL || threshold->what == LOAD_THRESHOLD_WITHIN;
}

/* "0.1%", "0.001", "19.9k", "50ms" */
static bool take_limit(struct load_threshold *threshold, const char *text)
{
    char *end = NULL;
    uint64_t whole = 0;
    if (!is_share(threshold) && threshold->what != LOAD_THRESHOLD_RATE) {
        if (!units_parse_duration(text, &whole)) return false;
        threshold->limit = (double)whole;
        return true;
    }
    if (*text < '0' || *text > '9') return false;
    threshold->limit = strtod(text, &end);
    if (is_share(threshold)) {
        if (strcmp(end, "%") == 0) {
            threshold->limit /= 100;
            return true;
        }
        return *end == '\0' && threshold->limit <= 1;
    }
    if (strcmp(end, "k") == 0) threshold->limit *= 1e3;
    if (strcmp(end, "M") == 0) threshold->limit *= 1e6;
    return *end == '\0' || strcmp(end, "k") == 0 || strcmp(end, "M") == 0;
}

bool load_threshold_parse(struct load_threshold *threshold, const char *text)
{
    *threshold = (struct load_threshold){.text = text, .is_strict = true};
    if (!take_what(threshold, &text)) return false;
    threshold->is_upper = *text == '<';
    if (*text != '<' && *text != '>') return false;
    text++;
    if (take(&text, "=")) threshold->is_strict = false;
    return take_limit(threshold, text);
}

bool load_threshold_wants_open_loop(const struct load_threshold *threshold)
{
    return threshold->span == LOAD_THRESHOLD_RESPONSE;
}

static const struct histogram *find_span(const struct load_threshold *threshold,
                                         const struct load_tally *tally, bool is_open)
{
    switch (threshold->span) {
    case LOAD_THRESHOLD_HEADLINE:
        return is_open ? &tally->response : &tally->service;
    case LOAD_THRESHOLD_RESPONSE:
        return &tally->response;
    case LOAD_THRESHOLD_SERVICE:
        return &tally->service;
    case LOAD_THRESHOLD_DOT:
        return &tally->phases[LOAD_PHASE_DOT];
    }
    CHECK(false); /* a span that does not exist */
    return NULL;
}

/* Accepted within the limit; what was cut off at a lesser age was not. */
static uint64_t count_within(const struct load_threshold *threshold, const struct load_tally *tally,
                             const struct histogram *span)
{
    uint64_t end_ns = threshold->within_ns + 1;
    uint64_t count = histogram_count_between(span, 0, end_ns);
    uint64_t cut = histogram_count_between(&tally->unfinished, 0, end_ns);
    return span == &tally->response && cut <= count ? count - cut : count;
}

/* The value; false: nothing was measured that it could be told from. */
static bool measure(const struct load_threshold *threshold, const struct load_tally *tally,
                    bool is_open, double accepted_per_s, double *value)
{
    const struct histogram *span = find_span(threshold, tally, is_open);
    double asked = (double)(is_open ? tally->due : tally->started);
    uint64_t time_ns = 0;
    bool is_known = span->total_count > 0;

    switch (threshold->what) {
    case LOAD_THRESHOLD_PERCENTILE:
        is_known = load_tally_percentile(span, threshold->percentile, &time_ns);
        *value = (double)time_ns;
        /* It took so long at least: that may break a limit, but keeps none. */
        if (is_known && span == &tally->response && load_tally_is_bound(tally, time_ns) &&
            threshold->is_upper && (double)time_ns < threshold->limit)
            return false;
        return is_known;
    case LOAD_THRESHOLD_MINIMUM:
        *value = (double)span->minimum;
        return is_known;
    case LOAD_THRESHOLD_MAXIMUM:
        *value = (double)span->maximum;
        return is_known;
    case LOAD_THRESHOLD_MEAN:
        *value = is_known ? histogram_mean(span) : 0;
        return is_known;
    case LOAD_THRESHOLD_FAIL:
        *value = asked > 0 ? (double)(load_tally_failed(tally) + tally->dropped) / asked : 1;
        return asked > 0;
    case LOAD_THRESHOLD_RATE:
        *value = accepted_per_s;
        return true;
    case LOAD_THRESHOLD_WITHIN:
        *value = asked > 0 ? (double)count_within(threshold, tally, span) / asked : 0;
        return asked > 0;
    }
    CHECK(false); /* a measure that does not exist */
    return false;
}

struct load_threshold_outcome load_threshold_judge(const struct load_threshold *threshold,
                                                   const struct load_tally *tally, bool is_open,
                                                   double accepted_per_s)
{
    struct load_threshold_outcome outcome = {0};
    outcome.is_known = measure(threshold, tally, is_open, accepted_per_s, &outcome.value);
    if (!outcome.is_known) return outcome;
    double distance =
        threshold->is_upper ? threshold->limit - outcome.value : outcome.value - threshold->limit;
    outcome.has_passed = threshold->is_strict ? distance > 0 : distance >= 0;
    return outcome;
}
