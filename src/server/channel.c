#include "server/channel.h"

#include <assert.h>

/* Those who gave up waiting keep their place in the queue, not their connection. */
#define CHANNELS_PER_CONNECTION 2
#define CHANNEL_BLOCK_SIZE      64

static_assert(sizeof(struct channel) <= CHANNEL_BLOCK_SIZE, "a channel is one block");

uint64_t channels_memory(uint32_t connections)
{
    return tls_context_memory(connections, TLS_CIPHERTEXT_SIZE) +
           (uint64_t)connections * CHANNELS_PER_CONNECTION * CHANNEL_BLOCK_SIZE;
}

int channels_open(struct channels *channels, struct tls_context *context, struct counters *counters,
                  uint32_t connections, uint32_t shaking_max)
{
    *channels =
        (struct channels){.context = context, .counters = counters, .shaking_max = shaking_max};
    if (context == NULL) return 0;
    CHECK(shaking_max > 0);
    return blocks_open(&channels->pool, connections * CHANNELS_PER_CONNECTION, CHANNEL_BLOCK_SIZE);
}

void channels_close(struct channels *channels)
{
    if (channels->context == NULL) return;
    blocks_close(&channels->pool);
    tls_context_close(channels->context);
    *channels = (struct channels){0};
}

/* Takes those out of the queue who gave up waiting. */
static void forget_the_gone(struct channels *channels)
{
    struct queue waiting = channels->waiting;
    struct queue_link *link = NULL;
    channels->waiting = (struct queue){0};
    while ((link = queue_pop(&waiting)) != NULL) {
        struct channel *channel = QUEUE_OWNER(link, struct channel, turn_link);
        if (channel->connection != NULL)
            queue_push(&channels->waiting, link);
        else
            blocks_give_back(&channels->pool, channel);
    }
}

/* Where the pool is used up, half of it or more is theirs who are gone: the walk pays off. */
struct channel *channel_open(struct channels *channels, struct connection *connection)
{
    struct channel *channel = blocks_take(&channels->pool);
    if (channel == NULL) {
        forget_the_gone(channels);
        channel = blocks_take(&channels->pool);
    }
    if (channel != NULL) *channel = (struct channel){.connection = connection};
    return channel;
}

enum channel_outcome channel_begin(struct channels *channels, struct channel *channel)
{
    CHECK(channel->state == CHANNEL_WAITING);
    CHECK(!channel->is_queued);
    if (channels_are_full(channels)) {
        counter_add(&channels->counters->tls_waits, 1);
        channel->is_queued = true;
        queue_push(&channels->waiting, &channel->turn_link);
        return CHANNEL_QUEUED;
    }
    channel->stream = tls_stream_open(channels->context);
    if (channel->stream == NULL) return CHANNEL_REFUSED;
    channel->state = CHANNEL_SHAKING;
    channels->shaking_count++;
    return CHANNEL_BEGUN;
}

struct channel *channels_next(struct channels *channels)
{
    while (!channels_are_full(channels)) {
        struct queue_link *link = queue_pop(&channels->waiting);
        if (link == NULL) return NULL;
        struct channel *channel = QUEUE_OWNER(link, struct channel, turn_link);
        channel->is_queued = false;
        if (channel->connection != NULL) return channel;
        blocks_give_back(&channels->pool, channel);
    }
    return NULL;
}

static void end_handshake(struct channels *channels, struct channel *channel,
                          enum channel_state state)
{
    if (channel->state == CHANNEL_SHAKING) channels->shaking_count--;
    channel->state = (uint8_t)state;
}

enum tls_event channel_step(struct channels *channels, struct channel *channel,
                            struct bytes *ciphertext)
{
    enum tls_event event = tls_stream_step(channel->stream, ciphertext);
    if (event == TLS_ESTABLISHED) {
        end_handshake(channels, channel, CHANNEL_UP);
        counter_add(&channels->counters->tls_handshakes, 1);
        if (tls_stream_was_resumed(channel->stream))
            counter_add(&channels->counters->tls_resumed, 1);
    } else if (event == TLS_FAILED) {
        end_handshake(channels, channel, CHANNEL_FAILED);
    }
    return event;
}

void channel_close(struct channels *channels, struct channel *channel)
{
    end_handshake(channels, channel, CHANNEL_FAILED);
    if (channel->stream != NULL) tls_stream_close(channel->stream);
    channel->stream = NULL;
    channel->connection = NULL;
    if (!channel->is_queued) blocks_give_back(&channels->pool, channel);
}
