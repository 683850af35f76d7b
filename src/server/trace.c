#include "server/trace.h"

#include "base/log.h"

#define TRACE_MAX 600

/* The mechanism is no secret; all else of an AUTH command or response may be. */
static struct bytes censor(struct bytes line)
{
    static const char *const shown[] = {"AUTH PLAIN", "AUTH LOGIN"};
    for (uint32_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        struct bytes head = bytes_from_text(shown[i]);
        if (line.size >= head.size &&
            bytes_equal_ignoring_case(bytes_make(line.data, head.size), head))
            return i == 0 ? BYTES("AUTH PLAIN *") : BYTES("AUTH LOGIN *");
    }
    return BYTES("*");
}

static void trace(struct bytes peer, const char *who, struct bytes text)
{
    char line[TRACE_MAX];
    while (text.size > 0 && (text.data[text.size - 1] == '\n' || text.data[text.size - 1] == '\r'))
        text.size--;
    if (text.size == 0) return;
    bytes_escape(text, line, sizeof line);
    log_info("%.*s %s %s", (int)peer.size, (const char *)peer.data, who, line);
}

void trace_command(struct bytes peer, const struct smtp_detail *detail)
{
    trace(peer, "C:", detail->is_line_secret ? censor(detail->line) : detail->line);
}

void trace_replies(struct bytes peer, struct bytes replies)
{
    trace(peer, "S:", replies);
}

void trace_tls_failure(struct bytes peer, const char *failure)
{
    log_info("%.*s TLS failed: %s", (int)peer.size, (const char *)peer.data, failure);
}
