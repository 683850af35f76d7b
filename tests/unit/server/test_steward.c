#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/steward.h"
#include "spool/spool_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT (1u << 20)

struct place {
    char root[64];
    char path[96];
    int wake;
    struct config config;
    struct steward steward;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    if (place == NULL) return -1;
    (void)snprintf(place->root, sizeof(place->root), "/tmp/test_steward.XXXXXX");
    if (mkdtemp(place->root) == NULL) return -1;
    (void)snprintf(place->path, sizeof(place->path), "%s/spool", place->root);
    place->wake = eventfd(0, EFD_NONBLOCK);
    place->config.threads = 1;
    place->config.segment_size = SEGMENT;
    place->config.spool_size = 8 * SEGMENT;
    place->config.size_limit = 1000;
    place->config.when_full = CONFIG_RECYCLE;
    log_open("test", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/bin/rm", "/bin/rm", "-rf", place->root, NULL);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
    close(place->wake);
    free(place);
    return 0;
}

static void start(struct place *place)
{
    assert_int_equal(steward_open(&place->steward, place->path), 0);
    assert_int_equal(steward_prepare(&place->steward, &place->config, &place->wake), 0);
}

/* A message is begun in the segment, and committed unless it `stays_open`. */
static void use(struct spool_writer *writer, struct spool_segment *segment,
                struct spool_message *message, bool stays_open)
{
    struct spool_envelope envelope;
    struct blocks pool;
    struct spool_id id;

