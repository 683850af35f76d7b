#include "loadgen/load_handshakes.h"

#include <stdio.h>
#include <string.h>

void load_handshakes_count(struct load_handshakes *handshakes, bool is_resumed, bool is_in_time)
{
    *(is_resumed ? &handshakes->resumed : &handshakes->full) += 1;
    if (!is_in_time) return;
    *(is_resumed ? &handshakes->resumed_in_time : &handshakes->full_in_time) += 1;
}

void load_handshakes_add_suite(struct load_handshakes *handshakes, const char *version,
                               const char *cipher, uint64_t count)
{
    for (uint32_t index = 0; index < handshakes->suite_count; index++) {
        struct load_suite *known = &handshakes->suites[index];
        if (strcmp(known->version, version) != 0 || strcmp(known->cipher, cipher) != 0) continue;
        known->count += count;
        return;
    }
    if (handshakes->suite_count == LOAD_SUITES_MAX) {
        handshakes->suites_beyond += count;
        return;
    }
    struct load_suite *added = &handshakes->suites[handshakes->suite_count++];
    (void)snprintf(added->version, sizeof added->version, "%s", version);
    (void)snprintf(added->cipher, sizeof added->cipher, "%s", cipher);
    added->count = count;
}

void load_handshakes_merge(struct load_handshakes *into, const struct load_handshakes *from)
{
    into->full += from->full;
    into->resumed += from->resumed;
    into->full_in_time += from->full_in_time;
    into->resumed_in_time += from->resumed_in_time;
    into->truncated += from->truncated;
    into->suites_beyond += from->suites_beyond;
    for (uint32_t index = 0; index < from->suite_count; index++)
        load_handshakes_add_suite(into, from->suites[index].version, from->suites[index].cipher,
                                  from->suites[index].count);
}
