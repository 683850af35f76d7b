#include "audit/audit_delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* One copy: when it was committed, and "a@x b@x". */
struct copy {
    uint64_t committed_ns;
    const char *recipients;
};

#define COPIES_MAX 6

struct scene {
    struct audit_deliveries deliveries;
    struct audit_delivery delivery;
    uint32_t chain;
};

static void add(struct scene *scene, uint32_t offset, const struct copy *copy)
{
    struct spool_id id = {.number = 1, .offset = offset, .worker = 0};
    char text[256];

    assert_int_equal(
        audit_deliveries_add(&scene->deliveries, &scene->chain, &id, copy->committed_ns), 0);
    (void)snprintf(text, sizeof(text), "%s", copy->recipients);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
        assert_int_equal(audit_deliveries_add_recipient(&scene->deliveries, bytes_from_text(word)),
                         0);
}

static void judge(struct scene *scene, uint32_t expected)
{
    assert_int_equal(
        audit_deliveries_judge(&scene->deliveries, &scene->chain, expected, &scene->delivery), 0);
}

static void splits_and_duplicates(void **state)
{
    static const struct {
        const char *what;
        struct copy copies[COPIES_MAX];
        uint32_t expected;
        uint64_t completed_ns;
        uint32_t delivered;
        uint32_t duplicates;
    } rows[] = {
        {"one for all", {{10, "a@x b@x"}}, 2, 10, 2, 0},
        {"split in two", {{10, "a@x"}, {20, "b@x"}}, 2, 20, 2, 0},
        {"split, met in the wrong order", {{20, "b@x"}, {10, "a@x"}}, 2, 20, 2, 0},
        {"split in three", {{30, "c@x"}, {10, "a@x"}, {20, "b@x"}}, 3, 30, 3, 0},
        {"not all of it", {{10, "a@x"}, {20, "b@x"}}, 3, 0, 2, 0},
        {"the same again", {{10, "a@x"}, {20, "a@x"}}, 1, 10, 1, 1},
        {"twice again", {{10, "a@x"}, {20, "a@x"}, {30, "a@x"}}, 1, 10, 1, 2},
        {"again, and one of two is missing", {{10, "a@x"}, {20, "a@x"}}, 2, 0, 1, 1},
        {"again for one, first time for the other", {{10, "a@x"}, {20, "a@x b@x"}}, 2, 20, 2, 1},
        {"two parts, then the whole", {{10, "a@x"}, {20, "b@x"}, {30, "a@x b@x"}}, 2, 20, 2, 1},
        {"the whole, then two parts", {{20, "a@x"}, {30, "b@x"}, {10, "a@x b@x"}}, 2, 10, 2, 2},
        {"one address twice in an envelope", {{10, "a@x a@x"}}, 1, 10, 1, 0},
        {"and not all", {{10, "a@x a@x"}}, 2, 0, 1, 0},
        {"a domain's case", {{10, "a@x.Test"}, {20, "a@X.tEST"}}, 1, 10, 1, 1},
        {"a local part's case", {{10, "a@x"}, {20, "A@x"}}, 2, 20, 2, 0},
        {"the last @ counts",
         {{10, "\"A@b\"@x"}, {20, "\"a@b\"@x"}, {30, "\"A@b\"@X"}},
         2,
         20,
         2,
         1},
        {"another domain", {{10, "a@x"}, {20, "a@y"}}, 2, 20, 2, 0},
        {"where local part ends matters", {{10, "ab@c"}, {20, "a@bc"}}, 2, 20, 2, 0},
        {"no domain", {{10, "Postmaster"}, {20, "postmaster"}}, 1, 10, 1, 1},
        {"not known how many", {{20, "b@x"}, {10, "a@x"}}, 0, 10, 2, 0},
        {"not known, and again", {{20, "a@x"}, {10, "a@x"}}, 0, 10, 1, 1},
        {"more than were asked for", {{10, "a@x b@x c@x"}}, 2, 10, 3, 0},
        {"no recipient at all", {{10, ""}}, 1, 0, 0, 0},
        {"no recipient, not known how many", {{10, ""}}, 0, 10, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene scene = {0};
        for (uint32_t copy = 0; copy < COPIES_MAX && rows[i].copies[copy].recipients; copy++)
            add(&scene, 4096 + 64 * copy, &rows[i].copies[copy]);
        judge(&scene, rows[i].expected);
        if (scene.delivery.completed_ns != rows[i].completed_ns ||
            scene.delivery.delivered_count != rows[i].delivered ||
            scene.delivery.duplicate_count != rows[i].duplicates)
            fail_msg("%s: at %llu, %u delivered, %u duplicates", rows[i].what,
                     (unsigned long long)scene.delivery.completed_ns,
                     scene.delivery.delivered_count, scene.delivery.duplicate_count);
        audit_deliveries_close(&scene.deliveries);
    }
}

static void long_domains_count_to_their_end(void **state)
{
    struct scene scene = {0};
    char first[700];
    char second[700];
    char upper[700];
    (void)state;
    memset(first, 'd', sizeof(first) - 1);
    memcpy(first, "a@", 2);
    first[sizeof(first) - 1] = 0;
    memcpy(second, first, sizeof(first));
    second[sizeof(second) - 2] = 'e';
    memcpy(upper, first, sizeof(first));
    upper[300] = 'D';
    struct spool_id id = {.number = 1, .offset = 64};
    const char *const addresses[] = {first, second, upper};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(audit_deliveries_add(&scene.deliveries, &scene.chain, &id, 10 + i), 0);
        assert_int_equal(
            audit_deliveries_add_recipient(&scene.deliveries, bytes_from_text(addresses[i])), 0);
    }
    judge(&scene, 2);
    assert_int_equal(scene.delivery.delivered_count, 2);
    assert_int_equal(scene.delivery.duplicate_count, 1);
    audit_deliveries_close(&scene.deliveries);
}

