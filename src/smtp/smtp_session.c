/*
 *   CONNECTED --HELO, EHLO--> IDLE --MAIL--> HAS_SENDER --RCPT--> HAS_RECIPIENT
 *                              ^                                        |
 *                              |                                      DATA
 *                              |                                        v
 *                              +--verdict-- AWAIT_VERDICT <--dot--   IN_DATA
 *
 *   CONNECTED, IDLE            -> IDLE           [take_greeting]
 *   IDLE                       -> HAS_SENDER     [take_mail]
 *   HAS_SENDER                 -> IDLE           [settle_sender, where refused]
 *   HAS_SENDER, HAS_RECIPIENT  -> HAS_RECIPIENT  [take_rcpt]
 *   HAS_RECIPIENT              -> HAS_SENDER     [settle_recipient, where the only one is refused]
 *   HAS_RECIPIENT              -> IN_DATA        [settle_data]
 *   IN_DATA                    -> AWAIT_VERDICT  [take_end]
 *   IN_DATA                    -> IDLE           [settle_pending, behind content past the limit]
 *   AWAIT_VERDICT              -> IDLE           [smtp_session_verdict]
 *   HAS_SENDER, HAS_RECIPIENT  -> IDLE           [answer_dropping: RSET, HELO, EHLO, last replies]
 *   any                        -> CLOSED         [hang_up, smtp_session_dismiss]
 *
 * A step first settles what an event left pending, then takes lines or content until it has an
 * event to return. Nothing is taken from the input before there is room for the reply it provokes.
 */
#include "smtp/smtp_session.h"

#include "smtp/smtp_command.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_path.h"

#include <assert.h>

static_assert(sizeof(struct smtp_session) <= 192, "an idle connection costs at most 512 bytes");
static_assert(SMTP_STASH_SIZE >= SMTP_LINE_MAX, "a stash holds a whole line");

/* What the step after an event has to do before anything else. */
enum smtp_pending {
    PENDING_NOTHING,
    PENDING_SENDER,    /* reply to MAIL, as refused or not          */
    PENDING_RECIPIENT, /* reply to RCPT, as refused or not          */
    PENDING_DATA,      /* reply to DATA, as refused or not          */
    PENDING_REPLY,     /* write pending_reply                       */
    PENDING_GREETING,  /* reply to HELO or EHLO                     */
    PENDING_LAST,      /* write pending_reply, then hang up         */
    PENDING_OVERFLOW,  /* tell that the message was abandoned       */
    PENDING_TOO_BIG,   /* its final dot came: 552, and it is over   */
};

/* One step: its arguments, and the event it returns once it is over. */
struct turn {
    struct smtp_session *session;
    struct bytes *input;
    struct smtp_replies *replies;
    struct smtp_detail *detail;
    enum smtp_event event;
    bool is_over;
};

/* One command: where it may come, what is said where it may not, what it does. */
struct rule {
    uint32_t key;
    const char *rest; /* of a verb longer than four letters */
    uint32_t rest_size;
    uint32_t allowed_in; /* IN(state) | ... */
    enum smtp_reply reply_elsewhere;
    void (*take)(struct turn *turn, const struct smtp_command *command);
};

static void end_turn(struct turn *turn, enum smtp_event event)
{
    CHECK(!turn->is_over);
    turn->event = event;
    turn->is_over = true;
}

static void enter(struct smtp_session *session, enum smtp_state state)
{
    CHECK(session->state != SMTP_CLOSED);
    session->state = (uint8_t)state;
}

static void session_check(const struct smtp_session *session)
{
    CHECK(session->config != NULL);
    CHECK(session->stash != NULL || session->stash_size == 0);
    CHECK(session->stash_size <= SMTP_LINE_MAX);
    if (session->state == SMTP_HAS_SENDER) CHECK(session->recipient_count == 0);
    if (session->state == SMTP_HAS_RECIPIENT) CHECK(session->recipient_count > 0);
    if (session->state == SMTP_CLOSED) CHECK(session->pending == PENDING_NOTHING);
    if (session->is_too_big) CHECK(session->state == SMTP_IN_DATA);
}

