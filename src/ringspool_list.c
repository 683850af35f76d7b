/* list and cat: what a spool holds. */
#include "ringspool.h"

#include "base/exit_codes.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECIPIENTS_SHOWN 3

struct mail {
    const struct spool_reader_message *message;
    const struct spool_reader_head *head;
    struct bytes peer;
    struct bytes protocol;
    struct bytes helo;
    struct bytes sender;
    struct bytes sender_parameters;
    uint64_t recipient_count;
    bool has_recipient_parameters;
};

static void mail_read(struct mail *mail)
{
    struct bytes octets = mail->head->envelope;
    struct bytes value;
    enum spool_item item;

    while (spool_envelope_next(&octets, &item, &value)) {
        switch (item) {
        case SPOOL_ITEM_PEER:
            mail->peer = value;
            break;
        case SPOOL_ITEM_PROTOCOL:
            mail->protocol = value;
            break;
        case SPOOL_ITEM_HELO:
            mail->helo = value;
            break;
        case SPOOL_ITEM_SENDER:
            mail->sender = value;
            break;
        case SPOOL_ITEM_SENDER_PARAMETERS:
            mail->sender_parameters = value;
            break;
        case SPOOL_ITEM_RECIPIENT:
            mail->recipient_count++;
            break;
        case SPOOL_ITEM_RECIPIENT_PARAMETERS:
            mail->has_recipient_parameters = true;
            break;
        case SPOOL_ITEM_END:
            break;
        }
    }
}

static void text_put_recipients(const struct mail *mail)
{
    struct bytes octets = mail->head->envelope;
    struct bytes value;
    enum spool_item item;
    uint64_t shown = 0;

    while (shown < RECIPIENTS_SHOWN && spool_envelope_next(&octets, &item, &value)) {
        if (item != SPOOL_ITEM_RECIPIENT) continue;
        (void)fputs(shown++ == 0 ? "<" : ",<", stdout);
        ringspool_put_escaped(value);
        (void)putchar('>');
    }
    if (mail->recipient_count > shown)
        (void)printf(",(%" PRIu64 " more)", mail->recipient_count - shown);
}

static void text_put(const struct mail *mail, const char *segment)
{
    ringspool_put_id(&mail->message->id);
    (void)putchar(' ');
    ringspool_put_time(mail->head->received_ns);
    (void)putchar(' ');
    ringspool_put_escaped(mail->peer);
    (void)fputs(" <", stdout);
    ringspool_put_escaped(mail->sender);
    (void)fputs("> ", stdout);
    text_put_recipients(mail);
    (void)printf(" %" PRIu64 " %s\n", mail->head->content_size, segment);
}

/* ,"name":["...","..."]: the recipients, or the parameters of each ("" for none). */
static void json_put_recipients(const struct mail *mail, const char *name, bool is_parameters)
{
    struct bytes octets = mail->head->envelope;
    struct bytes value;
    enum spool_item item;
    struct bytes pending = {0};
    uint64_t count = 0;
    enum spool_item second = SPOOL_ITEM_RECIPIENT_PARAMETERS;

    (void)printf(",\"%s\":[", name);
    while (spool_envelope_next(&octets, &item, &value)) {
        if (is_parameters && item == second) pending = value;
        if (item != SPOOL_ITEM_RECIPIENT) continue;
        if (count++ > 0) {
            ringspool_put_json(pending);
            (void)putchar(',');
        }
        pending = is_parameters ? bytes_make(NULL, 0) : value;
    }
    if (count > 0) ringspool_put_json(pending);
    (void)putchar(']');
}

static void json_put_text(const char *name, struct bytes value)
{
    (void)printf(",\"%s\":", name);
    ringspool_put_json(value);
}

static void json_put(const struct mail *mail, const char *segment)
{
    (void)fputs("{\"id\":\"", stdout);
    ringspool_put_id(&mail->message->id);
    (void)fputs("\",\"time\":\"", stdout);
    ringspool_put_time(mail->head->received_ns);
    (void)printf("\",\"received_ns\":%" PRIu64 ",\"committed_ns\":%" PRIu64,
                 mail->head->received_ns, mail->message->committed_ns);
    json_put_text("peer", mail->peer);
    json_put_text("protocol", mail->protocol);
    json_put_text("helo", mail->helo);
    json_put_text("from", mail->sender);
    if (mail->sender_parameters.size > 0) json_put_text("from_parameters", mail->sender_parameters);
    json_put_recipients(mail, "recipients", false);
    if (mail->has_recipient_parameters) json_put_recipients(mail, "recipient_parameters", true);
    (void)printf(",\"size\":%" PRIu64 ",\"records\":%" PRIu32 ",\"segment\":\"%s\"}\n",
                 mail->head->content_size, mail->message->record_count, segment);
}

static void mail_put(const struct ringspool *program, const struct spool_reader_message *message,
                     const struct spool_reader_head *head)
{
    char segment[RINGSPOOL_SEGMENT_TEXT_MAX];
    struct mail mail = {.message = message, .head = head};

    mail_read(&mail);
    (void)ringspool_segment_text(segment, message->id.worker, message->id.number);
    if (program->is_json)
        json_put(&mail, segment);
    else
        text_put(&mail, segment);
}

