#include "loadgen/load_script.h"

#include "base/base64.h"
#include "base/bytes.h"
#include "base/random.h"
#include "loadgen/load_replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keep what is drawn for one purpose apart from what is drawn for another. */
#define SEED_OF_RECIPIENTS 0x7ec191e475ull
#define SEED_OF_DOMAINS    0xd03a145ull

#define MAIL_END_MAX 40u /* " BODY=8BITMIME SMTPUTF8" CR LF */

static bool has_8bit(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 128) return true;
    return false;
}

void load_script_set_8bit(struct load_script *script)
{
    script->is_8bit = true;
}

static uint32_t put_line(char *out, const char *verb, const char *argument, const char *end)
{
    int size = snprintf(out, LOAD_SCRIPT_LINE_MAX, "%s%s%s", verb, argument, end);
    CHECK(size > 0);
    CHECK((uint32_t)size < LOAD_SCRIPT_LINE_MAX);
    return (uint32_t)size;
}

void load_script_open(struct load_script *script, const char *helo, const char *sender,
                      const char *recipient, uint32_t recipients, enum load_pipelining pipelining)
{
    CHECK(recipients > 0);
    const char *at = strrchr(recipient, '@');
    int local_size = (int)(at == NULL ? strlen(recipient) : (size_t)(at - recipient));
    char local[LOAD_SCRIPT_LINE_MAX];

    CHECK(snprintf(local, sizeof local, "%.*s", local_size, recipient) == local_size);
    script->ehlo_size = put_line(script->ehlo, "EHLO ", helo, "\r\n");
    script->helo_size = put_line(script->helo, "HELO ", helo, "\r\n");
    script->mail_size = put_line(script->mail, "MAIL FROM:<", sender, ">");
    script->needs_utf8 = has_8bit(sender) || has_8bit(recipient);
    script->recipient_head_size = put_line(script->recipient_head, "RCPT TO:<", local, "");
    script->recipient_tail_size =
        put_line(script->recipient_tail, "", at == NULL ? "" : at, ">\r\n");
    script->recipients = recipients;
    script->recipients_max = recipients;
    script->pipelining = pipelining;
}

void load_script_vary_recipients(struct load_script *script, uint32_t maximum, uint64_t seed)
{
    CHECK(maximum >= script->recipients);
    script->recipients_max = maximum;
    script->seed = seed;
}

/* "a.test:70" or "a.test"; nothing in it may end the command. */
static bool add_domain(struct load_script *script, const char *text, size_t size)
{
    size_t name_size = size;
    const char *colon = memchr(text, ':', size);
    char *end = NULL;
    double weight = 1;

    if (colon != NULL) {
        name_size = (size_t)(colon - text);
        weight = strtod(colon + 1, &end);
        if (end != text + size || !(weight > 0 && weight <= 1e9)) return false;
    }
    if (name_size == 0 || name_size > LOAD_SCRIPT_DOMAIN_MAX - 5) return false;
    for (size_t index = 0; index < name_size; index++)
        if ((unsigned char)text[index] <= ' ' || text[index] == 127 || text[index] == '<' ||
            text[index] == '>')
            return false;
    struct load_domain *domain = &script->domains[script->domain_count++];
    domain->weight = weight;
    domain->tail_size =
        (uint32_t)snprintf(domain->tail, sizeof domain->tail, "@%.*s>\r\n", (int)name_size, text);
    script->weight_sum += weight;
    return true;
}

bool load_script_spread(struct load_script *script, const char *domains, uint64_t seed)
{
    script->seed = seed;
    script->needs_utf8 = script->needs_utf8 || has_8bit(domains);
    for (;;) {
        size_t size = strcspn(domains, ",");
        if (script->domain_count == LOAD_DOMAINS_MAX) return false;
        if (!add_domain(script, domains, size)) return false;
        if (domains[size] == '\0') return true;
        domains += size + 1;
    }
}

uint32_t load_script_recipients(const struct load_script *script, uint64_t sequence)
{
    uint32_t span = script->recipients_max - script->recipients;
    if (span == 0) return script->recipients;
    return script->recipients +
           (uint32_t)(random_mix(script->seed ^ SEED_OF_RECIPIENTS, sequence) % (span + 1));
}

void load_script_speak_lmtp(struct load_script *script, const char *helo)
{
    script->is_lmtp = true;
    script->ehlo_size = put_line(script->ehlo, "LHLO ", helo, "\r\n");
}

void load_script_replay(struct load_script *script, const struct load_dialogues *dialogues)
{
    script->dialogues = dialogues;
    script->pipelining = LOAD_PIPELINING_WRITTEN;
}

