/*
 *   RESTING -> CONNECTING [connect_client] -> UP [take_connect] -> CLOSING [leave] -> RESTING or
 * DONE CONNECTING -> CLOSING [fail_connect]
 *
 * When "accepted by the kernel" is asked, the answer is the time just before the enter that brought
 * the completion: never later than the truth, so a latency from it is never flattered.
 */
#include "loadgen/load_client.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#define COPIED_SIZE_MAX   16384u        /* above, the common body is gathered, not copied        */
#define COPIED_MEMORY_MAX (32ull << 20) /* the same if all clients' blocks together are above */
#define SWEEP_AT_ONCE     256u          /* clients told of a begin or a stop in one loop         */
#define EXPIRE_AT_ONCE    1024u
#define PAUSE_FIRST_NS    (10 * CLOCK_NS_PER_MS)
#define PAUSE_LAST_NS     CLOCK_NS_PER_S
#define GOODBYE_NS        (2 * CLOCK_NS_PER_S) /* for the reply to QUIT, and for the server's FIN */
#define TICK_NS           (5 * CLOCK_NS_PER_MS)
#define TICKS             2048u
#define NEVER             UINT64_MAX

/* Octets of one send, which must stay put until it completed. */
struct load_block {
    struct msghdr message;
    struct iovec pieces[3];
    uint8_t octets[];
};

/* ---- memory ---- */

static uint64_t block_size(const struct load_mail *mail, const struct load_script *script,
                           bool is_copied)
{
    uint64_t size = sizeof(struct load_block) + mail->head_size + mail->tail_size +
                    load_script_group_max(script) + (is_copied ? mail->common_size : 0);
    return (size + 63) / 64 * 64;
}

static bool choose_copied(const struct load_mail *mail, const struct load_script *script,
                          uint64_t count)
{
    uint64_t size = block_size(mail, script, true);
    return size <= COPIED_SIZE_MAX && size * count <= COPIED_MEMORY_MAX;
}

uint64_t load_clients_memory(const struct load_mail *mail, const struct load_script *script,
                             uint64_t count)
{
    bool is_copied = choose_copied(mail, script, count);
    return count * (sizeof(struct load_client) + block_size(mail, script, is_copied));
}

static void open_client(struct load_clients *clients, uint32_t index)
{
    struct load_client *client = &clients->clients[index];
    client->index = index;
    client->socket = -1;
    client->deadline_ns = NEVER;
    client->is_queued = true;
    queue_push(&clients->to_connect, &client->link);
}

int load_clients_open(struct load_clients *clients, uint32_t connecting_max)
{
    clients->count = (uint32_t)clients->share.connections;
    clients->connecting_max = connecting_max;
    clients->sweep_next = clients->count;
    clients->end_ns = NEVER;
    clients->is_copied = choose_copied(clients->mail, clients->script, clients->count);
    random_init(&clients->random, clients->config->seed, clients->share.next_sequence);
    clients->clients = calloc(clients->count, sizeof *clients->clients);
    if (clients->clients == NULL) return -ENOMEM;
    int error = load_tally_open(&clients->tally);
    if (error < 0) goto free_clients;
    error = blocks_open(&clients->blocks, clients->count,
                        block_size(clients->mail, clients->script, clients->is_copied));
    if (error < 0) goto close_tally;
    error = wheel_open(&clients->wheel, TICKS, TICK_NS, clients->now_ns);
    if (error < 0) goto close_blocks;
    for (uint32_t index = 0; index < clients->count; index++)
        open_client(clients, index);
    return 0;
close_blocks:
    blocks_close(&clients->blocks);
close_tally:
    load_tally_close(&clients->tally);
free_clients:
    free(clients->clients);
    clients->clients = NULL;
    return error;
}

void load_clients_close(struct load_clients *clients)
{
    wheel_close(&clients->wheel);
    blocks_close(&clients->blocks);
    load_tally_close(&clients->tally);
    free(clients->clients);
    clients->clients = NULL;
}

/* ---- small pieces ---- */

static struct ring_token token(const struct load_client *client, enum ring_op op)
{
    return (struct ring_token){.op = op, .slot = client->index, .generation = client->generation};
}

