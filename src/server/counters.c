#include "server/counters.h"

#include "base/check.h"

#include <stdio.h>

struct close_row {
    bool is_error;
    const char *sentence;
};

static const struct close_row close_rows[] = {[CLOSE_NONE] = {false, "still open"},
#define CLOSE_REASON_ROW(name, is_error, sentence) [CLOSE_##name] = {is_error, sentence},
                                              CLOSE_REASONS(CLOSE_REASON_ROW)
#undef CLOSE_REASON_ROW
};

void counters_merge(struct counters *into, const struct counters *from)
{
#define COUNTER_MERGE(name, sentence) counter_add(&into->name, counter_read(&from->name));
    COUNTERS(COUNTER_MERGE)
#undef COUNTER_MERGE
    for (uint32_t reason = 0; reason < CLOSE_REASON_COUNT; reason++)
        counter_add(&into->close_reasons[reason], counter_read(&from->close_reasons[reason]));
}

const char *close_reason_sentence(enum close_reason reason)
{
    CHECK(reason < CLOSE_REASON_COUNT);
    return close_rows[reason].sentence;
}

bool close_reason_is_error(enum close_reason reason)
{
    CHECK(reason < CLOSE_REASON_COUNT);
    return close_rows[reason].is_error;
}

static uint32_t put_line(char *out, uint32_t used, uint64_t value, const char *sentence)
{
    if (value == 0 || used >= COUNTERS_TEXT_MAX) return used;
    int size = snprintf(out + used, COUNTERS_TEXT_MAX - used, "%14llu  %s\n",
                        (unsigned long long)value, sentence);
    return size < 0 ? used : used + (uint32_t)size;
}

const char *counters_format(char *out, const struct counters *counters)
{
    uint32_t used = 0;
    out[0] = '\0';
#define COUNTER_PUT(name, sentence)                                                                \
    used = put_line(out, used, counter_read(&counters->name), sentence);
    COUNTERS(COUNTER_PUT)
#undef COUNTER_PUT
    for (uint32_t reason = CLOSE_NONE + 1; reason < CLOSE_REASON_COUNT; reason++)
        used = put_line(out, used, counter_read(&counters->close_reasons[reason]),
                        close_rows[reason].sentence);
    return out;
}
