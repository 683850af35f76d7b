#include "ring/ring_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void round_trip(void **state)
{
    static const struct ring_token tokens[] = {
        {RING_OP_ACCEPT, 0, 0},
        {RING_OP_RECEIVE, 1, 1},
        {RING_OP_SEND, (1u << RING_TOKEN_SLOT_BITS) - 1, UINT32_MAX},
        {RING_OP_READ, 0x123456, 0x89abcdef},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct ring_token back = ring_token_unpack(ring_token_pack(tokens[i]));
        assert_int_equal(back.op, tokens[i].op);
        assert_int_equal(back.slot, tokens[i].slot);
        assert_int_equal(back.generation, tokens[i].generation);
    }
}

static void no_two_share_bits(void **state)
{
    (void)state;
    uint64_t slot = ring_token_pack((struct ring_token){RING_OP_SEND, 1, 0});
    uint64_t generation = ring_token_pack((struct ring_token){RING_OP_SEND, 0, 1});
    uint64_t op = ring_token_pack((struct ring_token){RING_OP_SEND, 0, 0});
    assert_int_equal((slot ^ op) & (generation ^ op), 0);
    assert_int_not_equal(op, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(no_two_share_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
