#include "loadgen/load_clients.h"

#include "base/clock.h"
#include "loadgen/load_config.h"
#include "loadgen/load_flight.h"
#include "loadgen/load_send.h"
#include "loadgen/load_tls.h"

#include <errno.h>
#include <stdlib.h>

#define SWEEP_AT_ONCE  256u /* clients told of a begin or a stop in one loop */
#define EXPIRE_AT_ONCE 1024u
#define TICK_NS        (5 * CLOCK_NS_PER_MS)
#define TICKS          2048u

/* Stream has two; places are a power of two. */
static uint32_t count_flights(const struct load_config *config)
{
    uint32_t count = 2;
    while (count < config->window)
        count *= 2;
    return count;
}

uint64_t load_clients_memory(const struct load_config *config, const struct load_mail *mail,
                             const struct load_script *script, uint64_t count)
{
    bool is_copied = load_send_is_copied(mail, script, count);
    uint64_t flights_size = count_flights(config) * sizeof(struct load_flight);
    return count * (sizeof(struct load_client) + flights_size +
                    load_send_block_size(mail, script, is_copied)) +
           load_tls_memory(config, mail, count);
}

static void open_client(struct load_clients *clients, uint32_t index)
{
    struct load_client *client = &clients->clients[index];
    client->index = index;
    client->flights = &clients->flights[(uint64_t)index * clients->flights_each];
    client->flight_mask = clients->flights_each - 1;
    client->socket = -1;
    client->deadline_ns = LOAD_NEVER;
    client->is_queued = true;
    queue_push(&clients->to_connect, &client->link);
}

int load_clients_open(struct load_clients *clients, uint32_t connecting_max)
{
    clients->count = (uint32_t)clients->share.connections;
    clients->connecting_max = connecting_max;
    clients->sweep_next = clients->count;
    clients->end_ns = LOAD_NEVER;
    clients->opened_ns = clients->now_ns;
    clients->source_next = clients->share.next_sequence;
    clients->is_copied = load_send_is_copied(clients->mail, clients->script, clients->count);
    random_init(&clients->random, clients->config->seed, clients->share.next_sequence);
    clients->clients = calloc(clients->count, sizeof *clients->clients);
    clients->flights_each = count_flights(clients->config);
    clients->flights = calloc(clients->count, clients->flights_each * sizeof *clients->flights);
    int error = -ENOMEM;
    if (clients->clients == NULL || clients->flights == NULL) goto free_clients;
    error = load_tally_open(&clients->tally);
    if (error < 0) goto free_clients;
    error = load_tally_open(&clients->warmup);
    if (error == 0 && clients->script->dialogues != NULL) {
        load_score_open(&clients->tally.score, clients->script->dialogues);
        load_score_open(&clients->warmup.score, clients->script->dialogues);
    }
    if (error == 0) error = load_slices_open(&clients->slices);
    if (error == 0 && clients->is_open)
        error = load_backlog_open(&clients->backlog, clients->share.backlog);
    if (error < 0) goto close_tally;
    error = blocks_open(&clients->blocks, clients->count,
                        load_send_block_size(clients->mail, clients->script, clients->is_copied));
    if (error < 0) goto close_tally;
    error = wheel_open(&clients->wheel, TICKS, TICK_NS, clients->now_ns);
    if (error < 0) goto close_blocks;
    for (uint32_t index = 0; index < clients->count; index++)
        open_client(clients, index);
    return 0;
close_blocks:
    blocks_close(&clients->blocks);
close_tally:
    load_backlog_close(&clients->backlog);
    load_slices_close(&clients->slices);
    load_tally_close(&clients->warmup);
    load_tally_close(&clients->tally);
free_clients:
    free(clients->flights);
    free(clients->clients);
    clients->clients = NULL;
    return error;
}

