#include "loadgen/load_dialogue.h"

#include "base/random.h"
#include "base/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED_OF_DIALOGUES   0xd1a109f3ull
#define SEED_OF_REPETITIONS 0x4e9ea7ull
#define WORD_MAX            64u

/* What has to be the same where a repeat ends as where it began. */
struct standing {
    bool is_content;     /* DATA was answered 3xx; its dot has not been sent */
    bool is_line_begun;  /* a C: ended without its LF                        */
    uint64_t chunk_left; /* octets of a BDAT still to be sent                */
};

/* What is known while a file is read. */
struct reader {
    struct load_dialogues *dialogues;
    char *error;
    uint32_t line;
    bool is_implied; /* the dialogue began without a line `session`         */
    bool is_over;    /* close or reset stood                                */
    bool has_sent;   /* a command, in this dialogue                         */
    struct standing standing;
    struct standing at_repeat;
    bool is_message_possible; /* content has been asked for, and nothing of it was sent */
    bool awaits_data;         /* DATA was sent, and not answered 3xx yet             */
    bool awaits_auth;         /* AUTH was sent, likewise                             */
    bool is_login;            /* RFC 4954 4: 334 wants a line that is no command     */
    uint32_t repeat;          /* index of the REPEAT that is open, plus 1; 0: none   */
    uint64_t messages;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct reader *reader, const char *format,
                                                       ...)
{
    va_list arguments;
    int size = snprintf(reader->error, LOAD_DIALOGUE_ERROR_MAX, "line %u: ", reader->line);
    va_start(arguments, format);
    (void)vsnprintf(reader->error + size, LOAD_DIALOGUE_ERROR_MAX - (size_t)size, format,
                    arguments);
    va_end(arguments);
    return false;
}

/* ---- words ---- */

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        (void)bytes_take(&text, 1);
    while (text.size > 0 &&
           (is_blank(text.data[text.size - 1]) || text.data[text.size - 1] == '\r'))
        text.size--;
    return text;
}

static struct bytes take_word(struct bytes *text)
{
    uint64_t size = 0;
    while (size < text->size && !is_blank(text->data[size]))
        size++;
    struct bytes word = bytes_take(text, size);
    *text = trim(*text);
    return word;
}

/* A word as a NUL-terminated text of at most WORD_MAX octets; false if it is longer. */
static bool copy_word(struct bytes word, char *out)
{
    if (word.size == 0 || word.size >= WORD_MAX) return false;
    memcpy(out, word.data, word.size);
    out[word.size] = '\0';
    return memchr(out, '\0', word.size) == NULL;
}

/* ---- dialogues and steps ---- */

static struct load_dialogue *current(const struct reader *reader)
{
    CHECK(reader->dialogues->count > 0);
    return &reader->dialogues->dialogues[reader->dialogues->count - 1];
}

static bool end_dialogue(struct reader *reader)
{
    struct load_dialogues *dialogues = reader->dialogues;
    if (dialogues->count == 0) return true;
    struct load_dialogue *dialogue = current(reader);
    dialogue->step_count = dialogues->step_count - dialogue->first_step;
    dialogue->messages_max = (uint32_t)reader->messages;
    if (dialogue->messages_max > dialogues->messages_max)
        dialogues->messages_max = dialogue->messages_max;
    if (reader->repeat != 0) return fail(reader, "a repeat lacks its end");
    if (reader->standing.chunk_left > 0)
        return fail(reader, "a BDAT is longer than what follows it");
    if (dialogue->step_count == 0) return fail(reader, "session %s has no steps", dialogue->name);
    return true;
}

static bool begin_dialogue(struct reader *reader, const char *name, double weight)
{
    struct load_dialogues *dialogues = reader->dialogues;
    if (!end_dialogue(reader)) return false;
    if (dialogues->count == LOAD_DIALOGUES_MAX)
        return fail(reader, "at most %u sessions", LOAD_DIALOGUES_MAX);
    for (uint32_t index = 0; index < dialogues->count; index++)
        if (strcmp(dialogues->dialogues[index].name, name) == 0)
            return fail(reader, "there is a session %s already", name);
    struct load_dialogue *dialogue = &dialogues->dialogues[dialogues->count++];
    (void)snprintf(dialogue->name, sizeof dialogue->name, "%s", name);
    dialogue->weight = weight;
    dialogue->first_step = dialogues->step_count;
    dialogues->weight_sum += weight;
    *reader = (struct reader){.dialogues = dialogues,
                              .error = reader->error,
                              .line = reader->line,
                              .is_implied = reader->is_implied};
    return true;
}

