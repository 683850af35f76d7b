#include "loadgen/load_replay.h"

#define PUT_AT_ONCE 4096u

/* The step at a place, or NULL behind the last. */
static const struct load_step *step_at(const struct load_replay *replay,
                                       struct load_replay_place place)
{
    const struct load_dialogue *dialogue = replay->dialogue;
    if (place.step >= dialogue->step_count) return NULL;
    return &replay->dialogues->steps[dialogue->first_step + place.step];
}

/* Goes on from the step at a place, which may be one that repeats. */
static void go_on(const struct load_replay *replay, struct load_replay_place *place)
{
    const struct load_step *step = step_at(replay, *place);
    uint32_t first = replay->dialogue->first_step;
    CHECK(step != NULL);

    place->step++;
    if (step->kind == LOAD_STEP_REPEAT) {
        place->repetition = 0;
        if (load_dialogues_repetitions(replay->dialogues, step, replay->number) == 0)
            place->step = step->partner - first + 1;
    } else if (step->kind == LOAD_STEP_END) {
        const struct load_step *repeat = &replay->dialogues->steps[step->partner];
        place->repetition++;
        if (place->repetition <
            load_dialogues_repetitions(replay->dialogues, repeat, replay->number))
            place->step = step->partner - first + 1;
        else
            place->repetition = 0;
    }
}

static bool is_frame(const struct load_step *step)
{
    return step->kind == LOAD_STEP_REPEAT || step->kind == LOAD_STEP_END;
}

/* Passes over what takes no doing: repeats, and replies that have come. */
static void settle(struct load_replay *replay)
{
    for (;;) {
        const struct load_step *step = step_at(replay, replay->doing);
        if (step == NULL) return;
        bool is_answered = step->kind == LOAD_STEP_EXPECT && replay->replies_ahead > 0;
        if (!is_answered && !is_frame(step)) return;
        replay->replies_ahead -= is_answered;
        go_on(replay, &replay->doing);
    }
}

void load_replay_begin(struct load_replay *replay, const struct load_dialogues *dialogues,
                       uint64_t number)
{
    CHECK(number > 0);
    *replay = (struct load_replay){
        .dialogues = dialogues,
        .dialogue = load_dialogues_choose(dialogues, number),
        .number = number,
    };
    settle(replay);
}

const struct load_step *load_replay_step(const struct load_replay *replay)
{
    return step_at(replay, replay->doing);
}

enum load_replay_wants load_replay_wants(const struct load_replay *replay)
{
    const struct load_step *step = load_replay_step(replay);
    if (step == NULL) return LOAD_REPLAY_ENDS;
    switch (step->kind) {
    case LOAD_STEP_SEND:
        return LOAD_REPLAY_SENDS;
    case LOAD_STEP_MESSAGE: /* one at a time: the caller remembers what it was until it is judged */
        return replay->messages > replay->messages_judged ? LOAD_REPLAY_AWAITS
                                                          : LOAD_REPLAY_MESSAGE;
    case LOAD_STEP_PAUSE:
        return LOAD_REPLAY_PAUSES;
    case LOAD_STEP_EXPECT:
        return LOAD_REPLAY_AWAITS;
    case LOAD_STEP_CLOSE:
        return LOAD_REPLAY_ENDS;
    case LOAD_STEP_RESET:
        return LOAD_REPLAY_RESETS;
    case LOAD_STEP_REPEAT:
    case LOAD_STEP_END:
        break;
    }
    CHECK(false); /* settle() left no such step */
    return LOAD_REPLAY_ENDS;
}

uint32_t load_replay_put_max(const struct load_dialogues *dialogues)
{
    return PUT_AT_ONCE > dialogues->sent_max ? PUT_AT_ONCE : dialogues->sent_max;
}

/*
 * Commands that stand behind one another leave together, as far as they fit. Writes them if there
 * is an `out`; `place` goes behind the last.
 */
static uint32_t put_some(const struct load_replay *replay, struct load_replay_place *place,
                         uint32_t *owed, uint8_t *out)
{
    const struct load_phrases *phrases = &replay->dialogues->phrases;
    uint32_t size_max = load_replay_put_max(replay->dialogues);
    uint32_t size = 0;

    *owed = 0;
    for (const struct load_step *step; (step = step_at(replay, *place)) != NULL;) {
        if (!is_frame(step)) {
            if (step->kind != LOAD_STEP_SEND) break;
            if (size + load_phrase_size_max(phrases, &step->phrase) > size_max) break;
            size += load_phrase_put(phrases, &step->phrase, replay->number, place->repetition + 1,
                                    out == NULL ? NULL : out + size);
            *owed += step->is_owed;
        }
        go_on(replay, place);
    }
    CHECK(size > 0);
    return size;
}

uint32_t load_replay_put(const struct load_replay *replay, uint8_t *out)
{
    struct load_replay_place place = replay->doing;
    uint32_t owed;
    return put_some(replay, &place, &owed, out);
}