void load_clients_close(struct load_clients *clients)
{
    for (uint32_t index = 0; index < clients->count; index++)
        load_tls_release(&clients->clients[index]);
    wheel_close(&clients->wheel);
    blocks_close(&clients->blocks);
    load_backlog_close(&clients->backlog);
    load_slices_close(&clients->slices);
    load_tally_close(&clients->warmup);
    load_tally_close(&clients->tally);
    free(clients->flights);
    free(clients->clients);
    clients->clients = NULL;
}

void load_clients_complete(struct load_clients *clients, const struct ring_completion *completion)
{
    CHECK(completion->token.slot < clients->count);
    struct load_client *client = &clients->clients[completion->token.slot];
    if (completion->token.generation == client->generation)
        load_client_complete(clients, client, completion);
    else
        clients->tally.stale++; /* Linux 6.1 sends completions after the last one */
    if (completion->has_buffer) ring_give_back(clients->ring, completion->buffer);
}

/* A timer is moved only if it would fire too late; one that fires early looks at the deadline. */
void load_clients_set_deadline(struct load_clients *clients, struct load_client *client,
                               uint64_t due_ns)
{
    client->deadline_ns = due_ns;
    if (due_ns == LOAD_NEVER) return;
    if (wheel_is_armed(&client->timer) && client->timer.due_ns <= due_ns) return;
    wheel_arm(&clients->wheel, &client->timer, due_ns);
}

static void expire_timers(struct load_clients *clients)
{
    for (uint32_t count = 0; count < EXPIRE_AT_ONCE; count++) {
        struct wheel_timer *timer = wheel_expire(&clients->wheel, clients->now_ns);
        if (timer == NULL) return;
        struct load_client *client = QUEUE_OWNER(timer, struct load_client, timer);
        uint64_t due_ns = client->deadline_ns;
        if (due_ns == LOAD_NEVER) continue;
        if (due_ns > clients->now_ns) {
            wheel_arm(&clients->wheel, timer, due_ns);
            continue;
        }
        client->deadline_ns = LOAD_NEVER;
        load_client_expire(clients, client);
    }
}

/* A begin or a stop concerns who is idle, and who waits to connect. */
static void sweep(struct load_clients *clients)
{
    for (uint32_t count = 0; count < SWEEP_AT_ONCE; count++) {
        if (clients->sweep_next == clients->count) return;
        struct load_client *client = &clients->clients[clients->sweep_next++];
        bool is_resting = client->state == LOAD_CLIENT_RESTING && !client->is_queued;
        if (is_resting && !load_clients_want_connection(clients))
            load_client_finish(clients, client);
        if (client->state == LOAD_CLIENT_UP && client->session.state == LOAD_IDLE)
            load_client_act(clients, client);
    }
}

uint64_t load_clients_next_connect(const struct load_clients *clients)
{
    if (clients->first_connects == clients->count) return LOAD_NEVER;
    double part = (double)clients->first_connects / (double)clients->count;
    return clients->opened_ns + (uint64_t)(part * (double)clients->config->ramp_ns);
}

/* The ramp holds back who was never connected; it stands in front of the queue. */
static bool is_held_by_ramp(const struct load_clients *clients)
{
    uint64_t next_ns = load_clients_next_connect(clients);
    return next_ns != LOAD_NEVER && next_ns > clients->now_ns;
}

static void connect_some(struct load_clients *clients)
{
    /* Once no connection is wanted, those that wait for one are let go without a bound. */
    while (clients->connecting < clients->connecting_max ||
           !load_clients_want_connection(clients)) {
        if (load_clients_want_connection(clients) && is_held_by_ramp(clients)) return;
        struct queue_link *link = queue_pop(&clients->to_connect);
        if (link == NULL) return;
        if (clients->first_connects < clients->count) clients->first_connects++;
        struct load_client *client = QUEUE_OWNER(link, struct load_client, link);
        client->is_queued = false;
        if (load_clients_want_connection(clients))
            load_client_connect(clients, client);
        else
            load_client_finish(clients, client);
    }
}

/* ---- open loop ---- */

