#include "loadgen/load_tls.h"

#include "loadgen/load_config.h"
#include "loadgen/load_mail.h"
#include "tls/tls_context.h"

#define RECORDS_MAX 4u /* that leave in one send: a large message's */
/* A record with all that is around it, as a multiple of 64. */
#define RECORD_SIZE (TLS_PLAINTEXT_SIZE + 64u)

uint32_t load_tls_block_size(const struct load_mail *mail)
{
    uint64_t size = mail->head_size + mail->common_max + mail->tail_max;
    uint64_t records = 1 + size / TLS_PLAINTEXT_SIZE;
    if (records > RECORDS_MAX) records = RECORDS_MAX;
    return TLS_CIPHERTEXT_SIZE + ((uint32_t)records - 1) * RECORD_SIZE;
}

uint64_t load_tls_memory(const struct load_config *config, const struct load_mail *mail,
                         uint64_t count)
{
    if (config->tls == LOAD_TLS_OFF) return 0;
    return tls_context_memory((uint32_t)count, load_tls_block_size(mail));
}

struct tls_context *load_tls_open(const struct load_config *config, const struct load_mail *mail,
                                  uint32_t count, char *error)
{
    struct tls_client_options options = {
        .server_name = config->tls_name,
        .ca_file = config->tls_ca,
        .streams = count,
        .ciphertext_size = load_tls_block_size(mail),
        .verifies = config->tls_verifies,
        .resumes = config->tls_resumes,
    };
    return tls_context_open_client(&options, error);
}

bool load_tls_begin(struct load_clients *clients, struct load_client *client)
{
    struct bytes nothing = bytes_make(NULL, 0);

    CHECK(client->tls == NULL);
    client->tls = tls_stream_open(clients->tls);
    client->tls_failure = "no memory for another connection";
    if (client->tls == NULL) return false;
    client->tls_failure = NULL;
    client->has_tls_end = false;
    client->asked_ns = clients->now_ns;
    if (load_tls_step(clients, client, &nothing) == TLS_FAILED) return false;
    load_tls_flush(clients, client);
    return true;
}

static void count_handshake(struct load_clients *clients, const struct load_client *client)
{
    struct load_tally *tally = &clients->tally;
    histogram_record(&tally->phases[LOAD_PHASE_TLS], load_clients_since(clients, client->asked_ns));
    load_handshakes_count(&tally->handshakes, tls_stream_was_resumed(client->tls),
                          load_clients_are_measured(clients));
    load_handshakes_add_suite(&tally->handshakes, tls_stream_version(client->tls),
                              tls_stream_cipher(client->tls), 1);
}

/* Only answers to what the server asks of TLS again and again can fill what writes leave free. */
static enum tls_event fail_flooded(struct load_client *client)
{
    client->tls_failure = "the server asks for more than it takes";
    return TLS_FAILED;
}

enum tls_event load_tls_step(struct load_clients *clients, struct load_client *client,
                             struct bytes *ciphertext)
{
    enum tls_event event = tls_stream_step(client->tls, ciphertext);

    switch (event) {
    case TLS_ESTABLISHED:
        count_handshake(clients, client);
        client->asked_ns = clients->now_ns;
        break;
    case TLS_ENDED:
        client->has_tls_end = true;
        break;
    case TLS_FAILED:
        client->tls_failure = tls_stream_failure(client->tls);
        break;
    case TLS_WANT_FLUSH:
        return fail_flooded(client);
    case TLS_WANT_INPUT:
    case TLS_PLAINTEXT:
        break;
    }
    return event;
}

void load_tls_flush(struct load_clients *clients, struct load_client *client)
{
    struct bytes sendable = tls_stream_sendable(client->tls);

    if (client->is_sending || sendable.size == 0) return;
    ring_send(clients->ring, client->socket, sendable, load_client_token(client, RING_OP_SEND));
    client->is_sending = true;
    client->operations++;
}

bool load_tls_end(struct load_clients *clients, struct load_client *client)
{
    tls_stream_end(client->tls);
    load_tls_flush(clients, client);
    return client->is_sending;
}

void load_tls_note_end(struct load_clients *clients, struct load_client *client)
{
    if (client->has_tls_end || !tls_stream_is_established(client->tls)) return;
    client->has_tls_end = true;
    clients->tally.handshakes.truncated++;
}

const char *load_tls_failure(const struct load_client *client)
{
    CHECK(client->tls_failure != NULL);
    return client->tls_failure;
}

void load_tls_release(struct load_client *client)
{
    if (client->tls != NULL) tls_stream_close(client->tls);
    client->tls = NULL;
}
