#include "ringspool.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ESCAPED_MAX       1024
#define PROGRESS_EVERY_NS (100 * CLOCK_NS_PER_MS)

void ringspool_put_time(uint64_t realtime_ns)
{
    time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
    struct tm date;
    char text[32];

    if (gmtime_r(&seconds, &date) == NULL) return;
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &date);
    (void)printf("%s.%03uZ", text, (unsigned)(realtime_ns / CLOCK_NS_PER_MS % 1000));
}

void ringspool_put_escaped(struct bytes text)
{
    char escaped[ESCAPED_MAX];
    bytes_escape(text, escaped, sizeof(escaped));
    (void)fputs(escaped, stdout);
}

/* The character at the head of `text` and its size in octets; size 0 if it is not UTF-8. */
static uint32_t utf8_take(struct bytes text, uint32_t *size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = text.data[0];

    *size = lead < 0x80   ? 1
            : lead < 0xc2 ? 0
            : lead < 0xe0 ? 2
            : lead < 0xf0 ? 3
            : lead < 0xf5 ? 4
                          : 0;
    if (*size <= 1) return lead;
    uint32_t character = lead & (0x7fu >> *size);
    for (uint32_t i = 1; i < *size; i++) {
        if (i >= text.size || (text.data[i] & 0xc0) != 0x80) {
            *size = 0;
            return 0;
        }
        character = character << 6 | (text.data[i] & 0x3f);
    }
    bool is_surrogate = character >= 0xd800 && character < 0xe000;
    if (character < least[*size] || character > 0x10ffff || is_surrogate) *size = 0;
    return character;
}

/* Only printable ASCII leaves as it is: a terminal may be what reads it. */
static void json_put_character(uint32_t character)
{
    if (character == '"' || character == '\\') {
        (void)printf("\\%c", (int)character);
    } else if (character >= 0x20 && character < 0x7f) {
        (void)putchar((int)character);
    } else if (character < 0x10000) {
        (void)printf("\\u%04" PRIx32, character);
    } else {
        character -= 0x10000;
        (void)printf("\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + (character >> 10),
                     0xdc00 + (character & 0x3ff));
    }
}

void ringspool_put_json(struct bytes text)
{
    (void)putchar('"');
    while (text.size > 0) {
        uint32_t size;
        uint32_t character = utf8_take(text, &size);
        json_put_character(size == 0 ? 0xfffd : character);
        (void)bytes_take(&text, size == 0 ? 1 : size);
    }
    (void)putchar('"');
}

void ringspool_put_id(const struct spool_id *id)
{
    uint8_t text[SPOOL_ID_TEXT_MAX];
    uint32_t size = spool_id_put(text, id);
    (void)fwrite(text, 1, size, stdout);
}

const char *ringspool_segment_text(char *out, uint32_t worker, uint64_t number)
{
    (void)snprintf(out, RINGSPOOL_SEGMENT_TEXT_MAX, "w%02" PRIu32 "/%010" PRIu64 ".seg", worker,
                   number);
    return out;
}

void ringspool_progress_start(struct ringspool_progress *progress, const char *what)
{
    *progress = (struct ringspool_progress){.what = what, .is_on = isatty(STDERR_FILENO) == 1};
}

void ringspool_progress_show(struct ringspool_progress *progress, uint64_t done, uint64_t total)
{
    uint64_t now_ns = progress->is_on ? clock_now_ns() : 0;
    if (!progress->is_on || now_ns - progress->shown_ns < PROGRESS_EVERY_NS) return;
    progress->shown_ns = now_ns;
    (void)fprintf(stderr, "\r%s %" PRIu64 " of %" PRIu64 " segments", progress->what, done, total);
}

/* What stands on the terminal's line gives way to the result. */
void ringspool_progress_end(struct ringspool_progress *progress)
{
    if (progress->is_on && progress->shown_ns != 0) (void)fputs("\r\033[K", stderr);
}