static bool has_room(const struct turn *turn)
{
    return smtp_replies_have_room(turn->replies, SMTP_REPLY_MAX);
}

static void put(struct turn *turn, enum smtp_reply reply)
{
    smtp_replies_put(turn->replies, reply);
}

static void hang_up(struct turn *turn, enum smtp_reply reply)
{
    put(turn, reply);
    enter(turn->session, SMTP_CLOSED);
    end_turn(turn, SMTP_HANG_UP);
}

/* Drops an open transaction, if any: then its event comes first, and `pending` with the next step.
 * False: there was none, the caller answers at once. */
static bool answer_dropping(struct turn *turn, enum smtp_pending pending, enum smtp_reply reply)
{
    struct smtp_session *session = turn->session;
    if (!smtp_session_has_transaction(session)) return false;
    enter(session, SMTP_IDLE);
    session->pending = (uint8_t)pending;
    session->pending_reply = (uint8_t)reply;
    end_turn(turn, SMTP_ABANDONED);
    return true;
}

static void answer_last(struct turn *turn, enum smtp_reply reply, enum smtp_hang_up reason)
{
    turn->session->hang_up_reason = (uint8_t)reason;
    if (!answer_dropping(turn, PENDING_LAST, reply)) hang_up(turn, reply);
}

/* A command refused as bad; too many of them end the dialogue (RFC 5321 7.8). */
static void answer_bad(struct turn *turn, enum smtp_reply reply)
{
    struct smtp_session *session = turn->session;
    if (session->bad_count >= session->config->bad_commands_max) {
        answer_last(turn, SMTP_REPLY_TOO_MANY_BAD, SMTP_HANG_UP_TOO_MANY_BAD);
        return;
    }
    session->bad_count++;
    put(turn, reply);
}

static void put_greeting(struct turn *turn)
{
    const struct smtp_session *session = turn->session;
    smtp_replies_put_bytes(turn->replies, session->is_extended ? session->config->ehlo_reply
                                                               : session->config->helo_reply);
}

/* The first word, as far as it fits; what is not printable becomes "?", for it goes to the store.
 */
static void keep_helo(struct smtp_session *session, struct bytes argument)
{
    uint32_t size = 0;
    while (size < argument.size && size < SMTP_HELO_KEPT &&
           !smtp_command_is_blank(argument.data[size])) {
        uint8_t octet = argument.data[size];
        session->helo_text[size++] = octet > ' ' && octet <= '~' ? octet : '?';
    }
    session->helo = bytes_make(session->helo_text, size);
}

/* RFC 5321 4.1.4: an accepted HELO or EHLO resets as RSET does; a refused one changes nothing. */
static void take_greeting(struct turn *turn, const struct smtp_command *command, bool is_extended)
{
    struct smtp_session *session = turn->session;
    bool is_wrong = command->argument.size == 0;
    if (session->config->is_strict) is_wrong = !smtp_path_is_domain(command->argument, true);
    if (is_wrong) {
        answer_bad(turn, is_extended ? SMTP_REPLY_SYNTAX_EHLO : SMTP_REPLY_SYNTAX_HELO);
        return;
    }
    keep_helo(session, command->argument);
    session->is_extended = is_extended;
    if (answer_dropping(turn, PENDING_GREETING, SMTP_REPLY_OK)) return;
    enter(session, SMTP_IDLE);
    put_greeting(turn);
}

static void take_helo(struct turn *turn, const struct smtp_command *command)
{
    take_greeting(turn, command, false);
}

static void take_ehlo(struct turn *turn, const struct smtp_command *command)
{
    take_greeting(turn, command, true);
}

