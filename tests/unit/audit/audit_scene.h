/* audit_scene -- a spool in a temporary directory with one worker, and a ledger. */
#pragma once

#include "audit/audit.h"
#include "base/clock.h"

#define NOW 1700000000000000000ull
#define S   CLOCK_NS_PER_S
#define RUN 0xabcdef0123456789ull

struct audit_scene {
    char root[64];
    struct spool_directory directory;
    struct spool_writer writer;
    struct spool_segment segments[32];
    struct blocks pool;
    uint32_t count;
    uint64_t clock_ns;
    uint8_t *ledger;
    uint64_t ledger_size;
    uint64_t ledger_capacity;
    struct bytes probes[2]; /* ledgers of probes, if any */
    bool is_relayed;
    bool keeps_copies;
};

/* Of cmocka: *state becomes the scene. */
int audit_scene_setup(void **state);
int audit_scene_teardown(void **state);

void audit_scene_begin(struct audit_scene *scene, struct spool_message *message);
void audit_scene_append(struct audit_scene *scene, struct spool_message *message,
                        struct bytes slice);
void audit_scene_commit(struct audit_scene *scene, struct spool_message *message);
void audit_scene_store(struct audit_scene *scene, struct bytes content);

/* The same with an envelope; `recipients` are words. */
void audit_scene_relay(struct audit_scene *scene, const char *sender, const char *recipients,
                       struct bytes content);

void audit_scene_roll(struct audit_scene *scene);

/* Message `sequence` of run `run`, as the generator makes it; its size. */
uint64_t audit_scene_make(uint8_t *out, uint64_t run, uint64_t sequence, uint64_t body_size);

/* The ledger's line about it, sent at the scene's present. */
void audit_scene_note(struct audit_scene *scene, uint64_t run, uint64_t sequence,
                      enum ledger_state state);
void audit_scene_deliver(struct audit_scene *scene, uint64_t run, uint64_t sequence);

void audit_scene_examine(struct audit_scene *scene, struct audit *audit,
                         struct audit_report *report);
