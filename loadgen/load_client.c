/*
 *   RESTING -> CONNECTING [load_client_connect] -> UP [take_connect] -> CLOSING [leave] -> RESTING
 * or DONE CONNECTING -> CLOSING [fail_connect]
 */
#include "loadgen/load_client.h"

#include "base/clock.h"
#include "base/log.h"
#include "loadgen/load_clients.h"
#include "loadgen/load_config.h"
#include "loadgen/load_flight.h"
#include "loadgen/load_parting.h"
#include "loadgen/load_record.h"
#include "loadgen/load_send.h"
#include "loadgen/load_standing.h"
#include "loadgen/load_tls.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* A handshake has one deadline from its beginning on, however many octets of it come. */
static void set_deadline_of_handshake(struct load_clients *clients, struct load_client *client)
{
    CHECK(client->session.state == LOAD_AWAIT_TLS);
    load_clients_set_deadline(clients, client, clients->now_ns + clients->config->timeout_ns);
}

static void set_deadline_of_reply(struct load_clients *clients, struct load_client *client)
{
    uint64_t wait_ns = clients->config->timeout_ns;
    if (client->session.state == LOAD_AWAIT_TLS) return;
    if (client->session.state == LOAD_AWAIT_QUIT && wait_ns > LOAD_GOODBYE_NS)
        wait_ns = LOAD_GOODBYE_NS;
    load_clients_set_deadline(clients, client, clients->now_ns + wait_ns);
}

static void queue_connect(struct load_clients *clients, struct load_client *client)
{
    CHECK(!client->is_queued);
    client->is_queued = true;
    queue_push(&clients->to_connect, &client->link);
}

void load_client_finish(struct load_clients *clients, struct load_client *client)
{
    CHECK(client->operations == 0);
    CHECK(client->flight_count == 0);
    CHECK(client->block == NULL);
    client->state = LOAD_CLIENT_DONE;
    if (clients->is_open) load_flight_forget(clients, client);
    if (wheel_is_armed(&client->timer)) wheel_disarm(&clients->wheel, &client->timer);
    load_standing_settle(clients, client);
    clients->done++;
}

/* The socket is gone: open another, at once or after a pause, or be done. */
static void rest(struct load_clients *clients, struct load_client *client)
{
    client->state = LOAD_CLIENT_RESTING;
    client->deadline_ns = LOAD_NEVER;
    if (!load_clients_want_connection(clients))
        load_client_finish(clients, client);
    else if (client->failures == 0)
        queue_connect(clients, client);
    else
        load_clients_set_deadline(clients, client,
                                  clients->now_ns + load_standing_pause_ns(clients, client));
}

/* Whether a session without messages goes on; one of connect-only counts where it ends. */
static bool is_held(struct load_clients *clients)
{
    if (clients->config->scenario == LOAD_SCENARIO_IDLE)
        return load_share_may_start(&clients->share, clients->now_ns);
    if (load_share_may_start(&clients->share, clients->now_ns))
        (void)load_share_start(&clients->share);
    return false;
}

/* -w: the next message waits, counted from the end of the one before. */
static bool is_to_think(struct load_clients *clients, struct load_client *client)
{
    if (!clients->config->has_think || client->served == 0) return false;
    if (client->thinks_until_ns == 0) {
        uint64_t pause_ns = load_pause_draw(&clients->config->think, &clients->random);
        client->thinks_until_ns = clients->now_ns + pause_ns;
    }
    client->is_thinking = client->thinks_until_ns > clients->now_ns;
    if (!client->is_thinking) client->thinks_until_ns = 0;
    return client->is_thinking;
}

/* No reply outstanding: the next message, or the end of this session. */
static void leave_idle(struct load_clients *clients, struct load_client *client)
{
    bool is_mute = clients->config->scenario != LOAD_SCENARIO_DELIVER;

    if (!clients->has_begun || (is_mute && is_held(clients))) {
        load_clients_set_deadline(clients, client, LOAD_NEVER);
        return;
    }
    if (is_mute || !load_flight_may_start(clients, client)) {
        if (!is_mute && load_clients_await_due(clients, client))
            load_clients_set_deadline(clients, client, LOAD_NEVER);
        else
            load_parting_quit(clients, client);
        return;
    }
    if (is_to_think(clients, client)) {
        load_clients_set_deadline(clients, client, client->thinks_until_ns);
        return;
    }
    const struct load_flight *flight = load_flight_start(clients, client);
    load_session_begin(&client->session, clients->script, flight->sequence);
}

