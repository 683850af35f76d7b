/*
 * Whatever a file of --session says, it is read or refused with a reason; what was read is played
 * to its end, with every reply as written, in the bounds it states.
 */
#include "fuzz/fuzz.h"

#include "loadgen/load_replay.h"

#include <stdlib.h>

#define STEPS_MAX 200000u

static void play(const struct load_dialogues *dialogues, uint64_t number)
{
    struct load_replay replay;
    uint8_t *out = malloc(load_replay_put_max(dialogues));

    CHECK(out != NULL);
    load_replay_begin(&replay, dialogues, number);
    for (uint32_t step = 0; step < STEPS_MAX; step++) {
        enum load_replay_wants wants = load_replay_wants(&replay);
        const struct load_step *expected = load_replay_expects(&replay);
        (void)load_replay_phase(&replay);
        if (wants == LOAD_REPLAY_ENDS || wants == LOAD_REPLAY_RESETS) break;
        if (wants == LOAD_REPLAY_MESSAGE) CHECK(replay.messages < replay.dialogue->messages_max);
        if (wants == LOAD_REPLAY_SENDS)
            CHECK(load_replay_put(&replay, out) <= load_replay_put_max(dialogues));
        if (wants == LOAD_REPLAY_AWAITS && expected == NULL) break; /* none is owed: a timeout */
        if (wants == LOAD_REPLAY_AWAITS) {
            CHECK(load_step_accepts(expected, expected->codes[0][0], expected->text));
            (void)load_replay_take(&replay, expected->codes[0][0]);
        } else {
            load_replay_advance(&replay);
        }
    }
    free(out);
}

/* NOLINTNEXTLINE(readability-identifier-naming) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct load_dialogues dialogues;
    char error[LOAD_DIALOGUE_ERROR_MAX] = "";
    uint8_t *copy = malloc(size + 1);

    CHECK(copy != NULL);
    if (size > 0) memcpy(copy, data, size);
    if (load_dialogues_open(&dialogues, bytes_make(copy, size), 1, error)) {
        CHECK(dialogues.count > 0);
        for (uint64_t number = 1; number <= 3; number++)
            play(&dialogues, number);
        load_dialogues_close(&dialogues);
    } else {
        CHECK(error[0] != '\0');
    }
    free(copy);
    return 0;
}