/* The reply a path earned that is no mailbox. */
static enum smtp_reply reply_to_path(enum smtp_path_kind kind, bool is_sender)
{
    switch (kind) {
    case SMTP_PATH_MAILBOX:
        return SMTP_REPLY_OK;
    case SMTP_PATH_NULL: /* RFC 5321 4.5.5; a forward-path is never null */
        return is_sender ? SMTP_REPLY_OK : SMTP_REPLY_NULL_RECIPIENT;
    case SMTP_PATH_MISSING:
        return is_sender ? SMTP_REPLY_SYNTAX_MAIL : SMTP_REPLY_SYNTAX_RCPT;
    case SMTP_PATH_MALFORMED:
        return is_sender ? SMTP_REPLY_BAD_SENDER : SMTP_REPLY_BAD_RECIPIENT;
    case SMTP_PATH_NOT_ASCII: /* RFC 6531 3.5 */
        return SMTP_REPLY_NOT_ASCII;
    }
    CHECK(false);
    return SMTP_REPLY_BAD_SYNTAX;
}

/* "FROM:<path> parameters" or "TO:<path> parameters" into `detail`; SMTP_REPLY_OK, or what is
 * wrong. */
static enum smtp_reply read_address(struct turn *turn, struct bytes text, bool is_sender,
                                    struct smtp_parameters *parameters)
{
    if (!smtp_command_take_keyword(&text, is_sender ? BYTES("FROM:") : BYTES("TO:")))
        return is_sender ? SMTP_REPLY_SYNTAX_MAIL : SMTP_REPLY_SYNTAX_RCPT;
    struct smtp_detail *detail = turn->detail;
    bool is_strict = turn->session->config->is_strict;
    enum smtp_path_kind kind = smtp_path_take(&text, is_strict, &detail->path);
    enum smtp_reply reply = reply_to_path(kind, is_sender);
    if (reply != SMTP_REPLY_OK) return reply;
    detail->parameters = smtp_command_trim(text);
    return smtp_parameter_check(text, is_sender ? SMTP_PARAMETER_OF_MAIL : SMTP_PARAMETER_OF_RCPT,
                                parameters);
}

static uint64_t size_limit(const struct smtp_session *session)
{
    return session->config->size_limit == 0 ? UINT64_MAX : session->config->size_limit;
}

static void take_mail(struct turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    struct smtp_parameters parameters;
    enum smtp_reply reply = read_address(turn, command->argument, true, &parameters);
    if (reply != SMTP_REPLY_OK) {
        answer_bad(turn, reply);
        return;
    }
    if (parameters.size > size_limit(session)) { /* RFC 1870 6.1 */
        put(turn, SMTP_REPLY_SIZE_OVER_LIMIT);
        return;
    }
    session->declared_size = parameters.size;
    session->recipient_count = 0;
    session->has_lost_recipients = false;
    session->pending = PENDING_SENDER;
    enter(session, SMTP_HAS_SENDER);
    end_turn(turn, SMTP_SENDER);
}

static void take_rcpt(struct turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    struct smtp_parameters parameters;
    enum smtp_reply reply = read_address(turn, command->argument, false, &parameters);
    if (reply != SMTP_REPLY_OK) {
        session->has_lost_recipients = true;
        answer_bad(turn, reply);
        return;
    }
    if (session->recipient_count >= session->config->recipients_max) {
        put(turn, SMTP_REPLY_TOO_MANY_RECIPIENTS);
        return;
    }
    session->recipient_count++;
    session->pending = PENDING_RECIPIENT;
    enter(session, SMTP_HAS_RECIPIENT);
    end_turn(turn, SMTP_RECIPIENT);
}

/* RFC 2920 3.2: with all recipients refused, a pipelined DATA must fail. */
static void take_data(struct turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    if (command->argument.size > 0) {
        answer_bad(turn, SMTP_REPLY_SYNTAX_DATA);
        return;
    }
    if (session->recipient_count == 0) {
        answer_bad(turn,
                   session->has_lost_recipients ? SMTP_REPLY_NO_RECIPIENTS : SMTP_REPLY_NEED_RCPT);
        return;
    }
    session->pending = PENDING_DATA;
    end_turn(turn, SMTP_DATA_BEGINS);
}

static void take_rset(struct turn *turn, const struct smtp_command *command)
{
    if (command->argument.size > 0)
        answer_bad(turn, SMTP_REPLY_SYNTAX_RSET);
    else if (!answer_dropping(turn, PENDING_REPLY, SMTP_REPLY_OK))
        put(turn, SMTP_REPLY_OK);
}