/* --session: the pause that is wanted; false once it is over, which the session is told. */
static bool is_pausing(struct load_clients *clients, struct load_client *client)
{
    const struct load_pause *pause = load_session_pause(&client->session);
    if (client->thinks_until_ns == 0)
        client->thinks_until_ns = clients->now_ns + load_pause_draw(pause, &clients->random);
    client->is_thinking = client->thinks_until_ns > clients->now_ns;
    if (client->is_thinking) {
        load_clients_set_deadline(clients, client, client->thinks_until_ns);
        return true;
    }
    client->thinks_until_ns = 0;
    load_session_sent(&client->session);
    set_deadline_of_reply(clients, client);
    return false;
}

/* --session: it went as written. */
static void end_replay(struct load_clients *clients, struct load_client *client)
{
    bool resets = load_replay_wants(&client->session.replay) == LOAD_REPLAY_RESETS;

    load_flight_end(clients, client, LOAD_OUTCOME_ACCEPTED);
    if (resets)
        load_parting_reset(clients, client);
    else
        load_parting_end(clients, client, load_session_said_goodbye(&client->session));
}

bool load_client_has_room(const struct load_clients *clients, const struct load_client *client)
{
    if (client->session.mode != LOAD_PIPELINING_BDAT) return false;
    return load_session_has_message(&client->session) &&
           client->flight_count < clients->config->window;
}

/* Replies are awaited, and there is room for a message more; an open loop tells when it is due. */
static void fill_window(struct load_clients *clients, struct load_client *client)
{
    if (!load_flight_may_start(clients, client)) {
        if (clients->is_open) load_clients_await_due(clients, client);
        return;
    }
    (void)load_flight_start(clients, client);
    load_session_add(&client->session);
}

/* Sends what the session wants, if nothing is being sent. */
void load_client_act(struct load_clients *clients, struct load_client *client)
{
    if (client->state != LOAD_CLIENT_UP || client->is_sending) return;
    if (client->session.state == LOAD_IDLE)
        leave_idle(clients, client);
    else if (load_client_has_room(clients, client))
        fill_window(clients, client);
    while (client->session.wants == LOAD_WANTS_PAUSE)
        if (is_pausing(clients, client)) return;
    if (client->state != LOAD_CLIENT_UP || client->session.wants == LOAD_WANTS_NOTHING) return;
    if (client->session.wants == LOAD_WANTS_END) {
        end_replay(clients, client);
        return;
    }
    load_send_wanted(clients, client);
    set_deadline_of_reply(clients, client);
}

/* The connection broke under us, or is broken off. */
static void lose(struct load_clients *clients, struct load_client *client,
                 enum load_outcome outcome, int number)
{
    CHECK(client->state == LOAD_CLIENT_UP);
    enum load_phase phase = load_session_phase(&client->session);
    bool is_goodbye = client->session.state == LOAD_AWAIT_QUIT;

    if (number == LOAD_TALLY_TLS)
        load_tally_tls_error(load_flight_tally(clients, client), phase, load_tls_failure(client));
    else
        load_tally_error(load_flight_tally(clients, client), phase, outcome, number);
    clients->tally.lost++;
    log_debug("connection %u: %s%s%s at %s", client->index, load_outcome_name(outcome),
              outcome == LOAD_OUTCOME_CONNECTION ? " " : "",
              outcome == LOAD_OUTCOME_CONNECTION ? load_tally_error_detail(number) : "",
              load_phase_name(phase));
    bool is_blamed = outcome != LOAD_OUTCOME_CONNECTION ||
                     load_session_is_blamed(&client->session) || load_flight_has_content(client);
    load_flight_drop(clients, client, outcome, is_blamed);
    /* A server may end a session between messages: the next is opened at once. Else: trouble. */
    bool is_between = !is_blamed && client->session.messages_ended > 0;
    if (!is_goodbye && !is_between) load_standing_mark_down(clients, client);
    load_parting_leave(clients, client,
                       number == LOAD_TALLY_TLS ? LOAD_PARTING_TOLD : LOAD_PARTING_AT_ONCE);
}