void load_replay_advance(struct load_replay *replay)
{
    const struct load_step *step = load_replay_step(replay);
    uint32_t owed = 0;

    CHECK(step != NULL);
    if (step->kind == LOAD_STEP_SEND) {
        (void)put_some(replay, &replay->doing, &owed, NULL);
        replay->owed += owed;
    } else {
        replay->owed += step->is_owed;
        replay->messages += step->kind == LOAD_STEP_MESSAGE;
        go_on(replay, &replay->doing);
    }
    settle(replay);
}

uint64_t load_replay_message(const struct load_replay *replay)
{
    return (replay->number - 1) * replay->dialogues->messages_max + replay->messages + 1;
}

/* Goes to the next S:, which may be the step at `place`; NULL behind the last. */
static const struct load_step *find_expect(const struct load_replay *replay,
                                           struct load_replay_place *place)
{
    const struct load_step *step;
    while ((step = step_at(replay, *place)) != NULL && step->kind != LOAD_STEP_EXPECT)
        go_on(replay, place);
    return step;
}

/* The command that the next reply belongs to; with none owed: what was answered last. */
static const struct load_step *find_command(const struct load_replay *replay,
                                            struct load_replay_place *place)
{
    const struct load_step *step;
    while ((step = step_at(replay, *place)) != NULL && !step->is_owed)
        go_on(replay, place);
    return step;
}

static const struct load_step *command_of(const struct load_replay *replay)
{
    struct load_replay_place place = replay->commanded;
    return replay->settled < replay->owed ? find_command(replay, &place) : NULL;
}

/* RFC 2033 4.2: behind content a reply for each recipient that was taken. */
static uint32_t replies_to(const struct load_replay *replay, const struct load_step *command)
{
    bool is_each = command->is_final && replay->is_lmtp && replay->recipients > 0;
    return is_each ? replay->recipients : 1;
}

const struct load_step *load_replay_expects(const struct load_replay *replay)
{
    struct load_replay_place place = replay->answered;
    if (replay->settled == replay->owed) return NULL;
    return find_expect(replay, &place);
}

bool load_replay_is_owed(const struct load_replay *replay)
{
    return replay->settled < replay->owed;
}

bool load_replay_owes_more(const struct load_replay *replay)
{
    const struct load_step *command = command_of(replay);
    if (command == NULL) return false;
    return replay->settled + 1 < replay->owed || replay->verdicts + 1 < replies_to(replay, command);
}

bool load_replay_is_last_verdict(const struct load_replay *replay)
{
    const struct load_step *command = command_of(replay);
    return command != NULL && replay->verdicts + 1 >= replies_to(replay, command);
}

/* RFC 5321 4.1.1: what a reply changes for those to come. */
static void note_command(struct load_replay *replay, const struct load_step *command, uint32_t code)
{
    struct bytes beginning = bytes_make(NULL, 0);
    if (command->kind == LOAD_STEP_SEND)
        beginning = load_phrase_beginning(&replay->dialogues->phrases, &command->phrase);
    replay->says_goodbye = command->phase == LOAD_PHASE_QUIT;
    if (command->phase == LOAD_PHASE_EHLO && beginning.size >= 4)
        replay->is_lmtp = bytes_equal_ignoring_case(bytes_make(beginning.data, 4), BYTES("LHLO"));
    if (command->phase == LOAD_PHASE_RCPT) replay->recipients += code < 300;
    if (command->phase == LOAD_PHASE_MAIL || command->phase == LOAD_PHASE_RSET || command->is_final)
        replay->recipients = 0;
}

enum load_replay_news load_replay_take(struct load_replay *replay, uint32_t code)
{
    enum load_replay_news news = LOAD_REPLAY_NO_NEWS;
    const struct load_step *command = command_of(replay);

    CHECK(command != NULL);
    if (find_expect(replay, &replay->answered) != NULL) {
        go_on(replay, &replay->answered);
        replay->replies_ahead++;
    }
    replay->is_taken = replay->is_taken || code < 300;
    if (++replay->verdicts >= replies_to(replay, command)) {
        if (command->kind == LOAD_STEP_MESSAGE) {
            news = replay->is_taken ? LOAD_REPLAY_KEPT : LOAD_REPLAY_NOT_KEPT;
            replay->messages_judged++;
        }
        note_command(replay, command, code);
        (void)find_command(replay, &replay->commanded);
        go_on(replay, &replay->commanded);
        replay->settled++;
        replay->verdicts = 0;
        replay->is_taken = false;
    }
    settle(replay);
    return news;
}

enum load_phase load_replay_phase(const struct load_replay *replay)
{
    const struct load_step *command = command_of(replay);
    return command == NULL ? LOAD_PHASE_OTHER : command->phase;
}

uint32_t load_replay_line(const struct load_replay *replay)
{
    const struct load_dialogue *dialogue = replay->dialogue;
    const struct load_step *step = load_replay_expects(replay);
    if (step == NULL) step = load_replay_step(replay);
    if (step != NULL) return step->line;
    CHECK(replay->dialogues->steps != NULL); /* a dialogue has some */
    return replay->dialogues->steps[dialogue->first_step + dialogue->step_count - 1].line;
}
