#include "smtp/smtp_verb.h"

#include "smtp/smtp_auth.h"
#include "smtp/smtp_command.h"
#include "smtp/smtp_content.h"
#include "smtp/smtp_parameter.h"
#include "smtp/smtp_path.h"

/* Whose command it is (RFC 2033 4.1). */
enum dialect { OF_BOTH, OF_SMTP, OF_LMTP };

struct rule {
    uint32_t key;
    const char *rest; /* of a verb longer than four letters */
    uint32_t rest_size;
    enum dialect dialect;
    uint32_t offer;      /* the extension it belongs to; 0: none */
    uint32_t allowed_in; /* IN(state) | ... */
    enum smtp_reply reply_elsewhere;
    void (*take)(struct smtp_turn *turn, const struct smtp_command *command);
};

/* The first word, as far as it fits; what is not printable becomes "?", for it goes to the store.
 */
static void keep_helo(struct smtp_session *session, struct bytes argument)
{
    struct bytes word = smtp_command_take_word(&argument);
    session->helo_size = (uint8_t)(word.size < SMTP_HELO_KEPT ? word.size : SMTP_HELO_KEPT);
    for (uint32_t i = 0; i < session->helo_size; i++)
        session->helo_text[i] = word.data[i] > ' ' && word.data[i] <= '~' ? word.data[i] : '?';
}