/* `start`, `octets` in base64, CR LF; returns how much. */
static uint32_t put_encoded(char *out, const char *start, struct bytes octets)
{
    size_t start_size = strlen(start);
    uint64_t encoded_size = base64_encoded_size(octets.size);

    CHECK(start_size + encoded_size + 2 <= LOAD_SCRIPT_AUTH_MAX);
    memcpy(out, start, start_size);
    base64_encode(octets, out + start_size);
    memcpy(out + start_size + encoded_size, "\r\n", 2);
    return (uint32_t)(start_size + encoded_size + 2);
}

bool load_script_authenticate(struct load_script *script, const char *credentials)
{
    struct load_login *login = &script->login;
    uint8_t message[LOAD_AUTH_TEXT_MAX];
    size_t size = strlen(credentials);
    size_t user_size = strcspn(credentials, ":");

    if (user_size == 0 || credentials[user_size] != ':' || size + 1 > sizeof message) return false;
    /* RFC 4616 2: authorization identity (none), NUL, user, NUL, password. */
    message[0] = '\0';
    memcpy(message + 1, credentials, size);
    message[1 + user_size] = '\0';
    script->auth_size = put_encoded(script->auth, "AUTH PLAIN ", bytes_make(message, size + 1));
    login->sizes[0] = put_line(login->lines[0], "AUTH LOGIN", "", "\r\n");
    login->sizes[1] = put_encoded(login->lines[1], "", bytes_make(credentials, user_size));
    login->sizes[2] =
        put_encoded(login->lines[2], "", bytes_from_text(credentials + user_size + 1));
    return true;
}

uint32_t load_script_group_max(const struct load_script *script)
{
    uint32_t tail_size = script->recipient_tail_size;
    if (script->domain_count > 0) tail_size = LOAD_SCRIPT_DOMAIN_MAX;
    uint32_t recipient = script->recipient_head_size + LOAD_SCRIPT_NUMBER_MAX + tail_size;
    uint32_t group = (uint32_t)sizeof "RSET\r\nDATA\r\n" + script->mail_size + MAIL_END_MAX +
                     script->recipients_max * recipient + LOAD_CHUNK_LINE_MAX;
    if (script->ehlo_size > group) group = script->ehlo_size;
    if (script->dialogues != NULL && load_replay_put_max(script->dialogues) > group)
        group = load_replay_put_max(script->dialogues);
    return script->auth_size > group ? script->auth_size : group;
}

static uint32_t put(uint8_t *out, const char *text, uint32_t size)
{
    memcpy(out, text, size);
    return size;
}

/* The domain of recipient `number`: by weight. */
static uint32_t put_domain(const struct load_script *script, uint64_t number, uint8_t *out)
{
    double place = (double)(random_mix(script->seed ^ SEED_OF_DOMAINS, number) >> 11) * 0x1p-53 *
                   script->weight_sum;
    uint32_t index = 0;
    while (index + 1 < script->domain_count && place >= script->domains[index].weight)
        place -= script->domains[index++].weight;
    return put(out, script->domains[index].tail, script->domains[index].tail_size);
}

/*
 * Recipients are numbered through the whole run: no server's cache knows the next one. Or each
 * message has the same; one alone has no number then.
 */
uint32_t load_script_put_recipient(const struct load_script *script, uint64_t sequence,
                                   uint32_t index, uint8_t *out)
{
    uint64_t number = (sequence - 1) * script->recipients_max + index + 1;
    uint32_t size = put(out, script->recipient_head, script->recipient_head_size);
    if (script->repeats_recipients) number = index + 1;
    if (!script->repeats_recipients || script->recipients_max > 1)
        size += bytes_put_number(out + size, number);
    if (script->domain_count > 0) return size + put_domain(script, number, out + size);
    return size + put(out + size, script->recipient_tail, script->recipient_tail_size);
}

const char *load_pipelining_name(enum load_pipelining pipelining)
{
    switch (pipelining) {
    case LOAD_PIPELINING_AUTO:
        return "auto";
    case LOAD_PIPELINING_OFF:
        return "off";
    case LOAD_PIPELINING_GROUP:
        return "group";
    case LOAD_PIPELINING_STREAM:
        return "stream";
    case LOAD_PIPELINING_BDAT:
        return "bdat";
    case LOAD_PIPELINING_WRITTEN:
        return "as-written";
    case LOAD_PIPELINING_COUNT:
        break;
    }
    return "unknown";
}