/* A timer is moved only if it would fire too late; one that fires early looks at the deadline. */
static void set_deadline(struct load_clients *clients, struct load_client *client, uint64_t due_ns)
{
    client->deadline_ns = due_ns;
    if (due_ns == NEVER) return;
    if (wheel_is_armed(&client->timer) && client->timer.due_ns <= due_ns) return;
    wheel_arm(&clients->wheel, &client->timer, due_ns);
}

static void set_deadline_of_reply(struct load_clients *clients, struct load_client *client)
{
    uint64_t wait_ns = clients->config->timeout_ns;
    if (client->session.state == LOAD_AWAIT_QUIT && wait_ns > GOODBYE_NS) wait_ns = GOODBYE_NS;
    set_deadline(clients, client, clients->now_ns + wait_ns);
}

static uint64_t since(uint64_t earlier_ns, uint64_t now_ns)
{
    return now_ns > earlier_ns ? now_ns - earlier_ns : 0;
}

static void settle(struct load_clients *clients, struct load_client *client)
{
    if (client->is_settled) return;
    client->is_settled = true;
    clients->settled++;
}

/* A failure: the next connect waits, and the population lacks one. */
static void mark_down(struct load_clients *clients, struct load_client *client)
{
    settle(clients, client);
    client->failures++;
    if (client->is_down) return;
    client->is_down = true;
    clients->down++;
}

static void mark_ready(struct load_clients *clients, struct load_client *client)
{
    settle(clients, client);
    client->failures = 0;
    if (client->is_down) clients->down--;
    client->is_down = false;
    if (!client->was_reached) clients->tally.reached++;
    client->was_reached = true;
    clients->up++;
}

static bool wants_connection(const struct load_clients *clients)
{
    return !clients->has_begun || load_share_may_start(&clients->share, clients->now_ns);
}

/* ---- messages ---- */

static void record_ledger(struct load_clients *clients, const struct load_flight *flight,
                          enum ledger_state state)
{
    if (clients->ledger.ledger == NULL) return;
    struct ledger_entry entry = {
        .run = clients->mail->run,
        .sequence = flight->sequence,
        .size = clients->mail->stored_size,
        .hash = flight->hash,
        .sent_ns = flight->sent_realtime_ns,
        .state = state,
    };
    load_ledger_put(&clients->ledger, &entry);
}

static enum ledger_state ledger_state_of(enum load_outcome outcome)
{
    switch (outcome) {
    case LOAD_OUTCOME_ACCEPTED:
        return LEDGER_ACKED;
    case LOAD_OUTCOME_TEMPFAIL:
    case LOAD_OUTCOME_REJECT:
        return LEDGER_REFUSED;
    case LOAD_OUTCOME_PROTOCOL:
    case LOAD_OUTCOME_TIMEOUT:
    case LOAD_OUTCOME_CONNECTION:
    case LOAD_OUTCOME_UNFINISHED:
    case LOAD_OUTCOME_COUNT:
        break;
    }
    return LEDGER_UNKNOWN;
}

/* The current message has its outcome; the next one of stream, if any, becomes current. */
static void end_message(struct load_clients *clients, struct load_client *client,
                        enum load_outcome outcome)
{
    CHECK(client->has_current);
    struct load_tally *tally = &clients->tally;
    uint64_t spent_ns = since(client->current.started_ns, clients->now_ns);

    tally->outcomes[outcome]++;
    tally->last_end_ns = clients->now_ns;
    tally->recipients_accepted += client->session.recipients_accepted;
    tally->recipients_rejected +=
        client->session.recipients_answered - client->session.recipients_accepted;
    if (outcome == LOAD_OUTCOME_ACCEPTED)
        histogram_record(&tally->service, spent_ns);
    else if (outcome != LOAD_OUTCOME_UNFINISHED)
        histogram_record(&tally->failure, spent_ns);
    if (outcome == LOAD_OUTCOME_ACCEPTED && clients->now_ns < clients->end_ns)
        tally->accepted_in_time++;
    record_ledger(clients, &client->current, ledger_state_of(outcome));
    client->is_sending_content = false;
    client->has_current = client->has_next;
    client->current = client->next;
    client->has_next = false;
}