static bool is_name(struct bytes word)
{
    for (uint64_t index = 0; index < word.size; index++) {
        uint8_t octet = word.data[index];
        bool is_letter = (octet | 32) >= 'a' && (octet | 32) <= 'z';
        bool is_digit = octet >= '0' && octet <= '9';
        if (!is_letter && !is_digit && octet != '-' && octet != '_' && octet != '.') return false;
    }
    return word.size > 0 && word.size < LOAD_DIALOGUE_NAME_MAX;
}

static bool read_session(struct reader *reader, struct bytes rest)
{
    char name[WORD_MAX] = "";
    char number[WORD_MAX];
    char *end = NULL;
    double weight = 1;
    struct bytes word = take_word(&rest);

    if (reader->is_implied)
        return fail(reader, "the first steps of a file of several stand behind a session, too");
    if (!is_name(word) || !copy_word(word, name))
        return fail(reader,
                    "session NAME [weight W]; a name has letters, digits and -_., at most "
                    "%u",
                    LOAD_DIALOGUE_NAME_MAX - 1);
    if (rest.size > 0) {
        struct bytes keyword = take_word(&rest);
        if (!bytes_equal(keyword, BYTES("weight")) || !copy_word(rest, number))
            return fail(reader, "session NAME [weight W]: try session %s weight 3", name);
        weight = strtod(number, &end);
        if (*end != '\0' || !(weight > 0 && weight <= 1e9))
            return fail(reader, "weight '%s': try 3 or 0.5", number);
    }
    return begin_dialogue(reader, name, weight);
}

static struct load_step *add_step(struct reader *reader, enum load_step_kind kind)
{
    struct load_step *step = &reader->dialogues->steps[reader->dialogues->step_count++];
    *step = (struct load_step){.kind = kind, .line = reader->line, .phase = LOAD_PHASE_OTHER};
    return step;
}

/* ---- C: ---- */

static enum load_phase phase_of(struct bytes line)
{
    static const struct {
        const char *verb;
        enum load_phase phase;
    } known[] = {
        {"EHLO", LOAD_PHASE_EHLO}, {"HELO", LOAD_PHASE_EHLO}, {"LHLO", LOAD_PHASE_EHLO},
        {"AUTH", LOAD_PHASE_AUTH}, {"MAIL", LOAD_PHASE_MAIL}, {"RCPT", LOAD_PHASE_RCPT},
        {"DATA", LOAD_PHASE_DATA}, {"BDAT", LOAD_PHASE_DOT},  {"RSET", LOAD_PHASE_RSET},
        {"QUIT", LOAD_PHASE_QUIT},
    };
    uint64_t size = 0;
    while (size < line.size && line.data[size] > ' ')
        size++;
    struct bytes verb = bytes_make(line.data, size);
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++)
        if (bytes_equal_ignoring_case(verb, bytes_from_text(known[index].verb)))
            return known[index].phase;
    return LOAD_PHASE_OTHER;
}

/* The octets that BDAT announces (RFC 3030 2); a number that can't be read announces none. */
static uint64_t chunk_of(struct bytes line)
{
    uint64_t size = 0;
    (void)take_word(&line);
    struct bytes number = take_word(&line);
    while (number.size > 0 && number.data[number.size - 1] <= ' ')
        number.size--;
    return bytes_to_number(number, &size) ? size : 0;
}

/* Octets of a chunk are no commands, whatever they say. */
static bool send_chunk(struct reader *reader, const struct load_step *step, uint32_t size)
{
    const struct load_phrases *phrases = &reader->dialogues->phrases;
    if (load_phrase_has(phrases, &step->phrase, LOAD_PIECE_SESSION) ||
        load_phrase_has(phrases, &step->phrase, LOAD_PIECE_REPETITION))
        return fail(reader, "{n} and {i} are of no known length: a BDAT can't count them");
    uint64_t left = reader->standing.chunk_left;
    if (size > left)
        return fail(reader, "goes on beyond its BDAT by %llu octets (\\c leaves CR LF out)",
                    (unsigned long long)(size - left));
    reader->standing.chunk_left = left - size;
    return true;
}

/* RFC 3030 2: only the last chunk is answered by what becomes of the message. */
static bool is_last_chunk(struct bytes line)
{
    static const char last[] = " LAST\r\n";
    return line.size >= sizeof last - 1 &&
           bytes_equal_ignoring_case(
               bytes_make(line.data + line.size - (sizeof last - 1), sizeof last - 1),
               BYTES(" LAST\r\n"));
}