static void take_noop(struct turn *turn, const struct smtp_command *command)
{
    (void)command;
    put(turn, SMTP_REPLY_OK);
}

/* RFC 5321 3.5.3: 252, for nothing is known of any mailbox. */
static void take_vrfy(struct turn *turn, const struct smtp_command *command)
{
    if (command->argument.size == 0)
        answer_bad(turn, SMTP_REPLY_SYNTAX_VRFY);
    else
        put(turn, SMTP_REPLY_CANNOT_VERIFY);
}

/* RFC 1985 5.3: 459 where the server won't queue for a node. */
static void take_etrn(struct turn *turn, const struct smtp_command *command)
{
    if (command->argument.size == 0)
        answer_bad(turn, SMTP_REPLY_SYNTAX_ETRN);
    else
        put(turn, SMTP_REPLY_NODE_NOT_ALLOWED);
}

static void take_help(struct turn *turn, const struct smtp_command *command)
{
    (void)command;
    put(turn, SMTP_REPLY_HELP);
}

static void take_quit(struct turn *turn, const struct smtp_command *command)
{
    (void)command;
    answer_last(turn, SMTP_REPLY_BYE, SMTP_HANG_UP_QUIT);
}

/* RFC 5321 4.2.4: known, not implemented. */
static void take_unimplemented(struct turn *turn, const struct smtp_command *command)
{
    (void)command;
    answer_bad(turn, SMTP_REPLY_NOT_IMPLEMENTED);
}

/* A browser, or someone using one to speak SMTP: what follows must not be read as commands. */
static void take_http(struct turn *turn, const struct smtp_command *command)
{
    (void)command;
    answer_last(turn, SMTP_REPLY_WRONG_PROTOCOL, SMTP_HANG_UP_WRONG_PROTOCOL);
}

#define IN(state)             (1u << SMTP_##state)
#define ANY_TIME              UINT32_MAX
#define ANY_OTHER             SMTP_REPLY_OK /* never said: the command is allowed at any time */
#define KEY(a, b, c, d, rest) SMTP_COMMAND_KEY(a, b, c, d), rest, sizeof(rest) - 1

/* The frequent ones first. Where a greeting is missing, that is said instead of reply_elsewhere. */
static const struct rule rules[] = {
    /* clang-format off */
    {KEY('r', 'c', 'p', 't', ""),     IN(HAS_SENDER) | IN(HAS_RECIPIENT), SMTP_REPLY_NEED_MAIL,      take_rcpt},
    {KEY('m', 'a', 'i', 'l', ""),     IN(IDLE),                           SMTP_REPLY_NESTED_MAIL,    take_mail},
    {KEY('d', 'a', 't', 'a', ""),     IN(HAS_SENDER) | IN(HAS_RECIPIENT), SMTP_REPLY_NEED_RCPT,      take_data},
    {KEY('e', 'h', 'l', 'o', ""),     ANY_TIME,                           ANY_OTHER,                 take_ehlo},
    {KEY('h', 'e', 'l', 'o', ""),     ANY_TIME,                           ANY_OTHER,                 take_helo},
    {KEY('q', 'u', 'i', 't', ""),     ANY_TIME,                           ANY_OTHER,                 take_quit},
    {KEY('r', 's', 'e', 't', ""),     ANY_TIME,                           ANY_OTHER,                 take_rset},
    {KEY('n', 'o', 'o', 'p', ""),     ANY_TIME,                           ANY_OTHER,                 take_noop},
    {KEY('v', 'r', 'f', 'y', ""),     ANY_TIME,                           ANY_OTHER,                 take_vrfy},
    {KEY('e', 't', 'r', 'n', ""),     IN(IDLE),                           SMTP_REPLY_IN_TRANSACTION, take_etrn},
    {KEY('h', 'e', 'l', 'p', ""),     ANY_TIME,                           ANY_OTHER,                 take_help},
    {KEY('e', 'x', 'p', 'n', ""),     ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('t', 'u', 'r', 'n', ""),     ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('s', 'e', 'n', 'd', ""),     ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('s', 'o', 'm', 'l', ""),     ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('s', 'a', 'm', 'l', ""),     ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('g', 'e', 't', ' ', ""),     ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('p', 'o', 's', 't', ""),     ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('h', 'e', 'a', 'd', ""),     ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('p', 'u', 't', ' ', ""),     ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('c', 'o', 'n', 'n', "ect"),  ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('o', 'p', 't', 'i', "ons"),  ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('d', 'e', 'l', 'e', "te"),   ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('p', 'a', 't', 'c', "h"),    ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('t', 'r', 'a', 'c', "e"),    ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('h', 'o', 's', 't', ":"),    ANY_TIME,                           ANY_OTHER,                 take_http},
    /* clang-format on */
};

