/*
 * load_score -- what became of the sessions of --session, one dialogue and one step at a time.
 *
 * Bounds:     LOAD_SCORE_STEPS_MAX steps at which sessions went another way are told apart; what is
 *             beyond is counted in `steps_beyond`.
 * Invariants: a session that ended is `as_written` or `failed`; one that the run's end cut,
 * neither.
 */
#pragma once

#include "loadgen/load_dialogue.h"

#define LOAD_SCORE_STEPS_MAX 64u

struct load_score_row {
    char name[LOAD_DIALOGUE_NAME_MAX];
    double weight;
    uint64_t as_written;
    uint64_t failed;
};

struct load_score_step {
    uint32_t line; /* of the file: what was waited for there, or done, when a session failed */
    uint64_t count;
};

struct load_score {
    uint32_t count;
    struct load_score_row rows[LOAD_DIALOGUES_MAX];
    uint32_t step_count;
    struct load_score_step steps[LOAD_SCORE_STEPS_MAX];
    uint64_t steps_beyond;
    uint64_t messages_kept; /* generated ones, in sessions that failed later, too */
    uint64_t messages_refused;
};

/* One row a dialogue, nothing counted. */
void load_score_open(struct load_score *score, const struct load_dialogues *dialogues);

void load_score_as_written(struct load_score *score, uint32_t dialogue);
void load_score_failed(struct load_score *score, uint32_t dialogue, uint32_t line);

/* Sessions that went as written. */
uint64_t load_score_sum(const struct load_score *score);

/* So many more sessions failed at that line. */
void load_score_add_step(struct load_score *score, uint32_t line, uint64_t count);

/* Rows of the same name are added up. */
void load_score_merge(struct load_score *into, const struct load_score *from);