static void send_command(struct reader *reader, struct load_step *step)
{
    struct bytes line = load_phrase_beginning(&reader->dialogues->phrases, &step->phrase);

    if (reader->standing.is_content) { /* RFC 5321 4.5.2: up to the dot */
        reader->is_message_possible = false;
        if (!bytes_equal(line, BYTES(".\r\n"))) return;
        reader->standing.is_content = false;
        step->is_final = true;
        step->phase = LOAD_PHASE_DOT;
    } else {
        step->phase = reader->is_login ? LOAD_PHASE_AUTH : phase_of(line);
        reader->awaits_data = step->phase == LOAD_PHASE_DATA;
        reader->awaits_auth = step->phase == LOAD_PHASE_AUTH;
        reader->is_login = false;
    }
    step->is_owed = true;
    if (step->phase != LOAD_PHASE_DOT || step->is_final) return;
    step->is_final = is_last_chunk(line);
    reader->standing.chunk_left = chunk_of(line);
}

static bool read_client(struct reader *reader, struct bytes text)
{
    struct load_dialogues *dialogues = reader->dialogues;
    struct load_step *step = add_step(reader, LOAD_STEP_SEND);
    const char *wrong = load_phrase_read(&dialogues->phrases, text, &step->phrase);

    if (wrong != NULL) return fail(reader, "%s", wrong);
    if (reader->repeat == 0 &&
        load_phrase_has(&dialogues->phrases, &step->phrase, LOAD_PIECE_REPETITION))
        return fail(reader, "{i} stands in a repeat");
    uint32_t size = load_phrase_size_max(&dialogues->phrases, &step->phrase);
    if (size > LOAD_DIALOGUE_SENT_MAX)
        return fail(reader, "sends %u octets; at most %u a C:", size, LOAD_DIALOGUE_SENT_MAX);
    if (size > dialogues->sent_max) dialogues->sent_max = size;
    reader->has_sent = true;
    if (reader->standing.chunk_left > 0) return send_chunk(reader, step, size);
    /* A line that is sent in parts is one command: its beginning says which. */
    if (!reader->standing.is_line_begun) send_command(reader, step);
    reader->standing.is_line_begun = !load_phrase_ends_line(&dialogues->phrases, &step->phrase);
    return true;
}

/* ---- S: ---- */

static bool parse_codes(struct load_step *step, struct bytes word)
{
    static const uint16_t widths[] = {100, 10, 1};
    for (;;) {
        struct bytes digits = bytes_take(&word, bytes_find(word, '|'));
        uint64_t number = 0;
        if (digits.size == 0 || digits.size > 3 || !bytes_to_number(digits, &number)) return false;
        uint16_t width = widths[digits.size - 1];
        uint16_t low = (uint16_t)(number * width);
        if (low < 200 || low > 599 || step->code_count == LOAD_DIALOGUE_CODES_MAX) return false;
        step->codes[step->code_count][0] = low;
        step->codes[step->code_count++][1] = (uint16_t)(low + width - 1);
        if (word.size == 0) return true;
        (void)bytes_take(&word, 1);
    }
}

/* The greeting is waited for before a session begins: its S: says what happens anyway. */
static bool is_greeting(const struct reader *reader)
{
    return current(reader)->first_step == reader->dialogues->step_count;
}

static bool read_server(struct reader *reader, struct bytes text)
{
    struct load_step expected = {.kind = LOAD_STEP_EXPECT, .line = reader->line};
    struct bytes word = take_word(&text);

    if (word.size > 3 && word.data[3] == '-')
        return fail(reader, "S: is a whole reply: of several lines, the last one alone");
    if (!parse_codes(&expected, word))
        return fail(reader, "S: takes a code from 200 to 599, its beginning, or some: 250|451");
    if (text.size > LOAD_DIALOGUE_ERROR_MAX / 4) return fail(reader, "S: its text is too long");
    if (is_greeting(reader) && text.size == 0)
        return load_step_accepts(&expected, 220, bytes_make(NULL, 0)) ||
               fail(reader, "S: stands first, for the greeting: that has to be 220");
    if (!reader->has_sent)
        return fail(reader, "S: stands behind what it answers; the greeting is 220");
    struct load_dialogues *dialogues = reader->dialogues;
    struct load_step *step = add_step(reader, LOAD_STEP_EXPECT);
    *step = expected;
    step->text = load_phrases_keep(&dialogues->phrases, text);
    if (step->codes[0][0] / 100 != 3) return true;
    reader->is_login = reader->awaits_auth;
    if (reader->awaits_data) reader->standing.is_content = reader->is_message_possible = true;
    reader->awaits_data = reader->awaits_auth = false;
    return true;
}

/* ---- the others ---- */