static const struct rule *find_rule(const struct smtp_command *command)
{
    for (uint32_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].key != command->key) continue;
        if (smtp_command_has_rest(command, bytes_make(rules[i].rest, rules[i].rest_size)))
            return &rules[i];
    }
    return NULL;
}

static void take_command(struct turn *turn, struct bytes line)
{
    struct smtp_session *session = turn->session;
    bool is_bare = !smtp_command_strip_line(&line);
    if (is_bare && session->config->is_strict) {
        answer_bad(turn, SMTP_REPLY_BARE_LF);
        return;
    }
    struct smtp_command command = smtp_command_parse(line);
    const struct rule *rule = find_rule(&command);
    if (rule == NULL)
        answer_bad(turn,
                   command.verb.size == 0 ? SMTP_REPLY_BAD_SYNTAX : SMTP_REPLY_UNKNOWN_COMMAND);
    else if ((rule->allowed_in & 1u << session->state) != 0)
        rule->take(turn, &command);
    else
        answer_bad(turn,
                   session->state == SMTP_CONNECTED ? SMTP_REPLY_NEED_HELO : rule->reply_elsewhere);
}

/* Views of a line taken from the stash are valid until the event's reply is written. */
static void release_stash(struct smtp_session *session)
{
    if (session->pending == PENDING_NOTHING) session->stash_size = 0;
}

static void stash_input(struct smtp_session *session, struct bytes *input)
{
    CHECK(session->stash_size + input->size <= SMTP_STASH_SIZE);
    memcpy(session->stash + session->stash_size, input->data, input->size);
    session->stash_size = (uint16_t)(session->stash_size + input->size);
    bytes_take(input, input->size);
}

/* No LF in the input: what will be too long with one is too long already. */
static void take_unfinished_line(struct turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->is_skipping_line || session->stash_size + turn->input->size >= SMTP_LINE_MAX) {
        session->is_skipping_line = true;
        session->stash_size = 0;
        bytes_take(turn->input, turn->input->size);
    } else if (session->stash == NULL) {
        end_turn(turn, SMTP_WANT_STASH);
    } else {
        stash_input(session, turn->input);
    }
}

/* The first `size` octets of the input end a line. */
static void take_finished_line(struct turn *turn, uint64_t size)
{
    struct smtp_session *session = turn->session;
    struct bytes line = bytes_take(turn->input, size);
    if (session->is_skipping_line || session->stash_size + size > SMTP_LINE_MAX) {
        session->is_skipping_line = false;
        answer_bad(turn, SMTP_REPLY_LINE_TOO_LONG);
    } else if (session->stash_size == 0) {
        take_command(turn, line);
    } else {
        stash_input(session, &line);
        take_command(turn, bytes_make(session->stash, session->stash_size));
    }
    release_stash(session);
}

static void take_line(struct turn *turn)
{
    uint64_t end = bytes_find(*turn->input, '\n');
    if (turn->input->size == 0)
        end_turn(turn, SMTP_WANT_INPUT);
    else if (end == turn->input->size)
        take_unfinished_line(turn);
    else if (!has_room(turn))
        end_turn(turn, SMTP_WANT_FLUSH);
    else
        take_finished_line(turn, end + 1);
}

