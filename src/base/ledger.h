/*
 * ledger -- what the generator knows of each message, and the header that carries its number.
 *
 * A ledger is text: a first line, a line a message, and where it was closed a last line:
 *   # ringsink-ledger/2 run=<16 hex> boot=<32 hex> clock=<ns>
 *   <run 16 hex> <sequence> <size> <hash 16 hex> <sent_ns> <state> <accepted_ns> <recipients>
 *   # end clock=<ns>
 * boot is the kernel's boot id, clock is CLOCK_REALTIME minus CLOCK_MONOTONIC at that moment; size
 * is the message's octets as the receiver must store them (headers and body, unstuffed, without the
 * final dot); hash is XXH3-64 of the body (all after the first empty line); sent_ns is
 * CLOCK_REALTIME when its last octet was handed to the kernel; state is acked, refused or unknown;
 * accepted_ns is CLOCK_REALTIME when the final reply was seen, 0: never; recipients is how many
 * were accepted. accepted_ns - sent_ns is a span of CLOCK_MONOTONIC.
 * Format 1, still read: a first line that ends behind run, entries that end behind state.
 *
 * Each message carries "X-Loadgen: v1 run=<16 hex> seq=<12 digits> size=<10 digits> xxh3=<16 hex>",
 * always LEDGER_HEADER_SIZE octets with its CRLF; size is the body's octets.
 */
#pragma once

#include "base/boot.h"
#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_HEADER_SIZE 91u
#define LEDGER_LINE_MAX    160u
#define LEDGER_FORMAT      2u /* what is written */

enum ledger_state { LEDGER_ACKED, LEDGER_REFUSED, LEDGER_UNKNOWN };

struct ledger_start {
    uint64_t run;
    struct boot_id boot; /* format 1: not known */
    int64_t clock_ns;
    uint32_t format; /* 1 or 2 */
};

struct ledger_entry {
    uint64_t run;
    uint64_t sequence;
    uint64_t size; /* message octets as stored; in a header: body octets */
    uint64_t hash; /* XXH3-64 of the body */
    uint64_t sent_ns;
    enum ledger_state state;
    uint32_t recipients;  /* accepted; 0: not known, or none */
    uint64_t accepted_ns; /* 0: no final reply, or not known */
};

/* Each writes a line with its LF at `out` (LEDGER_LINE_MAX bytes) and returns its size. */
uint32_t ledger_put_start(uint8_t *out, const struct ledger_start *start);
uint32_t ledger_put_entry(uint8_t *out, const struct ledger_entry *entry);
uint32_t ledger_put_end(uint8_t *out, int64_t clock_ns);

/* Each reads a line without its LF. False if it is none of that kind. */
MUST_USE bool ledger_parse_start(struct bytes line, struct ledger_start *start);
MUST_USE bool ledger_parse_entry(struct bytes line, uint32_t format, struct ledger_entry *entry);
MUST_USE bool ledger_parse_end(struct bytes line, int64_t *clock_ns);

/* Writes the X-Loadgen header with its CRLF: exactly LEDGER_HEADER_SIZE octets. */
void ledger_put_header(uint8_t *out, uint64_t run, uint64_t sequence, uint64_t body_size,
                       uint64_t hash);

/*
 * Finds the X-Loadgen header in a message's header section (names compared without case, folding
 * allowed) and reads it; `body` becomes what follows the first empty line. False if there is none.
 */
MUST_USE bool ledger_find_header(struct bytes message, struct ledger_entry *entry,
                                 struct bytes *body);
