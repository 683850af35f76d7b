/*
 * load_send -- what a session wants, put into a block and handed to the ring.
 *
 * A small message is copied whole, which costs less than gathering; a large one is gathered from
 * its client's block and the body that all messages share.
 *
 * Owns:       nothing; a block is taken from the worker's pool while a send is in flight.
 * Bounds:     one send in flight a client, and one block.
 */
#pragma once

#include "loadgen/load_clients.h"

/* Sends the command, group or content that client->session wants; in stream, the next group too. */
void load_send_wanted(struct load_clients *clients, struct load_client *client);

/* `size` octets were taken; false if those were all: else the rest is being sent. */
MUST_USE bool load_send_continue(struct load_clients *clients, struct load_client *client,
                                 uint64_t size);

/* Gives the client's block back, if it has one; no send of it is in flight. */
void load_send_release(struct load_clients *clients, struct load_client *client);

/* Whether so many clients send this mail by copying it, and how large their blocks are then. */
bool load_send_is_copied(const struct load_mail *mail, const struct load_script *script,
                         uint64_t count);
uint64_t load_send_block_size(const struct load_mail *mail, const struct load_script *script,
                              bool is_copied);
