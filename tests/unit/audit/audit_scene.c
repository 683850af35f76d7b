#include "unit/audit/audit_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#define SIZE (1u << 20)

int audit_scene_setup(void **state)
{
    struct audit_scene *scene = calloc(1, sizeof(*scene));
    char path[128];
    if (scene == NULL) return -1;
    (void)snprintf(scene->root, sizeof(scene->root), "/tmp/test_audit.XXXXXX");
    if (mkdtemp(scene->root) == NULL) return -1;
    (void)snprintf(path, sizeof(path), "%s/spool", scene->root);
    if (spool_directory_open(&scene->directory, path) != 0) return -1;
    if (spool_writer_open(&scene->writer, 0, false) != 0) return -1;
    if (blocks_open(&scene->pool, 4, SPOOL_ENVELOPE_BLOCK_SIZE) != 0) return -1;
    scene->clock_ns = NOW;
    scene->ledger_capacity = 1 << 16;
    scene->ledger = malloc(scene->ledger_capacity);
    if (scene->ledger == NULL) return -1;
    scene->ledger_size = ledger_put_start(scene->ledger, &(struct ledger_start){.run = RUN});
    *state = scene;
    return 0;
}

int audit_scene_teardown(void **state)
{
    struct audit_scene *scene = *state;
    spool_writer_close(&scene->writer);
    for (uint32_t i = 0; i < scene->count; i++)
        spool_directory_release(&scene->segments[i]);
    spool_directory_close(&scene->directory);
    blocks_close(&scene->pool);
    char *arguments[] = {(char[]){"rm"}, (char[]){"-rf"}, scene->root, NULL};
    pid_t child = fork();
    if (child == 0) {
        (void)execv("/bin/rm", arguments);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
    free(scene->ledger);
    free(scene);
    return 0;
}

static void serve(struct audit_scene *scene)
{
    (void)spool_writer_take_sealed(&scene->writer);
    if (!spool_writer_wants_segment(&scene->writer)) return;
    uint32_t i = scene->count++;
    assert_true(i < 32);
    assert_int_equal(spool_directory_create(&scene->directory, &scene->segments[i], 0,
                                            (uint64_t)i + 1, SIZE, scene->clock_ns),
                     0);
    spool_writer_give(&scene->writer, &scene->segments[i]);
}

void audit_scene_begin(struct audit_scene *scene, struct spool_message *message)
{
    struct spool_envelope envelope;
    spool_envelope_init(&envelope, &scene->pool);
    while (spool_message_begin(&scene->writer, message, &envelope, scene->clock_ns) != SPOOL_DONE)
        serve(scene);
}

void audit_scene_append(struct audit_scene *scene, struct spool_message *message,
                        struct bytes slice)
{
    while (spool_message_append(&scene->writer, message, &slice, scene->clock_ns) != SPOOL_DONE)
        serve(scene);
}

void audit_scene_commit(struct audit_scene *scene, struct spool_message *message)
{
    struct spool_id id;
    while (spool_message_commit(&scene->writer, message, scene->clock_ns, &id) != SPOOL_DONE)
        serve(scene);
}

void audit_scene_store(struct audit_scene *scene, struct bytes content)
{
    struct spool_message message = {0};
    audit_scene_begin(scene, &message);
    audit_scene_append(scene, &message, content);
    audit_scene_commit(scene, &message);
}

void audit_scene_relay(struct audit_scene *scene, const char *sender, const char *recipients,
                       struct bytes content)
{
    struct spool_message message = {0};
    struct spool_envelope envelope;
    char words[256];

    spool_envelope_init(&envelope, &scene->pool);
    assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_PEER, BYTES("127.0.0.1:25")));
    assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_SENDER, bytes_from_text(sender)));
    (void)snprintf(words, sizeof(words), "%s", recipients);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(spool_envelope_put(&envelope, SPOOL_ITEM_RECIPIENT, bytes_from_text(word)));
        assert_true(
            spool_envelope_put(&envelope, SPOOL_ITEM_RECIPIENT_PARAMETERS, BYTES("NOTIFY=NEVER")));
    }
    while (spool_message_begin(&scene->writer, &message, &envelope, scene->clock_ns) != SPOOL_DONE)
        serve(scene);
    spool_envelope_drop(&envelope);
    audit_scene_append(scene, &message, content);
    audit_scene_commit(scene, &message);
}

void audit_scene_roll(struct audit_scene *scene)
{
    spool_writer_seal(&scene->writer, scene->clock_ns);
    (void)spool_writer_take_sealed(&scene->writer);
}

/* Message `sequence` of run `run`, as the generator makes it; its size. */
uint64_t audit_scene_make(uint8_t *out, uint64_t run, uint64_t sequence, uint64_t body_size)
{
    uint8_t *body = out + LEDGER_HEADER_SIZE + 2;
    for (uint64_t i = 0; i < body_size; i++)
        body[i] = (uint8_t)('a' + (sequence + i) % 26);
    ledger_put_header(out, run, sequence, body_size, XXH3_64bits(body, body_size));
    memcpy(out + LEDGER_HEADER_SIZE, "\r\n", 2);
    return LEDGER_HEADER_SIZE + 2 + body_size;
}

/* The ledger's line about it, sent at the scene's present. */
void audit_scene_note(struct audit_scene *scene, uint64_t run, uint64_t sequence,
                      enum ledger_state state)
{
    uint8_t message[4096];
    uint64_t size = audit_scene_make(message, run, sequence, 100 + sequence % 100);
    struct ledger_entry entry = {
        .run = run,
        .sequence = sequence,
        .size = size,
        .hash = XXH3_64bits(message + LEDGER_HEADER_SIZE + 2, size - LEDGER_HEADER_SIZE - 2),
        .sent_ns = scene->clock_ns,
        .state = state};
    if (scene->ledger_size + LEDGER_LINE_MAX > scene->ledger_capacity) {
        scene->ledger_capacity *= 2;
        scene->ledger = realloc(scene->ledger, scene->ledger_capacity);
        assert_non_null(scene->ledger);
    }
    scene->ledger_size += ledger_put_entry(scene->ledger + scene->ledger_size, &entry);
}

void audit_scene_deliver(struct audit_scene *scene, uint64_t run, uint64_t sequence)
{
    uint8_t message[4096];
    uint64_t size = audit_scene_make(message, run, sequence, 100 + sequence % 100);
    scene->clock_ns += 1000000;
    audit_scene_store(scene, bytes_make(message, size));
}

void audit_scene_examine(struct audit_scene *scene, struct audit *audit,
                         struct audit_report *report)
{
    struct spool_archive archive;

    assert_int_equal(audit_open(audit), 0);
    audit->is_relayed = scene->is_relayed;
    audit->keeps_copies = scene->keeps_copies;
    assert_int_equal(audit_add_ledger(audit, bytes_make(scene->ledger, scene->ledger_size)), 0);
    for (uint32_t i = 0; i < 2 && scene->probes[i].size > 0; i++)
        assert_int_equal(audit_add_probes(audit, scene->probes[i]), 0);
    assert_int_equal(spool_archive_open(&archive, scene->directory.path), 0);
    for (uint64_t i = 0; i < archive.count; i++) {
        if (audit_can_skip(audit, &archive, i))
            audit->skipped_segments++;
        else
            assert_int_equal(audit_segment(audit, &archive, i), 0);
    }
    assert_int_equal(audit_finish(audit, &archive), 0);
    audit_sum(audit, report);
    spool_archive_close(&archive);
}
