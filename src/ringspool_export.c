/*
 * export: delivers a spool's messages to mailboxes that mail readers know.
 *
 * A pass walks every segment from where the last one ended, in this run or one before it;
 * --follow makes a pass every FOLLOW_EVERY_NS until a signal. The spool stays mapped from pass to
 * pass until files of it come or go, and a segment that looks as it did is not walked again. A
 * message is copied out of the mapping before it is delivered, and delivered only if no segment of
 * it was recycled meanwhile.
 */
#include "ringspool.h"

#include "base/clock.h"
#include "base/exit_codes.h"
#include "base/log.h"
#include "export/export_directory.h"
#include "export/export_eml.h"
#include "export/export_maildir.h"
#include "export/export_mbox.h"
#include "export/export_mh.h"
#include "export/export_progress.h"
#include "spool/spool_format.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FOLLOW_EVERY_NS (200 * CLOCK_NS_PER_MS)
#define SAVE_EVERY_NS   CLOCK_NS_PER_S
#define HOST_MAX        256

enum export_format { EXPORT_MAILDIR, EXPORT_MH, EXPORT_MBOX, EXPORT_EML };

static const struct {
    const char *name;
    enum export_format format;
} formats[] = {
    {"maildir", EXPORT_MAILDIR},
    {"mh", EXPORT_MH},
    {"mbox", EXPORT_MBOX},
    {"eml", EXPORT_EML},
};

/* What a segment looked like where its next record would be, when it was last walked. */
struct glimpse {
    uint8_t octets[SPOOL_RECORD_HEADER_SIZE];
    uint32_t offset; /* 0: it was not walked yet */
    uint32_t sealed_end;
};

static_assert(sizeof(struct glimpse) == SPOOL_RECORD_HEADER_SIZE + 8, "it is compared whole");

struct exporting {
    const struct ringspool *program;
    const char *path; /* of the folder, as it was given */
    int root;
    enum export_format format;
    struct spool_archive archive;
    struct glimpse *glimpses; /* of the archive's segments; NULL: it is not open */
    struct export_progress progress;
    char progress_name[EXPORT_PROGRESS_NAME_MAX];
    struct export_place *place; /* of the segment that is being walked */
    uint64_t saved_ns;
    uint64_t saved_count; /* messages up to the last save */
    struct export_mh mh;
    char host[HOST_MAX];
    uint64_t message_count;
    uint64_t delivered_count;
    uint64_t present_count; /* not delivered: they were there already */
    uint64_t failed_count;
    uint64_t damaged_count;
};

/* One message's envelope and content, out of the mapping. */
struct mail {
    uint8_t *memory;
    struct bytes envelope;
    struct export_letter letter;
};

struct mailbox {
    struct bytes recipient;
    char name[EXPORT_PATH_MAX];
};

static volatile sig_atomic_t is_stopped;

static void stop_take(int signal_number)
{
    (void)signal_number;
    is_stopped = 1;
}

/* Reads --to; exits if it is wrong. */
static void target_read(struct exporting *exporting, const char *target)
{
    for (uint32_t i = 0; target != NULL && i < sizeof(formats) / sizeof(formats[0]); i++) {
        size_t size = strlen(formats[i].name);
        if (strncmp(target, formats[i].name, size) != 0 || target[size] != ':') continue;
        exporting->format = formats[i].format;
        exporting->path = target + size + 1;
        if (*exporting->path != 0) return;
    }
    die(EXIT_CODE_USAGE, "export needs --to maildir:DIR, mh:DIR, mbox:DIR or eml:DIR");
}

static void envelope_read(struct mail *mail)
{
    struct bytes octets = mail->envelope;
    struct bytes value;
    enum spool_item item;

    while (spool_envelope_next(&octets, &item, &value)) {
        switch (item) {
        case SPOOL_ITEM_PEER:
            mail->letter.peer = value;
            break;
        case SPOOL_ITEM_PROTOCOL:
            mail->letter.protocol = value;
            break;
        case SPOOL_ITEM_HELO:
            mail->letter.helo = value;
            break;
        case SPOOL_ITEM_SENDER:
            mail->letter.sender = value;
            break;
        case SPOOL_ITEM_END:
        case SPOOL_ITEM_SENDER_PARAMETERS:
        case SPOOL_ITEM_RECIPIENT:
        case SPOOL_ITEM_RECIPIENT_PARAMETERS:
            break;
        }
    }
}