/* RFC 5321 4.1.4: an accepted HELO or EHLO resets as RSET does; a refused one changes nothing. */
static void take_greeting(struct smtp_turn *turn, const struct smtp_command *command,
                          bool is_extended, enum smtp_reply syntax)
{
    struct smtp_session *session = turn->session;
    bool is_wrong = command->argument.size == 0;
    if (session->config->is_strict) is_wrong = !smtp_path_is_domain(command->argument, true);
    if (is_wrong) {
        smtp_turn_answer_bad(turn, syntax);
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
    take_greeting(turn, command, false, SMTP_REPLY_SYNTAX_HELO);
}

static void take_ehlo(struct smtp_turn *turn, const struct smtp_command *command)
{
    take_greeting(turn, command, true, SMTP_REPLY_SYNTAX_EHLO);
}

static void take_lhlo(struct smtp_turn *turn, const struct smtp_command *command)
{
    take_greeting(turn, command, true, SMTP_REPLY_SYNTAX_LHLO);
}

/* The reply a path earned that is no mailbox. */
static enum smtp_reply reply_to_path(enum smtp_path_kind kind, bool is_sender)
{
    switch (kind) {
    case SMTP_PATH_MAILBOX:
    case SMTP_PATH_UTF8:
        return SMTP_REPLY_OK;
    case SMTP_PATH_NULL: /* RFC 5321 4.5.5; a forward-path is never null */
        return is_sender ? SMTP_REPLY_OK : SMTP_REPLY_NULL_RECIPIENT;
    case SMTP_PATH_MISSING:
        return is_sender ? SMTP_REPLY_SYNTAX_MAIL : SMTP_REPLY_SYNTAX_RCPT;
    case SMTP_PATH_MALFORMED:
        return is_sender ? SMTP_REPLY_BAD_SENDER : SMTP_REPLY_BAD_RECIPIENT;
    }
    CHECK(false);
    return SMTP_REPLY_BAD_SYNTAX;
}

/* "FROM:<path> parameters" or "TO:<path> parameters" into `detail`; SMTP_REPLY_OK, or what is
 * wrong. */
static enum smtp_reply read_address(struct smtp_turn *turn, struct bytes text, bool is_sender,
                                    struct smtp_parameters *parameters)
{
    bool has_keyword = is_sender ? smtp_command_take_keyword(&text, BYTES("FROM:"))
                                 : smtp_command_take_keyword(&text, BYTES("TO:"));
    if (!has_keyword) return is_sender ? SMTP_REPLY_SYNTAX_MAIL : SMTP_REPLY_SYNTAX_RCPT;
    struct smtp_detail *detail = turn->detail;
    bool is_strict = turn->session->config->is_strict;
    enum smtp_path_kind kind = smtp_path_take(&text, is_strict, &detail->path);
    enum smtp_reply reply = reply_to_path(kind, is_sender);
    if (reply != SMTP_REPLY_OK) return reply;
    detail->parameters = smtp_command_trim(text);
    reply = smtp_parameter_check(text, is_sender ? SMTP_PARAMETER_OF_MAIL : SMTP_PARAMETER_OF_RCPT,
                                 smtp_turn_offers(turn->session), parameters);
    if (reply != SMTP_REPLY_OK || kind != SMTP_PATH_UTF8) return reply;
    /* RFC 6531 3.5 */
    bool is_agreed = is_sender ? parameters->is_utf8 : turn->session->is_utf8;
    return is_agreed ? SMTP_REPLY_OK : SMTP_REPLY_NOT_ASCII;
}

static bool lacks_login(const struct smtp_session *session)
{
    return session->config->is_auth_required && !session->is_authenticated;
}

static void accept_sender(struct smtp_turn *turn, const struct smtp_parameters *parameters)
{
    struct smtp_session *session = turn->session;
    session->declared_size = parameters->size;
    session->is_utf8 = parameters->is_utf8;
    session->is_binary = parameters->is_binary;
    session->recipient_count = 0;
    session->has_lost_recipients = false;
    session->pending = SMTP_PENDING_SENDER;
    smtp_turn_enter(session, SMTP_HAS_SENDER);
    smtp_turn_end(turn, SMTP_SENDER);
}

static void take_mail(struct smtp_turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    struct smtp_parameters parameters;
    if (lacks_login(session)) {
        smtp_turn_answer_bad(turn, SMTP_REPLY_NEED_AUTH); /* RFC 4954 6 */
        return;
    }
    enum smtp_reply reply = read_address(turn, command->argument, true, &parameters);
    if (reply != SMTP_REPLY_OK)
        smtp_turn_answer_bad(turn, reply);
    else if (parameters.size > smtp_turn_size_limit(session)) /* RFC 1870 6.1 */
        smtp_turn_put(turn, SMTP_REPLY_SIZE_OVER_LIMIT);
    else
        accept_sender(turn, &parameters);
}

static void accept_recipient(struct smtp_turn *turn)
{
    struct smtp_session *session = turn->session;
    session->recipient_count++;
    session->pending = SMTP_PENDING_RECIPIENT;
    smtp_turn_enter(session, SMTP_HAS_RECIPIENT);
    smtp_turn_end(turn, SMTP_RECIPIENT);
}

static bool has_all_recipients(const struct smtp_session *session)
{
    return session->recipient_count >= session->config->recipients_max;
}

static void take_rcpt(struct smtp_turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    struct smtp_parameters parameters;
    enum smtp_reply reply = read_address(turn, command->argument, false, &parameters);
    if (reply != SMTP_REPLY_OK) {
        session->has_lost_recipients = true;
        smtp_turn_answer_bad(turn, reply);
    } else if (has_all_recipients(session)) {
        smtp_turn_put(turn, SMTP_REPLY_TOO_MANY_RECIPIENTS);
    } else {
        accept_recipient(turn);
    }
}

/* RFC 2033 4.2 has 503 where there is no recipient, whatever the reason. */
static enum smtp_reply reply_without_recipients(const struct smtp_session *session)
{
    bool is_all_lost = session->has_lost_recipients && !session->config->is_lmtp;
    return is_all_lost ? SMTP_REPLY_NO_RECIPIENTS : SMTP_REPLY_NEED_RCPT;
}

/* What is wrong with a DATA here and now; SMTP_REPLY_OK: nothing. */
static enum smtp_reply judge_data(const struct smtp_session *session,
                                  const struct smtp_command *command)
{
    if (command->argument.size > 0) return SMTP_REPLY_SYNTAX_DATA;
    /* RFC 2920 3.2: with all recipients refused, a pipelined DATA must fail. */
    if (session->recipient_count == 0) return reply_without_recipients(session);
    /* RFC 3030 3 */
    return session->is_binary ? SMTP_REPLY_NEED_BDAT : SMTP_REPLY_OK;
}

static void accept_data(struct smtp_turn *turn)
{
    turn->session->is_last_chunk = false;
    turn->session->pending = SMTP_PENDING_DATA;
    smtp_turn_end(turn, SMTP_DATA_BEGINS);
}

static void take_data(struct smtp_turn *turn, const struct smtp_command *command)
{
    enum smtp_reply reply = judge_data(turn->session, command);
    if (reply != SMTP_REPLY_OK)
        smtp_turn_answer_bad(turn, reply);
    else
        accept_data(turn);
}

/* RFC 3030 2: chunk-size [ SP "LAST" ]. */
static bool read_chunk(struct smtp_session *session, struct bytes argument)
{
    struct bytes digits = smtp_command_take_word(&argument);
    if (!bytes_to_number(digits, &session->chunk_left)) return false;
    struct bytes word = smtp_command_trim(argument);
    session->is_last_chunk = bytes_equal_ignoring_case(word, BYTES("LAST"));
    return session->is_last_chunk || word.size == 0;
}

/* Why a chunk may not come here; SMTP_REPLY_OK: it may. */
static enum smtp_reply judge_chunk(const struct smtp_session *session)
{
    if (smtp_turn_lacks_tls(session)) return SMTP_REPLY_NEED_TLS;
    switch ((enum smtp_state)session->state) {
    case SMTP_HAS_RECIPIENT:
    case SMTP_HAS_CHUNK:
        return SMTP_REPLY_OK;
    case SMTP_CONNECTED:
        return SMTP_REPLY_NEED_HELO;
    case SMTP_HAS_SENDER:
        return reply_without_recipients(session);
    case SMTP_IDLE:
    case SMTP_IN_DATA:
    case SMTP_IN_CHUNK:
    case SMTP_IN_AUTH:
    case SMTP_AWAIT_VERDICT:
    case SMTP_CLOSED:
        break;
    }
    return SMTP_REPLY_NEED_MAIL;
}

/* A size that can't be read leaves no way to tell content from commands. */
static void take_bdat(struct smtp_turn *turn, const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    if (!read_chunk(session, command->argument)) {
        smtp_turn_answer_last(turn, SMTP_REPLY_SYNTAX_BDAT, SMTP_HANG_UP_LOST_SYNC);
        return;
    }
    enum smtp_reply reply = judge_chunk(session);
    bool is_last_of_nobody =
        session->config->is_lmtp && session->state == SMTP_HAS_SENDER && session->is_last_chunk;
    if (is_last_of_nobody) { /* RFC 2033 4.3: a reply for each recipient, so none */
        smtp_content_refuse_chunk(session, SMTP_REPLY_OK);
    } else if (reply != SMTP_REPLY_OK) {
        smtp_content_refuse_chunk(session, reply);
    } else if (session->state == SMTP_HAS_CHUNK) {
        smtp_turn_enter(session, SMTP_IN_CHUNK);
    } else {
        session->pending = SMTP_PENDING_CHUNK;
        smtp_turn_end(turn, SMTP_DATA_BEGINS);
    }
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
    if (command->argument.size > 0) /* RFC 5321 4.3.2 */
        smtp_turn_answer_bad(turn, SMTP_REPLY_SYNTAX_QUIT);
    else
        smtp_turn_answer_last(turn, SMTP_REPLY_BYE, SMTP_HANG_UP_QUIT);
}

/*
 * Why TLS may not begin here; SMTP_REPLY_OK: it may. Like Postfix this takes STARTTLS before EHLO,
 * which RFC 5321 4.1.4 wants before transactions, and like Postfix and Exim in a transaction.
 */
static enum smtp_reply judge_starttls(const struct smtp_session *session,
                                      const struct smtp_command *command)
{
    bool is_greeted = session->state != SMTP_CONNECTED;
    if (session->is_secure) return SMTP_REPLY_TLS_TWICE; /* RFC 3207 4.2 */
    if ((session->config->offers & SMTP_OFFER(STARTTLS)) == 0) return SMTP_REPLY_UNKNOWN_COMMAND;
    if (command->argument.size > 0) return SMTP_REPLY_SYNTAX_STARTTLS;
    if (session->state == SMTP_HAS_CHUNK) return SMTP_REPLY_IN_CHUNKS;
    return session->config->is_strict && !is_greeted ? SMTP_REPLY_NEED_HELO : SMTP_REPLY_OK;
}

/*
 * RFC 3207 4.1: nothing may follow before the reply. What does may be another's, put in front of
 * what the client will say inside TLS: none of it is ever taken.
 */
static void take_starttls(struct smtp_turn *turn, const struct smtp_command *command)
{
    enum smtp_reply reply = judge_starttls(turn->session, command);
    if (reply != SMTP_REPLY_OK) {
        smtp_turn_answer_bad(turn, reply);
    } else if (turn->input->size > 0) {
        smtp_turn_answer_last(turn, SMTP_REPLY_INJECTED, SMTP_HANG_UP_INJECTED);
    } else {
        turn->session->pending = SMTP_PENDING_TLS;
        smtp_turn_end(turn, SMTP_STARTTLS);
    }
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
#define ALWAYS                0
#define WITH(extension)       SMTP_OFFER(extension)

/* The frequent ones first. Where a greeting is missing, that is said instead of reply_elsewhere. */
static const struct rule rules[] = {
    /* clang-format off */
    {KEY('r', 'c', 'p', 't', ""),     OF_BOTH, ALWAYS,         IN(HAS_SENDER) | IN(HAS_RECIPIENT), SMTP_REPLY_NEED_MAIL,      take_rcpt},
    {KEY('m', 'a', 'i', 'l', ""),     OF_BOTH, ALWAYS,         IN(IDLE),                           SMTP_REPLY_NESTED_MAIL,    take_mail},
    {KEY('d', 'a', 't', 'a', ""),     OF_BOTH, ALWAYS,         IN(HAS_SENDER) | IN(HAS_RECIPIENT), SMTP_REPLY_NEED_RCPT,      take_data},
    {KEY('b', 'd', 'a', 't', ""),     OF_BOTH, WITH(CHUNKING), ANY_TIME,                           ANY_OTHER,                 take_bdat},
    {KEY('e', 'h', 'l', 'o', ""),     OF_SMTP, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_ehlo},
    {KEY('h', 'e', 'l', 'o', ""),     OF_SMTP, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_helo},
    {KEY('l', 'h', 'l', 'o', ""),     OF_LMTP, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_lhlo},
    {KEY('q', 'u', 'i', 't', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_quit},
    {KEY('r', 's', 'e', 't', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_rset},
    {KEY('n', 'o', 'o', 'p', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_noop},
    {KEY('a', 'u', 't', 'h', ""),     OF_BOTH, WITH(AUTH),     IN(IDLE),                           SMTP_REPLY_IN_TRANSACTION, smtp_auth_take},
    {KEY('s', 't', 'a', 'r', "ttls"), OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_starttls},
    {KEY('v', 'r', 'f', 'y', ""),     OF_BOTH, WITH(VRFY),     ANY_TIME,                           ANY_OTHER,                 take_vrfy},
    {KEY('e', 't', 'r', 'n', ""),     OF_BOTH, WITH(ETRN),     IN(IDLE),                           SMTP_REPLY_IN_TRANSACTION, take_etrn},
    {KEY('h', 'e', 'l', 'p', ""),     OF_BOTH, WITH(HELP),     ANY_TIME,                           ANY_OTHER,                 take_help},
    {KEY('e', 'x', 'p', 'n', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('t', 'u', 'r', 'n', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('s', 'e', 'n', 'd', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('s', 'o', 'm', 'l', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('s', 'a', 'm', 'l', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_unimplemented},
    {KEY('g', 'e', 't', ' ', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('p', 'o', 's', 't', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('h', 'e', 'a', 'd', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('p', 'u', 't', ' ', ""),     OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('c', 'o', 'n', 'n', "ect"),  OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('o', 'p', 't', 'i', "ons"),  OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('d', 'e', 'l', 'e', "te"),   OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('p', 'a', 't', 'c', "h"),    OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('t', 'r', 'a', 'c', "e"),    OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    {KEY('h', 'o', 's', 't', ":"),    OF_BOTH, ALWAYS,         ANY_TIME,                           ANY_OTHER,                 take_http},
    /* clang-format on */
};

static const struct rule *find_rule(const struct smtp_config *config,
                                    const struct smtp_command *command)
{
    for (uint32_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].key != command->key) continue;
        if (rules[i].dialect == (config->is_lmtp ? OF_SMTP : OF_LMTP)) continue;
        if (smtp_command_has_rest(command, bytes_make(rules[i].rest, rules[i].rest_size)))
            return &rules[i];
    }
    return NULL;
}

/* RFC 5321 4.2.4: its own commands are known though not implemented; an extension's are not. */
static enum smtp_reply reply_where_off(const struct rule *rule)
{
    bool is_of_base = rule->offer == SMTP_OFFER(VRFY) || rule->offer == SMTP_OFFER(HELP);
    return is_of_base ? SMTP_REPLY_NOT_IMPLEMENTED : SMTP_REPLY_UNKNOWN_COMMAND;
}

static enum smtp_reply reply_elsewhere(const struct smtp_session *session, const struct rule *rule)
{
    if (session->state == SMTP_CONNECTED) return SMTP_REPLY_NEED_HELO;
    return session->state == SMTP_HAS_CHUNK ? SMTP_REPLY_IN_CHUNKS : rule->reply_elsewhere;
}

/*
 * RFC 2920 3.1: before PIPELINING is agreed on, and behind EHLO and DATA, the client has to wait.
 * Told by what stands in this input, so not by what is still on its way.
 */
static bool is_early_talk(const struct smtp_turn *turn, const struct rule *rule)
{
    const struct smtp_session *session = turn->session;
    if (!session->config->is_strict || turn->input->size == 0) return false;
    bool may_pipeline =
        session->is_extended && (session->config->offers & SMTP_OFFER(PIPELINING)) != 0;
    return !may_pipeline || rule->take == take_ehlo || rule->take == take_lhlo ||
           rule->take == take_helo || rule->take == take_data;
}

/* RFC 3207 4: what is refused before TLS. A chunk is too, but with its octets: not here. */
static bool needs_tls(const struct rule *rule)
{
    return rule->take != take_ehlo && rule->take != take_lhlo && rule->take != take_noop &&
           rule->take != take_quit && rule->take != take_starttls && rule->take != take_bdat &&
           rule->take != take_http;
}

static void take_command(struct smtp_turn *turn, const struct rule *rule,
                         const struct smtp_command *command)
{
    struct smtp_session *session = turn->session;
    if (is_early_talk(turn, rule))
        smtp_turn_answer_last(turn, SMTP_REPLY_EARLY_TALK, SMTP_HANG_UP_EARLY_TALK);
    else if (session->config->is_out_of_service && rule->take != take_quit)
        smtp_turn_answer_bad(turn, SMTP_REPLY_OUT_OF_SERVICE);
    else if (rule->offer != 0 && (rule->offer & session->config->offers) == 0)
        smtp_turn_answer_bad(turn, reply_where_off(rule));
    else if (smtp_turn_lacks_tls(session) && needs_tls(rule))
        smtp_turn_answer_bad(turn, SMTP_REPLY_NEED_TLS);
    else if ((rule->allowed_in & 1u << session->state) != 0)
        rule->take(turn, command);
    else
        smtp_turn_answer_bad(turn, reply_elsewhere(session, rule));
    bool is_data_refused = !turn->is_over && rule->take == take_data;
    if (is_data_refused && turn->input->size > 0 && session->run_on_count < UINT16_MAX)
        session->run_on_count++;
}

/* Anything behind AUTH's verb, a response, and, once AUTH was refused, whatever is no command. */
static bool is_secret(const struct smtp_session *session, const struct smtp_command *command,
                      const struct rule *rule)
{
    if (session->state == SMTP_IN_AUTH) return true;
    if (command->key == SMTP_COMMAND_KEY('a', 'u', 't', 'h')) return true;
    return rule == NULL && session->has_lost_auth;
}

void smtp_verb_take(struct smtp_turn *turn, struct bytes line)
{
    struct smtp_session *session = turn->session;
    (void)smtp_command_strip_line(&line);
    bool has_bare_lf = session->config->is_strict && bytes_find(line, '\n') < line.size;
    struct smtp_command command = smtp_command_parse(line);
    const struct rule *rule = find_rule(session->config, &command);
    turn->detail->is_line_secret = is_secret(session, &command, rule);
    if (has_bare_lf)
        smtp_turn_answer_bad(turn, SMTP_REPLY_BARE_LF);
    else if (session->state == SMTP_IN_AUTH)
        smtp_auth_respond(turn, line);
    else if (rule != NULL)
        take_command(turn, rule, &command);
    else
        smtp_turn_answer_bad(turn, command.verb.size == 0 ? SMTP_REPLY_BAD_SYNTAX
                                                          : SMTP_REPLY_UNKNOWN_COMMAND);
}

bool smtp_verb_take_plain(struct smtp_turn *turn, const struct smtp_plain_line *plain)
{
    static const struct smtp_parameters no_parameters;
    struct smtp_session *session = turn->session;
    bool has_sender = session->state == SMTP_HAS_SENDER || session->state == SMTP_HAS_RECIPIENT;
    CHECK(session->config->takes_plain);
    switch (plain->verb) {
    case SMTP_PLAIN_MAIL:
        if (session->state != SMTP_IDLE || lacks_login(session)) return false;
        if (smtp_turn_lacks_tls(session)) return false;
        turn->detail->path = plain->path;
        turn->detail->parameters = bytes_make(NULL, 0);
        accept_sender(turn, &no_parameters);
        return true;
    case SMTP_PLAIN_RCPT:
        if (!has_sender || has_all_recipients(session)) return false;
        turn->detail->path = plain->path;
        turn->detail->parameters = bytes_make(NULL, 0);
        accept_recipient(turn);
        return true;
    case SMTP_PLAIN_DATA:
        if (session->state != SMTP_HAS_RECIPIENT || session->is_binary) return false;
        accept_data(turn);
        return true;
    case SMTP_PLAIN_NONE:
        break;
    }
    return false;
}