/* A certificate that does not hold, a server that speaks no TLS: nobody waits for that to pass. */
static void lose_tls(struct load_clients *clients, struct load_client *client)
{
    log_debug("connection %u: TLS: %s", client->index, load_tls_failure(client));
    lose(clients, client, LOAD_OUTCOME_CONNECTION, LOAD_TALLY_TLS);
    load_standing_judge_tls(clients, client);
}

/* ---- connecting ---- */

static void fail_connect(struct load_clients *clients, struct load_client *client, int number)
{
    enum load_outcome kind = number == ETIME ? LOAD_OUTCOME_TIMEOUT : LOAD_OUTCOME_CONNECTION;
    load_tally_error(&clients->tally, LOAD_PHASE_CONNECT, kind, number == ETIME ? 0 : number);
    log_debug("connection %u: %s at connect", client->index, load_tally_error_detail(number));
    load_standing_mark_down(clients, client);
    load_standing_judge_connect(clients, client, number);
}

/* Of the address's family, and from the next local address. */
static int open_socket(struct load_clients *clients, const struct net_address *address)
{
    const struct load_sources *sources = &clients->config->sources;
    int socket = net_socket(address);

    if (socket < 0 || sources->count == 0) return socket;
    uint32_t index = (uint32_t)((clients->source_next++) % sources->count);
    int error = load_source_bind(socket, &sources->addresses[index]);
    if (error == 0) return socket;
    (void)close(socket);
    return error;
}

void load_client_connect(struct load_clients *clients, struct load_client *client)
{
    const struct net_address *address = &clients->config->addresses[clients->address_index];
    const void *storage = &address->storage;

    CHECK(client->state == LOAD_CLIENT_RESTING);
    CHECK(client->operations == 0);
    int socket = open_socket(clients, address);
    client->address_index = clients->address_index;
    if (socket < 0) {
        fail_connect(clients, client, -socket);
        rest(clients, client);
        return;
    }
    client->socket = socket;
    client->generation++;
    client->state = LOAD_CLIENT_CONNECTING;
    client->operations = 1;
    client->asked_ns = clients->now_ns;
    client->has_place = true;
    clients->connecting++;
    ring_connect(clients->ring, socket, storage, address->size,
                 load_client_token(client, RING_OP_CONNECT));
    load_clients_set_deadline(clients, client, clients->now_ns + clients->config->timeout_ns);
}

static void receive(struct load_clients *clients, struct load_client *client, bool poll_first)
{
    ring_receive(clients->ring, client->socket, load_client_token(client, RING_OP_RECEIVE),
                 poll_first);
    client->operations++;
}

/* What the server said in plain is over: a line begun would end with octets that came by TLS. */
static void begin_tls(struct load_clients *clients, struct load_client *client)
{
    if (!load_reply_is_between(&client->reply)) {
        lose(clients, client, LOAD_OUTCOME_PROTOCOL, 0);
        return;
    }
    if (!clients->has_ehlo) clients->ehlo_count = 0; /* the one behind the handshake is told */
    if (load_tls_begin(clients, client))
        set_deadline_of_handshake(clients, client);
    else
        lose_tls(clients, client);
}

static void begin_session(struct load_clients *clients, struct load_client *client)
{
    clients->tally.connects++;
    if (client->was_connected) clients->tally.reconnects++;
    client->was_connected = true;
    histogram_record(&clients->tally.phases[LOAD_PHASE_CONNECT],
                     load_clients_since(clients, client->asked_ns));
    client->state = LOAD_CLIENT_UP;
    client->served = 0;
    client->is_thinking = false;
    client->thinks_until_ns = 0;
    client->serves = load_plan_draw_per_connection(&clients->share, &clients->random);
    client->is_sending = false;
    client->is_sending_content = false;
    client->asked_ns = clients->now_ns;
    load_session_init(&client->session, clients->script);
    load_reply_init(&client->reply);
    receive(clients, client, false);
    set_deadline_of_reply(clients, client);
    if (client->session.state == LOAD_AWAIT_TLS) begin_tls(clients, client);
}

