#include "loadgen/load_length.h"

#include "base/units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ITEM_MAX    64u
#define LIST_MAX    64u
#define SIGMA_MAX   10.0
#define BISECTIONS  60
#define DEVIATE_MAX 10.0 /* beyond, a normal deviate is none of LOAD_LENGTH_SLOTS quantiles */

struct weighted {
    uint64_t size;
    double weight;
};

static bool is_size(uint64_t size, uint64_t maximum)
{
    return size != 1 && size <= maximum;
}

static bool parse_size(const char *text, size_t size, uint64_t *value)
{
    char item[ITEM_MAX];
    if (size == 0 || size >= sizeof item) return false;
    memcpy(item, text, size);
    item[size] = '\0';
    return units_parse_size(item, value);
}

/* The middle of slot `index`'s share of all messages. */
static double quantile_of(uint32_t index)
{
    return ((double)index + 0.5) / LOAD_LENGTH_SLOTS;
}

static bool parse_range(struct load_length *length, const char *text, uint64_t maximum)
{
    const char *dash = strchr(text, '-');
    uint64_t low = 0;
    uint64_t high = 0;
    if (!parse_size(text, (size_t)(dash - text), &low)) return false;
    if (!parse_size(dash + 1, strlen(dash + 1), &high)) return false;
    if (low > high || !is_size(low, maximum) || !is_size(high, maximum)) return false;
    length->kind = LOAD_LENGTH_RANGE;
    for (uint32_t index = 0; index < LOAD_LENGTH_SLOTS; index++) {
        uint64_t size = low + (uint64_t)((double)(high - low) * quantile_of(index) + 0.5);
        length->slots[index] = size == 1 ? 2 : size;
    }
    return true;
}

/* The standard normal deviate that a share of `quantile` does not exceed. */
static double normal_deviate(double quantile)
{
    double low = -DEVIATE_MAX;
    double high = DEVIATE_MAX;
    for (uint32_t step = 0; step < BISECTIONS; step++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / sqrt(2)) < quantile)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

static bool parse_lognormal(struct load_length *length, const char *text, uint64_t maximum)
{
    const char *comma = strchr(text, ',');
    char *end = NULL;
    uint64_t median = 0;
    if (comma == NULL || !parse_size(text, (size_t)(comma - text), &median)) return false;
    double sigma = strtod(comma + 1, &end);
    if (end == comma + 1 || *end != '\0' || !(sigma >= 0 && sigma <= SIGMA_MAX)) return false;
    if (median < 2 || median > maximum) return false;
    length->kind = LOAD_LENGTH_LOGNORMAL;
    for (uint32_t index = 0; index < LOAD_LENGTH_SLOTS; index++) {
        double size = (double)median * exp(sigma * normal_deviate(quantile_of(index)));
        if (size < 2) size = 2;
        length->slots[index] = size > (double)maximum ? maximum : (uint64_t)size;
    }
    return true;
}

static int compare_sizes(const void *left, const void *right)
{
    uint64_t a = ((const struct weighted *)left)->size;
    uint64_t b = ((const struct weighted *)right)->size;
    return (a > b) - (a < b);
}

static bool parse_item(const char *text, size_t size, struct weighted *item)
{
    char weight[ITEM_MAX];
    char *end = NULL;
    const char *colon = memchr(text, ':', size);
    if (colon == NULL || !parse_size(text, (size_t)(colon - text), &item->size)) return false;
    size_t rest = size - (size_t)(colon + 1 - text);
    if (rest == 0 || rest >= sizeof weight) return false;
    memcpy(weight, colon + 1, rest);
    weight[rest] = '\0';
    item->weight = strtod(weight, &end);
    return *end == '\0' && item->weight > 0 && item->weight <= 1e9;
}

/* Slots by weight, the larger rests first, so that together they are all of them. */
static void fill_list(struct load_length *length, const struct weighted *items, uint32_t count,
                      double sum)
{
    double passed = 0;
    uint32_t slot = 0;
    for (uint32_t index = 0; index < count; index++) {
        passed += items[index].weight;
        while (slot < LOAD_LENGTH_SLOTS && quantile_of(slot) <= passed / sum)
            length->slots[slot++] = items[index].size;
    }
    while (slot < LOAD_LENGTH_SLOTS)
        length->slots[slot++] = items[count - 1].size;
}

static bool parse_list(struct load_length *length, const char *text, uint64_t maximum)
{
    struct weighted items[LIST_MAX];
    uint32_t count = 0;
    double sum = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        if (count == LIST_MAX || !parse_item(text, size, &items[count])) return false;
        if (!is_size(items[count].size, maximum)) return false;
        sum += items[count++].weight;
        if (text[size] == '\0') break;
        text += size + 1;
    }
    qsort(items, count, sizeof *items, compare_sizes);
    length->kind = LOAD_LENGTH_LIST;
    fill_list(length, items, count, sum);
    return true;
}

bool load_length_parse(struct load_length *length, const char *text, uint64_t maximum)
{
    static const char lognormal[] = "lognormal:";
    memset(length, 0, sizeof *length);
    length->count = LOAD_LENGTH_SLOTS;
    if (strncmp(text, lognormal, sizeof lognormal - 1) == 0)
        return parse_lognormal(length, text + sizeof lognormal - 1, maximum);
    if (strchr(text, ':') != NULL) return parse_list(length, text, maximum);
    if (strchr(text, '-') != NULL) return parse_range(length, text, maximum);
    length->kind = LOAD_LENGTH_FIXED;
    length->count = 1;
    return units_parse_size(text, &length->slots[0]) && is_size(length->slots[0], maximum);
}

double load_length_mean(const struct load_length *length)
{
    double sum = 0;
    for (uint32_t index = 0; index < length->count; index++)
        sum += (double)length->slots[index];
    return sum / length->count;
}

uint64_t load_length_percentile(const struct load_length *length, double percentile)
{
    CHECK(percentile >= 0);
    CHECK(percentile <= 100);
    uint32_t index = (uint32_t)ceil(percentile / 100 * length->count);
    return length->slots[index == 0 ? 0 : index - 1];
}

const char *load_length_kind_name(enum load_length_kind kind)
{
    switch (kind) {
    case LOAD_LENGTH_FIXED:
        return "fixed";
    case LOAD_LENGTH_RANGE:
        return "range";
    case LOAD_LENGTH_LOGNORMAL:
        return "lognormal";
    case LOAD_LENGTH_LIST:
        return "list";
    }
    return "unknown";
}
