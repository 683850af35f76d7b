/*
 * fuzz_dialogue -- a server's set-up chosen by a few octets, and one dialogue run at several cuts.
 *
 * Errors:     what depends on the cuts aborts by CHECK.
 */
#pragma once

#include "base/bytes.h"
#include "unit/smtp/session_trace.h"

/*
 * Octets that choose a set-up, all zero: the defaults.
 *   0     1 strict, 2 LMTP, 4 strict lines, 8 AUTH required, 16 credentials; 224 (>> 5): STARTTLS
 *         (1 to 4; 2 and 4 TLS required, 3 and 4 AUTH needs it), 5 secure from the start, 7 out of
 *         service
 *   1     3 bare newlines, 28 (>> 2) size limit, 224 (>> 5) recipients
 *   2, 3  bits 0 to 11: extensions switched off, as in SMTP_EXTENSIONS
 *   3     240 (>> 4) bad commands
 *   4     the verdicts of four messages, two bits each; 5 and 6: which events are refused
 */
#define FUZZ_DIALOGUE_CHOICES_SIZE 7

struct trace_setup fuzz_dialogue_choose(const uint8_t *choices);

/*
 * Runs `input` octet by octet into `trace`, to be closed by the caller, and then whole and cut
 * otherwise: the same must happen. Two exceptions: a strict server may hang up on a client that
 * talks early, and any server on one whose input goes on behind STARTTLS. Octet by octet it does
 * not; what follows counts as decrypted then, and the cut that lets TLS begin is among the others.
 */
void fuzz_dialogue_run(struct session_trace *trace, const struct trace_setup *setup,
                       struct bytes input);
