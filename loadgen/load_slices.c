#include "loadgen/load_slices.h"

#define HIGHEST_NS 3600000000000ull /* one hour */
#define DIGITS     2u
#define NEVER      UINT64_MAX

int load_slice_open(struct load_slice *slice)
{
    *slice = (struct load_slice){0};
    int error = histogram_open(&slice->response, HIGHEST_NS, DIGITS);
    if (error == 0) error = histogram_open(&slice->service, HIGHEST_NS, DIGITS);
    if (error == 0) error = histogram_open(&slice->dot, HIGHEST_NS, DIGITS);
    if (error < 0) load_slice_close(slice);
    return error;
}

void load_slice_close(struct load_slice *slice)
{
    histogram_close(&slice->response);
    histogram_close(&slice->service);
    histogram_close(&slice->dot);
}

void load_slice_reset(struct load_slice *slice)
{
    histogram_reset(&slice->response);
    histogram_reset(&slice->service);
    histogram_reset(&slice->dot);
}

int load_slices_open(struct load_slices *slices)
{
    *slices = (struct load_slices){.next_ns = NEVER};
    slices->active = &slices->slices[0];
    int error = load_slice_open(&slices->slices[0]);
    if (error == 0) error = load_slice_open(&slices->slices[1]);
    return error;
}

void load_slices_close(struct load_slices *slices)
{
    load_slice_close(&slices->slices[0]);
    load_slice_close(&slices->slices[1]);
}

void load_slices_begin(struct load_slices *slices, uint64_t now_ns)
{
    slices->next_ns = now_ns + LOAD_SLICE_NS;
}

static void turn(struct load_slices *slices)
{
    uint64_t ended = atomic_load_explicit(&slices->ended, memory_order_relaxed) + 1;
    slices->active = &slices->slices[ended % 2];
    load_slice_reset(slices->active);
    atomic_store_explicit(&slices->ended, ended, memory_order_release);
}

void load_slices_turn(struct load_slices *slices, uint64_t now_ns, bool is_over)
{
    if (slices->next_ns == NEVER) return;
    for (; now_ns >= slices->next_ns; slices->next_ns += LOAD_SLICE_NS)
        turn(slices);
    if (!is_over) return;
    turn(slices);
    slices->next_ns = NEVER;
}

bool load_slices_merge(const struct load_slices *slices, uint64_t number, struct load_slice *into)
{
    const struct load_slice *slice = &slices->slices[number % 2];
    if (atomic_load_explicit(&slices->ended, memory_order_acquire) != number + 1) return false;
    histogram_merge(&into->response, &slice->response);
    histogram_merge(&into->service, &slice->service);
    histogram_merge(&into->dot, &slice->dot);
    return atomic_load_explicit(&slices->ended, memory_order_acquire) == number + 1;
}