/* The server never took note of this message: it starts again, on a new connection. */
static void take_back(struct load_clients *clients, struct load_client *client,
                      const struct load_flight *flight)
{
    CHECK(!client->has_kept);
    client->has_kept = true;
    client->kept_sequence = flight->sequence;
    load_share_take_back(&clients->share);
}

/* The session is over: the current message ends as `outcome` or, not to blame, is taken back. */
static void drop_messages(struct load_clients *clients, struct load_client *client,
                          enum load_outcome outcome, bool is_blamed)
{
    if (client->has_next) take_back(clients, client, &client->next);
    client->has_next = false;
    if (!client->has_current) return;
    if (is_blamed) {
        end_message(clients, client, outcome);
        return;
    }
    take_back(clients, client, &client->current);
    client->has_current = false;
}

static bool may_start(const struct load_clients *clients, const struct load_client *client)
{
    return client->served < clients->share.per_connection &&
           load_share_may_start(&clients->share, clients->now_ns);
}

static void start_flight(struct load_clients *clients, struct load_client *client,
                         struct load_flight *flight)
{
    *flight = (struct load_flight){.started_ns = clients->now_ns};
    if (client->has_kept) {
        load_share_start_again(&clients->share);
        flight->sequence = client->kept_sequence;
        client->has_kept = false;
    } else {
        flight->sequence = load_share_start(&clients->share);
    }
    client->served++;
}

/* ---- sending ---- */

static struct load_block *take_block(struct load_clients *clients, struct load_client *client)
{
    CHECK(client->block == NULL);
    client->block = blocks_take(&clients->blocks);
    CHECK(client->block != NULL); /* there is one for every client */
    return client->block;
}

static void give_block_back(struct load_clients *clients, struct load_client *client)
{
    if (client->block == NULL) return;
    blocks_give_back(&clients->blocks, client->block);
    client->block = NULL;
}

static void submit_send(struct load_clients *clients, struct load_client *client)
{
    if (client->outgoing.size > 0)
        ring_send(clients->ring, client->socket, client->outgoing, token(client, RING_OP_SEND));
    else
        ring_send_message(clients->ring, client->socket, &client->block->message,
                          token(client, RING_OP_SEND));
    client->is_sending = true;
    client->operations++;
    clients->sends_pending++;
}

static void send_what_is_wanted(struct load_clients *clients, struct load_client *client)
{
    struct load_block *block = take_block(clients, client);
    uint64_t sequence = client->has_current ? client->current.sequence : 1;
    uint32_t size = load_session_put(&client->session, clients->script, sequence, block->octets);
    client->outgoing = bytes_make(block->octets, size);
    submit_send(clients, client);
}

/* Head, common body, and tail with what follows it. */
static void gather(struct load_clients *clients, struct load_client *client, uint32_t tail_size)
{
    struct load_block *block = client->block;
    const struct load_mail *mail = clients->mail;
    uint32_t count = 0;

    block->pieces[count++] = (struct iovec){block->octets, mail->head_size};
    if (mail->common_size > 0)
        block->pieces[count++] = (struct iovec){mail->common, mail->common_size};
    block->pieces[count++] = (struct iovec){block->octets + mail->head_size, tail_size};
    block->message = (struct msghdr){.msg_iov = block->pieces, .msg_iovlen = count};
    client->outgoing = bytes_make(NULL, 0);
}

static void send_content(struct load_clients *clients, struct load_client *client)
{
    const struct load_mail *mail = clients->mail;
    struct load_block *block = take_block(clients, client);
    uint8_t *end = block->octets + mail->head_size;

    client->current.hash = load_mail_put_head(mail, client->current.sequence, block->octets);
    if (clients->is_copied) {
        memcpy(end, mail->common, mail->common_size);
        end += mail->common_size;
    }
    uint8_t *tail = end;
    load_mail_put_tail(mail, client->current.sequence, end);
    end += mail->tail_size;
    if (client->session.mode == LOAD_PIPELINING_STREAM && may_start(clients, client)) {
        start_flight(clients, client, &client->next);
        client->has_next = true;
        end += load_session_put_next(&client->session, clients->script, client->next.sequence, end);
    }
    if (clients->is_copied)
        client->outgoing = bytes_make(block->octets, (uint64_t)(end - block->octets));
    else
        gather(clients, client, (uint32_t)(end - tail));
    client->is_sending_content = true;
    submit_send(clients, client);
}

