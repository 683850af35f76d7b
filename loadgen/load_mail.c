#include "loadgen/load_mail.h"

#include "base/clock.h"
#include "base/ledger.h"
#include "base/random.h"
#include "loadgen/load_corpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SEQUENCE_DIGITS 12u
#define LINE_MIN        40u /* text lines are LINE_MIN to LOAD_MAIL_LINE_MAX octets */
#define DOT_ONE_IN      16u /* one line in so many starts with a dot                */
/* Keeps the choice of a size apart from the token. */
#define SEED_OF_LENGTHS 0x1e46712b0d1e5ull

struct load_mail_hash {
    XXH3_state_t state;
};

static const char text_octets[64] =
    "etaoinshrdlucmfwypvbgkjqxz ETAOINSHRDLU 0123456789 .,;:-()eeaatt";

static void put_digits(uint8_t *out, uint64_t number)
{
    CHECK(number <= LOAD_MAIL_SEQUENCE_MAX);
    for (uint32_t index = SEQUENCE_DIGITS; index-- > 0; number /= 10)
        out[index] = (uint8_t)('0' + number % 10);
}

/* RFC 5322 3.3, in UTC. */
static void put_date(char *out, size_t capacity, uint64_t date_ns)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(date_ns / CLOCK_NS_PER_S);
    struct tm utc;

    CHECK(gmtime_r(&seconds, &utc) != NULL);
    int size = snprintf(out, capacity, "%.3s, %d %.3s %d %02d:%02d:%02d +0000",
                        days + 3 * utc.tm_wday, utc.tm_mday, months + 3 * utc.tm_mon,
                        1900 + utc.tm_year, utc.tm_hour, utc.tm_min, utc.tm_sec);
    CHECK(size > 0);
    CHECK((size_t)size < capacity);
}

static int open_head(struct load_mail *mail, const struct load_mail_recipe *recipe)
{
    char date[64];
    char *before = NULL;

    put_date(date, sizeof date, recipe->date_ns);
    int size = asprintf(&before,
                        "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\n"
                        "Message-ID: <%016llx.000000000000@%s>\r\n",
                        recipe->sender, recipe->recipient, recipe->subject, date,
                        (unsigned long long)recipe->run, recipe->host);
    if (size < 0) return -ENOMEM;
    mail->stamp_offset = (uint32_t)size;
    mail->id_offset = (uint32_t)((size_t)size - strlen(recipe->host) - 4 - SEQUENCE_DIGITS);
    mail->head_size = mail->stamp_offset + LEDGER_HEADER_SIZE + 2;
    mail->head = malloc(mail->head_size);
    if (mail->head == NULL) {
        free(before);
        return -ENOMEM;
    }
    memcpy(mail->head, before, mail->stamp_offset);
    memset(mail->head + mail->stamp_offset, ' ', LEDGER_HEADER_SIZE);
    memcpy(mail->head + mail->head_size - 2, "\r\n", 2);
    free(before);
    return 0;
}

/* How long the next line is, CR LF included, so that no single octet is left over. */
static uint32_t choose_line(struct random *random, uint64_t left)
{
    if (left <= LOAD_MAIL_LINE_MAX + 2) return (uint32_t)left;
    uint32_t size =
        LINE_MIN + (uint32_t)random_below(random, LOAD_MAIL_LINE_MAX - LINE_MIN + 1) + 2;
    return left - size == 1 ? size - 1 : size;
}

/* Text without a dot in front and without blanks at its ends. */
static void put_text(struct random *random, uint8_t *out, uint32_t size)
{
    uint64_t bits = 0;
    for (uint32_t index = 0; index < size; index++) {
        if (index % 10 == 0) bits = random_next(random);
        out[index] = (uint8_t)text_octets[bits & 63];
        bits >>= 6;
    }
    if (size > 0) out[0] = (uint8_t)('A' + random_below(random, 26));
    if (size > 0) out[size - 1] = (uint8_t)('a' + random_below(random, 26));
}

/* Writes one line of `size` octets at `out`, stuffed, and returns its size there. */
static uint32_t put_line(struct random *random, uint8_t *out, uint32_t size)
{
    bool has_end = size > 1; /* a single octet is glued to the token's line */
    uint32_t text_size = has_end ? size - 2 : size;
    bool has_dot = text_size > 0 && random_below(random, DOT_ONE_IN) == 0;
    uint8_t *line = out;

    if (has_dot) *line++ = '.'; /* RFC 5321 4.5.2 */
    put_text(random, line, text_size);
    if (has_dot) line[0] = '.';
    if (has_end) memcpy(line + text_size, "\r\n", 2);
    return size + (has_dot ? 1 : 0);
}

