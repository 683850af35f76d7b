#include "base/ledger.h"

#define LEDGER_SEQUENCE_DIGITS 12
#define LEDGER_SIZE_DIGITS     10
#define LEDGER_HEX_DIGITS      16

static const char ledger_start_1[] = "# ringsink-ledger/1 run=";
static const char ledger_start_2[] = "# ringsink-ledger/2 run=";
static const char ledger_end[] = "# end clock=";
static const char ledger_header_name[] = "X-Loadgen";

static const char *const ledger_state_names[] = {
    [LEDGER_ACKED] = "acked",
    [LEDGER_REFUSED] = "refused",
    [LEDGER_UNKNOWN] = "unknown",
};

static uint8_t *ledger_put_text(uint8_t *out, const char *text)
{
    uint64_t size = strlen(text);
    memcpy(out, text, size);
    return out + size;
}

static uint8_t *ledger_put_hex(uint8_t *out, uint64_t number)
{
    bytes_put_hex(out, number);
    return out + LEDGER_HEX_DIGITS;
}

static uint8_t *ledger_put_number(uint8_t *out, uint64_t number)
{
    out += bytes_put_number(out, number);
    *out++ = ' ';
    return out;
}

static uint8_t *ledger_put_signed(uint8_t *out, int64_t number)
{
    uint64_t size = (uint64_t)number;
    if (number < 0) {
        *out++ = '-';
        size = 0 - size;
    }
    return out + bytes_put_number(out, size);
}

/* Ends a line; its size. */
static uint32_t ledger_finish_line(const uint8_t *begin, uint8_t *end)
{
    *end++ = '\n';
    CHECK(end - begin <= LEDGER_LINE_MAX);
    return (uint32_t)(end - begin);
}

uint32_t ledger_put_start(uint8_t *out, const struct ledger_start *start)
{
    uint8_t *end = ledger_put_hex(ledger_put_text(out, ledger_start_2), start->run);
    end = ledger_put_text(end, " boot=");
    boot_id_put(end, start->boot);
    end = ledger_put_text(end + BOOT_ID_DIGITS, " clock=");
    return ledger_finish_line(out, ledger_put_signed(end, start->clock_ns));
}

uint32_t ledger_put_end(uint8_t *out, int64_t clock_ns)
{
    return ledger_finish_line(out, ledger_put_signed(ledger_put_text(out, ledger_end), clock_ns));
}

uint32_t ledger_put_entry(uint8_t *out, const struct ledger_entry *entry)
{
    uint8_t *end = ledger_put_hex(out, entry->run);
    *end++ = ' ';
    end = ledger_put_number(end, entry->sequence);
    end = ledger_put_number(end, entry->size);
    end = ledger_put_hex(end, entry->hash);
    *end++ = ' ';
    end = ledger_put_number(end, entry->sent_ns);
    end = ledger_put_text(end, ledger_state_names[entry->state]);
    *end++ = ' ';
    end = ledger_put_number(end, entry->accepted_ns);
    return ledger_finish_line(out, end + bytes_put_number(end, entry->recipients));
}

/* What stands before the next space, or the rest; the view becomes what stands behind it. */
static struct bytes ledger_take_word(struct bytes *line)
{
    struct bytes word = bytes_take(line, bytes_find(*line, ' '));
    if (line->size > 0) bytes_take(line, 1);
    return word;
}

/* The number wants all its digits, so that a line cut short is not taken for a shorter number. */
static bool ledger_parse_hex(struct bytes word, uint64_t *number)
{
    return word.size == LEDGER_HEX_DIGITS && bytes_to_number_hex(word, number);
}

static bool ledger_parse_signed(struct bytes word, int64_t *number)
{
    uint64_t size;
    bool is_negative = bytes_start_with(word, BYTES("-"));

    if (is_negative) bytes_take(&word, 1);
    if (!bytes_to_number(word, &size) || size > INT64_MAX) return false;
    *number = is_negative ? -(int64_t)size : (int64_t)size;
    return true;
}

/* Takes `start` off the line, if that is how it starts. */
static bool ledger_take_start(struct bytes *line, struct bytes start)
{
    if (!bytes_start_with(*line, start)) return false;
    bytes_take(line, start.size);
    return true;
}

bool ledger_parse_start(struct bytes line, struct ledger_start *start)
{
    *start = (struct ledger_start){.format = 1};
    if (ledger_take_start(&line, bytes_from_text(ledger_start_1)))
        return ledger_parse_hex(line, &start->run);
    start->format = 2;
    if (!ledger_take_start(&line, bytes_from_text(ledger_start_2))) return false;
    if (!ledger_parse_hex(ledger_take_word(&line), &start->run)) return false;
    if (!ledger_take_start(&line, BYTES("boot="))) return false;
    if (!boot_id_parse(ledger_take_word(&line), &start->boot)) return false;
    return ledger_take_start(&line, BYTES("clock=")) && ledger_parse_signed(line, &start->clock_ns);
}

bool ledger_parse_end(struct bytes line, int64_t *clock_ns)
{
    return ledger_take_start(&line, bytes_from_text(ledger_end)) &&
           ledger_parse_signed(line, clock_ns);
}

static bool ledger_parse_state(struct bytes word, enum ledger_state *state)
{
    for (uint32_t i = 0; i < sizeof(ledger_state_names) / sizeof(ledger_state_names[0]); i++) {
        if (!bytes_equal(word, bytes_from_text(ledger_state_names[i]))) continue;
        *state = (enum ledger_state)i;
        return true;
    }
    return false;
}