uint64_t load_clients_next_due(const struct load_clients *clients)
{
    if (!clients->is_open || !clients->has_begun) return LOAD_NEVER;
    uint64_t due_ns = clients->begin_ns + clients->schedule.due_ns;
    return load_share_may_start(&clients->share, due_ns) ? due_ns : LOAD_NEVER;
}

bool load_clients_await_due(struct load_clients *clients, struct load_client *client)
{
    bool may_serve = client->served < client->serves;
    if (!may_serve || load_clients_next_due(clients) == LOAD_NEVER) return false;
    if (client->is_idle_queued) return true;
    client->is_idle_queued = true;
    queue_push(&clients->idle, &client->idle_link);
    return true;
}

/* A session that waits for a message, or NULL; what has been lost since is passed over. */
static struct load_client *take_idle(struct load_clients *clients)
{
    struct queue_link *link = NULL;
    while ((link = queue_pop(&clients->idle)) != NULL) {
        struct load_client *client = QUEUE_OWNER(link, struct load_client, idle_link);
        client->is_idle_queued = false;
        if (client->state != LOAD_CLIENT_UP || client->is_sending) continue;
        if (client->session.state == LOAD_IDLE) return client;
        if (load_client_has_room(clients, client)) return client;
    }
    return NULL;
}

/* One message has become due. */
static void arrive(struct load_clients *clients, uint64_t due_ns)
{
    struct load_tally *tally = due_ns < clients->measure_ns ? &clients->warmup : &clients->tally;
    struct load_client *client = clients->backlog.count == 0 ? take_idle(clients) : NULL;
    struct load_due due = {
        .sequence = load_share_start(&clients->share),
        .due_ns = due_ns,
        .has_waited = client == NULL,
    };
    tally->due++;
    if (!load_backlog_push(&clients->backlog, &due))
        tally->dropped++;
    else if (client != NULL)
        load_client_act(clients, client);
}

/* Nothing will be due any more: who waits for a message is to end. */
static void end_schedule(struct load_clients *clients)
{
    if (clients->is_schedule_over || !clients->has_begun) return;
    clients->is_schedule_over = true;
    clients->sweep_next = 0;
}

void load_clients_arrive(struct load_clients *clients)
{
    for (;;) {
        uint64_t due_ns = load_clients_next_due(clients);
        if (due_ns > clients->now_ns) {
            clients->now_ns = clock_now_ns();
            if (due_ns == LOAD_NEVER) end_schedule(clients);
            if (due_ns > clients->now_ns) return;
        }
        load_schedule_advance(&clients->schedule);
        arrive(clients, due_ns);
    }
}

void load_clients_advance(struct load_clients *clients)
{
    if (clients->is_open) load_clients_arrive(clients);
    expire_timers(clients);
    sweep(clients);
    connect_some(clients);
}

void load_clients_begin(struct load_clients *clients, const struct load_plan *plan)
{
    CHECK(!clients->has_begun);
    clients->has_begun = true;
    clients->begin_ns = clients->now_ns;
    clients->measure_ns = clients->now_ns + plan->warmup_ns;
    clients->in_flight_since_ns = clients->now_ns;
    load_slices_begin(&clients->slices, clients->now_ns);
    load_share_begin(&clients->share, plan, clients->measure_ns);
    clients->end_ns = clients->share.stop_ns;
    clients->sweep_next = 0;
}

void load_clients_stop(struct load_clients *clients)
{
    clients->has_begun = true;
    load_share_stop(&clients->share);
    clients->sweep_next = 0;
}

void load_clients_abort(struct load_clients *clients)
{
    load_clients_stop(clients);
    while (clients->backlog.count > 0)
        load_flight_miss(clients, load_backlog_pop(&clients->backlog).due_ns);
}

void load_clients_cut(struct load_clients *clients)
{
    load_clients_abort(clients);
    for (uint32_t index = 0; index < clients->count; index++)
        load_client_cut(clients, &clients->clients[index]);
}