/* No reply outstanding: the next message, or the end of this session. */
static void leave_idle(struct load_clients *clients, struct load_client *client)
{
    if (!clients->has_begun) {
        set_deadline(clients, client, NEVER);
        return;
    }
    if (!may_start(clients, client)) {
        load_session_quit(&client->session);
        return;
    }
    start_flight(clients, client, &client->current);
    client->has_current = true;
    load_session_begin(&client->session, clients->script);
}

/* Sends what the session wants, if nothing is being sent. */
static void act(struct load_clients *clients, struct load_client *client)
{
    if (client->state != LOAD_CLIENT_UP || client->is_sending) return;
    if (client->session.state == LOAD_IDLE) leave_idle(clients, client);
    if (client->session.wants == LOAD_WANTS_NOTHING) return;
    if (client->session.wants == LOAD_WANTS_CONTENT)
        send_content(clients, client);
    else
        send_what_is_wanted(clients, client);
    load_session_sent(&client->session);
    client->asked_ns = clients->now_ns;
    set_deadline_of_reply(clients, client);
}

/* ---- the end of a connection ---- */

static uint64_t pause_ns(struct load_clients *clients, const struct load_client *client)
{
    uint32_t doublings = client->failures > 8 ? 8 : client->failures;
    uint64_t pause = PAUSE_FIRST_NS << doublings >> 1;
    if (pause > PAUSE_LAST_NS) pause = PAUSE_LAST_NS;
    return pause + random_below(&clients->random, pause / 2);
}

static void queue_connect(struct load_clients *clients, struct load_client *client)
{
    CHECK(!client->is_queued);
    client->is_queued = true;
    queue_push(&clients->to_connect, &client->link);
}

static void finish_client(struct load_clients *clients, struct load_client *client)
{
    CHECK(client->operations == 0);
    CHECK(!client->has_current);
    CHECK(client->block == NULL);
    client->state = LOAD_CLIENT_DONE;
    if (wheel_is_armed(&client->timer)) wheel_disarm(&clients->wheel, &client->timer);
    settle(clients, client);
    clients->done++;
}

/* The socket is gone: open another, at once or after a pause, or be done. */
static void rest(struct load_clients *clients, struct load_client *client)
{
    client->state = LOAD_CLIENT_RESTING;
    client->deadline_ns = NEVER;
    if (!wants_connection(clients))
        finish_client(clients, client);
    else if (client->failures == 0)
        queue_connect(clients, client);
    else
        set_deadline(clients, client, clients->now_ns + pause_ns(clients, client));
}

static void close_if_quiet(struct load_clients *clients, struct load_client *client)
{
    if (client->state != LOAD_CLIENT_CLOSING || client->operations > 0) return;
    CHECK(client->socket >= 0);
    give_block_back(clients, client);
    ring_close_socket(clients->ring, client->socket, token(client, RING_OP_CLOSE));
    client->socket = -1;
    client->operations = 1;
    set_deadline(clients, client, NEVER);
}

/*
 * Nothing more is said on this connection. After a QUIT the server closes first (RFC 5321
 * 4.1.1.10), which also leaves it the TIME_WAIT; else both directions are shut, which ends what is
 * in flight.
 */
static void leave(struct load_clients *clients, struct load_client *client, bool waits_for_server)
{
    CHECK(client->state == LOAD_CLIENT_UP || client->state == LOAD_CLIENT_CONNECTING);
    bool was_up = client->state == LOAD_CLIENT_UP;
    if (was_up && client->session.mode != LOAD_PIPELINING_AUTO) clients->up--;
    client->state = LOAD_CLIENT_CLOSING;
    set_deadline(clients, client, waits_for_server ? clients->now_ns + GOODBYE_NS : NEVER);
    /* A socket that is connecting is left alone: shut, the kernel would connect it once more. */
    if (was_up && !waits_for_server) (void)shutdown(client->socket, SHUT_RDWR);
    close_if_quiet(clients, client);
}

