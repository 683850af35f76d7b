/*
 * load_handshakes -- what the TLS handshakes of a run came to: how many, and what was agreed on.
 *
 * Owns:       its counts and texts.
 * Bounds:     LOAD_SUITES_MAX pairs of version and cipher are told apart, further ones counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LOAD_SUITES_MAX     4u
#define LOAD_SUITE_TEXT_MAX 48u

struct load_suite {
    char version[LOAD_SUITE_TEXT_MAX];
    char cipher[LOAD_SUITE_TEXT_MAX];
    uint64_t count;
};

struct load_handshakes {
    uint64_t full;
    uint64_t resumed;
    uint64_t full_in_time; /* over before the end of -d */
    uint64_t resumed_in_time;
    uint64_t truncated; /* connections that the server closed without close_notify */
    struct load_suite suites[LOAD_SUITES_MAX];
    uint32_t suite_count;
    uint64_t suites_beyond;
};

/* One is over. */
void load_handshakes_count(struct load_handshakes *handshakes, bool is_resumed, bool is_in_time);

/* So many agreed on that. */
void load_handshakes_add_suite(struct load_handshakes *handshakes, const char *version,
                               const char *cipher, uint64_t count);
void load_handshakes_merge(struct load_handshakes *into, const struct load_handshakes *from);
