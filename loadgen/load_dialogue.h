/*
 * load_dialogue -- what a client says and waits for, written down: a step a line (pure).
 *
 *   # a comment
 *   session NAME [weight W]  begins a dialogue; a file with one alone needs no such line
 *   S: 250 [TEXT]            the next reply: 250, 25 (250 to 259), 2, or 250|451; its last line's
 *                            text begins with TEXT
 *   C: PHRASE                is sent: load_phrase
 *   message                  the content of a generated message and its dot, behind DATA's S: 354
 *   pause 10ms-2s            as -w takes it
 *   repeat 1-5  ...  end     the steps between, so many times
 *   close | reset            the session's end, by FIN or RST; else it ends behind its last step
 *
 * Owns:       steps and phrases of a file; read-only once opened, so threads share it.
 * Errors:     a sentence that names the line.
 * Bounds:     LOAD_DIALOGUES_MAX dialogues in LOAD_DIALOGUE_FILE_MAX octets, LOAD_DIALOGUE_SENT_MAX
 *             octets a C:, LOAD_DIALOGUE_MESSAGES_MAX messages a session.
 * Invariants: (1) the seed and a session's number alone decide its dialogue and its repetitions.
 *             (2) what is sent is a command or content of one, as RFC 5321 has it.
 */
#pragma once

#include "base/bytes.h"
#include "base/check.h"
#include "loadgen/load_pause.h"
#include "loadgen/load_phase.h"
#include "loadgen/load_phrase.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_DIALOGUES_MAX         64u
#define LOAD_DIALOGUE_NAME_MAX     32u
#define LOAD_DIALOGUE_FILE_MAX     (1u << 20)
#define LOAD_DIALOGUE_SENT_MAX     8192u
#define LOAD_DIALOGUE_CODES_MAX    4u
#define LOAD_DIALOGUE_REPEATS_MAX  100000u
#define LOAD_DIALOGUE_MESSAGES_MAX 1000u
#define LOAD_DIALOGUE_ERROR_MAX    300u

enum load_step_kind {
    LOAD_STEP_SEND,
    LOAD_STEP_EXPECT,
    LOAD_STEP_MESSAGE,
    LOAD_STEP_PAUSE,
    LOAD_STEP_REPEAT,
    LOAD_STEP_END,
    LOAD_STEP_CLOSE,
    LOAD_STEP_RESET,
};

struct load_step {
    enum load_step_kind kind;
    uint32_t line;             /* of the file                                        */
    enum load_phase phase;     /* SEND, MESSAGE, PAUSE: of the command               */
    bool is_owed;              /* SEND, MESSAGE: a reply                             */
    bool is_final;             /* and it ends content: LMTP owes one a recipient     */
    struct load_phrase phrase; /* SEND                                           */
    uint32_t code_count;       /* EXPECT: pairs of lowest and highest                */
    uint16_t codes[LOAD_DIALOGUE_CODES_MAX][2];
    struct bytes text; /* EXPECT: how the reply's text begins                */
    struct load_pause pause;
    uint32_t least, most; /* REPEAT                                             */
    uint32_t partner;     /* REPEAT: its END, and the other way round           */
};

struct load_dialogue {
    char name[LOAD_DIALOGUE_NAME_MAX];
    double weight;
    uint32_t first_step;
    uint32_t step_count;
    uint32_t messages_max; /* that one session sends */
};

struct load_dialogues {
    struct load_dialogue dialogues[LOAD_DIALOGUES_MAX];
    uint32_t count;
    double weight_sum;
    struct load_step *steps;
    uint32_t step_count;
    struct load_phrases phrases;
    uint32_t sent_max;     /* the longest C:, numbers included            */
    uint32_t messages_max; /* of any of them; at least 1                  */
    uint64_t seed;
};

/* Reads a file's text. False with a sentence in `error` (LOAD_DIALOGUE_ERROR_MAX). */
MUST_USE bool load_dialogues_open(struct load_dialogues *dialogues, struct bytes text,
                                  uint64_t seed, char *error);
void load_dialogues_close(struct load_dialogues *dialogues);

/* The dialogue of session `number`, by weight. */
const struct load_dialogue *load_dialogues_choose(const struct load_dialogues *dialogues,
                                                  uint64_t number);

/* How often session `number` goes through this REPEAT. */
uint32_t load_dialogues_repetitions(const struct load_dialogues *dialogues,
                                    const struct load_step *repeat, uint64_t number);

/* Whether a reply is what an EXPECT asks for. */
bool load_step_accepts(const struct load_step *step, uint32_t code, struct bytes text);