static void take_connect(struct load_clients *clients, struct load_client *client, int32_t result)
{
    bool is_cancelled = client->state == LOAD_CLIENT_CLOSING;
    bool shakes_hands = result == 0 && !is_cancelled && clients->config->tls != LOAD_TLS_OFF;

    client->operations--;
    if (!shakes_hands) load_clients_give_place(clients, client);
    if (is_cancelled) {
        load_parting_close(clients, client);
    } else if (result == 0) {
        begin_session(clients, client);
    } else {
        fail_connect(clients, client, -result);
        load_parting_leave(clients, client, LOAD_PARTING_AT_ONCE);
    }
}

/* ---- replies ---- */

static enum load_outcome outcome_of_refusal(const struct load_clients *clients,
                                            const struct load_session *session)
{
    if (load_expects_has(&clients->config->expects, session->failure_phase, session->failure_code))
        return LOAD_OUTCOME_EXPECTED;
    return session->failure_code < 500 ? LOAD_OUTCOME_TEMPFAIL : LOAD_OUTCOME_REJECT;
}

static void refuse_plain(struct load_clients *clients, const struct load_client *client)
{
    static const char why[] = "the server does not offer STARTTLS";
    log_debug("connection %u: %s", client->index, why);
    load_tally_tls_error(&clients->tally, LOAD_PHASE_STARTTLS, why);
    load_standing_judge_tls(clients, client);
}

static void act_on_event(struct load_clients *clients, struct load_client *client,
                         enum load_session_event event, enum load_phase phase)
{
    switch (event) {
    case LOAD_EVENT_NONE:
        break;
    case LOAD_EVENT_READY:
        load_standing_mark_ready(clients, client);
        break;
    case LOAD_EVENT_GO_AHEAD:
        if (client->session.mode != LOAD_PIPELINING_OFF)
            histogram_record(
                &load_flight_tally(clients, client)->phases[LOAD_PHASE_ENVELOPE],
                load_clients_since(clients, load_client_flight(client, 0)->started_ns));
        break;
    case LOAD_EVENT_ACCEPTED:
        load_flight_end(clients, client, LOAD_OUTCOME_ACCEPTED);
        break;
    case LOAD_EVENT_TEMPFAIL:
    case LOAD_EVENT_REJECT:
        load_flight_end(clients, client, outcome_of_refusal(clients, &client->session));
        break;
    case LOAD_EVENT_KEPT:
    case LOAD_EVENT_NOT_KEPT:
        load_flight_judge(clients, client, event == LOAD_EVENT_KEPT);
        break;
    case LOAD_EVENT_CLOSING:
        load_flight_drop(clients, client, LOAD_OUTCOME_TEMPFAIL, false);
        clients->tally.lost++;
        break;
    case LOAD_EVENT_UNUSABLE:
        load_standing_mark_down(clients, client);
        if (client->session.lacks_utf8) load_standing_give_up(clients, EOPNOTSUPP);
        if (client->session.lacks_tls) refuse_plain(clients, client);
        break;
    case LOAD_EVENT_PROTOCOL:
        load_tally_error(load_flight_tally(clients, client), phase, LOAD_OUTCOME_PROTOCOL, 0);
        clients->tally.lost++;
        load_flight_drop(clients, client, LOAD_OUTCOME_PROTOCOL, true);
        load_standing_mark_down(clients, client);
        break;
    }
}