/* The envelope, out of the mapping: a recycled segment must not change it while it is printed. */
static struct bytes envelope_copy(struct bytes envelope)
{
    uint8_t *copy = malloc(envelope.size + 1);
    if (copy == NULL) die(EXIT_CODE_FAILED, "out of memory");
    if (envelope.size > 0) memcpy(copy, envelope.data, envelope.size);
    return bytes_make(copy, envelope.size);
}

/* Lists one segment; how many committed messages in it can't be shown. */
static uint64_t segment_list(const struct ringspool *program, struct spool_archive *archive,
                             const struct spool_reader_segment *segment)
{
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    enum spool_reader_event event;
    uint64_t damaged = 0;

    spool_reader_start(&reader, segment);
    while ((event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
        struct spool_archive_content content;
        if (event == SPOOL_READER_DAMAGE) damaged += spool_reader_segment_is_current(segment);
        if (event != SPOOL_READER_MESSAGE) continue;
        enum spool_reader_verdict verdict = spool_archive_read(archive, &message, &content);
        damaged += verdict == SPOOL_READER_DAMAGED;
        if (verdict != SPOOL_READER_WHOLE) continue;
        content.head.envelope = envelope_copy(content.head.envelope);
        if (spool_archive_is_current(archive, &message)) mail_put(program, &message, &content.head);
        free((void *)(uintptr_t)content.head.envelope.data);
    }
    return damaged;
}

int ringspool_list(const struct ringspool *program)
{
    struct spool_archive archive;
    uint64_t damaged = 0;

    ringspool_require(program, spool_archive_open(&archive, program->spool));
    for (uint64_t i = 0; i < archive.count; i++) {
        if (archive.segments[i].base == NULL)
            damaged++;
        else
            damaged += segment_list(program, &archive, &archive.segments[i]);
    }
    spool_archive_close(&archive);
    if (damaged == 0) return EXIT_CODE_OK;
    log_error("%" PRIu64 " damaged places are left out; see them with: ringspool verify %s",
              damaged, program->spool);
    return EXIT_CODE_FAILED;
}

/* The content, put together in memory of its own and still true. To be freed; NULL if not. */
static uint8_t *content_copy(const struct spool_archive *archive,
                             const struct spool_reader_message *message,
                             const struct spool_archive_content *content)
{
    uint64_t at = 0;
    uint8_t *copy = malloc(content->head.content_size + 1);

    if (copy == NULL) die(EXIT_CODE_FAILED, "out of memory");
    for (uint32_t i = 0; i < content->count; i++) {
        struct bytes piece = content->pieces[i];
        if (piece.size > 0) memcpy(copy + at, piece.data, piece.size);
        at += piece.size;
    }
    if (ringspool_fault_count() == 0 && spool_archive_is_current(archive, message)) return copy;
    free(copy);
    return NULL;
}

/* Writes the message if it is whole. Its verdict. */
static enum spool_reader_verdict message_cat(struct spool_archive *archive,
                                             const struct spool_reader_message *message)
{
    struct spool_archive_content content;

    enum spool_reader_verdict verdict = spool_archive_read(archive, message, &content);
    if (verdict != SPOOL_READER_WHOLE) return verdict;
    uint8_t *copy = content_copy(archive, message, &content);
    if (copy == NULL)
        return ringspool_fault_count() > 0 ? SPOOL_READER_DAMAGED : SPOOL_READER_EXPIRED;
    (void)fwrite(copy, 1, content.head.content_size, stdout);
    free(copy);
    return SPOOL_READER_WHOLE;
}

int ringspool_cat(const struct ringspool *program)
{
    const char *text = program->operands[0];
    struct spool_archive archive;
    struct spool_reader_message message;
    struct spool_id id;

    if (!spool_id_parse(bytes_from_text(text), &id))
        die(EXIT_CODE_USAGE, "'%s' is no message ID: it is three numbers, like 0.1.4096", text);
    ringspool_require(program, spool_archive_open(&archive, program->spool));
    bool is_found = spool_archive_find(&archive, &id, &message);
    enum spool_reader_verdict verdict =
        is_found ? message_cat(&archive, &message) : SPOOL_READER_EXPIRED;
    spool_archive_close(&archive);
    if (!is_found)
        die(EXIT_CODE_FAILED,
            "no message %s here: never committed, or recycled since; ringspool list %s has all",
            text, program->spool);
    switch (verdict) {
    case SPOOL_READER_WHOLE:
        break;
    case SPOOL_READER_DAMAGED:
        die(EXIT_CODE_FAILED, "message %s is damaged; where: ringspool verify %s", text,
            program->spool);
    case SPOOL_READER_EXPIRED:
        die(EXIT_CODE_FAILED, "message %s was recycled, at least its beginning", text);
    }
    return EXIT_CODE_OK;
}
