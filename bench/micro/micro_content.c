#include "micro.h"

#include "base/random.h"

#define LINE_MIN     40
#define LINE_SPREAD  39
#define STUFFED_EACH 16

static uint8_t content[MICRO_CONTENT_MAX];

static uint32_t put_line(struct random *random, uint8_t *out)
{
    uint32_t size = LINE_MIN + (uint32_t)random_below(random, LINE_SPREAD);
    for (uint32_t index = 0; index < size; index++)
        out[index] = (uint8_t)('a' + random_below(random, 26));
    if (random_below(random, STUFFED_EACH) == 0) memset(out, '.', 2);
    memcpy(out + size, "\r\n", 2);
    return size + 2;
}

static void fill(void)
{
    struct random random;
    uint32_t size = 0;

    random_init(&random, 1, 0);
    while (size + LINE_MIN + LINE_SPREAD + 2 <= MICRO_CONTENT_MAX)
        size += put_line(&random, content + size);
    memset(content + size, 'x', MICRO_CONTENT_MAX - size);
}

const uint8_t *micro_content(void)
{
    if (content[0] == 0) fill();
    return content;
}
