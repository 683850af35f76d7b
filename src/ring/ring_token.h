/*
 * ring_token -- the 64 bits that travel with an operation: what it is, whose it is, which life.
 *
 * Invariants: a slot is reused only when none of its operations is in flight; the generation checks
 *             that rule, it does not replace it.
 */
#pragma once

#include "base/check.h"

#include <assert.h>
#include <stdint.h>

#define RING_TOKEN_OP_BITS         8
#define RING_TOKEN_SLOT_BITS       24
#define RING_TOKEN_GENERATION_BITS 32

enum ring_op {
    RING_OP_NONE, /* zero is what a forgotten token looks like */
    RING_OP_ACCEPT,
    RING_OP_RECEIVE,
    RING_OP_SEND,
    RING_OP_CONNECT,
    RING_OP_CLOSE,
    RING_OP_CANCEL,
    RING_OP_READ,
    RING_OP_SYNC,
    RING_OP_COUNT,
};

struct ring_token {
    enum ring_op op;
    uint32_t slot;
    uint32_t generation;
};

static_assert(RING_TOKEN_OP_BITS + RING_TOKEN_SLOT_BITS + RING_TOKEN_GENERATION_BITS == 64,
              "fills user_data");
static_assert((unsigned)RING_OP_COUNT <= 1u << RING_TOKEN_OP_BITS, "every op has a number");

static inline uint64_t ring_token_pack(struct ring_token token)
{
    CHECK(token.op > RING_OP_NONE);
    CHECK(token.op < RING_OP_COUNT);
    CHECK(token.slot < 1u << RING_TOKEN_SLOT_BITS);
    return (uint64_t)token.op << (RING_TOKEN_SLOT_BITS + RING_TOKEN_GENERATION_BITS) |
           (uint64_t)token.slot << RING_TOKEN_GENERATION_BITS | token.generation;
}

static inline struct ring_token ring_token_unpack(uint64_t bits)
{
    uint32_t op = (uint32_t)(bits >> (RING_TOKEN_SLOT_BITS + RING_TOKEN_GENERATION_BITS));
    CHECK(op > RING_OP_NONE);
    CHECK(op < RING_OP_COUNT);
    return (struct ring_token){
        .op = (enum ring_op)op,
        .slot = (uint32_t)(bits >> RING_TOKEN_GENERATION_BITS) & ((1u << RING_TOKEN_SLOT_BITS) - 1),
        .generation = (uint32_t)bits,
    };
}