static void take_end(struct turn *turn)
{
    if (turn->session->is_too_big) {
        turn->session->pending = PENDING_TOO_BIG;
        return;
    }
    enter(turn->session, SMTP_AWAIT_VERDICT);
    end_turn(turn, SMTP_WANT_VERDICT);
}

/* Content that passes the limit: the part below it is told, so that cuts don't show (invariant 1).
 */
static void take_overflow(struct turn *turn, struct bytes slice, uint64_t room)
{
    struct smtp_session *session = turn->session;
    session->is_too_big = true;
    if (room == 0) {
        end_turn(turn, SMTP_ABANDONED);
        return;
    }
    session->message_size += room;
    session->pending = PENDING_OVERFLOW;
    turn->detail->body = bytes_take(&slice, room);
    end_turn(turn, SMTP_BODY);
}

static void take_content(struct turn *turn)
{
    struct smtp_session *session = turn->session;
    struct bytes slice = smtp_data_next(&session->data, turn->input);
    if (slice.size == 0) {
        if (session->data.state == SMTP_DATA_DONE)
            take_end(turn);
        else
            end_turn(turn, SMTP_WANT_INPUT);
        return;
    }
    if (session->is_too_big) return;
    uint64_t room = size_limit(session) - session->message_size;
    if (slice.size > room) {
        take_overflow(turn, slice, room);
        return;
    }
    session->message_size += slice.size;
    turn->detail->body = slice;
    end_turn(turn, SMTP_BODY);
}

/* What a caller's refusal of a command becomes. */
static enum smtp_reply reply_to_refusal(enum smtp_verdict why, bool is_recipient)
{
    switch (why) {
    case SMTP_NO_SPACE:
        return SMTP_REPLY_NO_SPACE;
    case SMTP_NO_MEMORY: /* RFC 5321 4.5.3.1.10 */
        return is_recipient ? SMTP_REPLY_TOO_MANY_RECIPIENTS : SMTP_REPLY_NO_SPACE;
    case SMTP_STORE_FAILED:
        return SMTP_REPLY_STORE_FAILED;
    case SMTP_STORED:
        break;
    }
    CHECK(why != SMTP_STORED);
    return SMTP_REPLY_STORE_FAILED;
}

static void settle_sender(struct turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->refusal == SMTP_STORED) {
        put(turn, SMTP_REPLY_SENDER_OK);
        return;
    }
    enter(session, SMTP_IDLE);
    put(turn, reply_to_refusal(session->refusal, false));
}

static void settle_recipient(struct turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->refusal == SMTP_STORED) {
        put(turn, SMTP_REPLY_RECIPIENT_OK);
        return;
    }
    session->has_lost_recipients = true;
    session->recipient_count--;
    if (session->recipient_count == 0) enter(session, SMTP_HAS_SENDER);
    put(turn, reply_to_refusal(session->refusal, true));
}

static void settle_data(struct turn *turn)
{
    struct smtp_session *session = turn->session;
    if (session->refusal != SMTP_STORED) {
        put(turn, reply_to_refusal(session->refusal, false));
        return;
    }
    session->message_size = 0;
    smtp_data_init(&session->data);
    enter(session, SMTP_IN_DATA);
    put(turn, SMTP_REPLY_GO_AHEAD);
}

static void settle_too_big(struct turn *turn)
{
    turn->session->is_too_big = false;
    enter(turn->session, SMTP_IDLE);
    put(turn, SMTP_REPLY_MESSAGE_TOO_BIG);
}

static void settle(struct turn *turn, enum smtp_pending pending)
{
    switch (pending) {
    case PENDING_SENDER:
        settle_sender(turn);
        break;
    case PENDING_RECIPIENT:
        settle_recipient(turn);
        break;
    case PENDING_DATA:
        settle_data(turn);
        break;
    case PENDING_REPLY:
        put(turn, turn->session->pending_reply);
        break;
    case PENDING_GREETING:
        put_greeting(turn);
        break;
    case PENDING_LAST:
        hang_up(turn, turn->session->pending_reply);
        break;
    case PENDING_OVERFLOW:
        end_turn(turn, SMTP_ABANDONED);
        break;
    case PENDING_TOO_BIG:
        settle_too_big(turn);
        break;
    case PENDING_NOTHING:
        break;
    }
}

