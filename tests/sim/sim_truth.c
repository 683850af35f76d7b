#include "sim_truth.h"

#include "sim_disk.h"
#include "sim_world.h"

#include "base/bytes.h"
#include "base/check.h"
#include "spool/spool_archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static struct sim_truth_message *messages;
static uint32_t message_count;
static uint32_t message_capacity;

void sim_truth_open(void)
{
    message_count = 0;
}

void sim_truth_close(void)
{
    free(messages);
    messages = NULL;
    message_count = 0;
    message_capacity = 0;
}

struct sim_truth_message *sim_truth_at(uint32_t index)
{
    CHECK(index < message_count);
    return &messages[index];
}

uint32_t sim_truth_begin(uint32_t socket, bool is_extended)
{
    if (message_count == message_capacity) {
        message_capacity = message_capacity == 0 ? 1024 : message_capacity * 2;
        messages = realloc(messages, message_capacity * sizeof *messages);
        CHECK(messages != NULL);
    }
    messages[message_count] =
        (struct sim_truth_message){.life = sim.life, .socket = socket, .is_extended = is_extended};
    SIM_COUNT(messages);
    return message_count++;
}

/* ---- what clients were told ---- */

static bool is_same_id(const struct sim_truth_message *a, const struct sim_truth_message *b)
{
    return a->has_id && b->has_id && a->number == b->number && a->offset == b->offset &&
           a->worker == b->worker;
}

void sim_truth_acknowledge(uint32_t index, const char *id)
{
    struct sim_truth_message *message = sim_truth_at(index);
    unsigned long long number = 0;
    if (message->state == SIM_TRUTH_ACKNOWLEDGED) return; /* another recipient's line */
    if (message->state != SIM_TRUTH_BEGUN)
        sim_violation("message %u was refused, and is acknowledged", index);
    message->state = SIM_TRUTH_ACKNOWLEDGED;
    message->code = 250;
    message->has_id = sscanf(id, "%u.%llu.%u", &message->worker, &number, &message->offset) == 3;
    message->number = number;
    if (!message->has_id) sim_violation("message %u is acknowledged without a name", index);
    SIM_COUNT(acknowledged);
    sim_trace("message %u is acknowledged as %u.%llu.%u", index, message->worker, number,
              message->offset);
    for (uint32_t i = 0; i < message_count && !sim.has_lost_pages; i++)
        if (i != index && is_same_id(&messages[i], message))
            sim_violation("messages %u and %u have the same name", i, index);
}

void sim_truth_refuse(uint32_t index, uint32_t code)
{
    struct sim_truth_message *message = sim_truth_at(index);
    if (message->state == SIM_TRUTH_REFUSED || message->state == SIM_TRUTH_ABANDONED) return;
    if (message->state == SIM_TRUTH_ACKNOWLEDGED)
        sim_violation("message %u was acknowledged, and is refused", index);
    message->state = SIM_TRUTH_REFUSED;
    message->code = code;
    SIM_COUNT(refused);
    if (code == 451) SIM_COUNT(refused_451);
    if (code == 452) SIM_COUNT(refused_452);
    if (code == 552) SIM_COUNT(refused_552);
    sim_trace("message %u is refused with %u", index, code);
}

void sim_truth_abandon(uint32_t index)
{
    struct sim_truth_message *message = sim_truth_at(index);
    if (message->state != SIM_TRUTH_BEGUN) return;
    message->state = SIM_TRUTH_ABANDONED;
    SIM_COUNT(abandoned);
}

void sim_truth_settle(uint32_t socket, uint64_t received)
{
    for (uint32_t i = 0; i < message_count; i++) {
        struct sim_truth_message *message = &messages[i];
        if (message->life != sim.life || message->socket != socket) continue;
        message->was_received = message->end_at != 0 && message->end_at <= received;
        message->socket = SIM_TRUTH_NONE;
        if (message->state == SIM_TRUTH_BEGUN) SIM_COUNT(unanswered);
    }
}

bool sim_truth_has_number(uint32_t worker, uint64_t number)
{
    for (uint32_t i = 0; i < message_count; i++)
        if (messages[i].has_id && messages[i].worker == worker && messages[i].number == number)
            return true;
    return false;
}

/* ---- what the spool shows ---- */

static uint64_t content_hash(const struct spool_archive_content *content)
{
    XXH3_state_t *state = XXH3_createState();
    CHECK(state != NULL);
    (void)XXH3_64bits_reset(state);
    for (uint32_t i = 0; i < content->count; i++)
        if (content->pieces[i].size > 0)
            (void)XXH3_64bits_update(state, content->pieces[i].data, content->pieces[i].size);
    uint64_t hash = XXH3_64bits_digest(state);
    (void)XXH3_freeState(state);
    return hash;
}

