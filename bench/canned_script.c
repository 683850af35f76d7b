#include "canned_script.h"

#include "base/clock.h"
#include "loadgen/load_length.h"
#include "loadgen/load_mail.h"

#include <stdio.h>
#include <stdlib.h>

#define ENVELOPE_MAX 256
#define SEED         1

/* As long as loadgen's, whose recipients are numbered. */
#define EHLO "EHLO client.test\r\n"
#define MAIL "MAIL FROM:<load@client.test>\r\n"
#define RCPT "RCPT TO:<user100000@sink.test>\r\n"
#define DATA "DATA\r\n"

static bool open_mail(struct load_mail *mail, const char *text, bool is_chunked)
{
    struct load_length length;
    struct load_mail_recipe recipe = {
        .sender = "load@client.test",
        .recipient = "user@sink.test",
        .subject = "load test",
        .host = "client.test",
        .length = &length,
        .seed = SEED,
        .run = SEED,
        .date_ns = clock_realtime_ns(),
        .is_chunked = is_chunked,
    };
    if (!load_length_parse(&length, text, LOAD_MAIL_LENGTH_MAX) || length.count != 1) {
        (void)fprintf(stderr, "floor_client: -l %s: one size, as 1k\n", text);
        return false;
    }
    if (load_mail_open(mail, &recipe) == 0) return true;
    (void)fprintf(stderr, "floor_client: no memory\n");
    return false;
}

/* The message and its final dot, which BDAT leaves out, at `out`; how many octets. */
static uint64_t put_message(const struct load_mail *mail, bool is_chunked, uint8_t *out)
{
    const struct load_mail_body *body = load_mail_choose(mail, 1);
    uint64_t common = is_chunked ? body->plain_size : body->common_size;
    (void)load_mail_put_head(mail, body, 1, out);
    memcpy(out + mail->head_size, is_chunked ? body->plain : body->common, common);
    load_mail_put_tail(mail, body, 1, out + mail->head_size + common);
    return mail->head_size + common + body->tail_size - (is_chunked ? LOAD_MAIL_DOT_SIZE : 0);
}

static void add(struct canned_script *script, struct bytes octets, uint32_t replies)
{
    CHECK(script->step_count < CANNED_STEPS_MAX);
    script->steps[script->step_count++] = (struct canned_step){octets, replies};
    script->replies += replies;
}

/* memory: room for the envelope, the message at ENVELOPE_MAX, room for the next group. */
static void add_chunk(struct canned_script *script)
{
    char envelope[ENVELOPE_MAX];
    int size = snprintf(envelope, sizeof envelope, MAIL RCPT "BDAT %llu LAST\r\n",
                        (unsigned long long)script->message_size);
    uint8_t *begin = script->memory + ENVELOPE_MAX - size;
    memcpy(begin, envelope, (size_t)size);
    add(script, bytes_make(begin, (uint64_t)size + script->message_size), 3);
}

static bool add_steps(struct canned_script *script, const char *mode)
{
    const struct bytes group = BYTES(MAIL RCPT DATA);
    uint8_t *begin = script->memory + ENVELOPE_MAX;
    struct bytes message = bytes_make(begin, script->message_size);

    if (strcmp(mode, "off") == 0) {
        add(script, BYTES(MAIL), 1);
        add(script, BYTES(RCPT), 1);
        add(script, BYTES(DATA), 1);
        add(script, message, 1);
    } else if (strcmp(mode, "group") == 0) {
        add(script, group, 3);
        add(script, message, 1);
    } else if (strcmp(mode, "stream") == 0) {
        script->opening = (struct canned_step){group, 3};
        memcpy(begin + message.size, group.data, group.size);
        add(script, bytes_make(begin, message.size + group.size), 4);
    } else if (strcmp(mode, "bdat") == 0) {
        add_chunk(script);
    } else {
        (void)fprintf(stderr, "floor_client: -m %s: off, group, stream or bdat\n", mode);
        return false;
    }
    return true;
}

bool canned_script_open(struct canned_script *script, const char *mode, const char *length)
{
    bool is_chunked = strcmp(mode, "bdat") == 0;
    struct load_mail mail;

    *script = (struct canned_script){.ehlo = {BYTES(EHLO), 1}};
    if (!open_mail(&mail, length, is_chunked)) return false;
    const struct load_mail_body *body = load_mail_choose(&mail, 1);
    script->memory = malloc(2 * ENVELOPE_MAX + body->wire_size + body->plain_size);
    CHECK(script->memory != NULL);
    script->message_size = put_message(&mail, is_chunked, script->memory + ENVELOPE_MAX);
    load_mail_close(&mail);
    if (add_steps(script, mode)) return true;
    canned_script_close(script);
    return false;
}

void canned_script_close(struct canned_script *script)
{
    free(script->memory);
    *script = (struct canned_script){0};
}