    assert_int_equal(blocks_open(&pool, 1, SPOOL_ENVELOPE_BLOCK_SIZE), 0);
    spool_envelope_init(&envelope, &pool);
    assert_int_equal(spool_writer_open(writer, 0, false), 0);
    spool_writer_give(writer, segment);
    *message = (struct spool_message){0};
    assert_int_equal(spool_message_begin(writer, message, &envelope, clock_realtime_ns()),
                     SPOOL_DONE);
    if (!stays_open)
        assert_int_equal(spool_message_commit(writer, message, clock_realtime_ns(), &id),
                         SPOOL_DONE);
    blocks_close(&pool);
}

static int64_t files_count(const struct steward *steward, uint64_t *sealed)
{
    struct spool_file *files;
    int64_t count = spool_directory_list(&steward->directory, &files);
    int64_t segments = 0;
    *sealed = 0;
    for (int64_t i = 0; i < count; i++) {
        segments += !files[i].is_empty;
        *sealed += files[i].is_sealed;
    }
    free(files);
    return segments;
}

/* What was begun by a run that died is sealed by the next; what was not is gone. */
static void recovers(void **state)
{
    struct place *place = *state;
    struct spool_writer writer;
    struct spool_message message;
    uint64_t sealed = 0;

    start(place);
    use(&writer, steward_take(&place->steward, 0), &message, false);
    (void)steward_step(&place->steward, true);
    spool_writer_close(&writer);
    assert_int_equal(files_count(&place->steward, &sealed), 2);
    assert_int_equal(sealed, 0);
    /* It dies: nothing is withdrawn, nothing sealed. */
    place->steward.desks[0].prepared = NULL;
    steward_stop(&place->steward);

    start(place);
    assert_int_equal(files_count(&place->steward, &sealed), 2); /* one prepared by this run */
    assert_int_equal(sealed, 0);                                /* nothing is read before ready */
    assert_int_equal(steward_step(&place->steward, true), 0);   /* there may be more */
    assert_int_equal(files_count(&place->steward, &sealed), 2);
    assert_int_equal(sealed, 1);
    assert_true(steward_step(&place->steward, true) > 0);
    steward_stop(&place->steward);
    assert_int_equal(steward_open(&place->steward, place->path), 0);
    assert_int_equal(files_count(&place->steward, &sealed), 1);
    assert_int_equal(sealed, 1);
    assert_int_equal(steward_prepare(&place->steward, &place->config, &place->wake), 0);
    steward_stop(&place->steward);
}

/* Never begun, and handed back: its file is gone, its number is not used again. */
static void withdraws_unused(void **state)
{
    struct place *place = *state;
    uint64_t sealed = 0;

    start(place);
    struct spool_segment *first = steward_take(&place->steward, 0);
    assert_int_equal(first->number, 1);
    steward_return_unused(&place->steward, first);
    (void)steward_step(&place->steward, true);
    assert_int_equal(files_count(&place->steward, &sealed), 1);
    assert_int_equal(steward_used_bytes(&place->steward), SEGMENT);
    assert_int_equal(steward_take(&place->steward, 0)->number, 2);
    steward_stop(&place->steward);
}

static uint64_t *populated_ns(struct spool_segment *segment)
{
    return &QUEUE_OWNER(segment, struct steward_segment, segment)->populated_ns;
}

/* Populated again: what waits, is stale and soon needed; nothing that is in use, fresh, or idle. */
static void refreshes_what_waits(void **state)
{
    struct place *place = *state;
    struct spool_writer writer;
    struct spool_message message;

    start(place);
    struct steward_desk *desk = &place->steward.desks[0];
    struct spool_segment *next = steward_take(&place->steward, 0);
    (void)steward_step(&place->steward, true);
    struct spool_segment *prepared = desk->prepared;
    assert_ptr_equal(desk->before, next);
    assert_ptr_equal(desk->newest, prepared);
    uint64_t long_ago_ns = clock_now_ns() - 21 * CLOCK_NS_PER_S;

    desk->pace_ns = 15 * CLOCK_NS_PER_S;
    desk->put_ns = long_ago_ns;
    *populated_ns(next) = long_ago_ns;
    *populated_ns(prepared) = long_ago_ns + 10 * CLOCK_NS_PER_S;
    (void)steward_step(&place->steward, true); /* roused: there was something else to do */
    assert_int_equal(*populated_ns(next), long_ago_ns);
    (void)steward_step(&place->steward, false);
    assert_true(*populated_ns(next) > long_ago_ns);
    assert_int_equal(*populated_ns(prepared), long_ago_ns + 10 * CLOCK_NS_PER_S);

    *populated_ns(next) = long_ago_ns;
    *populated_ns(prepared) = long_ago_ns;
    desk->pace_ns = 10 * CLOCK_NS_PER_S; /* it should have been needed by now: the traffic ended */
    (void)steward_step(&place->steward, false);
    assert_int_equal(*populated_ns(next), long_ago_ns);
    desk->pace_ns = 61 * CLOCK_NS_PER_S; /* a trickle */
    (void)steward_step(&place->steward, false);
    assert_int_equal(*populated_ns(prepared), long_ago_ns);

    desk->pace_ns = 15 * CLOCK_NS_PER_S;
    use(&writer, next, &message, true);
    (void)steward_step(&place->steward, false);
    assert_int_equal(*populated_ns(next), long_ago_ns);
    assert_true(*populated_ns(prepared) > long_ago_ns);
    spool_message_abandon(&writer, &message);
    spool_writer_seal(&writer, clock_realtime_ns());
    steward_return(&place->steward, spool_writer_take_sealed(&writer));
    (void)steward_step(&place->steward, false);
    assert_null(desk->before);
    spool_writer_close(&writer);
    steward_stop(&place->steward);
}

/* One segment with an open message bars itself and what is newer, and the worker is asked. */
static void open_messages_bar_recycling(void **state)
{
    struct place *place = *state;
    struct spool_writer writer;
    struct spool_message message;
    uint64_t sealed = 0;

    place->config.spool_size = 2 * SEGMENT;
    start(place);
    use(&writer, steward_take(&place->steward, 0), &message, true);
    spool_writer_seal(&writer, clock_realtime_ns());
    steward_return(&place->steward, spool_writer_take_sealed(&writer));
    (void)steward_step(&place->steward, true);
    assert_non_null(steward_take(&place->steward, 0));
    (void)steward_step(&place->steward, true);
    assert_null(steward_take(&place->steward, 0));
    assert_int_equal(steward_clear_to(&place->steward, 0), 1);
    assert_false(place->steward.is_full);
    spool_message_fail(&writer, &message);
    steward_cleared(&place->steward, 0);
    (void)steward_step(&place->steward, true);
    assert_int_equal(steward_take(&place->steward, 0)->number, 3);
    assert_int_equal(files_count(&place->steward, &sealed), 2);
    assert_int_equal(sealed, 0);
    spool_writer_close(&writer);
    steward_stop(&place->steward);
}

/* Under `refuse` nothing is used again, not even what holds no message; trim makes room. */
static void refusing_keeps_all(void **state)
{
    struct place *place = *state;
    struct spool_writer writer;
    struct spool_message message;

    place->config.spool_size = 2 * SEGMENT;
    place->config.when_full = CONFIG_REFUSE;
    start(place);
    for (uint64_t number = 1; number < 3; number++) {
        assert_false(place->steward.is_full);
        use(&writer, steward_take(&place->steward, 0), &message, number == 2);
        if (number == 2) spool_message_abandon(&writer, &message);
        spool_writer_seal(&writer, clock_realtime_ns());
        steward_return(&place->steward, spool_writer_take_sealed(&writer));
        spool_writer_close(&writer);
        (void)steward_step(&place->steward, true);
    }
    assert_null(steward_take(&place->steward, 0));
    assert_true(place->steward.is_full);
    struct spool_file first = {.number = 1, .size = SEGMENT};
    assert_true(spool_directory_has(&place->steward.directory, &first));
    assert_int_equal(spool_directory_trim(&place->steward.directory, &first), 0);
    (void)steward_step(&place->steward, false);
    assert_false(place->steward.is_full);
    assert_int_equal(steward_take(&place->steward, 0)->number, 3);
    steward_stop(&place->steward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(recovers, setup, teardown),
        cmocka_unit_test_setup_teardown(withdraws_unused, setup, teardown),
        cmocka_unit_test_setup_teardown(refreshes_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(open_messages_bar_recycling, setup, teardown),
        cmocka_unit_test_setup_teardown(refusing_keeps_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
