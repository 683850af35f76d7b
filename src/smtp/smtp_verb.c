#include "smtp/smtp_verb.h"

#include "smtp/smtp_command.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_path.h"

struct rule {
    uint32_t key;
    const char *rest; /* of a verb longer than four letters */
    uint32_t rest_size;
    uint32_t allowed_in; /* IN(state) | ... */
    enum smtp_reply reply_elsewhere;
    void (*take)(struct smtp_turn *turn, const struct smtp_command *command);
};

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
static void take_greeting(struct smtp_turn *turn, const struct smtp_command *command,
                          bool is_extended)
{
    struct smtp_session *session = turn->session;
    bool is_wrong = command->argument.size == 0;
    if (session->config->is_strict) is_wrong = !smtp_path_is_domain(command->argument, true);
    if (is_wrong) {
        smtp_turn_answer_bad(turn, is_extended ? SMTP_REPLY_SYNTAX_EHLO : SMTP_REPLY_SYNTAX_HELO);
        return;
    }
    keep_helo(session, command->argument);
    session->is_extended = is_extended;
    if (smtp_turn_answer_dropping(turn, SMTP_PENDING_GREETING, SMTP_REPLY_OK)) return;
    smtp_turn_enter(session, SMTP_IDLE);
    smtp_turn_put_greeting(turn);
}

static void take_helo(struct smtp_turn *turn, const struct smtp_command *command)
{
    take_greeting(turn, command, false);
}

static void take_ehlo(struct smtp_turn *turn, const struct smtp_command *command)
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
static enum smtp_reply read_address(struct smtp_turn *turn, struct bytes text, bool is_sender,
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

static void take_mail(struct smtp_turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    struct smtp_parameters parameters;
    enum smtp_reply reply = read_address(turn, command->argument, true, &parameters);
    if (reply != SMTP_REPLY_OK) {
        smtp_turn_answer_bad(turn, reply);
        return;
    }
    if (parameters.size > smtp_turn_size_limit(session)) { /* RFC 1870 6.1 */
        smtp_turn_put(turn, SMTP_REPLY_SIZE_OVER_LIMIT);
        return;
    }
    session->declared_size = parameters.size;
    session->recipient_count = 0;
    session->has_lost_recipients = false;
    session->pending = SMTP_PENDING_SENDER;
    smtp_turn_enter(session, SMTP_HAS_SENDER);
    smtp_turn_end(turn, SMTP_SENDER);
}

static void take_rcpt(struct smtp_turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    struct smtp_parameters parameters;
    enum smtp_reply reply = read_address(turn, command->argument, false, &parameters);
    if (reply != SMTP_REPLY_OK) {
        session->has_lost_recipients = true;
        smtp_turn_answer_bad(turn, reply);
        return;
    }
    if (session->recipient_count >= session->config->recipients_max) {
        smtp_turn_put(turn, SMTP_REPLY_TOO_MANY_RECIPIENTS);
        return;
    }
    session->recipient_count++;
    session->pending = SMTP_PENDING_RECIPIENT;
    smtp_turn_enter(session, SMTP_HAS_RECIPIENT);
    smtp_turn_end(turn, SMTP_RECIPIENT);
}

/* RFC 2920 3.2: with all recipients refused, a pipelined DATA must fail. */
static void take_data(struct smtp_turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    if (command->argument.size > 0) {
        smtp_turn_answer_bad(turn, SMTP_REPLY_SYNTAX_DATA);
        return;
    }
    if (session->recipient_count == 0) {
        smtp_turn_answer_bad(turn, session->has_lost_recipients ? SMTP_REPLY_NO_RECIPIENTS
                                                                : SMTP_REPLY_NEED_RCPT);
        return;
    }
    session->pending = SMTP_PENDING_DATA;
    smtp_turn_end(turn, SMTP_DATA_BEGINS);
}

static void take_rset(struct smtp_turn *turn, const struct smtp_command *command)
{
    if (command->argument.size > 0)
        smtp_turn_answer_bad(turn, SMTP_REPLY_SYNTAX_RSET);
    else if (!smtp_turn_answer_dropping(turn, SMTP_PENDING_REPLY, SMTP_REPLY_OK))
        smtp_turn_put(turn, SMTP_REPLY_OK);
}

static void take_noop(struct smtp_turn *turn, const struct smtp_command *command)
{
    (void)command;
    smtp_turn_put(turn, SMTP_REPLY_OK);
}

/* RFC 5321 3.5.3: 252, for nothing is known of any mailbox. */
static void take_vrfy(struct smtp_turn *turn, const struct smtp_command *command)
{
    if (command->argument.size == 0)
        smtp_turn_answer_bad(turn, SMTP_REPLY_SYNTAX_VRFY);
    else
        smtp_turn_put(turn, SMTP_REPLY_CANNOT_VERIFY);
}

/* RFC 1985 5.3: 459 where the server won't queue for a node. */
static void take_etrn(struct smtp_turn *turn, const struct smtp_command *command)
{
    if (command->argument.size == 0)
        smtp_turn_answer_bad(turn, SMTP_REPLY_SYNTAX_ETRN);
    else
        smtp_turn_put(turn, SMTP_REPLY_NODE_NOT_ALLOWED);
}

static void take_help(struct smtp_turn *turn, const struct smtp_command *command)
{
    (void)command;
    smtp_turn_put(turn, SMTP_REPLY_HELP);
}

static void take_quit(struct smtp_turn *turn, const struct smtp_command *command)
{
    (void)command;
    smtp_turn_answer_last(turn, SMTP_REPLY_BYE, SMTP_HANG_UP_QUIT);
}

/* RFC 5321 4.2.4: known, not implemented. */
static void take_unimplemented(struct smtp_turn *turn, const struct smtp_command *command)
{
    (void)command;
    smtp_turn_answer_bad(turn, SMTP_REPLY_NOT_IMPLEMENTED);
}

/* A browser, or someone using one to speak SMTP: what follows must not be read as commands. */
static void take_http(struct smtp_turn *turn, const struct smtp_command *command)
{
    (void)command;
    smtp_turn_answer_last(turn, SMTP_REPLY_WRONG_PROTOCOL, SMTP_HANG_UP_WRONG_PROTOCOL);
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

void smtp_verb_take(struct smtp_turn *turn, struct bytes line)
{
    struct smtp_session *session = turn->session;
    bool is_bare = !smtp_command_strip_line(&line);
    if (is_bare && session->config->is_strict) {
        smtp_turn_answer_bad(turn, SMTP_REPLY_BARE_LF);
        return;
    }
    struct smtp_command command = smtp_command_parse(line);
    const struct rule *rule = find_rule(&command);
    if (rule == NULL)
        smtp_turn_answer_bad(turn, command.verb.size == 0 ? SMTP_REPLY_BAD_SYNTAX
                                                          : SMTP_REPLY_UNKNOWN_COMMAND);
    else if ((rule->allowed_in & 1u << session->state) != 0)
        rule->take(turn, &command);
    else
        smtp_turn_answer_bad(turn, session->state == SMTP_CONNECTED ? SMTP_REPLY_NEED_HELO
                                                                    : rule->reply_elsewhere);
}