/* The connection broke under us, or is broken off. */
static void lose(struct load_clients *clients, struct load_client *client,
                 enum load_outcome outcome, int number)
{
    CHECK(client->state == LOAD_CLIENT_UP);
    enum load_phase phase = load_session_phase(&client->session);
    bool is_goodbye = client->session.state == LOAD_AWAIT_QUIT;
    bool is_between = client->session.state == LOAD_IDLE && outcome == LOAD_OUTCOME_CONNECTION;

    load_tally_error(&clients->tally, phase, outcome, number);
    clients->tally.lost++;
    log_debug("connection %u: %s%s%s at %s", client->index, load_outcome_name(outcome),
              outcome == LOAD_OUTCOME_CONNECTION ? " " : "",
              outcome == LOAD_OUTCOME_CONNECTION ? load_tally_error_detail(number) : "",
              load_phase_name(phase));
    bool is_blamed = outcome != LOAD_OUTCOME_CONNECTION || load_session_is_blamed(&client->session);
    drop_messages(clients, client, outcome, is_blamed);
    /* A server that ends an idle session is opened again at once; anything else may be trouble. */
    if (!is_goodbye && !(is_between && client->served > 0)) mark_down(clients, client);
    leave(clients, client, false);
}

/* ---- connecting ---- */

static void give_up(struct load_clients *clients, int number)
{
    if (clients->gave_up != 0) return;
    clients->gave_up = number;
    load_clients_stop(clients);
}

/* Before anything ever answered, a failure moves on to the target's next address, or ends the run.
 */
static void judge_first_failure(struct load_clients *clients, uint32_t address_index, int number)
{
    if (clients->tally.connects > 0) return;
    if (address_index < clients->address_index) return;
    if (clients->address_index + 1 < clients->config->address_count)
        clients->address_index++;
    else
        give_up(clients, number);
}

static void fail_connect(struct load_clients *clients, struct load_client *client, int number)
{
    enum load_outcome kind = number == ETIME ? LOAD_OUTCOME_TIMEOUT : LOAD_OUTCOME_CONNECTION;
    load_tally_error(&clients->tally, LOAD_PHASE_CONNECT, kind, number == ETIME ? 0 : number);
    log_debug("connection %u: %s at connect", client->index, load_tally_error_detail(number));
    mark_down(clients, client);
    judge_first_failure(clients, client->address_index, number);
}

static void connect_client(struct load_clients *clients, struct load_client *client)
{
    const struct net_address *address = &clients->config->addresses[clients->address_index];
    const void *storage = &address->storage;

    CHECK(client->state == LOAD_CLIENT_RESTING);
    CHECK(client->operations == 0);
    int socket = net_socket(address);
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
    clients->connecting++;
    ring_connect(clients->ring, socket, storage, address->size, token(client, RING_OP_CONNECT));
    clients->sends_pending++;
    set_deadline(clients, client, clients->now_ns + clients->config->timeout_ns);
}

static void receive(struct load_clients *clients, struct load_client *client, bool poll_first)
{
    ring_receive(clients->ring, client->socket, token(client, RING_OP_RECEIVE), poll_first);
    client->operations++;
}

static void begin_session(struct load_clients *clients, struct load_client *client)
{
    clients->tally.connects++;
    if (client->was_connected) clients->tally.reconnects++;
    client->was_connected = true;
    histogram_record(&clients->tally.phases[LOAD_PHASE_CONNECT],
                     since(client->asked_ns, clients->now_ns));
    client->state = LOAD_CLIENT_UP;
    client->served = 0;
    client->asked_ns = clients->now_ns;
    load_session_init(&client->session);
    load_reply_init(&client->reply);
    receive(clients, client, false);
    set_deadline_of_reply(clients, client);
}

