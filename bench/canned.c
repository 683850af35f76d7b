#include "canned.h"

#include <stdio.h>
#include <stdlib.h>

struct reply {
    const char *text;
    uint32_t size;
};

#define REPLY(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct reply greeting = REPLY("220 floor ESMTP\r\n");
static const struct reply ehlo = REPLY("250-floor\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
static const struct reply sender = REPLY("250 2.1.0 Ok\r\n");
static const struct reply recipient = REPLY("250 2.1.5 Ok\r\n");
static const struct reply go_ahead = REPLY("354 End data with <CR><LF>.<CR><LF>\r\n");
static const struct reply queued = REPLY("250 2.0.0 Ok: queued as 0.1.4096\r\n");
static const struct reply bye = REPLY("221 2.0.0 Bye\r\n");
static const struct reply unknown = REPLY("500 5.5.2 Error: command not recognized\r\n");

int canned_open(struct canned *canned)
{
    *canned = (struct canned){0};
    return blocks_open(&canned->blocks, CANNED_DIALOGUES_MAX, CANNED_REPLIES_MAX);
}

static void put(struct canned *canned, struct canned_dialogue *dialogue, const struct reply *reply)
{
    if (dialogue->replies == NULL) dialogue->replies = blocks_take(&canned->blocks);
    CHECK(dialogue->replies != NULL);
    CHECK(dialogue->size + reply->size <= CANNED_REPLIES_MAX);
    memcpy(dialogue->replies + dialogue->size, reply->text, reply->size);
    dialogue->size += reply->size;
}

void canned_greet(struct canned *canned, struct canned_dialogue *dialogue)
{
    put(canned, dialogue, &greeting);
}

static void line_ended(struct canned *canned, struct canned_dialogue *dialogue)
{
    switch (dialogue->verb | 0x20) {
    case 'e':
    case 'h':
        put(canned, dialogue, &ehlo);
        break;
    case 'm':
        put(canned, dialogue, &sender);
        break;
    case 'r':
        put(canned, dialogue, &recipient);
        break;
    case 'd':
        put(canned, dialogue, &go_ahead);
        dialogue->is_learning = canned->learned_size == 0;
        dialogue->body_left = canned->learned_size == 0 ? UINT64_MAX : canned->learned_size;
        break;
    case 'q':
        put(canned, dialogue, &bye);
        dialogue->is_leaving = true;
        break;
    default:
        put(canned, dialogue, &unknown);
        break;
    }
    dialogue->verb = 0;
}

static void skip_command(struct canned *canned, struct canned_dialogue *dialogue,
                         struct bytes *data)
{
    if (dialogue->verb == 0) dialogue->verb = data->data[0];
    uint64_t end = bytes_find(*data, '\n');
    if (end == data->size) {
        data->size = 0;
        return;
    }
    (void)bytes_take(data, end + 1);
    line_ended(canned, dialogue);
}

static void content_ended(struct canned *canned, struct canned_dialogue *dialogue)
{
    dialogue->body_left = 0;
    canned->message_count++;
    put(canned, dialogue, &queued);
}

/* Octet by octet, for the first message only. */
static void learn(struct canned *canned, struct canned_dialogue *dialogue, struct bytes *data)
{
    while (data->size > 0) {
        uint8_t octet = bytes_take(data, 1).data[0];
        bool is_end = octet == '\n' && memcmp(dialogue->tail, "\r\n.\r", 4) == 0;
        memmove(dialogue->tail, dialogue->tail + 1, 3);
        dialogue->tail[3] = octet;
        dialogue->body_left--;
        if (!is_end) continue;
        if (canned->learned_size == 0) canned->learned_size = UINT64_MAX - dialogue->body_left;
        dialogue->is_learning = false;
        content_ended(canned, dialogue);
        return;
    }
}

static void skip_content(struct canned *canned, struct canned_dialogue *dialogue,
                         struct bytes *data)
{
    if (dialogue->is_learning) {
        learn(canned, dialogue, data);
        return;
    }
    struct bytes part =
        bytes_take(data, data->size < dialogue->body_left ? data->size : dialogue->body_left);
    dialogue->body_left -= part.size;
    if (dialogue->body_left > 0) return;
    if (part.data[part.size - 1] != '\n' || (part.size > 1 && part.data[part.size - 2] != '\r')) {
        (void)fprintf(stderr, "floor: a message of another length than the first\n");
        exit(1);
    }
    content_ended(canned, dialogue);
}

void canned_receive(struct canned *canned, struct canned_dialogue *dialogue, struct bytes data)
{
    while (data.size > 0 && !dialogue->is_leaving) {
        if (dialogue->body_left > 0)
            skip_content(canned, dialogue, &data);
        else
            skip_command(canned, dialogue, &data);
    }
}

struct bytes canned_unsent(const struct canned_dialogue *dialogue)
{
    if (dialogue->size == dialogue->sent) return bytes_make(NULL, 0);
    return bytes_make(dialogue->replies + dialogue->sent, dialogue->size - dialogue->sent);
}

void canned_sent(struct canned *canned, struct canned_dialogue *dialogue, uint32_t size)
{
    CHECK(size <= dialogue->size - dialogue->sent);
    dialogue->sent += size;
    if (dialogue->sent == dialogue->size) canned_drop(canned, dialogue);
}

void canned_drop(struct canned *canned, struct canned_dialogue *dialogue)
{
    if (dialogue->replies != NULL) blocks_give_back(&canned->blocks, dialogue->replies);
    dialogue->replies = NULL;
    dialogue->size = 0;
    dialogue->sent = 0;
}
