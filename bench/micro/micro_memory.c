/*
 * What everything else is measured against: the same octets copied, within the caches and into a
 * log that is larger than they are.
 */
#include "micro.h"

#define LOG_SIZE (48u << 20)

static uint8_t copy[MICRO_CONTENT_MAX];
static uint8_t log_memory[LOG_SIZE];

static uint64_t run_copy(const struct micro_case *micro_case, uint64_t rounds)
{
    const uint8_t *content = micro_content();
    for (uint64_t round = 0; round < rounds; round++) {
        memcpy(copy, content, micro_case->size);
        micro_keep(copy);
    }
    return rounds * micro_case->size;
}

static uint64_t run_copy_to_log(const struct micro_case *micro_case, uint64_t rounds)
{
    static uint64_t at;
    const uint8_t *content = micro_content();
    for (uint64_t round = 0; round < rounds; round++) {
        if (at + micro_case->size > LOG_SIZE) at = 0;
        memcpy(log_memory + at, content, micro_case->size);
        micro_keep(log_memory + at);
        at += micro_case->size;
    }
    return rounds * micro_case->size;
}

static const struct micro_case cases[] = {
    {"memcpy", "64 octets", 64, 0, run_copy},
    {"memcpy", "1 KiB", 1024, 0, run_copy},
    {"memcpy", "32 KiB", 32768, 0, run_copy},
    {"memcpy", "1 MiB", MICRO_CONTENT_MAX, 0, run_copy},
    {"memcpy to a log of 48 MiB", "1 KiB", 1024, 0, run_copy_to_log},
    {"memcpy to a log of 48 MiB", "1 MiB", MICRO_CONTENT_MAX, 0, run_copy_to_log},
};

struct micro_case micro_copy_case(uint64_t size)
{
    CHECK(size <= MICRO_CONTENT_MAX);
    return (struct micro_case){"memcpy", "", size, 0, run_copy};
}

struct micro_cases micro_memory_cases(void)
{
    memset(log_memory, 1, LOG_SIZE); /* its pages are there before it is measured */
    return (struct micro_cases){cases, sizeof cases / sizeof cases[0]};
}