/* Copies a whole message; its verdict once more, for it may have been recycled meanwhile. */
static enum spool_reader_verdict mail_copy(const struct spool_archive *archive,
                                           const struct spool_reader_message *message,
                                           const struct spool_archive_content *content,
                                           struct mail *mail)
{
    const struct spool_reader_head *head = &content->head;
    uint32_t faults = ringspool_fault_count();
    uint64_t at = head->envelope.size;

    mail->memory = malloc(at + head->content_size + 1);
    if (mail->memory == NULL) die(EXIT_CODE_FAILED, "out of memory");
    if (at > 0) memcpy(mail->memory, head->envelope.data, at);
    for (uint32_t i = 0; i < content->count; i++) {
        struct bytes piece = content->pieces[i];
        if (piece.size > 0) memcpy(mail->memory + at, piece.data, piece.size);
        at += piece.size;
    }
    mail->envelope = bytes_make(mail->memory, head->envelope.size);
    mail->letter.content = bytes_make(mail->memory + head->envelope.size, head->content_size);
    mail->letter.id = message->id;
    mail->letter.received_ns = head->received_ns;
    if (!spool_archive_is_current(archive, message)) return SPOOL_READER_EXPIRED;
    return ringspool_fault_count() == faults ? SPOOL_READER_WHOLE : SPOOL_READER_DAMAGED;
}

static int mailbox_compare(const void *left, const void *right)
{
    const struct mailbox *a = left;
    const struct mailbox *b = right;
    return strcmp(a->name, b->name);
}

/* The mailboxes of a message by name, each once, at `out`, which the caller frees; their count. */
static uint64_t mailboxes_read(const struct mail *mail, struct mailbox **out)
{
    struct bytes octets = mail->envelope;
    struct bytes value;
    enum spool_item item;
    uint64_t count = 0;
    uint64_t kept = 0;

    while (spool_envelope_next(&octets, &item, &value))
        count += item == SPOOL_ITEM_RECIPIENT;
    struct mailbox *boxes = calloc(count + 1, sizeof(*boxes));
    if (boxes == NULL) die(EXIT_CODE_FAILED, "out of memory");
    octets = mail->envelope;
    for (uint64_t i = 0; i < count && spool_envelope_next(&octets, &item, &value);) {
        if (item != SPOOL_ITEM_RECIPIENT) continue;
        boxes[i].recipient = value;
        (void)export_path_encode(boxes[i++].name, value);
    }
    qsort(boxes, count, sizeof(*boxes), mailbox_compare);
    for (uint64_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(boxes[kept - 1].name, boxes[i].name) != 0) boxes[kept++] = boxes[i];
    *out = boxes;
    return kept;
}

/* The disk or this process is at its end: what follows would fail too. */
static bool is_final(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -EIO ||
           error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -ENOSYS;
}

/* What was delivered comes to the disk before the word that it was. 0 or -errno. */
static int progress_save(struct exporting *exporting)
{
    if (exporting->message_count == exporting->saved_count) return 0;
    if (syncfs(exporting->root) < 0) return -errno;
    exporting->saved_count = exporting->message_count;
    exporting->saved_ns = clock_now_ns();
    return export_progress_save(&exporting->progress, exporting->root, exporting->progress_name);
}

static void progress_require(const struct exporting *exporting, int error)
{
    if (error < 0)
        die(EXIT_CODE_FAILED, "can't note in %s/%s how far it has come: %s", exporting->path,
            exporting->progress_name, strerror(-error));
}

static void delivery_count(struct exporting *exporting, const struct export_letter *letter,
                           const char *mailbox, int error)
{
    char id[SPOOL_ID_TEXT_MAX + 1];

    if (error == 0) {
        exporting->delivered_count++;
        return;
    }
    if (error == -EEXIST) {
        exporting->present_count++;
        return;
    }
    exporting->failed_count++;
    export_place_fail(exporting->place);
    (void)export_letter_put_id(id, letter);
    if (is_final(error)) (void)progress_save(exporting); /* as far as the disk lets it */
    if (is_final(error))
        die(EXIT_CODE_FAILED, "can't deliver %s to %s/%s: %s; %" PRIu64 " were delivered before it",
            id, exporting->path, mailbox, strerror(-error), exporting->delivered_count);
    log_error("can't deliver %s to %s/%s: %s", id, exporting->path, mailbox,
              error == -ELOOP || error == -EXDEV ? "a link is in the way" : strerror(-error));
}

