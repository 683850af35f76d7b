#include "loadgen/load_send.h"

#include "loadgen/load_flight.h"
#include "loadgen/load_mail.h"
#include "loadgen/load_tls.h"

#include <sys/socket.h>
#include <sys/uio.h>

#define COPIED_SIZE_MAX   16384u        /* above, the common body is gathered, not copied        */
#define COPIED_MEMORY_MAX (32ull << 20) /* the same if all clients' blocks together are above */

/* Octets of one send, which must stay put until it completed. */
struct load_block {
    struct msghdr message;
    struct iovec pieces[3];
    uint8_t octets[];
};

uint64_t load_send_block_size(const struct load_mail *mail, const struct load_script *script,
                              bool is_copied)
{
    uint64_t size = sizeof(struct load_block) + mail->head_size + mail->tail_max +
                    load_script_group_max(script) + (is_copied ? mail->common_max : 0);
    return (size + 63) / 64 * 64;
}

bool load_send_is_copied(const struct load_mail *mail, const struct load_script *script,
                         uint64_t count)
{
    uint64_t size = load_send_block_size(mail, script, true);
    return size <= COPIED_SIZE_MAX && size * count <= COPIED_MEMORY_MAX;
}

static struct load_block *take_block(struct load_clients *clients, struct load_client *client)
{
    CHECK(client->block == NULL);
    client->block = blocks_take(&clients->blocks);
    CHECK(client->block != NULL); /* there is one for every client */
    return client->block;
}

void load_send_release(struct load_clients *clients, struct load_client *client)
{
    if (client->block == NULL) return;
    blocks_give_back(&clients->blocks, client->block);
    client->block = NULL;
}

