/*
 * config -- the server's options as one checked struct.
 *
 * Owns:       the credentials; texts point into argv or the environment.
 * Errors:     a wrong value ends the program with exit status 2 and a line that says what to write.
 */
#pragma once

#include "base/check.h"
#include "ring/net.h"
#include "server/credentials.h"
#include "smtp/smtp_config.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_ADDRESSES_MAX    16
#define CONFIG_THREADS_MAX      100
#define CONFIG_HOSTNAME_MAX     255
#define CONFIG_SEGMENT_SIZE_MIN (1024ull * 1024)

enum config_durability { CONFIG_DISCARD, CONFIG_PAGE, CONFIG_DISK };
enum config_tls { CONFIG_TLS_OFF, CONFIG_TLS_STARTTLS, CONFIG_TLS_IMPLICIT, CONFIG_TLS_BOTH };
enum config_when_full { CONFIG_RECYCLE, CONFIG_REFUSE };

struct config_listen {
    struct net_address address;
    bool is_default; /* nobody asked for it by name: that it can't be bound is a warning */
    bool is_tls;     /* implicit TLS (RFC 8314): the handshake comes first */
};

struct config {
    struct config_listen listens[CONFIG_ADDRESSES_MAX];
    uint32_t listen_count;
    int durability; /* enum config_durability */
    int when_full;  /* enum config_when_full; -1: not given */
    int buffers;
    int log_format;
    int bare_newline; /* enum smtp_bare_newline */
    int tls;          /* enum config_tls */
    uint64_t threads;
    uint64_t max_connections;
    uint64_t backlog;
    uint64_t spool_size;   /* 0: from the free space, once the spool is open */
    uint64_t segment_size; /* 0: from spool_size and threads */
    uint64_t size_limit;   /* 0: from spool_size */
    uint64_t max_recipients;
    uint64_t max_bad_commands;
    uint64_t idle_timeout_ns;
    uint64_t command_timeout_ns;
    uint64_t tls_timeout_ns; /* of a handshake, with the wait for its turn */
    uint64_t tls_handshakes; /* in progress at most, in all workers */
    uint64_t tls_memory;     /* of OpenSSL; 0: from max_connections and tls_handshakes */
    uint64_t min_data_rate;  /* octets a second; 0: no such limit */
    uint64_t stop_after;
    uint64_t stop_sessions;
    const char *hostname;
    const char *spool;
    const char *log_level;
    const char *user;
    const char *auth; /* "any", "none" or a file of credentials */
    const char *tls_listen;
    const char *certificate;
    const char *key;
    struct credentials credentials;
    char hostname_text[CONFIG_HOSTNAME_MAX + 1];
    int cpus[CONFIG_THREADS_MAX]; /* where worker i is pinned */
    bool is_ipv4_only;
    bool is_ipv6_only;
    bool is_port_shared;
    bool has_counters_line;
    bool is_quiet;
    bool is_verbose;
    bool is_lmtp;
    bool is_strict;
    bool has_strict_lines;
    bool is_auth_required;
    bool is_tls_required;
    bool is_auth_tls_required;
    bool is_out_of_service;
    bool is_off[SMTP_EXTENSION_COUNT]; /* --no-KEYWORD */
};

/* Parses, checks, resolves; prints help or version and exits where these were asked for. */
void config_load(struct config *config, int argc, char **argv);

/* SMTP_OFFER() of every extension that was not switched off. */
uint32_t config_offers(const struct config *config);

/* Fills in what depends on the spool's place: sizes. Exits with 2 if they contradict one another.
 */
void config_settle_sizes(struct config *config, uint64_t free_bytes, uint64_t used_bytes);
