/*
 * sim_truth -- every message that was ever begun in a world, what its client was told, and whether
 * the spool says the same.
 *
 * Owns:       the list of messages.
 * Errors:     a broken promise is a sim_violation().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIM_TRUTH_NONE UINT32_MAX

enum sim_truth_state {
    SIM_TRUTH_BEGUN,        /* nobody has said what becomes of it            */
    SIM_TRUTH_ABANDONED,    /* RSET, or its end was never sent               */
    SIM_TRUTH_ACKNOWLEDGED, /* 250: it must be there                         */
    SIM_TRUTH_REFUSED,      /* it must not, but for one case                 */
};

struct sim_truth_message {
    enum sim_truth_state state;
    uint32_t life;
    uint32_t socket;
    uint32_t recipient_count;
    uint32_t code; /* of the reply that decided */
    uint64_t content_size;
    uint64_t content_hash;
    uint64_t end_at;  /* octet of its client's stream behind its end; 0: the end was not sent */
    uint64_t sent_ns; /* its end, by the real clock: it was committed no earlier */
    uint64_t committed_ns; /* as the spool said */
    bool is_extended;
    bool was_received; /* the server has got its end */
    bool is_on_disk;   /* was shown behind a power cut: nothing takes it away any more */
    bool was_shown;
    bool is_lost; /* a power cut took it, rightly */
    bool has_id;
    bool is_headless; /* in the check that is under way: its end is there, its beginning is not */
    uint32_t found;   /* times, in the check that is under way */
    uint32_t worker;
    uint64_t number;
    uint32_t offset;
};

void sim_truth_open(void);
void sim_truth_close(void);

/* A new message; its index is in its sender's address. */
uint32_t sim_truth_begin(uint32_t socket, bool is_extended);
struct sim_truth_message *sim_truth_at(uint32_t index);

/* "queued as W.N.O" was the answer. */
void sim_truth_acknowledge(uint32_t index, const char *id);
void sim_truth_refuse(uint32_t index, uint32_t code);
void sim_truth_abandon(uint32_t index);

/* The socket is no more: which messages has the server got whole? */
void sim_truth_settle(uint32_t socket, uint64_t received);

/* Has any message that name? */
bool sim_truth_has_number(uint32_t worker, uint64_t number);

/* Reads the whole spool and compares. The life is over, its survivors are the disk. */
void sim_truth_check(void);
