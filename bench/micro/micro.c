/*
 * Runs the cases of every module.
 *
 *   usage: micro [--quick] [--json] [MODULE]      --quick: to see that all of it works
 *
 * A case is repeated REPETITIONS times, each as many rounds as take about REPETITION_NS; minimum
 * and median of the repetitions are told. The minimum is what the processor can do, the median what
 * it did.
 */
#include "micro.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REPETITIONS         15
#define REPETITION_NS       (4 * CLOCK_NS_PER_MS)
#define QUICK_REPETITIONS   3
#define QUICK_REPETITION_NS (50 * CLOCK_NS_PER_US)
#define ROUNDS_MAX          (1ull << 30)

/* The processor's clock, where one can be read without a call: it ticks at a rate of its own. */
#if defined(__x86_64__)
#include <x86intrin.h>
#define TICKS_OF "tsc"
static uint64_t ticks_now(void)
{
    unsigned int processor;
    return __rdtscp(&processor); /* behind all that was begun before it */
}
#elif defined(__aarch64__)
#define TICKS_OF "cntvct"
static uint64_t ticks_now(void)
{
    uint64_t ticks;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}
#else
#define TICKS_OF ""
static uint64_t ticks_now(void)
{
    return 0;
}
#endif

struct wish {
    bool is_quick;
    bool is_json;
    const char *module; /* or NULL: all */
};

/* Of one round. */
struct figures {
    uint32_t repetitions;
    uint64_t rounds;
    double ns_min;
    double ns_median;
    double ticks_min;
    double ticks_median;
};

static void take_rounds(const struct micro_case *micro_case, uint64_t rounds)
{
    CHECK(micro_case->run(micro_case, rounds) == rounds * micro_case->size);
}

/* As many as take about `wanted_ns`. */
static uint64_t find_rounds(const struct micro_case *micro_case, uint64_t wanted_ns)
{
    uint64_t rounds = 1;
    take_rounds(micro_case, rounds); /* what it touches is there when time is taken */
    for (; rounds < ROUNDS_MAX; rounds *= 2) {
        uint64_t start_ns = clock_now_ns();
        take_rounds(micro_case, rounds);
        if (clock_now_ns() - start_ns >= wanted_ns) break;
    }
    return rounds;
}

static int compare(const void *a, const void *b)
{
    const double *first = a;
    const double *second = b;
    return (*first > *second) - (*first < *second);
}

static struct figures measure(const struct micro_case *micro_case, bool is_quick)
{
    double ns[REPETITIONS] = {0};
    double ticks[REPETITIONS] = {0};
    struct figures figures = {.repetitions = is_quick ? QUICK_REPETITIONS : REPETITIONS};

    figures.rounds = find_rounds(micro_case, is_quick ? QUICK_REPETITION_NS : REPETITION_NS);
    for (uint32_t index = 0; index < figures.repetitions; index++) {
        uint64_t start_ns = clock_now_ns();
        uint64_t start_ticks = ticks_now();
        take_rounds(micro_case, figures.rounds);
        ticks[index] = (double)(ticks_now() - start_ticks) / (double)figures.rounds;
        ns[index] = (double)(clock_now_ns() - start_ns) / (double)figures.rounds;
    }
    qsort(ns, figures.repetitions, sizeof ns[0], compare);
    qsort(ticks, figures.repetitions, sizeof ticks[0], compare);
    figures.ns_min = ns[0];
    figures.ns_median = ns[figures.repetitions / 2];
    figures.ticks_min = ticks[0];
    figures.ticks_median = ticks[figures.repetitions / 2];
    return figures;
}

/* What memcpy takes for as many octets. */
static double copy_ns(uint64_t size, bool is_quick)
{
    struct micro_case copy = micro_copy_case(size < MICRO_CONTENT_MAX ? size : MICRO_CONTENT_MAX);
    return measure(&copy, is_quick).ns_median;
}

static void print_json(const struct micro_case *micro_case, const struct figures *figures,
                       double memcpy_ns)
{
    printf("{\"module\": \"%s\", \"case\": \"%s\", \"octets\": %" PRIu64
           ", \"repetitions\": %u, \"rounds\": %" PRIu64
           ", \"ns_min\": %.3f, \"ns_median\": %.3f, ",
           micro_case->module, micro_case->name, micro_case->size, figures->repetitions,
           figures->rounds, figures->ns_min, figures->ns_median);
    if (TICKS_OF[0] != '\0')
        printf("\"ticks_of\": \"%s\", \"ticks_min\": %.3f, \"ticks_median\": %.3f, ", TICKS_OF,
               figures->ticks_min, figures->ticks_median);
    printf("\"bytes_per_s\": %.0f, \"memcpy_ns\": %.3f, \"beside_memcpy\": %.3f}\n",
           (double)micro_case->size * 1e9 / figures->ns_median, memcpy_ns,
           figures->ns_median / memcpy_ns);
}

static void print_text(const struct micro_case *micro_case, const struct figures *figures,
                       double memcpy_ns)
{
    printf("%-26s %-28s %8" PRIu64 " %11.1f %11.1f %11.1f %9.2f %8.2f\n", micro_case->module,
           micro_case->name, micro_case->size, figures->ns_min, figures->ns_median,
           figures->ticks_median, (double)micro_case->size / figures->ns_median,
           figures->ns_median / memcpy_ns);
}

/* How many cases ran. */
static uint32_t run_all(struct micro_cases cases, const struct wish *wish)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < cases.count; index++) {
        const struct micro_case *micro_case = &cases.cases[index];
        if (wish->module != NULL && strstr(micro_case->module, wish->module) == NULL) continue;
        struct figures figures = measure(micro_case, wish->is_quick);
        double memcpy_ns = copy_ns(micro_case->size, wish->is_quick);
        if (wish->is_json)
            print_json(micro_case, &figures, memcpy_ns);
        else
            print_text(micro_case, &figures, memcpy_ns);
        (void)fflush(stdout);
        count++;
    }
    return count;
}

static bool read_wish(struct wish *wish, int argc, char **argv)
{
    *wish = (struct wish){0};
    for (int index = 1; index < argc; index++) {
        if (strcmp(argv[index], "--quick") == 0)
            wish->is_quick = true;
        else if (strcmp(argv[index], "--json") == 0)
            wish->is_json = true;
        else if (argv[index][0] != '-' && wish->module == NULL)
            wish->module = argv[index];
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct wish wish;
    if (!read_wish(&wish, argc, argv)) {
        (void)fprintf(stderr, "usage: micro [--quick] [--json] [MODULE]\n");
        return 2;
    }
    if (!wish.is_json)
        printf("%-26s %-28s %8s %11s %11s %11s %9s %8s\n", "module", "case", "octets", "ns, least",
               "ns, median", TICKS_OF[0] != '\0' ? "ticks" : "", "GB/s", "memcpies");
    uint32_t count = run_all(micro_memory_cases(), &wish) + run_all(micro_base_cases(), &wish) +
                     run_all(micro_smtp_cases(), &wish) + run_all(micro_spool_cases(), &wish);
    if (count > 0) return 0;
    (void)fprintf(stderr, "micro: no module is called %s\n", wish.module);
    return 2;
}
