#include "smtp/smtp_auth.h"

#include "base/base64.h"
#include "smtp/smtp_limits.h"

#include <string.h>

/* A line of the exchange with its CR LF, decoded. */
#define DECODED_MAX ((SMTP_AUTH_LINE_MAX + 4) / 4 * 3)

/* What the response to a 334 is. */
enum step { STEP_PLAIN, STEP_USER, STEP_PASSWORD };

static void refuse(struct smtp_turn *turn, enum smtp_reply reply)
{
    turn->session->has_lost_auth = true;
    smtp_turn_answer_bad(turn, reply);
}

static void ask(struct smtp_turn *turn, enum step step, enum smtp_reply challenge)
{
    turn->session->auth_step = (uint8_t)step;
    smtp_turn_enter(turn->session, SMTP_IN_AUTH);
    smtp_turn_put(turn, challenge);
}

/* Without a hint in the time it takes where they differ. */
static bool is_same_secret(struct bytes a, struct bytes b)
{
    uint8_t difference = a.size == b.size ? 0 : 1;
    for (uint64_t i = 0; i < a.size && i < b.size; i++)
        difference |= a.data[i] ^ b.data[i];
    return difference == 0;
}

/* Index of the user's credential plus one, or 0. */
static uint32_t find_login(const struct smtp_config *config, struct bytes user)
{
    for (uint32_t i = 0; i < config->credential_count; i++)
        if (bytes_equal(config->credentials[i].user, user)) return i + 1;
    return 0;
}

static void decide(struct smtp_turn *turn, uint32_t login, struct bytes password)
{
    struct smtp_session *session = turn->session;
    const struct smtp_config *config = session->config;
    bool is_right = config->credentials == NULL;
    if (!is_right && login > 0)
        is_right = is_same_secret(config->credentials[login - 1].password, password);
    if (!is_right) {
        refuse(turn, SMTP_REPLY_AUTH_FAILED);
        return;
    }
    session->is_authenticated = true;
    smtp_turn_put(turn, SMTP_REPLY_LOGGED_IN);
}

/* RFC 4616 2: [authzid] NUL authcid NUL passwd. Nobody acts for another here. */
static void take_plain(struct smtp_turn *turn, struct bytes message)
{
    struct bytes other = bytes_take(&message, bytes_find(message, '\0'));
    if (message.size > 0) bytes_take(&message, 1);
    struct bytes user = bytes_take(&message, bytes_find(message, '\0'));
    bool is_whole = message.size > 0 && user.size > 0;
    bool is_itself = other.size == 0 || bytes_equal(other, user);
    if (!is_whole || !is_itself) {
        refuse(turn, SMTP_REPLY_AUTH_FAILED);
        return;
    }
    bytes_take(&message, 1);
    decide(turn, find_login(turn->session->config, user), message);
}

/* A user who does not exist is asked for a password like any other. */
static void take_user(struct smtp_turn *turn, struct bytes user)
{
    turn->session->login = find_login(turn->session->config, user);
    ask(turn, STEP_PASSWORD, SMTP_REPLY_ASK_PASSWORD);
}

static void take_response(struct smtp_turn *turn, enum step step, struct bytes text)
{
    uint8_t decoded[DECODED_MAX];
    uint64_t size = 0;
    CHECK(text.size <= SMTP_AUTH_LINE_MAX + 2);
    if (!base64_decode(text, decoded, &size)) {
        refuse(turn, SMTP_REPLY_AUTH_BAD_BASE64);
    } else {
        struct bytes response = bytes_make(decoded, size);
        switch (step) {
        case STEP_PLAIN:
            take_plain(turn, response);
            break;
        case STEP_USER:
            take_user(turn, response);
            break;
        case STEP_PASSWORD:
            decide(turn, turn->session->login, response);
            break;
        }
    }
    explicit_bzero(decoded, size);
}

/* The initial response; "=" is an empty one (RFC 4954 4). */
static void begin(struct smtp_turn *turn, enum step step, enum smtp_reply challenge,
                  struct bytes initial)
{
    if (initial.size == 0)
        ask(turn, step, challenge);
    else
        take_response(turn, step, bytes_equal(initial, BYTES("=")) ? BYTES("") : initial);
}

void smtp_auth_take(struct smtp_turn *turn, const struct smtp_command *command)
{
    struct bytes initial = command->argument;
    struct bytes mechanism = smtp_command_take_word(&initial);
    initial = smtp_command_trim(initial);
    if (mechanism.size == 0)
        refuse(turn, SMTP_REPLY_SYNTAX_AUTH);
    else if ((smtp_turn_offers(turn->session) & SMTP_OFFER(AUTH)) == 0)
        refuse(turn, SMTP_REPLY_AUTH_NEEDS_TLS); /* RFC 4954 6 */
    else if (turn->session->is_authenticated)
        refuse(turn, SMTP_REPLY_AUTH_TWICE);
    else if (bytes_equal_ignoring_case(mechanism, BYTES("PLAIN")))
        begin(turn, STEP_PLAIN, SMTP_REPLY_CHALLENGE, initial);
    else if (bytes_equal_ignoring_case(mechanism, BYTES("LOGIN")))
        begin(turn, STEP_USER, SMTP_REPLY_ASK_USER, initial);
    else
        refuse(turn, SMTP_REPLY_AUTH_UNKNOWN);
}

void smtp_auth_respond(struct smtp_turn *turn, struct bytes line)
{
    smtp_turn_enter(turn->session, SMTP_IDLE);
    if (bytes_equal(line, BYTES("*")))
        refuse(turn, SMTP_REPLY_AUTH_CANCELLED);
    else
        take_response(turn, (enum step)turn->session->auth_step, line);
}

void smtp_auth_refuse_long(struct smtp_turn *turn)
{
    if (turn->session->state == SMTP_IN_AUTH) smtp_turn_enter(turn->session, SMTP_IDLE);
    refuse(turn, SMTP_REPLY_AUTH_LINE_TOO_LONG);
}
