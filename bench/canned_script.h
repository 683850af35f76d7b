/*
 * canned_script -- what floor_client sends: the octets that loadgen would, made once, and how many
 * replies are awaited before the next of them.
 *
 * Owns:       the octets.
 * Bounds:     CANNED_STEPS_MAX steps a message.
 */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define CANNED_STEPS_MAX 4

struct canned_step {
    struct bytes octets;
    uint32_t replies; /* that it brings */
};

struct canned_script {
    uint8_t *memory;
    struct canned_step ehlo;
    struct canned_step opening; /* stream: the first message's group; else empty */
    struct canned_step steps[CANNED_STEPS_MAX];
    uint32_t step_count;
    uint32_t replies;      /* of all steps: what a message brings  */
    uint64_t message_size; /* on the wire, without its envelope    */
};

/* `mode` is off, group, stream or bdat; `length` as loadgen's -l. False with a sentence on stderr.
 */
MUST_USE bool canned_script_open(struct canned_script *script, const char *mode,
                                 const char *length);
void canned_script_close(struct canned_script *script);