/* What format 2 has behind the state. */
static bool ledger_parse_outcome(struct bytes line, struct ledger_entry *entry)
{
    uint64_t recipients;

    if (!bytes_to_number(ledger_take_word(&line), &entry->accepted_ns)) return false;
    if (!bytes_to_number(line, &recipients) || recipients > UINT32_MAX) return false;
    entry->recipients = (uint32_t)recipients;
    return true;
}

bool ledger_parse_entry(struct bytes line, uint32_t format, struct ledger_entry *entry)
{
    CHECK(format >= 1);
    CHECK(format <= LEDGER_FORMAT);
    *entry = (struct ledger_entry){0};
    if (!ledger_parse_hex(ledger_take_word(&line), &entry->run)) return false;
    if (!bytes_to_number(ledger_take_word(&line), &entry->sequence)) return false;
    if (!bytes_to_number(ledger_take_word(&line), &entry->size)) return false;
    if (!ledger_parse_hex(ledger_take_word(&line), &entry->hash)) return false;
    if (!bytes_to_number(ledger_take_word(&line), &entry->sent_ns)) return false;
    if (format == 1) return ledger_parse_state(line, &entry->state);
    return ledger_parse_state(ledger_take_word(&line), &entry->state) &&
           ledger_parse_outcome(line, entry);
}

static uint8_t *ledger_put_digits(uint8_t *out, uint64_t number, uint32_t count)
{
    for (uint32_t i = count; i > 0; i--) {
        out[i - 1] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
    CHECK(number == 0);
    return out + count;
}

void ledger_put_header(uint8_t *out, uint64_t run, uint64_t sequence, uint64_t body_size,
                       uint64_t hash)
{
    uint8_t *end = ledger_put_text(out, ledger_header_name);
    end = ledger_put_hex(ledger_put_text(end, ": v1 run="), run);
    end = ledger_put_digits(ledger_put_text(end, " seq="), sequence, LEDGER_SEQUENCE_DIGITS);
    end = ledger_put_digits(ledger_put_text(end, " size="), body_size, LEDGER_SIZE_DIGITS);
    end = ledger_put_hex(ledger_put_text(end, " xxh3="), hash);
    end = ledger_put_text(end, "\r\n");
    CHECK(end - out == LEDGER_HEADER_SIZE);
}

static bool ledger_is_space(uint8_t octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

static void ledger_skip_space(struct bytes *view)
{
    while (view->size > 0 && ledger_is_space(view->data[0]))
        bytes_take(view, 1);
}

/* The next word of a header's value; folds are white space (RFC 5322 2.2.3). */
static struct bytes ledger_take_header_word(struct bytes *value)
{
    uint64_t size = 0;

    ledger_skip_space(value);
    while (size < value->size && !ledger_is_space(value->data[size]))
        size++;
    return bytes_take(value, size);
}

/* The next word of a header's value behind "name="; empty if it is another word. */
static struct bytes ledger_take_parameter(struct bytes *value, struct bytes name)
{
    struct bytes word = ledger_take_header_word(value);

    if (!bytes_start_with(word, name)) return bytes_make(NULL, 0);
    bytes_take(&word, name.size);
    return word;
}

static bool ledger_parse_header(struct bytes value, struct ledger_entry *entry)
{
    *entry = (struct ledger_entry){.state = LEDGER_UNKNOWN};
    if (!bytes_equal(ledger_take_header_word(&value), BYTES("v1"))) return false;
    if (!ledger_parse_hex(ledger_take_parameter(&value, BYTES("run=")), &entry->run)) return false;
    if (!bytes_to_number(ledger_take_parameter(&value, BYTES("seq=")), &entry->sequence))
        return false;
    if (!bytes_to_number(ledger_take_parameter(&value, BYTES("size=")), &entry->size)) return false;
    if (!ledger_parse_hex(ledger_take_parameter(&value, BYTES("xxh3=")), &entry->hash))
        return false;
    ledger_skip_space(&value);
    return value.size == 0;
}

/* The first line with its LF; all if there is no LF. A bare LF ends a line, too. */
static struct bytes ledger_take_line(struct bytes *message)
{
    uint64_t size = bytes_find(*message, '\n');
    return bytes_take(message, size < message->size ? size + 1 : size);
}

static bool ledger_is_empty_line(struct bytes line)
{
    return bytes_equal(line, BYTES("\r\n")) || bytes_equal(line, BYTES("\n"));
}

/* The first line and all that are folded onto it. */
static struct bytes ledger_take_field(struct bytes *message)
{
    struct bytes field = ledger_take_line(message);

    while (message->size > 0 && (message->data[0] == ' ' || message->data[0] == '\t'))
        field.size += ledger_take_line(message).size;
    return field;
}

static bool ledger_parse_field(struct bytes field, struct ledger_entry *entry)
{
    struct bytes name = bytes_take(&field, bytes_find(field, ':'));

    if (field.size == 0) return false;
    while (name.size > 0 && ledger_is_space(name.data[name.size - 1]))
        name.size--; /* white space before the colon is obsolete syntax (RFC 5322 4.5) */
    if (!bytes_equal_ignoring_case(name, bytes_from_text(ledger_header_name))) return false;
    bytes_take(&field, 1);
    return ledger_parse_header(field, entry);
}

bool ledger_find_header(struct bytes message, struct ledger_entry *entry, struct bytes *body)
{
    bool is_found = false;

    while (message.size > 0) {
        struct bytes field = ledger_take_field(&message);
        if (ledger_is_empty_line(field)) break;
        if (is_found) continue; /* the first one counts */
        struct ledger_entry found;
        if (!ledger_parse_field(field, &found)) continue;
        *entry = found;
        is_found = true;
    }
    *body = message;
    return is_found;
}
