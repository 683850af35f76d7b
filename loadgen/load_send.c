#include "loadgen/load_send.h"

#include "loadgen/load_flight.h"
#include "loadgen/load_mail.h"

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

static void submit_send(struct load_clients *clients, struct load_client *client)
{
    if (client->outgoing.size > 0)
        ring_send(clients->ring, client->socket, client->outgoing,
                  load_client_token(client, RING_OP_SEND));
    else
        ring_send_message(clients->ring, client->socket, &client->block->message,
                          load_client_token(client, RING_OP_SEND));
    client->is_sending = true;
    client->operations++;
    clients->sends_pending++;
}

static void send_command(struct load_clients *clients, struct load_client *client)
{
    struct load_block *block = take_block(clients, client);
    uint64_t sequence = client->has_current ? client->current.sequence : 1;
    uint32_t size = load_session_put(&client->session, clients->script, sequence, block->octets);
    client->outgoing = bytes_make(block->octets, size);
    submit_send(clients, client);
}

/* Head, common body, and tail with what follows it. */
static void gather(struct load_clients *clients, struct load_client *client, uint64_t common_size,
                   uint32_t tail_size)
{
    struct load_block *block = client->block;
    const struct load_mail *mail = clients->mail;
    uint32_t count = 0;

    block->pieces[count++] = (struct iovec){block->octets, mail->head_size};
    if (common_size > 0) block->pieces[count++] = (struct iovec){mail->common, common_size};
    block->pieces[count++] = (struct iovec){block->octets + mail->head_size, tail_size};
    block->message = (struct msghdr){.msg_iov = block->pieces, .msg_iovlen = count};
    client->outgoing = bytes_make(NULL, 0);
}

static void send_content(struct load_clients *clients, struct load_client *client)
{
    const struct load_mail *mail = clients->mail;
    struct load_block *block = take_block(clients, client);
    uint8_t *end = block->octets + mail->head_size;

    const struct load_mail_body *body = load_mail_choose(mail, client->current.sequence);
    client->current.hash = load_mail_put_head(mail, body, client->current.sequence, block->octets);
    client->current.stored_size = body->stored_size;
    client->current.length = body->length;
    if (clients->is_copied) {
        memcpy(end, mail->common, body->common_size);
        end += body->common_size;
    }
    uint8_t *tail = end;
    load_mail_put_tail(mail, body, client->current.sequence, end);
    end += body->tail_size;
    if (client->session.mode == LOAD_PIPELINING_STREAM && load_flight_may_start(clients, client)) {
        load_flight_start(clients, client, &client->next);
        client->has_next = true;
        end += load_session_put_next(&client->session, clients->script, client->next.sequence, end);
    }
    if (clients->is_copied)
        client->outgoing = bytes_make(block->octets, (uint64_t)(end - block->octets));
    else
        gather(clients, client, body->common_size, (uint32_t)(end - tail));
    client->is_sending_content = true;
    submit_send(clients, client);
}

/* Forgets the first `size` octets of what is being sent; true if nothing is left. */
static bool advance(struct load_client *client, uint64_t size)
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

void load_send_wanted(struct load_clients *clients, struct load_client *client)
{
    if (client->session.wants == LOAD_WANTS_CONTENT)
        send_content(clients, client);
    else
        send_command(clients, client);
    load_session_sent(&client->session);
    client->asked_ns = clients->now_ns;
}

bool load_send_continue(struct load_clients *clients, struct load_client *client, uint64_t size)
{
    if (advance(client, size)) {
        load_send_release(clients, client);
        return false;
    }
    submit_send(clients, client);
    return true;
}