static uint32_t index_of(struct bytes sender)
{
    uint64_t index = 0;
    if (sender.size < 2 || sender.data[0] != 'm') return SIM_TRUTH_NONE;
    (void)bytes_take(&sender, 1);
    struct bytes digits = bytes_take(&sender, bytes_find(sender, '@'));
    if (!bytes_to_number(digits, &index) || index >= message_count) return SIM_TRUTH_NONE;
    return (uint32_t)index;
}

/* What the envelope says: whose it is, and whether all of it is there. */
static uint32_t envelope_read(struct bytes envelope, uint32_t *recipients, bool *is_extended)
{
    enum spool_item item;
    struct bytes value;
    uint32_t index = SIM_TRUTH_NONE;
    uint32_t order = 0;
    *recipients = 0;
    *is_extended = false;
    while (spool_envelope_next(&envelope, &item, &value)) {
        char expected[64];
        if (item == SPOOL_ITEM_SENDER) index = index_of(value);
        if (item == SPOOL_ITEM_PROTOCOL) *is_extended = !bytes_equal(value, BYTES("SMTP"));
        if (item != SPOOL_ITEM_RECIPIENT) continue;
        (void)snprintf(expected, sizeof expected, "r%u.%u@there.test", order++, index);
        if (bytes_equal(value, bytes_from_text(expected))) ++*recipients;
    }
    return order == *recipients ? index : SIM_TRUTH_NONE;
}

static void message_take(const struct spool_reader_message *shown,
                         const struct spool_archive_content *content)
{
    uint32_t recipients = 0;
    bool is_extended = false;
    uint32_t index = envelope_read(content->head.envelope, &recipients, &is_extended);
    if (index == SIM_TRUTH_NONE) {
        sim_violation("a message is shown that nobody sent");
        return;
    }
    struct sim_truth_message *message = sim_truth_at(index);
    SIM_COUNT(checked);
    if (message->found++ > 0) sim_violation("message %u is there twice", index);
    if (recipients != message->recipient_count || is_extended != message->is_extended)
        sim_violation("message %u has another envelope: %u recipients, not %u", index, recipients,
                      message->recipient_count);
    if (content->head.content_size != message->content_size)
        sim_violation("message %u has %llu octets, not %llu", index,
                      (unsigned long long)content->head.content_size,
                      (unsigned long long)message->content_size);
    else if (content_hash(content) != message->content_hash)
        sim_violation("message %u has other content", index);
    bool is_named = message->has_id &&
                    (message->number != shown->id.number || message->offset != shown->id.offset ||
                     message->worker != shown->id.worker);
    if (is_named) sim_violation("message %u is there under another name", index);
    if (content->head.received_ns > shown->committed_ns)
        sim_violation("message %u was committed before it was received", index);
    message->has_id = true;
    message->number = shown->id.number;
    message->offset = shown->id.offset;
    message->worker = shown->id.worker;
    message->committed_ns = shown->committed_ns;
}

/* Its beginning was recycled: it is told by its end alone that it was there. */
static void headless_take(const struct spool_reader_segment *segment, const struct spool_id *id)
{
    const struct sim_truth_message shown = {
        .has_id = true, .worker = id->worker, .number = id->number, .offset = id->offset};
    for (uint32_t i = 0; i < message_count; i++)
        if (is_same_id(&messages[i], &shown)) messages[i].is_headless = true;
    if (sim.end != SIM_END_POWER && sim_disk_find_freed(id->worker, id->number) == NULL &&
        sim_disk_is_young(segment->worker, segment->number))
        sim_violation("a message's beginning is gone, and nobody freed it");
}

/* Behind kill -9, or a clean end, whatever this life has written is as it was written. */
static void damage_judge(const struct spool_reader_segment *segment, const char *what)
{
    SIM_COUNT(damaged_places);
    /* Pages that could not be written may be read again as the disk has them. */
    if (sim.end == SIM_END_POWER || sim.has_sync_failed) return;
    if (sim_disk_is_young(segment->worker, segment->number))
        sim_violation("segment %u.%llu is damaged: %s", segment->worker,
                      (unsigned long long)segment->number, what);
}