static void take_connect(struct load_clients *clients, struct load_client *client, int32_t result)
{
    client->operations--;
    clients->connecting--;
    if (client->state == LOAD_CLIENT_CLOSING) { /* it was cancelled */
        close_if_quiet(clients, client);
    } else if (result == 0) {
        begin_session(clients, client);
    } else {
        fail_connect(clients, client, -result);
        leave(clients, client, false);
    }
}

/* ---- replies ---- */

/* What the first session of a worker is told, for the report. */
static void keep_greeting(struct load_clients *clients, struct bytes text, enum load_phase phase)
{
    if (phase == LOAD_PHASE_BANNER && clients->banner[0] == '\0')
        bytes_escape(text, clients->banner, sizeof clients->banner);
    if (phase != LOAD_PHASE_EHLO || clients->has_ehlo) return;
    if (clients->ehlo_count == LOAD_EHLO_KEPT) return;
    bytes_escape(text, clients->ehlo[clients->ehlo_count++], sizeof clients->ehlo[0]);
}

/* Spans that begin when we sent what this replies to. */
static void record_reply(struct load_clients *clients, struct load_client *client,
                         enum load_phase phase)
{
    bool is_separate = client->session.mode == LOAD_PIPELINING_OFF;
    uint64_t from_ns = client->asked_ns;

    if (phase == LOAD_PHASE_DOT) {
        if (client->current.sent_ns == 0) return; /* refused before it had left */
        from_ns = client->current.sent_ns;
    } else if (phase >= LOAD_PHASE_MAIL && phase <= LOAD_PHASE_DATA && !is_separate) {
        return; /* their replies come together: only the envelope is timed */
    } else if (phase == LOAD_PHASE_RSET && !is_separate) {
        return;
    }
    histogram_record(&clients->tally.phases[phase], since(from_ns, clients->now_ns));
}

static void log_refusal(const struct load_client *client, enum load_phase phase,
                        const struct load_reply_line *line)
{
    char text[3 * LOAD_REPLY_TEXT_MAX];
    if (!log_is_on(LOG_LEVEL_DEBUG)) return;
    bytes_escape(line->text, text, sizeof text);
    log_debug("connection %u: %s: %u %s", client->index, load_phase_name(phase), line->code, text);
}

static void act_on_event(struct load_clients *clients, struct load_client *client,
                         enum load_session_event event, enum load_phase phase)
{
    switch (event) {
    case LOAD_EVENT_NONE:
        break;
    case LOAD_EVENT_READY:
        clients->has_ehlo = true;
        clients->tally.sessions[client->session.mode]++;
        mark_ready(clients, client);
        break;
    case LOAD_EVENT_GO_AHEAD:
        if (client->session.mode != LOAD_PIPELINING_OFF)
            histogram_record(&clients->tally.phases[LOAD_PHASE_ENVELOPE],
                             since(client->current.started_ns, clients->now_ns));
        break;
    case LOAD_EVENT_ACCEPTED:
        end_message(clients, client, LOAD_OUTCOME_ACCEPTED);
        break;
    case LOAD_EVENT_TEMPFAIL:
        end_message(clients, client, LOAD_OUTCOME_TEMPFAIL);
        break;
    case LOAD_EVENT_REJECT:
        end_message(clients, client, LOAD_OUTCOME_REJECT);
        break;
    case LOAD_EVENT_CLOSING:
        drop_messages(clients, client, LOAD_OUTCOME_TEMPFAIL, false);
        clients->tally.lost++;
        break;
    case LOAD_EVENT_UNUSABLE:
        mark_down(clients, client);
        break;
    case LOAD_EVENT_PROTOCOL:
        load_tally_error(&clients->tally, phase, LOAD_OUTCOME_PROTOCOL, 0);
        clients->tally.lost++;
        drop_messages(clients, client, LOAD_OUTCOME_PROTOCOL, true);
        mark_down(clients, client);
        break;
    }
}