/* What stands before the token's line. */
static uint64_t size_before_token(uint64_t length)
{
    return length >= LOAD_MAIL_TOKEN_SIZE ? length - LOAD_MAIL_TOKEN_SIZE : length;
}

/* `left` octets of text without a dot in front stand between the common part and the token. */
static void finish_body(struct load_mail *mail, struct load_mail_body *body, struct random random,
                        uint32_t left)
{
    CHECK(left <= LOAD_MAIL_FILLER_MAX);
    uint32_t text_size = left > 1 ? left - 2 : left;
    put_text(&random, body->filler, text_size);
    if (left > 1) memcpy(body->filler + text_size, "\r\n", 2);
    CHECK(XXH3_64bits_update(&body->hash->state, body->filler, left) == XXH_OK);
    body->has_token = body->length >= LOAD_MAIL_TOKEN_SIZE;
    body->filler_size = left;
    body->tail_size = left + (body->has_token ? LOAD_MAIL_TOKEN_SIZE : 0) + LOAD_MAIL_DOT_SIZE;
    body->stored_size = mail->head_size + body->length;
    body->wire_size = mail->head_size + body->common_size + body->tail_size;
    if (body->tail_size > mail->tail_max) mail->tail_max = body->tail_size;
}

/*
 * Lines are added until the longest body is full; each other body ends where the next line would
 * be too much for it. What comes before depends on the longest only in its last line.
 */
static void fill_bodies(struct load_mail *mail, uint64_t seed)
{
    XXH3_state_t *hash = &mail->hashes[mail->body_count].state;
    uint64_t longest = size_before_token(mail->bodies[mail->body_count - 1].length);
    uint64_t stored = 0;
    uint64_t wire = 0;
    uint32_t done = 0;
    struct random random;

    random_init(&random, seed, 0);
    CHECK(XXH3_64bits_reset(hash) == XXH_OK);
    while (done < mail->body_count) {
        uint32_t size = stored < longest ? choose_line(&random, longest - stored) : 0;
        for (; done < mail->body_count; done++) {
            struct load_mail_body *body = &mail->bodies[done];
            uint64_t left = size_before_token(body->length) - stored;
            if (size > 0 && left >= size) break;
            body->common = mail->common;
            body->plain = mail->plain;
            body->common_size = wire;
            body->plain_size = stored;
            body->hash = &mail->hashes[done];
            body->hash->state = *hash;
            finish_body(mail, body, random, (uint32_t)left);
        }
        if (done == mail->body_count) break;
        uint8_t *line = mail->common + wire;
        uint32_t wire_size = put_line(&random, line, size);
        CHECK(XXH3_64bits_update(hash, line + (wire_size - size), size) == XXH_OK);
        if (mail->plain != NULL) memcpy(mail->plain + stored, line + (wire_size - size), size);
        stored += size;
        wire += wire_size;
    }
    mail->common_max = wire;
}

static int open_bodies(struct load_mail *mail, const struct load_mail_recipe *recipe)
{
    const struct load_length *length = recipe->length;
    uint64_t longest = length->slots[length->count - 1];
    mail->body_count = length->count;
    /* Each line may grow by a dot; no line but the last is shorter than LINE_MIN. */
    mail->common = malloc(longest + longest / LINE_MIN + 2);
    mail->bodies = calloc(length->count, sizeof *mail->bodies);
    mail->hashes = aligned_alloc(64, (length->count + 1) * sizeof *mail->hashes);
    if (recipe->is_chunked) mail->plain = malloc(longest + 1);
    if (recipe->is_chunked && mail->plain == NULL) return -ENOMEM;
    if (mail->common == NULL || mail->bodies == NULL || mail->hashes == NULL) return -ENOMEM;
    for (uint32_t index = 0; index < length->count; index++) {
        CHECK(length->slots[index] != 1);
        CHECK(length->slots[index] <= LOAD_MAIL_LENGTH_MAX);
        mail->bodies[index].length = length->slots[index];
    }
    fill_bodies(mail, recipe->seed);
    return 0;
}

/* Message `index` of the corpus: all but the X-Loadgen line and the final dot is the common part.
 */
static void open_corpus_body(struct load_mail *mail, const struct load_mail_recipe *recipe,
                             uint32_t index, uint64_t *wire)
{
    struct load_mail_body *body = &mail->bodies[index];
    struct bytes stored = recipe->corpus->messages[index];
    struct ledger_entry earlier;
    struct bytes content;

    /* A header of an earlier run may be in it: ours is in front, and the first one counts. */
    bool was_sent_before = ledger_find_header(stored, &earlier, &content);
    (void)was_sent_before;
    body->length = content.size;
    body->common = mail->common + *wire;
    body->common_size = load_corpus_stuff(stored, mail->common + *wire);
    body->plain = stored.data;
    body->plain_size = stored.size;
    body->stored_size = mail->head_size + stored.size;
    body->tail_size = LOAD_MAIL_DOT_SIZE;
    body->wire_size = mail->head_size + body->common_size + body->tail_size;
    body->hash = &mail->hashes[index];
    CHECK(XXH3_64bits_reset(&body->hash->state) == XXH_OK);
    CHECK(XXH3_64bits_update(&body->hash->state, content.data, content.size) == XXH_OK);
    *wire += body->common_size;
    if (body->common_size > mail->common_max) mail->common_max = body->common_size;
}