static void take_line(struct load_clients *clients, struct load_client *client,
                      const struct load_reply_line *line, bool is_last)
{
    struct load_session *session = &client->session;
    enum load_phase phase = load_session_phase(session);

    if (phase <= LOAD_PHASE_EHLO) load_record_greeting(clients, line->text, phase);
    if (is_last) {
        load_tally_reply(load_flight_tally(clients, client), phase, line,
                         load_clients_since(clients, clients->measure_ns));
        load_record_reply(clients, client, phase);
    }
    bool was_goodbye = load_session_said_goodbye(session);
    enum load_session_event event = load_session_reply(session, clients->script, line, is_last);
    if (is_last && (line->code >= 400 || event == LOAD_EVENT_PROTOCOL))
        load_record_refusal(client, phase, line);
    act_on_event(clients, client, event, phase);
    if (session->state == LOAD_IDLE && client->flight_count > 0) {
        const struct load_flight *flight = load_client_flight(client, 0);
        load_session_follow(session, clients->script, flight->sequence, flight->has_reset);
    }
    if (session->wants == LOAD_WANTS_END) end_replay(clients, client);
    if (session->state != LOAD_OVER) return;
    load_flight_drop(clients, client, LOAD_OUTCOME_CONNECTION, false);
    load_parting_end(clients, client, was_goodbye);
}

static void take_fault(struct load_clients *clients, struct load_client *client)
{
    log_debug("connection %u: %s", client->index, load_reply_explain(client->reply.fault));
    lose(clients, client, LOAD_OUTCOME_PROTOCOL, 0);
}

static void take_lines(struct load_clients *clients, struct load_client *client,
                       struct bytes *input)
{
    struct load_reply_line line;

    while (client->state == LOAD_CLIENT_UP) {
        enum load_reply_event event = load_reply_step(&client->reply, input, &line);
        if (event == LOAD_REPLY_WANTS_INPUT) break;
        if (event == LOAD_REPLY_WRONG)
            take_fault(clients, client);
        else
            take_line(clients, client, &line, event == LOAD_REPLY_DONE);
    }
}

/* --session behind STARTTLS: there is no greeting to come. */
static void take_handshake(struct load_clients *clients, struct load_client *client)
{
    enum load_session_event event = load_session_secure(&client->session, clients->script);
    load_clients_give_place(clients, client);
    if (event == LOAD_EVENT_READY) load_standing_mark_ready(clients, client);
}

/*
 * The next octets in plain, or NULL: the ciphertext is used up, or the connection is over. Of one
 * that is being left nothing is read, but whether the server says that it ends.
 */
static struct bytes *decrypt(struct load_clients *clients, struct load_client *client,
                             struct bytes *ciphertext)
{
    /* Whatever was read may have ended the connection, and the stream with it. */
    while (client->tls != NULL) {
        struct bytes *plaintext = tls_stream_plaintext(client->tls);
        *plaintext = bytes_make(NULL, 0);
        switch (load_tls_step(clients, client, ciphertext)) {
        case TLS_PLAINTEXT:
            return plaintext;
        case TLS_ESTABLISHED:
            if (client->state == LOAD_CLIENT_UP) take_handshake(clients, client);
            break;
        case TLS_ENDED:
            if (client->state == LOAD_CLIENT_UP) lose(clients, client, LOAD_OUTCOME_CONNECTION, 0);
            return NULL;
        case TLS_FAILED:
            if (client->state == LOAD_CLIENT_UP) lose_tls(clients, client);
            return NULL;
        case TLS_WANT_INPUT:
        case TLS_WANT_FLUSH:
            return NULL;
        }
    }
    return NULL;
}

static void take_input(struct load_clients *clients, struct load_client *client, struct bytes input)
{
    struct bytes *text = &input;

    clients->tally.received_bytes += input.size;
    if (client->tls != NULL) text = decrypt(clients, client, &input);
    while (text != NULL) {
        take_lines(clients, client, text);
        text = client->tls == NULL ? NULL : decrypt(clients, client, &input);
    }
    if (client->state != LOAD_CLIENT_UP) return;
    if (client->session.state == LOAD_AWAIT_TLS && client->tls == NULL) {
        begin_tls(clients, client);
        return;
    }
    set_deadline_of_reply(clients, client);
    load_client_act(clients, client);
    if (client->tls != NULL) load_tls_flush(clients, client);
}

/* ---- completions ---- */