/* Within one batch all stamps are the same: the spool's order decides, and the chain follows it. */
static void the_chain_is_put_in_order(void **state)
{
    static const struct spool_id ids[] = {{.worker = 1, .number = 1, .offset = 64},
                                          {.worker = 0, .number = 2, .offset = 64},
                                          {.worker = 0, .number = 1, .offset = 128},
                                          {.worker = 0, .number = 1, .offset = 64},
                                          {.worker = 9, .number = 9, .offset = 9}};
    struct scene scene = {0};
    uint32_t at;
    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(
            audit_deliveries_add(&scene.deliveries, &scene.chain, &ids[i], i == 4 ? 1 : 7), 0);
    judge(&scene, 0);
    assert_int_equal(scene.delivery.completed_ns, 1);
    at = scene.chain;
    assert_int_equal(audit_deliveries_next(&scene.deliveries, &at)->id.worker, 9);
    assert_int_equal(audit_deliveries_next(&scene.deliveries, &at)->id.offset, 64);
    assert_int_equal(audit_deliveries_next(&scene.deliveries, &at)->id.offset, 128);
    assert_int_equal(audit_deliveries_next(&scene.deliveries, &at)->id.number, 2);
    assert_int_equal(audit_deliveries_next(&scene.deliveries, &at)->id.worker, 1);
    assert_null(audit_deliveries_next(&scene.deliveries, &at));
    audit_deliveries_close(&scene.deliveries);
}

#define MANY 3000u

/* Chains of many messages do not mix, whatever order their copies come in. */
static void many_messages(void **state)
{
    static uint32_t chains[MANY];
    struct audit_deliveries deliveries = {0};
    struct audit_delivery delivery;
    char address[64];
    (void)state;
    for (uint32_t copy = 0; copy < 3; copy++) {
        for (uint32_t i = 0; i < MANY; i++) {
            struct spool_id id = {.number = copy + 1, .offset = i};
            assert_int_equal(audit_deliveries_add(&deliveries, &chains[i], &id, 100 - copy), 0);
            for (uint32_t recipient = 0; recipient <= i % 3; recipient++) {
                (void)snprintf(address, sizeof(address), "%u-%u@x", copy, recipient);
                assert_int_equal(
                    audit_deliveries_add_recipient(&deliveries, bytes_from_text(address)), 0);
            }
        }
    }
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t each = i % 3 + 1;
        assert_int_equal(audit_deliveries_judge(&deliveries, &chains[i], 3 * each, &delivery), 0);
        assert_int_equal(delivery.delivered_count, 3 * each);
        assert_int_equal(delivery.duplicate_count, 0);
        assert_int_equal(delivery.completed_ns, 100);
        assert_int_equal(audit_deliveries_judge(&deliveries, &chains[i], each, &delivery), 0);
        assert_int_equal(delivery.completed_ns, 98);
    }
    audit_deliveries_close(&deliveries);
}

/* A list of thousands, one transaction each. */
static void one_message_of_many_copies(void **state)
{
    struct scene scene = {0};
    char address[64];
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        (void)snprintf(address, sizeof(address), "user%u@x", i);
        add(&scene, i, &(struct copy){MANY - i, address});
    }
    judge(&scene, MANY);
    assert_int_equal(scene.delivery.completed_ns, MANY);
    assert_int_equal(scene.delivery.delivered_count, MANY);
    add(&scene, MANY, &(struct copy){MANY + 1, "user7@X"});
    judge(&scene, MANY);
    assert_int_equal(scene.delivery.duplicate_count, 1);
    audit_deliveries_close(&scene.deliveries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_and_duplicates),
        cmocka_unit_test(long_domains_count_to_their_end),
        cmocka_unit_test(the_chain_is_put_in_order),
        cmocka_unit_test(many_messages),
        cmocka_unit_test(one_message_of_many_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
