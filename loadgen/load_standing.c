#include "loadgen/load_standing.h"

#include "base/clock.h"
#include "loadgen/load_config.h"

#include <errno.h>

#define PAUSE_FIRST_NS (10 * CLOCK_NS_PER_MS)
#define PAUSE_LAST_NS  CLOCK_NS_PER_S

void load_standing_settle(struct load_clients *clients, struct load_client *client)
{
    if (client->is_settled) return;
    client->is_settled = true;
    clients->settled++;
}

void load_standing_mark_down(struct load_clients *clients, struct load_client *client)
{
    client->failures++;
    if (client->failures > clients->config->retry_connect) load_standing_settle(clients, client);
    if (client->is_down) return;
    client->is_down = true;
    clients->down++;
}

void load_standing_mark_ready(struct load_clients *clients, struct load_client *client)
{
    clients->has_ehlo = true;
    clients->tally.sessions[client->session.mode]++;
    if (load_clients_are_measured(clients)) clients->tally.sessions_in_time++;
    load_standing_settle(clients, client);
    client->failures = 0;
    if (client->is_down) clients->down--;
    client->is_down = false;
    if (!client->was_reached) clients->tally.reached++;
    client->was_reached = true;
    clients->up++;
}

uint64_t load_standing_pause_ns(struct load_clients *clients, const struct load_client *client)
{
    uint32_t doublings = client->failures > 8 ? 8 : client->failures;
    uint64_t pause = PAUSE_FIRST_NS << doublings >> 1;
    if (pause > PAUSE_LAST_NS) pause = PAUSE_LAST_NS;
    return pause + random_below(&clients->random, pause / 2);
}

void load_standing_give_up(struct load_clients *clients, int number)
{
    if (clients->gave_up != 0) return;
    clients->gave_up = number;
    load_clients_stop(clients);
}

void load_standing_judge_connect(struct load_clients *clients, const struct load_client *client,
                                 int number)
{
    uint32_t address_index = client->address_index;
    if (clients->tally.connects > 0) return;
    if (client->failures <= clients->config->retry_connect) return;
    if (address_index < clients->address_index) return;
    if (clients->address_index + 1 < clients->config->address_count)
        clients->address_index++;
    else
        load_standing_give_up(clients, number);
}

void load_standing_judge_tls(struct load_clients *clients, const struct load_client *client)
{
    if (clients->tally.reached > 0) return;
    if (client->failures <= clients->config->retry_connect) return;
    load_standing_give_up(clients, EPROTO);
}
