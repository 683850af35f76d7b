#include "loadgen/load_parting.h"

#include "loadgen/load_config.h"
#include "loadgen/load_send.h"
#include "loadgen/load_tls.h"

void load_parting_close(struct load_clients *clients, struct load_client *client)
{
    if (client->state != LOAD_CLIENT_CLOSING || client->operations > 0) return;
    CHECK(client->socket >= 0);
    load_send_release(clients, client);
    load_tls_release(client);
    ring_close_socket(clients->ring, client->socket, load_client_token(client, RING_OP_CLOSE));
    client->socket = -1;
    client->operations = 1;
    load_clients_set_deadline(clients, client, LOAD_NEVER);
}

/* Nothing more is said on this connection, but by TLS. */
void load_parting_leave(struct load_clients *clients, struct load_client *client,
                        enum load_parting parting)
{
    CHECK(client->state == LOAD_CLIENT_UP || client->state == LOAD_CLIENT_CONNECTING);
    bool was_up = client->state == LOAD_CLIENT_UP;
    bool may_tell =
        client->tls != NULL && (parting == LOAD_PARTING_TOLD || parting == LOAD_PARTING_LAST);
    bool is_told = may_tell && load_tls_end(clients, client);
    client->is_telling = is_told && parting == LOAD_PARTING_TOLD;
    client->has_tls_end |= parting != LOAD_PARTING_LAST;
    bool waits = client->is_telling || parting == LOAD_PARTING_LAST;
    if (was_up && client->session.mode != LOAD_PIPELINING_AUTO) clients->up--;
    if (was_up) load_clients_give_place(clients, client);
    client->state = LOAD_CLIENT_CLOSING;
    load_clients_set_deadline(clients, client,
                              waits ? clients->now_ns + LOAD_GOODBYE_NS : LOAD_NEVER);
    /* A socket that is connecting is left alone: shut, the kernel would connect it once more. */
    if (was_up && !waits && parting != LOAD_PARTING_RESET)
        (void)shutdown(client->socket, SHUT_RDWR);
    load_parting_close(clients, client);
}

/* RFC 5321 4.1.1.10: behind a QUIT the server closes. */
void load_parting_end(struct load_clients *clients, struct load_client *client, bool said_goodbye)
{
    load_parting_leave(clients, client, said_goodbye ? LOAD_PARTING_LAST : LOAD_PARTING_TOLD);
}

/* RST: what is received is not shut but cancelled, as a FIN would go ahead of it. */
void load_parting_reset(struct load_clients *clients, struct load_client *client)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(client->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    ring_cancel(clients->ring, load_client_token(client, RING_OP_RECEIVE),
                load_client_token(client, RING_OP_CANCEL));
    client->operations++;
    if (client->is_sending) {
        ring_cancel(clients->ring, load_client_token(client, RING_OP_SEND),
                    load_client_token(client, RING_OP_CANCEL));
        client->operations++;
    }
    load_parting_leave(clients, client, LOAD_PARTING_RESET);
}

/* The session has nothing more to do. */
void load_parting_quit(struct load_clients *clients, struct load_client *client)
{
    switch ((enum load_quit)clients->config->quit) {
    case LOAD_QUIT_QUIT:
        load_session_quit(&client->session);
        break;
    case LOAD_QUIT_RESET:
        load_parting_reset(clients, client);
        break;
    case LOAD_QUIT_DROP:
        load_parting_leave(clients, client, LOAD_PARTING_AT_ONCE);
        break;
    }
}

/* The connection is being left: what TLS said last may still be there. */
void load_parting_take_send(struct load_clients *clients, struct load_client *client,
                            int32_t result)
{
    if (client->tls != NULL && result > 0) {
        tls_stream_sent(client->tls, (uint32_t)result);
        load_tls_flush(clients, client);
    }
    if (client->is_telling && !client->is_sending) (void)shutdown(client->socket, SHUT_RDWR);
    load_parting_close(clients, client);
}
