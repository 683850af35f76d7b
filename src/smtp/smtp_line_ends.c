#include "smtp/smtp_line_ends.h"

#include "smtp/smtp_limits.h"

void smtp_line_ends_init(struct smtp_line_ends *ends)
{
    *ends = (struct smtp_line_ends){0};
}

static void take_octet(struct smtp_line_ends *ends, uint8_t octet)
{
    bool is_end = octet == '\n' && ends->is_after_cr;
    if ((octet == '\n') != ends->is_after_cr) ends->has_bare_newline = true;
    /* A CR that ends no line is part of it. */
    if (ends->is_after_cr && !is_end) ends->line_size++;
    ends->is_after_cr = octet == '\r';
    if (is_end)
        ends->line_size = 0;
    else if (!ends->is_after_cr)
        ends->line_size++;
    if (ends->line_size > SMTP_TEXT_LINE_MAX) {
        ends->has_long_line = true;
        ends->line_size = 0;
    }
}

void smtp_line_ends_inspect(struct smtp_line_ends *ends, struct bytes slice)
{
    for (uint64_t i = 0; i < slice.size; i++)
        take_octet(ends, slice.data[i]);
}

bool smtp_line_ends_is_bare(const struct smtp_line_ends *before, struct bytes slice)
{
    if (slice.size == 0 || slice.data[slice.size - 1] != '\n') return false;
    if (slice.size == 1) return !before->is_after_cr;
    return slice.data[slice.size - 2] != '\r';
}