static bool read_message(struct reader *reader, struct bytes rest)
{
    const struct load_dialogues *dialogues = reader->dialogues;
    uint64_t repetitions = 1;

    if (rest.size > 0) return fail(reader, "message stands alone; -l, -F or --corpus say which");
    if (!reader->is_message_possible)
        return fail(reader, "message stands behind DATA and its S: 354");
    if (reader->repeat != 0) repetitions = dialogues->steps[reader->repeat - 1].most;
    reader->messages += repetitions;
    if (reader->messages > LOAD_DIALOGUE_MESSAGES_MAX)
        return fail(reader, "at most %u messages a session", LOAD_DIALOGUE_MESSAGES_MAX);
    reader->standing.is_content = reader->is_message_possible = false;
    struct load_step *step = add_step(reader, LOAD_STEP_MESSAGE);
    step->phase = LOAD_PHASE_DOT;
    step->is_owed = step->is_final = true;
    return true;
}

static bool read_pause(struct reader *reader, struct bytes rest)
{
    char text[WORD_MAX] = "";
    struct load_step *step = add_step(reader, LOAD_STEP_PAUSE);
    if (copy_word(rest, text) && load_pause_parse(&step->pause, text)) return true;
    return fail(reader, "pause '%s': try 50ms, 10ms-2s, exp:50ms; an hour at most", text);
}

/* "3" or "1-5". */
static bool parse_span(const char *text, uint32_t *least, uint32_t *most)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') return false;
    unsigned long low = strtoul(text, &end, 10);
    unsigned long high = low;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9') high = strtoul(end + 1, &end, 10);
    if (*end != '\0' || low > high || high == 0 || high > LOAD_DIALOGUE_REPEATS_MAX) return false;
    *least = (uint32_t)low;
    *most = (uint32_t)high;
    return true;
}

static bool read_repeat(struct reader *reader, struct bytes rest)
{
    char text[WORD_MAX] = "";
    if (reader->repeat != 0) return fail(reader, "a repeat within a repeat");
    struct load_step *step = add_step(reader, LOAD_STEP_REPEAT);
    reader->repeat = reader->dialogues->step_count;
    reader->at_repeat = reader->standing;
    if (copy_word(rest, text) && parse_span(text, &step->least, &step->most)) return true;
    return fail(reader, "repeat '%s': try 3 or 1-5, at most %u", text, LOAD_DIALOGUE_REPEATS_MAX);
}

static bool read_end(struct reader *reader, struct bytes rest)
{
    struct load_dialogues *dialogues = reader->dialogues;
    if (rest.size > 0) return fail(reader, "end stands alone");
    if (reader->repeat == 0) return fail(reader, "end without a repeat");
    if (reader->repeat == dialogues->step_count) return fail(reader, "repeats nothing");
    if (reader->standing.is_content != reader->at_repeat.is_content ||
        reader->standing.chunk_left != reader->at_repeat.chunk_left)
        return fail(reader, "content begins or ends in what is repeated, but not both");
    if (reader->standing.is_line_begun != reader->at_repeat.is_line_begun)
        return fail(reader, "a line begins or ends in what is repeated, but not both");
    struct load_step *step = add_step(reader, LOAD_STEP_END);
    step->partner = reader->repeat - 1;
    dialogues->steps[step->partner].partner = dialogues->step_count - 1;
    reader->repeat = 0;
    return true;
}

static bool read_ending(struct reader *reader, struct bytes rest, enum load_step_kind kind)
{
    if (rest.size > 0) return fail(reader, "close and reset stand alone");
    if (reader->repeat != 0) return fail(reader, "a session can't end in a repeat");
    (void)add_step(reader, kind);
    reader->is_over = true;
    return true;
}

static bool read_step(struct reader *reader, struct bytes line)
{
    struct bytes rest = line;
    struct bytes word = take_word(&rest);

    if (reader->dialogues->count == 0) {
        if (!begin_dialogue(reader, "session", 1)) return false;
        reader->is_implied = true;
    }
    if (reader->is_over) return fail(reader, "stands behind the session's end");
    if (bytes_start_with(line, BYTES("C:"))) {
        (void)bytes_take(&line, 2);
        if (line.size > 0 && line.data[0] == ' ') (void)bytes_take(&line, 1);
        return read_client(reader, line);
    }
    if (bytes_start_with(line, BYTES("S:"))) {
        (void)bytes_take(&line, 2);
        return read_server(reader, trim(line));
    }
    if (bytes_equal(word, BYTES("message"))) return read_message(reader, rest);
    if (bytes_equal(word, BYTES("pause"))) return read_pause(reader, rest);
    if (bytes_equal(word, BYTES("repeat"))) return read_repeat(reader, rest);
    if (bytes_equal(word, BYTES("end"))) return read_end(reader, rest);
    if (bytes_equal(word, BYTES("close"))) return read_ending(reader, rest, LOAD_STEP_CLOSE);
    if (bytes_equal(word, BYTES("reset"))) return read_ending(reader, rest, LOAD_STEP_RESET);
    char shown[WORD_MAX];
    bytes_escape(word, shown, sizeof shown);
    return fail(reader, "'%s' is no step: C:, S:, message, pause, repeat, end, close, reset",
                shown);
}

