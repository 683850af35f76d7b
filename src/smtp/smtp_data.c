/*
 * Dots are removed by where slices end: a slice runs up to and with the CR LF before a line that
 * starts with a dot, and the next begins behind that dot.
 *
 *   LINE_START   -> AFTER_DOT, IN_TEXT, AFTER_CR   [smtp_data_next]
 *   LINE_START   -> DONE where the end is whole    [smtp_data_next]
 *   IN_TEXT      -> AFTER_CR, LINE_START           [take_text]
 *   AFTER_CR     -> LINE_START, IN_TEXT            [take_text]
 *   AFTER_DOT    -> AFTER_DOT_CR; IN_TEXT, AFTER_CR where the dot was stuffing
 *   AFTER_DOT_CR -> DONE; AFTER_CR where it was not the end
 *
 * Only "." or "." CR can be held back across a cut. The dot is never content; the CR is, if no LF
 * follows, and is then given back from a constant, for its buffer may be gone.
 */
#include "smtp/smtp_data.h"

#include "smtp/smtp_scan.h"

#define END_SIZE 3 /* "." CR LF */

static const uint8_t held_back_cr[] = {'\r'};

/* The state behind text that ends in `last`, with `before` in front of that. */
static enum smtp_data_state state_behind(uint8_t before, uint8_t last)
{
    if (last == '\r') return SMTP_DATA_AFTER_CR;
    return before == '\r' && last == '\n' ? SMTP_DATA_LINE_START : SMTP_DATA_IN_TEXT;
}

/* Content up to the next line that starts with a dot, or all there is. */
static struct bytes take_text(struct smtp_data *data, struct bytes *input)
{
    bool is_after_cr = data->state == SMTP_DATA_AFTER_CR;
    /* CR LF "." with the cut behind its CR is not in this input as a whole. */
    if (is_after_cr && input->size > 1 && input->data[0] == '\n' && input->data[1] == '.') {
        data->state = SMTP_DATA_LINE_START;
        return bytes_take(input, 1);
    }
    uint64_t found = smtp_scan_find_dot_line(*input);
    if (found < input->size) {
        data->state = SMTP_DATA_LINE_START;
        return bytes_take(input, found + 2);
    }
    uint8_t before = is_after_cr ? '\r' : 0;
    if (input->size > 1) before = input->data[input->size - 2];
    data->state = state_behind(before, input->data[input->size - 1]);
    return bytes_take(input, input->size);
}

/* Is the dot that `input` begins with the end of data? Only what is in `input` can tell so. */
static bool is_end(struct bytes input)
{
    return input.size >= END_SIZE && input.data[1] == '\r' && input.data[2] == '\n';
}

void smtp_data_init(struct smtp_data *data)
{
    data->state = SMTP_DATA_LINE_START;
}

struct bytes smtp_data_next(struct smtp_data *data, struct bytes *input)
{
    while (input->size > 0) {
        switch (data->state) {
        case SMTP_DATA_LINE_START:
            if (input->data[0] != '.') return take_text(data, input);
            if (is_end(*input)) {
                bytes_take(input, END_SIZE);
                data->state = SMTP_DATA_DONE;
                break;
            }
            bytes_take(input, 1);
            data->state = SMTP_DATA_AFTER_DOT;
            break;
        case SMTP_DATA_AFTER_DOT:
            if (input->data[0] != '\r') return take_text(data, input);
            bytes_take(input, 1);
            data->state = SMTP_DATA_AFTER_DOT_CR;
            break;
        case SMTP_DATA_AFTER_DOT_CR:
            if (input->data[0] != '\n') {
                data->state = SMTP_DATA_AFTER_CR;
                return bytes_make(held_back_cr, sizeof(held_back_cr));
            }
            bytes_take(input, 1);
            data->state = SMTP_DATA_DONE;
            break;
        case SMTP_DATA_IN_TEXT:
        case SMTP_DATA_AFTER_CR:
            return take_text(data, input);
        case SMTP_DATA_DONE:
            return bytes_make(NULL, 0);
        }
    }
    return bytes_make(NULL, 0);
}
