#include "loadgen/load_mail.h"

#include "base/clock.h"
#include "base/ledger.h"
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SEQUENCE_DIGITS 12u
#define LINE_MIN        40u /* text lines are LINE_MIN to LOAD_MAIL_LINE_MAX octets */
#define DOT_ONE_IN      16u /* one line in so many starts with a dot                */

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

/* Adds one line of `size` octets to the common body, stuffed, and to its hash, unstuffed. */
static void add_line(struct load_mail *mail, struct random *random, uint32_t size)
{
    uint8_t *line = mail->common + mail->common_size;
    bool has_end = size > 1; /* a single octet is glued to the token's line */
    uint32_t text_size = has_end ? size - 2 : size;
    bool has_dot = text_size > 0 && random_below(random, DOT_ONE_IN) == 0;

    if (has_dot) *line++ = '.'; /* RFC 5321 4.5.2 */
    put_text(random, line, text_size);
    if (has_dot) line[0] = '.';
    if (has_end) memcpy(line + text_size, "\r\n", 2);
    CHECK(XXH3_64bits_update(&mail->common_hash->state, line, size) == XXH_OK);
    mail->common_size += size + (has_dot ? 1 : 0);
}

static int open_body(struct load_mail *mail, uint64_t length, uint64_t seed)
{
    bool has_token = length >= LOAD_MAIL_TOKEN_SIZE;
    uint64_t left = has_token ? length - LOAD_MAIL_TOKEN_SIZE : length;
    struct random random;

    /* Each line may grow by a dot; no line but the last is shorter than LINE_MIN. */
    mail->common = malloc(left + left / LINE_MIN + 2);
    mail->common_hash = aligned_alloc(64, sizeof *mail->common_hash);
    if (mail->common == NULL || mail->common_hash == NULL) return -ENOMEM;
    CHECK(XXH3_64bits_reset(&mail->common_hash->state) == XXH_OK);
    random_init(&random, seed, 0);
    while (left > 0) {
        uint32_t size = choose_line(&random, left);
        add_line(mail, &random, size);
        left -= size;
    }
    mail->length = length;
    mail->tail_size = (has_token ? LOAD_MAIL_TOKEN_SIZE : 0) + 3;
    return 0;
}

int load_mail_open(struct load_mail *mail, const struct load_mail_recipe *recipe)
{
    CHECK(recipe->length != 1);
    CHECK(recipe->length <= LOAD_MAIL_LENGTH_MAX);
    *mail = (struct load_mail){.seed = recipe->seed, .run = recipe->run};
    int error = open_head(mail, recipe);
    if (error == 0) error = open_body(mail, recipe->length, recipe->seed);
    if (error < 0) {
        load_mail_close(mail);
        return error;
    }
    mail->stored_size = mail->head_size + mail->length;
    mail->wire_size = mail->head_size + mail->common_size + mail->tail_size;
    return 0;
}

void load_mail_close(struct load_mail *mail)
{
    free(mail->head);
    free(mail->common);
    free(mail->common_hash);
    *mail = (struct load_mail){0};
}

static void put_token(const struct load_mail *mail, uint64_t sequence, uint8_t *out)
{
    bytes_put_hex(out, random_mix(mail->seed, sequence));
    memcpy(out + LOAD_MAIL_TOKEN_SIZE - 2, "\r\n", 2);
}

static uint64_t hash_body(const struct load_mail *mail, uint64_t sequence)
{
    if (mail->length < LOAD_MAIL_TOKEN_SIZE) return XXH3_64bits_digest(&mail->common_hash->state);
    uint8_t token[LOAD_MAIL_TOKEN_SIZE];
    XXH3_state_t state = mail->common_hash->state;
    put_token(mail, sequence, token);
    CHECK(XXH3_64bits_update(&state, token, sizeof token) == XXH_OK);
    return XXH3_64bits_digest(&state);
}

uint64_t load_mail_put_head(const struct load_mail *mail, uint64_t sequence, uint8_t *out)
{
    uint64_t hash = hash_body(mail, sequence);
    memcpy(out, mail->head, mail->head_size);
    put_digits(out + mail->id_offset, sequence);
    ledger_put_header(out + mail->stamp_offset, mail->run, sequence, mail->length, hash);
    return hash;
}

void load_mail_put_tail(const struct load_mail *mail, uint64_t sequence, uint8_t *out)
{
    if (mail->tail_size > 3) put_token(mail, sequence, out);
    memcpy(out + mail->tail_size - 3, ".\r\n", 3);
}
