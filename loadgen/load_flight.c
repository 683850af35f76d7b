#include "loadgen/load_flight.h"

#include "loadgen/load_mail.h"

#define RECIPIENTS_UNKNOWN 0u /* of one message among several of a session */

static uint64_t to_realtime(const struct load_clients *clients, uint64_t time_ns)
{
    return time_ns + (uint64_t)clients->clock_ns;
}

static void record_ledger(struct load_clients *clients, const struct load_flight *flight,
                          enum ledger_state state, uint32_t recipients)
{
    if (clients->ledger.ledger == NULL) return;
    bool has_reply = state != LEDGER_UNKNOWN;
    struct ledger_entry entry = {
        .run = clients->mail->run,
        .sequence = flight->mail,
        .size = flight->stored_size,
        .hash = flight->hash,
        .sent_ns = flight->sent_ns == 0 ? 0 : to_realtime(clients, flight->sent_ns),
        .state = state,
        .recipients = recipients,
        .accepted_ns = has_reply ? to_realtime(clients, clients->now_ns) : 0,
    };
    load_ledger_put(&clients->ledger, &entry);
}

static enum ledger_state ledger_state(enum load_outcome outcome)
{
    switch (outcome) {
    case LOAD_OUTCOME_ACCEPTED:
        return LEDGER_ACKED;
    case LOAD_OUTCOME_TEMPFAIL:
    case LOAD_OUTCOME_REJECT:
    case LOAD_OUTCOME_EXPECTED:
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

static struct load_tally *tally_of(struct load_clients *clients, const struct load_flight *flight)
{
    return flight->is_warm ? &clients->warmup : &clients->tally;
}

static int64_t since_measure(const struct load_clients *clients, uint64_t time_ns)
{
    return (int64_t)(time_ns - clients->measure_ns);
}

static void record_sample(struct load_clients *clients, uint64_t due_ns, uint64_t started_ns,
                          uint64_t length, enum load_outcome outcome)
{
    if (clients->samples.samples == NULL) return;
    struct load_sample sample = {
        .due_ns = since_measure(clients, due_ns),
        .start_ns = since_measure(clients, started_ns),
        .end_ns = since_measure(clients, clients->now_ns),
        .size = (uint32_t)length,
        .worker = clients->worker,
        .outcome = (uint16_t)outcome,
    };
    load_samples_put(&clients->samples, &sample);
}

/* Open loop: from when it was due; a stall that kept it from starting counts. */
static void record_latency(struct load_clients *clients, const struct load_flight *flight,
                           enum load_outcome outcome)
{
    struct load_tally *tally = tally_of(clients, flight);
    uint64_t spent_ns = load_clients_since(clients, flight->started_ns);
    uint64_t since_due_ns = load_clients_since(clients, flight->due_ns);

    clients->spent_ns += spent_ns;
    record_sample(clients, flight->due_ns, flight->started_ns, flight->length, outcome);
    if (outcome == LOAD_OUTCOME_ACCEPTED) {
        tally->body_bytes += flight->length;
        histogram_record(&tally->service, spent_ns);
        histogram_record(&clients->slices.active->service, spent_ns);
        if (!clients->is_open) return;
        histogram_record(&tally->response, since_due_ns);
        histogram_record(&clients->slices.active->response, since_due_ns);
    } else if (outcome == LOAD_OUTCOME_UNFINISHED) {
        if (clients->is_open) histogram_record(&tally->unfinished, since_due_ns);
    } else if (outcome != LOAD_OUTCOME_EXPECTED) {
        histogram_record(&tally->failure, since_due_ns);
    }
}

/* How many messages are in flight is summed over time: Little's law checks the counting. */
static void count_in_flight(struct load_clients *clients, int32_t change)
{
    clients->in_flight_area_ns +=
        clients->in_flight * load_clients_since(clients, clients->in_flight_since_ns);
    clients->in_flight_since_ns = clients->now_ns;
    clients->in_flight = (uint32_t)((int32_t)clients->in_flight + change);
}

void load_flight_judge(struct load_clients *clients, struct load_client *client, bool is_kept)
{
    CHECK(client->flight_count > 0);
    struct load_flight *flight = load_client_flight(client, 0);
    CHECK(flight->is_unjudged);
    record_ledger(clients, flight, is_kept ? LEDGER_ACKED : LEDGER_REFUSED, RECIPIENTS_UNKNOWN);
    struct load_score *score = &tally_of(clients, flight)->score;
    if (is_kept) flight->kept_length += flight->length;
    score->messages_kept += is_kept;
    score->messages_refused += !is_kept;
    flight->is_unjudged = false;
    flight->sent_ns = 0;
}

/* --session: how the dialogue went; the run's end may cut it. */
static void note_score(struct load_tally *tally, const struct load_session *session,
                       enum load_outcome outcome)
{
    const struct load_replay *replay = &session->replay;
    uint32_t dialogue = (uint32_t)(replay->dialogue - replay->dialogues->dialogues);
    uint32_t line = session->failed_line != 0 ? session->failed_line : load_replay_line(replay);

    if (outcome == LOAD_OUTCOME_ACCEPTED)
        load_score_as_written(&tally->score, dialogue);
    else if (outcome != LOAD_OUTCOME_UNFINISHED)
        load_score_failed(&tally->score, dialogue, line);
}

/* --session: a message whose last verdict was not as written, or that has none. */
static enum ledger_state unjudged_state(const struct load_session *session)
{
    if (session->news == LOAD_REPLAY_KEPT) return LEDGER_ACKED;
    return session->news == LOAD_REPLAY_NOT_KEPT ? LEDGER_REFUSED : LEDGER_UNKNOWN;
}

void load_flight_end(struct load_clients *clients, struct load_client *client,
                     enum load_outcome outcome)
{
    CHECK(client->flight_count > 0);
    struct load_flight *flight = load_client_flight(client, 0);
    struct load_tally *tally = tally_of(clients, flight);
    bool is_replayed = clients->script->dialogues != NULL;

    if (is_replayed) {
        flight->length = flight->kept_length;
        note_score(tally, &client->session, outcome);
    }
    tally->outcomes[outcome]++;
    clients->tally.last_end_ns = clients->now_ns;
    tally->recipients_accepted += client->session.recipients_accepted;
    tally->recipients_rejected +=
        client->session.recipients_answered - client->session.recipients_accepted;
    record_latency(clients, flight, outcome);
    count_in_flight(clients, -1);
    if (outcome == LOAD_OUTCOME_ACCEPTED && clients->now_ns >= clients->measure_ns &&
        clients->now_ns < clients->end_ns) {
        clients->tally.accepted_in_time++;
        clients->tally.bytes_in_time += flight->length;
    }
    if (!is_replayed)
        record_ledger(clients, flight, ledger_state(outcome), client->session.recipients_accepted);
    else if (flight->is_unjudged)
        record_ledger(clients, flight, unjudged_state(&client->session), RECIPIENTS_UNKNOWN);
    if (client->sending == 0)
        client->is_sending_content = false;
    else
        client->sending--;
    client->first_flight++;
    client->flight_count--;
}

/* The server never took note of this message: it starts again, on a new connection. */
static void take_back(struct load_clients *clients, const struct load_flight *flight)
{
    clients->kept_count++;
    count_in_flight(clients, -1);
    tally_of(clients, flight)->started--;
    if (!clients->is_open) load_share_take_back(&clients->share);
}

void load_flight_miss(struct load_clients *clients, uint64_t due_ns)
{
    struct load_tally *tally = due_ns < clients->measure_ns ? &clients->warmup : &clients->tally;
    tally->outcomes[LOAD_OUTCOME_UNFINISHED]++;
    histogram_record(&tally->unfinished, load_clients_since(clients, due_ns));
    record_sample(clients, due_ns, clients->now_ns, 0, LOAD_OUTCOME_UNFINISHED);
}

void load_flight_forget(struct load_clients *clients, struct load_client *client)
{
    CHECK(client->flight_count == 0);
    for (uint32_t index = 0; index < client->kept_count; index++)
        load_flight_miss(clients, load_client_flight(client, index)->due_ns);
    clients->kept_count -= client->kept_count;
    client->kept_count = 0;
}

void load_flight_drop(struct load_clients *clients, struct load_client *client,
                      enum load_outcome outcome, bool is_blamed)
{
    bool has_content = load_flight_has_content(client);

    if (is_blamed && client->flight_count > 0) load_flight_end(clients, client, outcome);
    while (is_blamed && has_content && client->flight_count > 0) {
        /* What the session counted was the oldest one's. */
        client->session.recipients_answered = 0;
        client->session.recipients_accepted = 0;
        load_flight_end(clients, client, outcome);
    }
    for (uint32_t index = 0; index < client->flight_count; index++)
        take_back(clients, load_client_flight(client, index));
    client->kept_count += client->flight_count;
    client->flight_count = 0;
    client->is_sending_content = false;
}

bool load_flight_may_start(const struct load_clients *clients, const struct load_client *client)
{
    if (client->served >= client->serves) return false;
    if (!clients->is_open) return load_share_may_start(&clients->share, clients->now_ns);
    return client->kept_count > 0 || clients->backlog.count > 0;
}

/* The next message of a closed loop is due now. */
static void take_closed(struct load_clients *clients, struct load_flight *flight)
{
    flight->sequence = load_share_start(&clients->share);
    flight->due_ns = clients->now_ns;
}

static void take_due(struct load_clients *clients, struct load_flight *flight)
{
    struct load_due due = load_backlog_pop(&clients->backlog);
    struct load_tally *tally =
        due.due_ns < clients->measure_ns ? &clients->warmup : &clients->tally;
    uint64_t late_ns = load_clients_since(clients, due.due_ns);
    flight->sequence = due.sequence;
    flight->due_ns = due.due_ns;
    histogram_record(&tally->lateness, late_ns);
    if (!due.has_waited) histogram_record(&tally->late_own, late_ns);
}

/* What was taken back stands where the next flight is to be. */
static void take_kept(struct load_clients *clients, struct load_client *client,
                      const struct load_flight *kept, struct load_flight *flight)
{
    client->kept_count--;
    clients->kept_count--;
    flight->sequence = kept->sequence;
    flight->due_ns = clients->is_open ? kept->due_ns : clients->now_ns;
    if (!clients->is_open) load_share_start_again(&clients->share);
}

struct load_flight *load_flight_start(struct load_clients *clients, struct load_client *client)
{
    CHECK(client->flight_count <= client->flight_mask);
    struct load_flight *flight = load_client_flight(client, client->flight_count++);
    struct load_flight kept = *flight;

    *flight = (struct load_flight){.started_ns = clients->now_ns};
    if (client->kept_count > 0)
        take_kept(clients, client, &kept, flight);
    else if (clients->is_open)
        take_due(clients, flight);
    else
        take_closed(clients, flight);
    flight->mail = flight->sequence;
    flight->is_warm = flight->due_ns < clients->measure_ns;
    tally_of(clients, flight)->started++;
    count_in_flight(clients, 1);
    client->served++;
    return flight;
}