static void take_line(struct load_clients *clients, struct load_client *client,
                      const struct load_reply_line *line, bool is_last)
{
    struct load_session *session = &client->session;
    enum load_phase phase = load_session_phase(session);

    if (phase <= LOAD_PHASE_EHLO) keep_greeting(clients, line->text, phase);
    if (is_last) {
        load_tally_reply(&clients->tally, phase, line, since(clients->begin_ns, clients->now_ns));
        record_reply(clients, client, phase);
        if (line->code >= 400) log_refusal(client, phase, line);
    }
    bool was_goodbye = session->state == LOAD_AWAIT_QUIT;
    enum load_session_event event = load_session_reply(session, clients->script, line, is_last);
    act_on_event(clients, client, event, phase);
    if (session->state != LOAD_OVER) return;
    drop_messages(clients, client, LOAD_OUTCOME_CONNECTION, false);
    leave(clients, client, was_goodbye);
}

static void take_fault(struct load_clients *clients, struct load_client *client)
{
    log_debug("connection %u: %s", client->index, load_reply_explain(client->reply.fault));
    lose(clients, client, LOAD_OUTCOME_PROTOCOL, 0);
}

static void take_input(struct load_clients *clients, struct load_client *client, struct bytes input)
{
    struct load_reply_line line;

    clients->tally.received_bytes += input.size;
    while (client->state == LOAD_CLIENT_UP) {
        enum load_reply_event event = load_reply_step(&client->reply, &input, &line);
        if (event == LOAD_REPLY_WANTS_INPUT) break;
        if (event == LOAD_REPLY_WRONG)
            take_fault(clients, client);
        else
            take_line(clients, client, &line, event == LOAD_REPLY_DONE);
    }
    if (client->state != LOAD_CLIENT_UP) return;
    set_deadline_of_reply(clients, client);
    act(clients, client);
}

/* ---- completions ---- */

static void take_receive(struct load_clients *clients, struct load_client *client,
                         const struct ring_completion *completion)
{
    if (completion->is_last) client->operations--;
    if (completion->result > 0) take_input(clients, client, completion->data);
    if (!completion->is_last) return;
    bool goes_on = completion->result > 0 || completion->result == -ENOBUFS;
    if (goes_on && client->state == LOAD_CLIENT_UP)
        receive(clients, client, completion->result < 0);
    else if (client->state == LOAD_CLIENT_UP)
        lose(clients, client, LOAD_OUTCOME_CONNECTION, -completion->result);
    else
        close_if_quiet(clients, client);
}

/* Forgets the first `size` octets of what is being sent; true if nothing is left. */
static bool advance_send(struct load_client *client, uint64_t size)
{
    if (client->outgoing.size > 0) {
        (void)bytes_take(&client->outgoing, size);
        return client->outgoing.size == 0;
    }
    struct msghdr *message = &client->block->message;
    while (message->msg_iovlen > 0 && size >= message->msg_iov->iov_len) {
        size -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (message->msg_iovlen == 0) return true;
    message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + size;
    message->msg_iov->iov_len -= size;
    return false;
}

static void stamp_content(struct load_clients *clients, struct load_client *client)
{
    client->is_sending_content = false;
    client->current.sent_ns = clients->entered_ns;
    client->current.sent_realtime_ns = clients->realtime_ns;
    histogram_record(&clients->tally.phases[LOAD_PHASE_BODY],
                     since(client->asked_ns, clients->entered_ns));
}

static void take_send(struct load_clients *clients, struct load_client *client, int32_t result)
{
    client->operations--;
    client->is_sending = false;
    if (result > 0) clients->tally.sent_bytes += (uint64_t)result;
    if (client->state != LOAD_CLIENT_UP) {
        close_if_quiet(clients, client);
        return;
    }
    /* The receive will say what happened: what the server said last, or that it is gone. */
    if (result <= 0) {
        client->is_sending = true; /* so that nothing more is sent */
        set_deadline(clients, client, clients->now_ns + GOODBYE_NS);
        return;
    }
    if (!advance_send(client, (uint64_t)result)) {
        submit_send(clients, client);
        set_deadline_of_reply(clients, client);
        return;
    }
    give_block_back(clients, client);
    if (client->is_sending_content) stamp_content(clients, client);
    act(clients, client);
}

static void complete_client(struct load_clients *clients, struct load_client *client,
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
        close_if_quiet(clients, client);
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

void load_clients_complete(struct load_clients *clients, const struct ring_completion *completion)
{
    CHECK(completion->token.slot < clients->count);
    struct load_client *client = &clients->clients[completion->token.slot];
    if (completion->token.generation == client->generation)
        complete_client(clients, client, completion);
    else
        clients->tally.stale++; /* Linux 6.1 sends completions after the last one */
    if (completion->has_buffer) ring_give_back(clients->ring, completion->buffer);
}

/* ---- time ---- */

static void cancel_connect(struct load_clients *clients, struct load_client *client)
{
    ring_cancel(clients->ring, token(client, RING_OP_CONNECT), token(client, RING_OP_CANCEL));
    client->operations++;
    leave(clients, client, false);
}

static void expire(struct load_clients *clients, struct load_client *client)
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
        lose(clients, client, LOAD_OUTCOME_TIMEOUT, 0);
        break;
    case LOAD_CLIENT_CLOSING:
        (void)shutdown(client->socket, SHUT_RDWR);
        break;
    case LOAD_CLIENT_DONE:
        break;
    }
}

