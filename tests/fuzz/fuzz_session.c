/*
 * Any octets, cut in any way, make the same events and replies; what the trace checks of every step
 * (views, reply lines, order of events) holds.
 *
 * The first octets choose what the server and its store do; the rest is what the client says.
 */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_dialogue.h"

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < FUZZ_DIALOGUE_CHOICES_SIZE) return 0;
    struct bytes input = bytes_make(data, size);
    bytes_take(&input, FUZZ_DIALOGUE_CHOICES_SIZE);
    struct trace_setup setup = fuzz_dialogue_choose(data);
    struct session_trace trace;
    fuzz_dialogue_run(&trace, &setup, input);
    session_trace_close(&trace);
    return 0;
}