/* Forgets the first `size` octets of what is being sent; true if nothing is left. */
static bool advance(struct load_client *client, uint64_t size)
{
    if (client->outgoing.data != NULL) {
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

/* ---- TLS ---- */

/* What comes next of what is being sent; empty: there is no more. */
static struct bytes next_piece(const struct load_client *client)
{
    if (client->block == NULL) return bytes_make(NULL, 0);
    if (client->outgoing.data != NULL) return client->outgoing;
    const struct msghdr *message = &client->block->message;
    if (message->msg_iovlen == 0) return bytes_make(NULL, 0);
    return bytes_make(message->msg_iov->iov_base, message->msg_iov->iov_len);
}

/* Encrypts as much as there is room for, record by record. False: the stream has failed. */
static bool encrypt(struct load_client *client)
{
    for (;;) {
        struct bytes piece = next_piece(client);
        uint64_t size = piece.size;
        if (size == 0) return true;
        if (!tls_stream_write(client->tls, &piece)) return false;
        if (size > piece.size) (void)advance(client, size - piece.size);
        if (piece.size > 0) return true;
    }
}

/* A stream that has failed says nothing more; the receive's end will tell why. */
static void submit_encrypted(struct load_clients *clients, struct load_client *client)
{
    if (encrypt(client)) {
        load_tls_flush(clients, client);
        CHECK(client->is_sending);
        return;
    }
    client->tls_failure = tls_stream_failure(client->tls);
    client->is_sending = true;
    (void)shutdown(client->socket, SHUT_RDWR);
}

/* True: more is on its way. */
static bool continue_encrypted(struct load_clients *clients, struct load_client *client,
                               uint64_t size)
{
    tls_stream_sent(client->tls, (uint32_t)size);
    bool is_all = next_piece(client).size == 0 && tls_stream_sendable(client->tls).size == 0;
    if (!is_all) submit_encrypted(clients, client);
    return !is_all;
}

/* ---- the ring ---- */

static void submit_send(struct load_clients *clients, struct load_client *client)
{
    if (client->tls != NULL) {
        submit_encrypted(clients, client);
        return;
    }
    if (client->outgoing.size > 0)
        ring_send(clients->ring, client->socket, client->outgoing,
                  load_client_token(client, RING_OP_SEND));
    else
        ring_send_message(clients->ring, client->socket, &client->block->message,
                          load_client_token(client, RING_OP_SEND));
    client->is_sending = true;
    client->operations++;
}

static bool continue_plain(struct load_clients *clients, struct load_client *client, uint64_t size)
{
    if (advance(client, size)) return false;
    submit_send(clients, client);
    return true;
}

static void send_command(struct load_clients *clients, struct load_client *client)
{
    struct load_block *block = take_block(clients, client);
    uint64_t sequence = client->flight_count > 0 ? load_client_flight(client, 0)->sequence : 1;
    uint32_t size = load_session_put(&client->session, clients->script, sequence, block->octets);
    client->outgoing = bytes_make(block->octets, size);
    submit_send(clients, client);
}

/* What stands in the block before the common body and behind it. */
static void gather(struct load_client *client, uint64_t before_size, struct bytes common,
                   uint64_t behind_size)
{
    struct load_block *block = client->block;
    uint32_t count = 0;

    block->pieces[count++] = (struct iovec){block->octets, before_size};
    /* A send only reads. */
    if (common.size > 0)
        block->pieces[count++] = (struct iovec){(uint8_t *)(uintptr_t)common.data, common.size};
    block->pieces[count++] = (struct iovec){block->octets + before_size, behind_size};
    block->message = (struct msghdr){.msg_iov = block->pieces, .msg_iovlen = count};
    client->outgoing = bytes_make(NULL, 0);
}

/*
 * The content of the index-th flight, its final dot included, is put at `begin` and handed to the
 * ring with what the block holds before it. With BDAT it is not stuffed and has no dot.
 */
static void put_content(struct load_clients *clients, struct load_client *client, uint32_t index,
                        const struct load_mail_body *body, uint8_t *begin)
{
    const struct load_mail *mail = clients->mail;
    struct load_flight *flight = load_client_flight(client, index);
    bool is_chunked = client->session.mode == LOAD_PIPELINING_BDAT;
    struct bytes common = is_chunked ? bytes_make(body->plain, body->plain_size)
                                     : bytes_make(body->common, body->common_size);
    uint8_t *octets = client->block->octets;
    uint8_t *end = begin + mail->head_size;

    flight->hash = load_mail_put_head(mail, body, flight->mail, begin);
    flight->stored_size = body->stored_size;
    flight->length = body->length;
    uint64_t before_size = (uint64_t)(end - octets);
    if (clients->is_copied) {
        memcpy(end, common.data, common.size);
        end += common.size;
    }
    load_mail_put_tail(mail, body, flight->mail, end);
    end += body->tail_size - (is_chunked ? LOAD_MAIL_DOT_SIZE : 0);
    if (client->session.mode == LOAD_PIPELINING_STREAM && load_flight_may_start(clients, client)) {
        uint64_t next = load_flight_start(clients, client)->sequence;
        end += load_session_put_next(&client->session, clients->script, next, end);
    }
    if (clients->is_copied)
        client->outgoing = bytes_make(octets, (uint64_t)(end - octets));
    else
        gather(client, before_size, common, (uint64_t)(end - octets) - before_size);
    client->is_sending_content = true;
    client->sending = index;
    submit_send(clients, client);
}

static void send_content(struct load_clients *clients, struct load_client *client)
{
    struct load_block *block = take_block(clients, client);
    struct load_flight *flight = load_client_flight(client, 0);
    if (clients->script->dialogues != NULL) {
        flight->mail = load_session_message(&client->session);
        flight->is_unjudged = true;
        flight->sent_ns = 0;
    }
    put_content(clients, client, 0, load_mail_choose(clients->mail, flight->mail), block->octets);
}

/* BDAT: envelope, chunk and content of the newest flight. */
static void send_message(struct load_clients *clients, struct load_client *client)
{
    struct load_block *block = take_block(clients, client);
    uint32_t index = client->flight_count - 1;
    struct load_flight *flight = load_client_flight(client, index);
    const struct load_mail_body *body = load_mail_choose(clients->mail, flight->sequence);
    uint8_t *end = block->octets;

    flight->has_reset = client->session.needs_reset;
    end += load_session_put(&client->session, clients->script, flight->sequence, end);
    end += load_session_put_chunk(body->stored_size, end);
    put_content(clients, client, index, body, end);
}

void load_send_wanted(struct load_clients *clients, struct load_client *client)
{
    if (client->session.wants == LOAD_WANTS_CONTENT)
        send_content(clients, client);
    else if (client->session.wants == LOAD_WANTS_MESSAGE)
        send_message(clients, client);
    else
        send_command(clients, client);
    load_session_sent(&client->session);
    client->asked_ns = clients->now_ns;
}

bool load_send_continue(struct load_clients *clients, struct load_client *client, uint64_t size)
{
    bool goes_on = client->tls == NULL ? continue_plain(clients, client, size)
                                       : continue_encrypted(clients, client, size);
    if (!goes_on) load_send_release(clients, client);
    return goes_on;
}