static uint64_t stuffed_size(const struct load_corpus *corpus)
{
    uint64_t size = 1;
    for (uint32_t index = 0; index < corpus->count; index++) {
        struct bytes message = corpus->messages[index];
        for (uint64_t octet = 0; octet < message.size; octet++)
            if (message.data[octet] == '.') size++; /* more than will be stuffed */
        size += message.size;
    }
    return size;
}

static int open_corpus(struct load_mail *mail, const struct load_mail_recipe *recipe)
{
    const struct load_corpus *corpus = recipe->corpus;
    uint64_t wire = 0;

    mail->is_corpus = true;
    mail->is_random = recipe->is_random;
    mail->head_size = LEDGER_HEADER_SIZE;
    mail->tail_max = LOAD_MAIL_DOT_SIZE;
    mail->body_count = corpus->count;
    mail->common = malloc(stuffed_size(corpus));
    mail->bodies = calloc(corpus->count, sizeof *mail->bodies);
    mail->hashes = aligned_alloc(64, corpus->count * sizeof *mail->hashes);
    if (mail->common == NULL || mail->bodies == NULL || mail->hashes == NULL) return -ENOMEM;
    for (uint32_t index = 0; index < corpus->count; index++)
        open_corpus_body(mail, recipe, index, &wire);
    return 0;
}

int load_mail_open(struct load_mail *mail, const struct load_mail_recipe *recipe)
{
    *mail = (struct load_mail){.seed = recipe->seed, .run = recipe->run};
    int error = 0;
    if (recipe->corpus != NULL)
        error = open_corpus(mail, recipe);
    else
        error = open_head(mail, recipe);
    if (error == 0 && recipe->corpus == NULL) error = open_bodies(mail, recipe);
    if (error < 0) load_mail_close(mail);
    return error;
}

void load_mail_close(struct load_mail *mail)
{
    free(mail->head);
    free(mail->common);
    free(mail->plain);
    free(mail->bodies);
    free(mail->hashes);
    *mail = (struct load_mail){0};
}

const struct load_mail_body *load_mail_choose(const struct load_mail *mail, uint64_t sequence)
{
    if (mail->body_count == 1) return mail->bodies;
    if (mail->is_corpus && !mail->is_random)
        return &mail->bodies[(sequence - 1) % mail->body_count];
    return &mail->bodies[random_mix(mail->seed ^ SEED_OF_LENGTHS, sequence) % mail->body_count];
}

static void put_token(const struct load_mail *mail, uint64_t sequence, uint8_t *out)
{
    bytes_put_hex(out, random_mix(mail->seed, sequence));
    memcpy(out + LOAD_MAIL_TOKEN_SIZE - 2, "\r\n", 2);
}

static uint64_t hash_body(const struct load_mail *mail, const struct load_mail_body *body,
                          uint64_t sequence)
{
    if (!body->has_token) return XXH3_64bits_digest(&body->hash->state);
    uint8_t token[LOAD_MAIL_TOKEN_SIZE];
    XXH3_state_t state = body->hash->state;
    put_token(mail, sequence, token);
    CHECK(XXH3_64bits_update(&state, token, sizeof token) == XXH_OK);
    return XXH3_64bits_digest(&state);
}

uint64_t load_mail_put_head(const struct load_mail *mail, const struct load_mail_body *body,
                            uint64_t sequence, uint8_t *out)
{
    uint64_t hash = hash_body(mail, body, sequence);
    if (!mail->is_corpus) {
        memcpy(out, mail->head, mail->head_size);
        put_digits(out + mail->id_offset, sequence);
    }
    ledger_put_header(out + mail->stamp_offset, mail->run, sequence, body->length, hash);
    return hash;
}

void load_mail_put_tail(const struct load_mail *mail, const struct load_mail_body *body,
                        uint64_t sequence, uint8_t *out)
{
    memcpy(out, body->filler, body->filler_size);
    out += body->filler_size;
    if (body->has_token) {
        put_token(mail, sequence, out);
        out += LOAD_MAIL_TOKEN_SIZE;
    }
    memcpy(out, ".\r\n", LOAD_MAIL_DOT_SIZE);
}
