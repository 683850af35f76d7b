#include "loadgen/load_expect.h"

#include <string.h>
#include <strings.h>

#define CODE_SIZE 3u

static bool parse_phase(const char *name, size_t size, enum load_phase *phase)
{
    static const struct {
        const char *name;
        enum load_phase phase;
    } known[] = {
        {"MAIL", LOAD_PHASE_MAIL}, {"RCPT", LOAD_PHASE_RCPT}, {"DATA", LOAD_PHASE_DATA},
        {"DATA.", LOAD_PHASE_DOT}, {"BDAT", LOAD_PHASE_DOT},  {"DOT", LOAD_PHASE_DOT},
    };
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
        if (strlen(known[index].name) != size) continue;
        if (strncasecmp(known[index].name, name, size) != 0) continue;
        *phase = known[index].phase;
        return true;
    }
    return false;
}

/* "450" to "599"; what is no refusal needs no excuse. */
static bool parse_code(const char *text, size_t size, uint32_t *code)
{
    if (size != CODE_SIZE || (text[0] != '4' && text[0] != '5')) return false;
    *code = 0;
    for (size_t index = 0; index < size; index++) {
        if (text[index] < '0' || text[index] > '9') return false;
        *code = 10 * *code + (uint32_t)(text[index] - '0');
    }
    return true;
}

bool load_expects_parse(struct load_expects *expects, const char *text)
{
    *expects = (struct load_expects){0};
    for (;;) {
        size_t size = strcspn(text, ",");
        size_t name_size = strcspn(text, "=,");
        struct load_expect *row = &expects->rows[expects->count];
        if (expects->count == LOAD_EXPECTS_MAX || text[name_size] != '=') return false;
        const char *code = text + name_size + 1;
        if (!parse_phase(text, name_size, &row->phase)) return false;
        if (!parse_code(code, size - name_size - 1, &row->code)) return false;
        expects->count++;
        if (text[size] == '\0') return true;
        text += size + 1;
    }
}

bool load_expects_has(const struct load_expects *expects, enum load_phase phase, uint32_t code)
{
    for (uint32_t index = 0; index < expects->count; index++)
        if (expects->rows[index].phase == phase && expects->rows[index].code == code) return true;
    return false;
}