static void take_receive(struct load_clients *clients, struct load_client *client,
                         const struct ring_completion *completion)
{
    if (completion->is_last) client->operations--;
    if (completion->result > 0) take_input(clients, client, completion->data);
    if (!completion->is_last) return;
    bool goes_on = completion->result > 0 || completion->result == -ENOBUFS;
    if (!goes_on && client->tls != NULL) load_tls_note_end(clients, client);
    if (goes_on && client->state == LOAD_CLIENT_UP)
        receive(clients, client, completion->result < 0);
    else if (client->state == LOAD_CLIENT_UP && client->tls_failure != NULL)
        lose_tls(clients, client);
    else if (client->state == LOAD_CLIENT_UP)
        lose(clients, client, LOAD_OUTCOME_CONNECTION, -completion->result);
    else
        load_parting_close(clients, client);
}

static void take_send(struct load_clients *clients, struct load_client *client, int32_t result)
{
    client->operations--;
    client->is_sending = false;
    if (result > 0) clients->tally.sent_bytes += (uint64_t)result;
    if (client->state != LOAD_CLIENT_UP) {
        load_parting_take_send(clients, client, result);
        return;
    }
    /* The receive will say what happened: what the server said last, or that it is gone. */
    if (result <= 0) {
        client->is_sending = true; /* so that nothing more is sent */
        load_clients_set_deadline(clients, client, clients->now_ns + LOAD_GOODBYE_NS);
        return;
    }
    if (load_send_continue(clients, client, (uint64_t)result)) {
        set_deadline_of_reply(clients, client);
        return;
    }
    if (client->is_sending_content) load_record_content(clients, client);
    load_client_act(clients, client);
}

void load_client_complete(struct load_clients *clients, struct load_client *client,
                          const struct ring_completion *completion)
{
    CHECK(client->operations > 0);
    switch (completion->token.op) {
    case RING_OP_CONNECT:
        take_connect(clients, client, completion->result);
        break;
    case RING_OP_RECEIVE:
        take_receive(clients, client, completion);
        break;
    case RING_OP_SEND:
        take_send(clients, client, completion->result);
        break;
    case RING_OP_CANCEL:
        client->operations--;
        load_parting_close(clients, client);
        break;
    case RING_OP_CLOSE:
        client->operations--;
        rest(clients, client);
        break;
    case RING_OP_NONE:
    case RING_OP_ACCEPT:
    case RING_OP_READ:
    case RING_OP_SYNC:
    case RING_OP_COUNT:
        CHECK(false);
    }
}

/* ---- time ---- */

static void cancel_connect(struct load_clients *clients, struct load_client *client)
{
    ring_cancel(clients->ring, load_client_token(client, RING_OP_CONNECT),
                load_client_token(client, RING_OP_CANCEL));
    client->operations++;
    load_parting_leave(clients, client, LOAD_PARTING_AT_ONCE);
}

void load_client_expire(struct load_clients *clients, struct load_client *client)
{
    switch (client->state) {
    case LOAD_CLIENT_RESTING:
        if (!client->is_queued) queue_connect(clients, client);
        break;
    case LOAD_CLIENT_CONNECTING:
        fail_connect(clients, client, ETIME);
        cancel_connect(clients, client);
        break;
    case LOAD_CLIENT_UP:
        if (client->is_thinking &&
            (client->session.state == LOAD_IDLE || client->session.wants == LOAD_WANTS_PAUSE))
            load_client_act(clients, client);
        else
            lose(clients, client, LOAD_OUTCOME_TIMEOUT, 0);
        break;
    case LOAD_CLIENT_CLOSING:
        client->has_tls_end = true;
        (void)shutdown(client->socket, SHUT_RDWR);
        break;
    case LOAD_CLIENT_DONE:
        break;
    }
}

void load_client_cut(struct load_clients *clients, struct load_client *client)
{
    switch (client->state) {
    case LOAD_CLIENT_RESTING:
    case LOAD_CLIENT_DONE:
        break;
    case LOAD_CLIENT_CONNECTING:
        cancel_connect(clients, client);
        break;
    case LOAD_CLIENT_UP:
        load_flight_drop(clients, client, LOAD_OUTCOME_UNFINISHED, true);
        load_parting_leave(clients, client, LOAD_PARTING_AT_ONCE);
        break;
    case LOAD_CLIENT_CLOSING:
        client->has_tls_end = true;
        if (client->socket >= 0 && !client->is_telling) (void)shutdown(client->socket, SHUT_RDWR);
        break;
    }
}
