/*
 * export: delivers a spool's messages to mailboxes that mail readers know.
 *
 * A pass walks every worker's segments from where the last one ended; --follow makes a pass every
 * FOLLOW_EVERY_NS until a signal. A message is copied out of the mapping before it is delivered,
 * and delivered only if no segment of it was recycled meanwhile.
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

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FOLLOW_EVERY_NS (200 * CLOCK_NS_PER_MS)
#define HOST_MAX        256
#define WORKERS_MAX     100 /* w00 to w99 */

enum export_format { EXPORT_MAILDIR, EXPORT_MH, EXPORT_MBOX, EXPORT_EML };

static const struct {
    const char *prefix;
    enum export_format format;
} formats[] = {
    {"maildir:", EXPORT_MAILDIR},
    {"mh:", EXPORT_MH},
    {"mbox:", EXPORT_MBOX},
    {"eml:", EXPORT_EML},
};

/* Up to where a worker's log has been exported. */
struct position {
    uint64_t number;
    uint32_t offset;
    uint32_t index;
};

struct exporting {
    const struct ringspool *program;
    const char *path; /* of the folder, as it was given */
    int root;
    enum export_format format;
    struct export_mh mh;
    char host[HOST_MAX];
    uint64_t message_count;
    uint64_t delivered_count;
    uint64_t present_count; /* not delivered: they were there already */
    uint64_t failed_count;
    uint64_t damaged_count;
    struct position positions[WORKERS_MAX];
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
        size_t size = strlen(formats[i].prefix);
        if (strncmp(target, formats[i].prefix, size) != 0 || target[size] == 0) continue;
        exporting->format = formats[i].format;
        exporting->path = target + size;
        return;
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
    (void)export_letter_put_id(id, letter);
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

static void message_export(struct exporting *exporting, struct spool_archive *archive,
                           const struct spool_reader_message *message)
{
    struct spool_archive_content content;
    struct mail mail = {0};

    enum spool_reader_verdict verdict = spool_archive_read(archive, message, &content);
    if (verdict == SPOOL_READER_WHOLE) verdict = mail_copy(archive, message, &content, &mail);
    if (verdict == SPOOL_READER_WHOLE) mail_deliver(exporting, &mail);
    exporting->damaged_count += verdict == SPOOL_READER_DAMAGED;
    free(mail.memory);
}

static void segment_export(struct exporting *exporting, struct spool_archive *archive,
                           const struct spool_reader_segment *segment)
{
    struct position *position = &exporting->positions[segment->worker];
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    enum spool_reader_event event;

    spool_reader_start(&reader, segment);
    if (position->number == segment->number) {
        reader.offset = position->offset;
        reader.index = position->index;
    }
    while (is_stopped == 0 &&
           (event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
        if (event == SPOOL_READER_TORN) continue;
        if (event == SPOOL_READER_MESSAGE)
            message_export(exporting, archive, &message);
        else
            exporting->damaged_count += spool_reader_segment_is_current(segment);
        *position = (struct position){segment->number, reader.offset, reader.index};
    }
}

/* Delivers what has been committed since the pass before. */
static void pass_run(struct exporting *exporting, bool is_first)
{
    struct spool_archive archive;

    ringspool_require(exporting->program, spool_archive_open(&archive, exporting->program->spool));
    uint64_t before = exporting->message_count;
    for (uint64_t i = 0; i < archive.count; i++) {
        const struct spool_reader_segment *segment = &archive.segments[i];
        CHECK(archive.files[i].worker < WORKERS_MAX);
        if (segment->base == NULL) {
            exporting->damaged_count += is_first;
            continue;
        }
        if (segment->number >= exporting->positions[segment->worker].number)
            segment_export(exporting, &archive, segment);
    }
    spool_archive_close(&archive);
    if (exporting->message_count > before && syncfs(exporting->root) < 0)
        die(EXIT_CODE_FAILED, "can't sync %s: %s", exporting->path, strerror(errno));
}

static void follow(struct exporting *exporting)
{
    struct timespec pause = {.tv_nsec = (long)FOLLOW_EVERY_NS};

    while (is_stopped == 0) {
        (void)nanosleep(&pause, NULL);
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

int ringspool_export(const struct ringspool *program)
{
    struct exporting exporting = {.program = program};
    struct sigaction stop = {.sa_handler = stop_take};
    struct spool_archive archive;

    target_read(&exporting, program->target);
    if (gethostname(exporting.host, HOST_MAX - 1) != 0) (void)strcpy(exporting.host, "localhost");
    ringspool_require(program, spool_archive_open(&archive, program->spool));
    spool_archive_close(&archive); /* no folder is made for a spool that is not there */
    exporting.root = export_directory_open(exporting.path);
    if (exporting.root < 0)
        die(EXIT_CODE_FAILED, "can't open the folder %s: %s", exporting.path,
            strerror(-exporting.root));
    if (program->is_follow) {
        (void)sigaction(SIGINT, &stop, NULL);
        (void)sigaction(SIGTERM, &stop, NULL);
    }
    pass_run(&exporting, true);
    if (program->is_follow) follow(&exporting);
    (void)close(exporting.root);
    return exporting_end(&exporting);
}
