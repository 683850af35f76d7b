#include "loadgen/load_score.h"

void load_score_open(struct load_score *score, const struct load_dialogues *dialogues)
{
    *score = (struct load_score){.count = dialogues->count};
    for (uint32_t index = 0; index < dialogues->count; index++) {
        const struct load_dialogue *dialogue = &dialogues->dialogues[index];
        struct load_score_row *row = &score->rows[index];
        memcpy(row->name, dialogue->name, sizeof row->name);
        row->weight = dialogue->weight;
    }
}

void load_score_as_written(struct load_score *score, uint32_t dialogue)
{
    CHECK(dialogue < score->count);
    score->rows[dialogue].as_written++;
}

void load_score_add_step(struct load_score *score, uint32_t line, uint64_t count)
{
    uint32_t index = 0;
    while (index < score->step_count && score->steps[index].line != line)
        index++;
    if (index == LOAD_SCORE_STEPS_MAX) {
        score->steps_beyond += count;
        return;
    }
    if (index == score->step_count) score->steps[score->step_count++].line = line;
    score->steps[index].count += count;
}

void load_score_failed(struct load_score *score, uint32_t dialogue, uint32_t line)
{
    CHECK(dialogue < score->count);
    score->rows[dialogue].failed++;
    load_score_add_step(score, line, 1);
}

uint64_t load_score_sum(const struct load_score *score)
{
    uint64_t sum = 0;
    for (uint32_t index = 0; index < score->count; index++)
        sum += score->rows[index].as_written;
    return sum;
}

static struct load_score_row *find_row(struct load_score *score, const struct load_score_row *like)
{
    for (uint32_t index = 0; index < score->count; index++)
        if (strcmp(score->rows[index].name, like->name) == 0) return &score->rows[index];
    if (score->count == LOAD_DIALOGUES_MAX) return NULL;
    struct load_score_row *row = &score->rows[score->count++];
    *row = (struct load_score_row){.weight = like->weight};
    memcpy(row->name, like->name, sizeof row->name);
    return row;
}

void load_score_merge(struct load_score *into, const struct load_score *from)
{
    for (uint32_t index = 0; index < from->count; index++) {
        struct load_score_row *row = find_row(into, &from->rows[index]);
        if (row == NULL) continue;
        row->as_written += from->rows[index].as_written;
        row->failed += from->rows[index].failed;
    }
    for (uint32_t index = 0; index < from->step_count; index++)
        load_score_add_step(into, from->steps[index].line, from->steps[index].count);
    into->steps_beyond += from->steps_beyond;
    into->messages_kept += from->messages_kept;
    into->messages_refused += from->messages_refused;
}
