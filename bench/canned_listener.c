#include "canned_listener.h"

#include "ring/net.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BACKLOG 4096

volatile sig_atomic_t canned_listener_must_stop;

static void on_signal(int number)
{
    (void)number;
    canned_listener_must_stop = 1;
}

int canned_listener_open(const char *program, const char *port)
{
    char error_text[NET_ERROR_MAX];
    char address_text[NET_TEXT_MAX];
    struct net_address address;

    (void)snprintf(address_text, sizeof address_text, "127.0.0.1:%s", port);
    (void)net_raise_descriptor_limit();
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGINT, on_signal);
    if (net_resolve(address_text, 0, AF_INET, &address, 1, error_text) == 0) {
        (void)fprintf(stderr, "%s: %s\n", program, error_text);
        return -1;
    }
    int listener = net_listen(&address, BACKLOG);
    if (listener < 0)
        (void)fprintf(stderr, "%s: %s: %s\n", program, address_text, strerror(-listener));
    return listener;
}

void canned_listener_report(const char *program, const struct canned *canned)
{
    (void)fprintf(stderr, "%s: %" PRIu64 " messages of %" PRIu64 " octets\n", program,
                  canned->message_count, canned->learned_size);
}
