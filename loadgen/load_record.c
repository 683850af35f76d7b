#include "loadgen/load_record.h"

#include "base/log.h"
#include "loadgen/load_flight.h"

void load_record_greeting(struct load_clients *clients, struct bytes text, enum load_phase phase)
{
    if (phase == LOAD_PHASE_BANNER && clients->banner[0] == '\0')
        bytes_escape(text, clients->banner, sizeof clients->banner);
    if (phase != LOAD_PHASE_EHLO || clients->has_ehlo) return;
    if (clients->ehlo_count == LOAD_EHLO_KEPT) return;
    bytes_escape(text, clients->ehlo[clients->ehlo_count++], sizeof clients->ehlo[0]);
}

void load_record_reply(struct load_clients *clients, struct load_client *client,
                       enum load_phase phase)
{
    enum load_pipelining mode = client->session.mode;
    bool is_written = mode == LOAD_PIPELINING_WRITTEN;
    bool is_separate = mode == LOAD_PIPELINING_OFF || is_written;
    uint64_t from_ns = client->asked_ns;

    if (phase == LOAD_PHASE_DOT) {
        const struct load_flight *flight = load_client_flight(client, 0);
        if (!load_session_is_last_dot(&client->session)) return;
        if (!is_written || flight->is_unjudged) from_ns = flight->sent_ns;
        if (from_ns == 0) return; /* refused before it had left */
        histogram_record(&clients->slices.active->dot, load_clients_since(clients, from_ns));
    } else if (phase >= LOAD_PHASE_MAIL && phase <= LOAD_PHASE_DATA && !is_separate) {
        return; /* their replies come together: only the envelope is timed */
    } else if (phase == LOAD_PHASE_RSET && !is_separate) {
        return;
    } else if (phase == LOAD_PHASE_TLS) {
        return; /* nobody asked for it */
    }
    histogram_record(&load_flight_tally(clients, client)->phases[phase],
                     load_clients_since(clients, from_ns));
}

void load_record_refusal(const struct load_client *client, enum load_phase phase,
                         const struct load_reply_line *line)
{
    char text[3 * LOAD_REPLY_TEXT_MAX];
    if (!log_is_on(LOG_LEVEL_DEBUG)) return;
    bytes_escape(line->text, text, sizeof text);
    log_debug("connection %u: %s: %u %s", client->index, load_phase_name(phase), line->code, text);
}

/* A full submission queue is entered within a batch: such a send is later than the batch's enter.
 */
void load_record_content(struct load_clients *clients, struct load_client *client)
{
    uint64_t taken_ns = clients->entered_ns;
    if (taken_ns < client->asked_ns) taken_ns = client->asked_ns;
    client->is_sending_content = false;
    struct load_flight *flight = load_client_flight(client, client->sending);
    flight->sent_ns = taken_ns;
    histogram_record(&load_flight_tally(clients, client)->phases[LOAD_PHASE_BODY],
                     taken_ns - client->asked_ns);
}