static int mailbox_deliver(struct exporting *exporting, const struct export_letter *letter,
                           const char *mailbox)
{
    switch (exporting->format) {
    case EXPORT_MAILDIR:
        return export_maildir_deliver(exporting->root, mailbox, letter);
    case EXPORT_MH:
        return export_mh_deliver(&exporting->mh, exporting->root, mailbox, letter);
    case EXPORT_MBOX:
        return export_mbox_deliver(exporting->root, mailbox, letter);
    case EXPORT_EML:
        break;
    }
    return export_eml_deliver(exporting->root, letter);
}

static void mail_deliver(struct exporting *exporting, struct mail *mail)
{
    struct mailbox *boxes;

    mail->letter.host = bytes_from_text(exporting->host);
    envelope_read(mail);
    uint64_t count = mailboxes_read(mail, &boxes);
    exporting->message_count++;
    if (exporting->format == EXPORT_EML) {
        if (count == 1) mail->letter.recipient = boxes[0].recipient;
        delivery_count(exporting, &mail->letter, "", mailbox_deliver(exporting, &mail->letter, ""));
        count = 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        mail->letter.recipient = boxes[i].recipient;
        int error = mailbox_deliver(exporting, &mail->letter, boxes[i].name);
        delivery_count(exporting, &mail->letter, boxes[i].name, error);
    }
    free(boxes);
}

static void message_export(struct exporting *exporting, const struct spool_reader_message *message)
{
    struct spool_archive *archive = &exporting->archive;
    struct spool_archive_content content;
    struct mail mail = {0};

    enum spool_reader_verdict verdict = spool_archive_read(archive, message, &content);
    if (verdict == SPOOL_READER_WHOLE) verdict = mail_copy(archive, message, &content, &mail);
    if (verdict == SPOOL_READER_WHOLE) mail_deliver(exporting, &mail);
    exporting->damaged_count += verdict == SPOOL_READER_DAMAGED;
    free(mail.memory);
}

/* Does the segment look other than when it was last walked? */
static bool has_news(const struct spool_reader_segment *segment, const struct export_place *place,
                     struct glimpse *last)
{
    struct glimpse now = {.offset = place->offset, .sealed_end = segment->sealed_end};

    if (now.offset < SPOOL_SEGMENT_HEADER_SIZE) now.offset = SPOOL_SEGMENT_HEADER_SIZE;
    if ((uint64_t)now.offset + sizeof(now.octets) <= segment->capacity)
        memcpy(now.octets, segment->base + now.offset, sizeof(now.octets));
    bool is_other = memcmp(&now, last, sizeof(now)) != 0;
    *last = now; /* from before the walk: what comes during it is news again */
    return is_other;
}