static void expire_timers(struct load_clients *clients)
{
    for (uint32_t count = 0; count < EXPIRE_AT_ONCE; count++) {
        struct wheel_timer *timer = wheel_expire(&clients->wheel, clients->now_ns);
        if (timer == NULL) return;
        struct load_client *client = QUEUE_OWNER(timer, struct load_client, timer);
        uint64_t due_ns = client->deadline_ns;
        if (due_ns == NEVER) continue;
        if (due_ns > clients->now_ns) {
            wheel_arm(&clients->wheel, timer, due_ns);
            continue;
        }
        client->deadline_ns = NEVER;
        expire(clients, client);
    }
}

/* A begin or a stop concerns who is idle, and who waits to connect. */
static void sweep(struct load_clients *clients)
{
    for (uint32_t count = 0; count < SWEEP_AT_ONCE; count++) {
        if (clients->sweep_next == clients->count) return;
        struct load_client *client = &clients->clients[clients->sweep_next++];
        bool is_resting = client->state == LOAD_CLIENT_RESTING && !client->is_queued;
        if (is_resting && !wants_connection(clients)) finish_client(clients, client);
        if (client->state == LOAD_CLIENT_UP && client->session.state == LOAD_IDLE)
            act(clients, client);
    }
}

static void connect_some(struct load_clients *clients)
{
    while (clients->connecting < clients->connecting_max) {
        struct queue_link *link = queue_pop(&clients->to_connect);
        if (link == NULL) return;
        struct load_client *client = QUEUE_OWNER(link, struct load_client, link);
        client->is_queued = false;
        if (wants_connection(clients))
            connect_client(clients, client);
        else
            finish_client(clients, client);
    }
}

void load_clients_advance(struct load_clients *clients)
{
    expire_timers(clients);
    sweep(clients);
    connect_some(clients);
}

void load_clients_begin(struct load_clients *clients, const struct load_plan *plan)
{
    CHECK(!clients->has_begun);
    clients->has_begun = true;
    clients->begin_ns = clients->now_ns;
    load_share_begin(&clients->share, plan, clients->now_ns);
    clients->end_ns = clients->share.stop_ns;
    clients->sweep_next = 0;
}

void load_clients_stop(struct load_clients *clients)
{
    clients->has_begun = true;
    load_share_stop(&clients->share);
    clients->sweep_next = 0;
}

static void cut_client(struct load_clients *clients, struct load_client *client)
{
    switch (client->state) {
    case LOAD_CLIENT_RESTING:
    case LOAD_CLIENT_DONE:
        break;
    case LOAD_CLIENT_CONNECTING:
        cancel_connect(clients, client);
        break;
    case LOAD_CLIENT_UP:
        drop_messages(clients, client, LOAD_OUTCOME_UNFINISHED, true);
        leave(clients, client, false);
        break;
    case LOAD_CLIENT_CLOSING:
        if (client->socket >= 0) (void)shutdown(client->socket, SHUT_RDWR);
        break;
    }
}

void load_clients_cut(struct load_clients *clients)
{
    load_clients_stop(clients);
    for (uint32_t index = 0; index < clients->count; index++)
        cut_client(clients, &clients->clients[index]);
}
