/*
 * sim_world -- what one simulated world shares: its seed, its time, its settings, where it crashes.
 *
 * A world is a server's whole history by seed: one to four lives of the program on one disk, each
 * ended by kill -9, a power cut or a clean drain, with clients that know what they were promised.
 *
 * Owns:       the random numbers; everything that happens by chance draws from them in one order.
 * Errors:     sim_violation() notes what must never happen; a CHECK() of the code ends the process.
 * Thread:     one.
 */
#pragma once

#include "base/random.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_LIVES_MAX 4

/* What has happened: a run over many seeds must have seen each of them. */
#define SIM_COUNTS(X)                                                                              \
    X(lives)                                                                                       \
    X(kills)                                                                                       \
    X(power_cuts)                                                                                  \
    X(clean_ends)                                                                                  \
    X(torn_stores)                                                                                 \
    X(crashes_in_the_directory)                                                                    \
    X(crashes_behind_a_promise)                                                                    \
    X(crashes_behind_a_failed_sync)                                                                \
    X(connections)                                                                                 \
    X(messages)                                                                                    \
    X(acknowledged)                                                                                \
    X(refused)                                                                                     \
    X(refused_451)                                                                                 \
    X(refused_452)                                                                                 \
    X(refused_552)                                                                                 \
    X(unanswered)                                                                                  \
    X(unanswered_shown)                                                                            \
    X(abandoned)                                                                                   \
    X(dismissed)                                                                                   \
    X(turned_away)                                                                                 \
    X(checked)                                                                                     \
    X(expired)                                                                                     \
    X(torn_tails)                                                                                  \
    X(damaged_places)                                                                              \
    X(refused_but_shown)                                                                           \
    X(segments_created)                                                                            \
    X(segments_recycled)                                                                           \
    X(segments_withdrawn)                                                                          \
    X(segments_trimmed)                                                                            \
    X(segments_recovered)                                                                          \
    X(create_faults)                                                                               \
    X(recycle_faults)                                                                              \
    X(stalls)                                                                                      \
    X(syncs)                                                                                       \
    X(sync_faults)                                                                                 \
    X(pages_written_back)                                                                          \
    X(pages_reverted)                                                                              \
    X(steps_lost)                                                                                  \
    X(receives_cut)                                                                                \
    X(receives_ended)                                                                              \
    X(no_buffers)                                                                                  \
    X(short_sends)                                                                                 \
    X(send_faults)                                                                                 \
    X(receive_faults)                                                                              \
    X(accept_faults)                                                                               \
    X(accept_no_descriptors)                                                                       \
    X(cancels_done)                                                                                \
    X(cancels_too_late)                                                                            \
    X(cancels_of_nothing)                                                                          \
    X(enters)

enum sim_count {
#define SIM_COUNT_ENUM(name) SIM_COUNT_##name,
    SIM_COUNTS(SIM_COUNT_ENUM)
#undef SIM_COUNT_ENUM
        SIM_COUNT_COUNT,
};

enum sim_end { SIM_END_CLEAN, SIM_END_KILL, SIM_END_POWER };

/* Where a crash may strike. */
enum sim_point {
    SIM_POINT_TIME,        /* whenever the clock is read                     */
    SIM_POINT_RING,        /* a submit or an enter                           */
    SIM_POINT_DIRECTORY,   /* between two steps of spool_directory           */
    SIM_POINT_STORE,       /* within a store into a segment                  */
    SIM_POINT_PROMISE,     /* behind the submit of replies that say "stored" */
    SIM_POINT_SYNC_BEGUN,  /* behind the submit of a sync                    */
    SIM_POINT_SYNC_DONE,   /* a sync has come back, and nobody has seen it   */
    SIM_POINT_SYNC_FAILED, /* the same of one that failed                    */
    SIM_POINT_COUNT,
};

/* Drawn anew for each life; chances are out of a thousand. */
struct sim_settings {
    bool is_synced; /* --durability disk, else page; one for the whole world */
    bool is_lmtp;
    bool is_refusing; /* --when-full refuse */
    bool is_shared_listener;
    bool is_unordered; /* what was not synced of folders arrives in any order */
    uint32_t worker;
    uint32_t bound_segments;
    uint32_t connections_max;
    uint32_t client_count;
    uint32_t transactions_max; /* of one client */
    uint32_t content_max;
    uint32_t size_limit;
    uint64_t idle_timeout_ns;
    uint64_t command_timeout_ns;
    uint64_t client_pause_ns; /* the longest pause of a client, usually */
    uint64_t completion_ns;   /* the longest delay of a completion, usually */
    uint64_t sync_ns;
    uint64_t steward_ns;
    bool is_heavy;        /* much content */
    bool is_steward_slow; /* always takes so long, not at most */
    uint32_t cut_chance;
    uint32_t end_chance;
    uint32_t no_buffers_chance;
    uint32_t short_chance;
    uint32_t send_fault_chance;
    uint32_t receive_fault_chance;
    uint32_t accept_fault_chance;
    uint32_t create_fault_chance;
    uint32_t write_back_chance;
    uint32_t abort_chance; /* of a client's misbehaviour in a transaction */
    uint32_t failing_sync; /* the so many-th fails; 0: none does */
    int sync_error;
};

struct sim_world {
    struct random random;
    uint64_t seed;
    uint64_t now_ns;
    uint64_t real_offset_ns;
    uint32_t life; /* from 1 */
    struct sim_settings settings;
    enum sim_end end;
    enum sim_point crash_at;
    uint64_t crash_countdown; /* of points of that kind; 0: none is awaited */
    uint32_t crash_after;     /* points of any kind behind it */
    bool is_crash_near;
    bool is_dead;         /* it has crashed: nothing that happens is seen by anybody */
    bool is_quiet_now;    /* no faults, no crash: the end of a life that ends well */
    bool has_sync_failed; /* in this life */
    bool has_ever_failed; /* to sync */
    bool has_lost_pages;  /* a power cut under `page`: nothing promised before it holds */
    bool is_verbose;
    uint32_t violations;
};

extern struct sim_world sim;
extern uint64_t sim_counts[SIM_COUNT_COUNT];

#define SIM_COUNT(name) ((void)sim_counts[SIM_COUNT_##name]++)

uint64_t sim_below(uint64_t bound);
bool sim_chance(uint32_t per_thousand);
/* A fault that may be injected at this moment. */
bool sim_fault(uint32_t per_thousand);
/* From 0 to `most`, small ones as likely as large ones. */
uint64_t sim_delay(uint64_t most);

/* A moment of that kind; the crash that was awaited may happen within this call. */
void sim_point(enum sim_point point);
/* Does the crash strike within this very store? */
bool sim_point_store(void);

/* The life ends now, as it was planned to. From sim_life. */
void sim_crash(void);

__attribute__((format(printf, 1, 2))) void sim_violation(const char *format, ...);
__attribute__((format(printf, 1, 2))) void sim_trace(const char *format, ...);
