#include "loadgen/load_flight.h"

#include "loadgen/load_mail.h"

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

static enum ledger_state ledger_state(enum load_outcome outcome)
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

void load_flight_end(struct load_clients *clients, struct load_client *client,
                     enum load_outcome outcome)
{
    CHECK(client->has_current);
    struct load_tally *tally = &clients->tally;
    uint64_t spent_ns = load_clients_since(clients, client->current.started_ns);

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
    record_ledger(clients, &client->current, ledger_state(outcome));
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

void load_flight_drop(struct load_clients *clients, struct load_client *client,
                      enum load_outcome outcome, bool is_blamed)
{
    if (client->has_next) take_back(clients, client, &client->next);
    client->has_next = false;
    if (!client->has_current) return;
    if (is_blamed) {
        load_flight_end(clients, client, outcome);
        return;
    }
    take_back(clients, client, &client->current);
    client->has_current = false;
}

bool load_flight_may_start(const struct load_clients *clients, const struct load_client *client)
{
    return client->served < clients->share.per_connection &&
           load_share_may_start(&clients->share, clients->now_ns);
}

void load_flight_start(struct load_clients *clients, struct load_client *client,
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
