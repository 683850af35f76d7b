#include "loadgen/load_pause.h"

#include "base/units.h"

#include <math.h>
#include <string.h>

#define EXPONENTIAL "exp:"

static bool parse_duration(const char *text, size_t size, uint64_t *duration_ns)
{
    char item[UNITS_TEXT_MAX];
    if (size == 0 || size >= sizeof item) return false;
    memcpy(item, text, size);
    item[size] = '\0';
    return units_parse_duration(item, duration_ns) && *duration_ns <= LOAD_PAUSE_MAX_NS;
}

bool load_pause_parse(struct load_pause *pause, const char *text)
{
    size_t prefix_size = strlen(EXPONENTIAL);
    bool is_exponential = strncmp(text, EXPONENTIAL, prefix_size) == 0;
    if (is_exponential) text += prefix_size;
    size_t size = strcspn(text, "-");
    bool is_range = text[size] == '-';

    *pause = (struct load_pause){.kind = LOAD_PAUSE_FIXED};
    if (is_exponential) pause->kind = LOAD_PAUSE_EXPONENTIAL;
    if (is_range) pause->kind = LOAD_PAUSE_RANGE;
    if (is_exponential && is_range) return false;
    if (!parse_duration(text, size, &pause->low_ns)) return false;
    pause->high_ns = pause->low_ns;
    if (!is_range) return true;
    text += size + 1;
    return parse_duration(text, strlen(text), &pause->high_ns) && pause->low_ns <= pause->high_ns;
}

uint64_t load_pause_draw(const struct load_pause *pause, struct random *random)
{
    switch (pause->kind) {
    case LOAD_PAUSE_FIXED:
        break;
    case LOAD_PAUSE_RANGE:
        return pause->low_ns + random_below(random, pause->high_ns - pause->low_ns + 1);
    case LOAD_PAUSE_EXPONENTIAL: {
        double drawn_ns = -log1p(-random_unit(random)) * (double)pause->low_ns;
        return drawn_ns < (double)LOAD_PAUSE_MAX_NS ? (uint64_t)drawn_ns : LOAD_PAUSE_MAX_NS;
    }
    }
    return pause->low_ns;
}
