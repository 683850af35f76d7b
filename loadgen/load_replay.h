/*
 * load_replay -- one session's way through a written-down dialogue, without I/O.
 *
 * Three places move through the steps: what is done next, which S: comes next, and which command
 * that reply will belong to: the oldest that has none. Replies may come while a pause lasts or much
 * is still to be sent; they are taken in their order all the same.
 *
 * Owns:       the places.
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
    struct load_replay_place answered;  /* the next S: stands here or behind                      */
    struct load_replay_place commanded; /* the oldest command without a reply, likewise           */
    uint32_t owed;                      /* commands that are on their way                         */
    uint32_t settled;                   /* of them, those whose replies came                      */
    uint32_t verdicts;                  /* that came to the content whose replies come now        */
    uint32_t replies_ahead;             /* taken, and `doing` has not come to them yet            */
    uint32_t messages;                  /* that are on their way, or came                         */
    uint32_t messages_judged;           /* of them                                                */
    uint32_t recipients;                /* taken, in this transaction                             */
    bool is_lmtp;                       /* RFC 2033: a verdict for each of them                   */
    bool is_taken;                      /* one of the verdicts says so                            */
    bool says_goodbye;                  /* QUIT was the last command                              */
};

/* What a reply means that is as written. */
enum load_replay_news { LOAD_REPLAY_NO_NEWS, LOAD_REPLAY_KEPT, LOAD_REPLAY_NOT_KEPT };

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

/* The S: that is next; NULL: no reply is due, or none is written. */
const struct load_step *load_replay_expects(const struct load_replay *replay);

/* Whether the server owes a reply at all; more than the next. */
bool load_replay_is_owed(const struct load_replay *replay);
bool load_replay_owes_more(const struct load_replay *replay);

/* Whether the next reply is the last one to content. */
bool load_replay_is_last_verdict(const struct load_replay *replay);

/* That reply came, as it is written or not; of a message that is told with its last verdict. */
enum load_replay_news load_replay_take(struct load_replay *replay, uint32_t code);

/* Where in the file it is: what is waited for or done, the last step at its end. */
uint32_t load_replay_line(const struct load_replay *replay);

/* What the server owes a reply to. */
enum load_phase load_replay_phase(const struct load_replay *replay);