static void settle_pending(struct turn *turn)
{
    struct smtp_session *session = turn->session;
    enum smtp_pending pending = session->pending;
    if (!has_room(turn)) {
        end_turn(turn, SMTP_WANT_FLUSH);
        return;
    }
    session->pending = PENDING_NOTHING;
    release_stash(session);
    settle(turn, pending);
    session->refusal = SMTP_STORED;
}

enum smtp_event smtp_session_step(struct smtp_session *session, struct bytes *input,
                                  struct smtp_replies *replies, struct smtp_detail *detail)
{
    CHECK(session->state != SMTP_CLOSED);
    CHECK(session->state != SMTP_AWAIT_VERDICT);
    struct turn turn = {.session = session, .input = input, .replies = replies, .detail = detail};
    while (!turn.is_over) {
        if (session->pending != PENDING_NOTHING)
            settle_pending(&turn);
        else if (session->state == SMTP_IN_DATA)
            take_content(&turn);
        else
            take_line(&turn);
    }
    session_check(session);
    return turn.event;
}

void smtp_session_init(struct smtp_session *session, const struct smtp_config *config)
{
    CHECK(config->ehlo_reply.size > 0);
    *session = (struct smtp_session){.config = config, .state = SMTP_CONNECTED};
}

void smtp_session_greet(struct smtp_session *session, struct smtp_replies *replies)
{
    CHECK(session->state == SMTP_CONNECTED);
    smtp_replies_put_bytes(replies, session->config->greeting_reply);
}

void smtp_session_refuse(struct smtp_session *session, enum smtp_verdict why)
{
    CHECK(why != SMTP_STORED);
    CHECK(session->pending == PENDING_SENDER || session->pending == PENDING_RECIPIENT ||
          session->pending == PENDING_DATA);
    session->refusal = (uint8_t)why;
}

void smtp_session_verdict(struct smtp_session *session, struct smtp_replies *replies,
                          enum smtp_verdict verdict, struct bytes id)
{
    CHECK(session->state == SMTP_AWAIT_VERDICT);
    CHECK(id.size <= SMTP_ID_MAX);
    enter(session, SMTP_IDLE);
    if (verdict != SMTP_STORED) {
        smtp_replies_put(replies, reply_to_refusal(verdict, false));
        return;
    }
    smtp_replies_put_bytes(replies, BYTES("250 2.0.0 Ok: queued as "));
    smtp_replies_put_bytes(replies, id);
    smtp_replies_put_bytes(replies, BYTES("\r\n"));
}

void smtp_session_lend_stash(struct smtp_session *session, uint8_t *stash)
{
    CHECK(session->stash == NULL);
    CHECK(stash != NULL);
    session->stash = stash;
}

uint8_t *smtp_session_reclaim_stash(struct smtp_session *session)
{
    if (session->stash_size > 0) return NULL;
    uint8_t *stash = session->stash;
    session->stash = NULL;
    return stash;
}

void smtp_session_dismiss(struct smtp_session *session, struct smtp_replies *replies,
                          enum smtp_reply reply)
{
    if (smtp_replies_have_room(replies, SMTP_REPLY_LINE_MAX)) smtp_replies_put(replies, reply);
    enter(session, SMTP_CLOSED);
    session->pending = PENDING_NOTHING;
    session->is_too_big = false;
    session->stash_size = 0;
}

bool smtp_session_has_transaction(const struct smtp_session *session)
{
    switch ((enum smtp_state)session->state) {
    case SMTP_HAS_SENDER:
    case SMTP_HAS_RECIPIENT:
    case SMTP_AWAIT_VERDICT:
        return true;
    case SMTP_IN_DATA:
        return !session->is_too_big || session->pending == PENDING_OVERFLOW;
    case SMTP_CONNECTED:
    case SMTP_IDLE:
    case SMTP_CLOSED:
        break;
    }
    return false;
}
