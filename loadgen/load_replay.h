/*
 * load_replay -- one session's way through a written-down dialogue, without I/O.
 *
 * Two places move through the steps: what is done next, and which reply comes next. Replies may
 * come while a pause lasts or much is still to be sent; they are taken in their order all the same.
 *
 * Owns:       both places.
 * Borrows:    the dialogues, shared by all sessions of a run.
 * Errors:     none: what the server does otherwise becomes an answer.
 * Bounds:     a send <= load_replay_put_max().
 * Invariants: a reply is never taken for one to a command that has not been sent.
 */
#pragma once

#include "loadgen/load_dialogue.h"

struct load_replay_place {
    uint32_t step;       /* within the dialogue            */
    uint32_t repetition; /* in a repeat: those that are over */
};

struct load_replay {
    const struct load_dialogues *dialogues;
    const struct load_dialogue *dialogue;
    uint64_t number; /* of the session, from 1 */
    struct load_replay_place doing;
    struct load_replay_place
        answered;           /* the step the next reply belongs to stands here or behind */
    uint32_t owed;          /* replies, to all that is on its way                   */
    uint32_t settled;       /* of them, those that came                             */
    uint32_t replies_ahead; /* taken, and `doing` has not come to them yet          */
    uint32_t messages;      /* that are on their way                                */
    bool says_goodbye;      /* QUIT was the last command                            */
};

enum load_replay_wants {
    LOAD_REPLAY_SENDS,   /* what load_replay_put() writes         */
    LOAD_REPLAY_MESSAGE, /* a message's content and its dot       */
    LOAD_REPLAY_PAUSES,  /* as long as load_replay_step() says    */
    LOAD_REPLAY_AWAITS,  /* a reply                               */
    LOAD_REPLAY_ENDS,    /* nothing more: FIN, or behind QUIT the server's */
    LOAD_REPLAY_RESETS,  /* nothing more: RST                     */
};

/* Session `number` begins; it has been greeted. */
void load_replay_begin(struct load_replay *replay, const struct load_dialogues *dialogues,
                       uint64_t number);

enum load_replay_wants load_replay_wants(const struct load_replay *replay);

/* The step that is wanted. */
const struct load_step *load_replay_step(const struct load_replay *replay);

/* The most octets that load_replay_put() writes. */
uint32_t load_replay_put_max(const struct load_dialogues *dialogues);

/* SENDS: writes all commands that may leave at once, and returns their size. */
uint32_t load_replay_put(const struct load_replay *replay, uint8_t *out);

/* SENDS, MESSAGE, PAUSES: that is done. */
void load_replay_advance(struct load_replay *replay);

/* The number of the message that is wanted, no two of a run alike. */
uint64_t load_replay_message(const struct load_replay *replay);

/* The step whose reply comes next; NULL: none is due, or its command has not left. */
const struct load_step *load_replay_expects(const struct load_replay *replay);

/* Whether the server owes more replies than that one. */
bool load_replay_owes_more(const struct load_replay *replay);

/* That reply came as it is written. */
void load_replay_take(struct load_replay *replay);

/* What the server owes a reply to. */
enum load_phase load_replay_phase(const struct load_replay *replay);
