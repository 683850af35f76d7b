#include "smtp/smtp_content.h"

#include <assert.h>

static_assert(SMTP_REPLY_OK == 0, "the pending reply of a stored message is no row of its own");

void smtp_content_begin(struct smtp_session *session)
{
    CHECK(!session->is_too_big);
    session->message_size = 0;
    session->drained_size = 0;
    session->owes_newline = false;
    smtp_data_init(&session->data);
    smtp_line_ends_init(&session->line_ends);
}

/* Too much, and the dialogue is over. There is room for a reply. */
RARE static void drain(struct smtp_turn *turn, uint64_t size)
{
    struct smtp_session *session = turn->session;
    session->drained_size += size;
    if (session->drained_size <= SMTP_DRAIN_MAX) return;
    session->is_too_big = false;
    session->is_swallowing = false;
    smtp_turn_answer_last(turn, SMTP_REPLY_TOO_MUCH_CONTENT, SMTP_HANG_UP_TOO_MUCH);
}

/* Content that passes the limit: the part below it is told, so that cuts don't show. */
RARE static void take_overflow(struct smtp_turn *turn, struct bytes slice, uint64_t room)
{
    struct smtp_session *session = turn->session;
    session->is_too_big = true;
    session->drained_size = slice.size - room;
    if (room == 0) {
        smtp_turn_end(turn, SMTP_ABANDONED);
        return;
    }
    session->message_size += room;
    session->pending = SMTP_PENDING_OVERFLOW;
    turn->detail->body = bytes_take(&slice, room);
    smtp_turn_end(turn, SMTP_BODY);
}

static void take_slice(struct smtp_turn *turn, struct bytes slice)
{
    struct smtp_session *session = turn->session;
    if (session->is_too_big) {
        drain(turn, slice.size);
        return;
    }
    uint64_t room = smtp_turn_size_limit(session) - session->message_size;
    if (slice.size > room) {
        take_overflow(turn, slice, room);
        return;
    }
    session->message_size += slice.size;
    turn->detail->body = slice;
    smtp_turn_end(turn, SMTP_BODY);
}

/* The message is over without a verdict: `reply`, under LMTP to each recipient. */
RARE static void end_refused(struct smtp_session *session, enum smtp_reply reply)
{
    session->is_too_big = false;
    session->pending = SMTP_PENDING_FINAL;
    session->pending_reply = (uint8_t)reply;
    session->replies_left = session->config->is_lmtp ? session->recipient_count : 1;
    smtp_turn_enter(session, SMTP_IDLE);
}

static void end_complete(struct smtp_turn *turn)
{
    smtp_turn_enter(turn->session, SMTP_AWAIT_VERDICT);
    smtp_turn_end(turn, SMTP_WANT_VERDICT);
}

/* ---- DATA ---- */

/* What the content's line ends earned; SMTP_REPLY_OK: nothing. */
static enum smtp_reply judge_line_ends(const struct smtp_session *session)
{
    const struct smtp_config *config = session->config;
    if (!config->is_inspecting) return SMTP_REPLY_OK;
    if (config->bare_newline == SMTP_BARE_REJECT && session->line_ends.has_bare_newline)
        return SMTP_REPLY_BARE_NEWLINE;
    if (config->has_strict_lines && session->line_ends.has_long_line)
        return SMTP_REPLY_TEXT_LINE_TOO_LONG;
    return SMTP_REPLY_OK;
}

static void end_data(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    enum smtp_reply judgement = judge_line_ends(session);
    if (session->is_too_big) {
        end_refused(session, SMTP_REPLY_MESSAGE_TOO_BIG);
    } else if (judgement != SMTP_REPLY_OK) {
        end_refused(session, judgement);
        smtp_turn_end(turn, SMTP_ABANDONED);
    } else {
        end_complete(turn);
    }
}

/* Where line ends matter a slice is at most one line, so that CR LF can go in its place. */
RARE static struct bytes next_line(struct smtp_session *session, struct bytes *input)
{
    if (session->owes_newline) {
        session->owes_newline = false;
        return BYTES("\r\n");
    }
    uint64_t size = bytes_find(*input, '\n');
    struct bytes line = bytes_make(input->data, size < input->size ? size + 1 : size);
    uint64_t before = line.size;
    struct bytes slice = smtp_data_next(&session->data, &line);
    bytes_take(input, before - line.size);
    struct smtp_line_ends ends_before = session->line_ends;
    smtp_line_ends_inspect(&session->line_ends, slice);
    if (session->config->bare_newline == SMTP_BARE_NORMALIZE &&
        smtp_line_ends_is_bare(&ends_before, slice)) {
        session->owes_newline = true;
        slice.size--;
    }
    return slice;
}

void smtp_content_take_data(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->is_too_big && !smtp_turn_has_room(turn)) {
        smtp_turn_end(turn, SMTP_WANT_FLUSH);
        return;
    }
    struct bytes slice = session->config->is_inspecting
                             ? next_line(session, turn->input)
                             : smtp_data_next(&session->data, turn->input);
    if (slice.size > 0)
        take_slice(turn, slice);
    else if (session->data.state == SMTP_DATA_DONE)
        end_data(turn);
    else if (!session->owes_newline)
        smtp_turn_end(turn, SMTP_WANT_INPUT);
}

/* ---- BDAT ---- */

static struct bytes take_of_chunk(struct smtp_turn *turn)
{
    uint64_t size = turn->session->chunk_left;
    if (size > turn->input->size) size = turn->input->size;
    turn->session->chunk_left -= size;
    return bytes_take(turn->input, size);
}

static void end_chunk(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->is_too_big) {
        end_refused(session, SMTP_REPLY_MESSAGE_TOO_BIG);
        if (!session->is_last_chunk) session->replies_left = 1;
    } else if (session->is_last_chunk) {
        end_complete(turn);
    } else {
        smtp_turn_enter(session, SMTP_HAS_CHUNK);
        smtp_turn_put(turn, SMTP_REPLY_OK);
    }
}

ASIDE void smtp_content_take_chunk(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    bool may_reply = session->chunk_left == 0 || session->is_too_big;
    if (may_reply && !smtp_turn_has_room(turn))
        smtp_turn_end(turn, SMTP_WANT_FLUSH);
    else if (session->chunk_left == 0)
        end_chunk(turn);
    else if (turn->input->size == 0)
        smtp_turn_end(turn, SMTP_WANT_INPUT);
    else
        take_slice(turn, take_of_chunk(turn));
}

void smtp_content_refuse_chunk(struct smtp_session *session, enum smtp_reply reply)
{
    session->is_swallowing = true;
    session->drained_size = 0;
    session->pending_reply = (uint8_t)reply;
}

/* A refusal for want of room is not the client's fault. */
static void answer_chunk(struct smtp_turn *turn)
{
    enum smtp_reply reply = turn->session->pending_reply;
    turn->session->is_swallowing = false;
    if (reply == SMTP_REPLY_OK) return;
    if (smtp_reply_text(reply).data[0] == '5')
        smtp_turn_answer_bad(turn, reply);
    else
        smtp_turn_put(turn, reply);
}

RARE void smtp_content_swallow(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    if (!smtp_turn_has_room(turn))
        smtp_turn_end(turn, SMTP_WANT_FLUSH);
    else if (session->chunk_left == 0)
        answer_chunk(turn);
    else if (turn->input->size == 0)
        smtp_turn_end(turn, SMTP_WANT_INPUT);
    else
        drain(turn, take_of_chunk(turn).size);
}