/* Trailing blanks of a C: are kept: they may be what is tried out. */
static bool read_line(struct reader *reader, struct bytes line)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    while (line.size > 0 && is_blank(line.data[0]))
        (void)bytes_take(&line, 1);
    if (line.size == 0 || line.data[0] == '#') return true;
    struct bytes rest = line;
    if (bytes_equal(take_word(&rest), BYTES("session"))) return read_session(reader, rest);
    return read_step(reader, line);
}

static bool read_text(struct reader *reader, struct bytes text)
{
    while (text.size > 0) {
        struct bytes line = bytes_take(&text, bytes_find(text, '\n'));
        if (text.size > 0) (void)bytes_take(&text, 1);
        reader->line++;
        if (!read_line(reader, line)) return false;
    }
    if (reader->dialogues->count == 0) return fail(reader, "there is no step");
    return end_dialogue(reader);
}

/* Each line is at most one step. */
static bool allocate(struct load_dialogues *dialogues, struct bytes text)
{
    uint64_t lines = 1;
    for (uint64_t index = 0; index < text.size; index++)
        lines += text.data[index] == '\n';
    dialogues->steps = calloc(lines, sizeof *dialogues->steps);
    return load_phrases_open(&dialogues->phrases, text.size, lines) == 0 &&
           dialogues->steps != NULL;
}

bool load_dialogues_open(struct load_dialogues *dialogues, struct bytes text, uint64_t seed,
                         char *error)
{
    *dialogues = (struct load_dialogues){.seed = seed, .messages_max = 1};
    if (text.size > LOAD_DIALOGUE_FILE_MAX) {
        (void)snprintf(error, LOAD_DIALOGUE_ERROR_MAX, "longer than %u octets",
                       LOAD_DIALOGUE_FILE_MAX);
        return false;
    }
    struct reader *reader = calloc(1, sizeof *reader);
    bool is_read = reader != NULL && allocate(dialogues, text);
    if (!is_read) (void)snprintf(error, LOAD_DIALOGUE_ERROR_MAX, "no memory for it");
    if (is_read) {
        reader->dialogues = dialogues;
        reader->error = error;
        is_read = read_text(reader, text);
    }
    free(reader);
    if (!is_read) load_dialogues_close(dialogues);
    return is_read;
}

void load_dialogues_close(struct load_dialogues *dialogues)
{
    free(dialogues->steps);
    load_phrases_close(&dialogues->phrases);
    *dialogues = (struct load_dialogues){0};
}

/* ---- what a session does ---- */

const struct load_dialogue *load_dialogues_choose(const struct load_dialogues *dialogues,
                                                  uint64_t number)
{
    double place = (double)(random_mix(dialogues->seed ^ SEED_OF_DIALOGUES, number) >> 11) *
                   0x1p-53 * dialogues->weight_sum;
    uint32_t index = 0;
    while (index + 1 < dialogues->count && place >= dialogues->dialogues[index].weight)
        place -= dialogues->dialogues[index++].weight;
    return &dialogues->dialogues[index];
}

uint32_t load_dialogues_repetitions(const struct load_dialogues *dialogues,
                                    const struct load_step *repeat, uint64_t number)
{
    CHECK(repeat->kind == LOAD_STEP_REPEAT);
    uint32_t span = repeat->most - repeat->least;
    if (span == 0) return repeat->least;
    uint64_t stream = dialogues->seed ^ SEED_OF_REPETITIONS ^ (uint64_t)repeat->line << 40;
    return repeat->least + (uint32_t)(random_mix(stream, number) % (span + 1));
}

bool load_step_accepts(const struct load_step *step, uint32_t code, struct bytes text)
{
    CHECK(step->kind == LOAD_STEP_EXPECT);
    if (!bytes_start_with(text, step->text)) return false;
    for (uint32_t index = 0; index < step->code_count; index++)
        if (code >= step->codes[index][0] && code <= step->codes[index][1]) return true;
    return false;
}
