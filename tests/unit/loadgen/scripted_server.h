/*
 * scripted_server -- an SMTP server on loopback that misbehaves as it is told.
 *
 * Owns:       a listening socket and its threads: one accepts, one more a connection.
 * Thread:     what was stored is read after scripted_server_close().
 */
#pragma once

#include "base/bytes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SCRIPTED_MESSAGES_MAX    65536u
#define SCRIPTED_CONNECTIONS_MAX 512u

/* Zero is a server that behaves. Numbers count from 1; 0 means never. */
struct scripted_server_manners {
    bool no_pipelining;
    bool no_ehlo;
    bool sends_octet_by_octet;
    bool reads_slowly;
    bool closes_politely;        /* what ends a session is 421                */
    uint32_t messages_a_session; /* then it ends, before the next MAIL        */
    uint32_t silent_at_message;  /* of a session: its dot is not answered     */
    uint32_t reset_at_message;   /* the connection breaks within its content  */
    uint32_t garbage_at_message; /* "what?" in place of 250                   */
    uint32_t early_at_message;   /* 452 comes while the content is still on its way */
    uint32_t refused_session;    /* so many of the first sessions meet 554    */
    uint32_t refused_message;    /* one RCPT in so many is refused with 550   */
    uint32_t deferred_message;   /* one dot in so many is answered 451        */
};

struct scripted_server {
    struct scripted_server_manners manners;
    int listener;
    uint16_t port;
    pthread_t thread;
    pthread_t connections[SCRIPTED_CONNECTIONS_MAX];
    int sockets[SCRIPTED_CONNECTIONS_MAX];
    uint32_t connection_count;
    pthread_mutex_t lock;
    struct bytes messages[SCRIPTED_MESSAGES_MAX]; /* as stored; acknowledged ones only */
    uint32_t message_count;
    atomic_uint quit_count;
    atomic_uint rcpt_count;
    atomic_uint dot_count;
};

void scripted_server_open(struct scripted_server *server,
                          const struct scripted_server_manners *manners);

/* Ends every connection and joins every thread; the messages stay until scripted_server_free(). */
void scripted_server_close(struct scripted_server *server);
void scripted_server_free(struct scripted_server *server);