static void segment_walk(struct exporting *exporting, const struct spool_reader_segment *segment)
{
    struct export_place *place = exporting->place;
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    enum spool_reader_event event;

    spool_reader_start(&reader, segment);
    if (place->offset > 0) {
        reader.offset = place->offset;
        reader.index = place->index;
    }
    while (is_stopped == 0 &&
           (event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
        if (event == SPOOL_READER_TORN) continue;
        if (event == SPOOL_READER_MESSAGE)
            message_export(exporting, &message);
        else
            exporting->damaged_count += spool_reader_segment_is_current(segment);
        export_place_advance(place, reader.offset, reader.index);
    }
}

static void segment_export(struct exporting *exporting, const struct spool_reader_segment *segment,
                           struct glimpse *glimpse)
{
    exporting->place = export_progress_place(&exporting->progress, segment->worker, segment->number,
                                             segment->salt);
    if (exporting->place == NULL) die(EXIT_CODE_FAILED, "out of memory");
    if (has_news(segment, exporting->place, glimpse)) segment_walk(exporting, segment);
    if (clock_now_ns() - exporting->saved_ns >= SAVE_EVERY_NS)
        progress_require(exporting, progress_save(exporting));
}

static void archive_close(struct exporting *exporting)
{
    if (exporting->glimpses != NULL) spool_archive_close(&exporting->archive);
    free(exporting->glimpses);
    exporting->glimpses = NULL;
}

/* The spool as it is now. True if it was mapped anew. */
static bool archive_update(struct exporting *exporting)
{
    struct spool_archive *archive = &exporting->archive;

    if (exporting->glimpses != NULL && !spool_archive_is_stale(archive)) {
        spool_archive_refresh(archive);
        return false;
    }
    archive_close(exporting);
    ringspool_require(exporting->program, spool_archive_open(archive, exporting->program->spool));
    exporting->glimpses = calloc(archive->count + 1, sizeof(*exporting->glimpses));
    if (exporting->glimpses == NULL) die(EXIT_CODE_FAILED, "out of memory");
    return true;
}

/* Delivers what has been committed since the pass before. */
static void pass_run(struct exporting *exporting, bool is_first)
{
    bool is_new = archive_update(exporting);

    for (uint64_t i = 0; i < exporting->archive.count && is_stopped == 0; i++) {
        const struct spool_reader_segment *segment = &exporting->archive.segments[i];
        if (segment->base != NULL)
            segment_export(exporting, segment, &exporting->glimpses[i]);
        else
            exporting->damaged_count += is_first;
    }
    if ((is_new || is_first) && is_stopped == 0) export_progress_forget(&exporting->progress);
    progress_require(exporting, progress_save(exporting));
}

static void pause_make(void)
{
    struct timespec pause = {.tv_nsec = (long)FOLLOW_EVERY_NS};

    (void)nanosleep(&pause, NULL);
}

static void follow(struct exporting *exporting)
{
    while (is_stopped == 0) {
        pause_make();
        if (is_stopped == 0) pass_run(exporting, false);
    }
}

static int exporting_end(const struct exporting *exporting)
{
    (void)printf("%" PRIu64 " messages, %" PRIu64 " delivered, %" PRIu64 " there already, %" PRIu64
                 " failed\n",
                 exporting->message_count, exporting->delivered_count, exporting->present_count,
                 exporting->failed_count);
    if (exporting->damaged_count > 0)
        log_error("%" PRIu64 " damaged places are left out; see them with: ringspool verify %s",
                  exporting->damaged_count, exporting->program->spool);
    return exporting->failed_count + exporting->damaged_count == 0 ? EXIT_CODE_OK
                                                                   : EXIT_CODE_FAILED;
}

/* The server may be starting right now: --follow waits until it has made its spool. */
static void spool_await(const struct ringspool *program)
{
    struct spool_archive archive;
    bool is_told = false;

    for (; is_stopped == 0; pause_make()) {
        int error = spool_archive_open(&archive, program->spool);
        if (error == 0) spool_archive_close(&archive);
        if (error != -ENOENT) return;
        if (!is_told) log_info("waiting for a spool in %s", program->spool);
        is_told = true;
    }
}

/* Opens the folder, and reads how far an earlier run came. */
static void target_open(struct exporting *exporting, const char *spool)
{
    char resolved[PATH_MAX];

    exporting->root = export_directory_open(exporting->path);
    if (exporting->root < 0)
        die(EXIT_CODE_FAILED, "can't open the folder %s: %s", exporting->path,
            strerror(-exporting->root));
    if (realpath(spool, resolved) == NULL)
        die(EXIT_CODE_NO_SPOOL, "%s: %s", spool, strerror(errno));
    export_progress_name(exporting->progress_name, formats[exporting->format].name, resolved);
    int error =
        export_progress_load(&exporting->progress, exporting->root, exporting->progress_name);
    if (error < 0)
        die(EXIT_CODE_FAILED,
            "can't read %s/%s, which says what is there already: %s; without it everything is "
            "delivered again",
            exporting->path, exporting->progress_name, strerror(-error));
}

int ringspool_export(const struct ringspool *program)
{
    struct exporting exporting = {.program = program, .saved_ns = clock_now_ns()};
    struct sigaction stop = {.sa_handler = stop_take};

    target_read(&exporting, program->target);
    if (gethostname(exporting.host, HOST_MAX - 1) != 0) (void)strcpy(exporting.host, "localhost");
    if (program->is_follow) {
        (void)sigaction(SIGINT, &stop, NULL);
        (void)sigaction(SIGTERM, &stop, NULL);
        spool_await(program);
    }
    if (is_stopped != 0) return EXIT_CODE_OK;
    (void)archive_update(&exporting); /* no folder is made for a spool that is not there */
    target_open(&exporting, exporting.archive.directory.path);
    pass_run(&exporting, true);
    if (program->is_follow) follow(&exporting);
    archive_close(&exporting);
    export_progress_close(&exporting.progress);
    (void)close(exporting.root);
    return exporting_end(&exporting);
}