static void segment_check(struct spool_archive *archive, const struct spool_reader_segment *segment)
{
    struct spool_reader reader;
    struct spool_reader_message message;
    struct spool_reader_gap gap;
    struct spool_archive_content content;
    enum spool_reader_event event;
    if (segment->base == NULL) {
        damage_judge(segment, "no header");
        return;
    }
    spool_reader_start(&reader, segment);
    while ((event = spool_reader_next(&reader, &message, &gap)) != SPOOL_READER_END) {
        if (event == SPOOL_READER_DAMAGE) damage_judge(segment, "a gap");
        if (event == SPOOL_READER_TORN) SIM_COUNT(torn_tails);
        if (event != SPOOL_READER_MESSAGE) continue;
        switch (spool_archive_read(archive, &message, &content)) {
        case SPOOL_READER_WHOLE:
            message_take(&message, &content);
            break;
        case SPOOL_READER_DAMAGED:
            damage_judge(segment, "a message");
            break;
        case SPOOL_READER_EXPIRED:
            headless_take(segment, &message.id);
            break;
        }
    }
    if (sim.end == SIM_END_CLEAN && sim_disk_is_young(segment->worker, segment->number) &&
        segment->opened_ns != 0 && segment->sealed_end == 0)
        sim_violation("segment %u.%llu is not sealed", segment->worker,
                      (unsigned long long)segment->number);
}

/* ---- the judgement ---- */

/* Did it leave because its segment was recycled, and do the folders say so? */
static bool has_expired(uint32_t index, const struct sim_truth_message *message)
{
    if (!message->has_id) return false;
    const struct sim_disk_freed *freed = sim_disk_find_freed(message->worker, message->number);
    if (freed == NULL) return false;
    SIM_COUNT(expired);
    /* A power cut left some of it without the mark *opened*: none of that was promised. */
    if (!freed->was_recycled && (message->state != SIM_TRUTH_ACKNOWLEDGED || sim.has_lost_pages))
        return true;
    if (!freed->was_recycled)
        sim_violation("message %u was in a segment that was removed as if never used", index);
    uint64_t freed_ns = sim_disk_freed_ns();
    bool is_younger = message->committed_ns > freed_ns || message->sent_ns > freed_ns;
    if (is_younger && !message->is_headless && !sim.has_lost_pages)
        sim_violation(
            "message %u expired, though it is younger (%llu, sent %llu) than what the folder says "
            "(%llu)",
            index, (unsigned long long)message->committed_ns, (unsigned long long)message->sent_ns,
            (unsigned long long)freed_ns);
    return true;
}

static bool must_be_there(const struct sim_truth_message *message)
{
    if (message->is_lost) return false;
    if (message->is_on_disk) return true;
    if (message->state == SIM_TRUTH_ACKNOWLEDGED)
        return sim.settings.is_synced || sim.end != SIM_END_POWER;
    /* Pages that could not be written may be read again as the disk has them. */
    return message->was_shown && sim.end != SIM_END_POWER && !sim.has_ever_failed;
}

static bool may_be_there(const struct sim_truth_message *message)
{
    switch (message->state) {
    case SIM_TRUTH_BEGUN:
        return message->was_received;
    case SIM_TRUTH_ABANDONED:
        return false;
    case SIM_TRUTH_ACKNOWLEDGED:
        return true;
    case SIM_TRUTH_REFUSED:
        /* A sync failed, and what the disk had taken could not be revoked. */
        return message->code == 451 && message->was_received && sim.settings.is_synced &&
               (sim.end == SIM_END_POWER || message->is_on_disk);
    }
    CHECK(false); /* a state that does not exist */
    return false;
}

static const char *describe(const struct sim_truth_message *message)
{
    static char text[160];
    static const char *const states[] = {"unanswered", "abandoned", "acknowledged", "refused"};
    (void)snprintf(text, sizeof text, "%s (%u) in life %u, %s, %u.%llu.%u, %llu octets",
                   states[message->state], message->code, message->life,
                   message->was_received ? "received" : "not received", message->worker,
                   (unsigned long long)message->number, message->offset,
                   (unsigned long long)message->content_size);
    return text;
}

static void message_judge(uint32_t index, struct sim_truth_message *message)
{
    bool is_found = message->found > 0;
    if (!is_found && must_be_there(message) && !has_expired(index, message))
        sim_violation("message %u is missing: %s", index, describe(message));
    if (is_found && !may_be_there(message))
        sim_violation("message %u is there: %s", index, describe(message));
    if (is_found && message->state == SIM_TRUTH_REFUSED) SIM_COUNT(refused_but_shown);
    if (is_found && message->state == SIM_TRUTH_BEGUN) SIM_COUNT(unanswered_shown);
    if (is_found) message->was_shown = true;
    if (sim.end != SIM_END_POWER) return;
    message->is_on_disk |= is_found;
    message->is_lost |= !is_found;
}

void sim_truth_check(void)
{
    struct spool_archive archive;
    int error = spool_archive_open(&archive, "/spool");
    CHECK(error == 0);
    for (uint32_t i = 0; i < message_count; i++)
        messages[i].found = 0, messages[i].is_headless = false;
    for (uint64_t i = 0; i < archive.count; i++)
        segment_check(&archive, &archive.segments[i]);
    spool_archive_close(&archive);
    for (uint32_t i = 0; i < message_count; i++)
        message_judge(i, &messages[i]);
}
