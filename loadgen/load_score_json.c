#include "loadgen/load_score_json.h"

json_t *load_score_json_make(const struct load_score *score)
{
    if (score->count == 0) return NULL;
    json_t *rows = json_array();
    json_t *steps = json_array();
    for (uint32_t index = 0; index < score->count; index++) {
        const struct load_score_row *row = &score->rows[index];
        (void)json_array_append_new(rows, json_pack("{s:s, s:f, s:I, s:I}", "name", row->name,
                                                    "weight", row->weight, "as_written",
                                                    (json_int_t)row->as_written, "failed",
                                                    (json_int_t)row->failed));
    }
    for (uint32_t index = 0; index < score->step_count; index++) {
        const struct load_score_step *step = &score->steps[index];
        (void)json_array_append_new(steps, json_pack("{s:I, s:I}", "line", (json_int_t)step->line,
                                                     "failed", (json_int_t)step->count));
    }
    return json_pack("{s:I, s:I, s:o, s:o, s:I}", "messages_kept", (json_int_t)score->messages_kept,
                     "messages_refused", (json_int_t)score->messages_refused, "dialogues", rows,
                     "failed_at", steps, "failed_beyond", (json_int_t)score->steps_beyond);
}

static bool read_row(struct load_score *score, json_t *object)
{
    const char *name;
    json_int_t as_written;
    json_int_t failed;
    double weight;

    if (score->count == LOAD_DIALOGUES_MAX) return false;
    struct load_score_row *row = &score->rows[score->count++];
    if (json_unpack(object, "{s:s, s:F, s:I, s:I}", "name", &name, "weight", &weight, "as_written",
                    &as_written, "failed", &failed) != 0)
        return false;
    if (strlen(name) >= sizeof row->name || as_written < 0 || failed < 0) return false;
    *row = (struct load_score_row){
        .weight = weight, .as_written = (uint64_t)as_written, .failed = (uint64_t)failed};
    memcpy(row->name, name, strlen(name));
    return true;
}

static bool read_step(struct load_score *score, json_t *object)
{
    json_int_t line;
    json_int_t failed;
    if (json_unpack(object, "{s:I, s:I}", "line", &line, "failed", &failed) != 0) return false;
    if (line < 0 || line > UINT32_MAX || failed < 0) return false;
    load_score_add_step(score, (uint32_t)line, (uint64_t)failed);
    return true;
}

bool load_score_json_read(struct load_score *score, json_t *object)
{
    json_t *rows;
    json_t *steps;
    json_t *item;
    json_int_t kept;
    json_int_t refused;
    json_int_t beyond;
    size_t index;

    *score = (struct load_score){0};
    if (object == NULL || json_is_null(object)) return true;
    if (json_unpack(object, "{s:I, s:I, s:o, s:o, s:I}", "messages_kept", &kept, "messages_refused",
                    &refused, "dialogues", &rows, "failed_at", &steps, "failed_beyond",
                    &beyond) != 0)
        return false;
    if (kept < 0 || refused < 0 || beyond < 0) return false;
    json_array_foreach(rows, index, item) if (!read_row(score, item)) return false;
    json_array_foreach(steps, index, item) if (!read_step(score, item)) return false;
    score->steps_beyond += (uint64_t)beyond;
    score->messages_kept = (uint64_t)kept;
    score->messages_refused = (uint64_t)refused;
    return true;
}
