/*
 * counters -- what one worker counts, and every way a connection ends.
 *
 * `pipelined` is one that got the replies to several commands in one send: who waits for each reply
 * never does. It counts from its first such send; commands that came singly over a slow line, and
 * one command behind a final dot, are not seen. `chunked` counts what was committed, also if its
 * 250 was revoked by a failed sync.
 *
 * Thread:     one worker adds, any thread reads: relaxed loads and stores, never a locked
 * instruction.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* name, is an error, sentence: the list is the enum, the counters and the log lines. */
#define CLOSE_REASONS(X)                                                                           \
    X(QUIT, false, "client sent QUIT")                                                             \
    X(PEER_CLOSED, false, "client closed between transactions")                                    \
    X(PEER_GONE, true, "client closed or reset in mid-transaction")                                \
    X(IDLE, true, "client was silent past the idle timeout")                                       \
    X(TOO_SLOW, true, "client took too long over one command or message")                          \
    X(TOO_MANY_BAD, true, "client sent too many bad commands")                                     \
    X(WRONG_PROTOCOL, true, "client does not speak SMTP")                                          \
    X(LOST_SYNC, true, "client sent a BDAT whose size can't be read")                              \
    X(TOO_MUCH, true, "client sent content far past the size limit")                               \
    X(EARLY_TALK, true, "client did not wait for a reply where it must")                           \
    X(INJECTED, true, "client sent plaintext behind STARTTLS")                                     \
    X(HELD_TOO_MUCH, true, "client pipelined more than may be held while it reads no replies")     \
    X(SEND_FAILED, true, "a reply could not be sent")                                              \
    X(RECEIVE_FAILED, true, "receiving failed")                                                    \
    X(TLS_FAILED, true, "TLS failed: no handshake, or a record that does not hold")                \
    X(TLS_SLOW, true, "client took too long over the TLS handshake")                               \
    X(NO_TLS, true, "memory for TLS was used up")                                                  \
    X(SHUTDOWN, false, "server is draining")

enum close_reason {
    CLOSE_NONE,
#define CLOSE_REASON_ENUM(name, is_error, sentence) CLOSE_##name,
    CLOSE_REASONS(CLOSE_REASON_ENUM)
#undef CLOSE_REASON_ENUM
        CLOSE_REASON_COUNT,
};

#define COUNTERS(X)                                                                                \
    X(accepted, "connections accepted")                                                            \
    X(closed, "connections closed")                                                                \
    X(refused_full, "connections answered 421: the limit was reached")                             \
    X(refused_descriptors, "connections answered 421: no descriptor was left")                     \
    X(pipelined, "connections that pipelined commands")                                            \
    X(messages, "messages answered 250")                                                           \
    X(recipients, "recipients of those messages")                                                  \
    X(content_bytes, "octets of content received")                                                 \
    X(chunked, "messages that came by BDAT")                                                       \
    X(aborted, "transactions dropped before their end")                                            \
    X(refused_space, "452: the spool is full")                                                     \
    X(refused_memory, "452: envelope memory used up")                                              \
    X(failed, "451: the message could not be kept")                                                \
    X(run_ons, "times input stood behind a refused DATA and was read as commands")                 \
    X(tls_handshakes, "TLS handshakes")                                                            \
    X(tls_resumed, "of these resumed")                                                             \
    X(tls_waits, "TLS handshakes that waited for their turn")                                      \
    X(syncs, "syncs completed")                                                                    \
    X(segment_waits, "times the worker waited for a segment")                                      \
    X(input_pauses, "times input paused because replies were not read")                            \
    X(no_buffers, "receives ended because the buffers ran out")                                    \
    X(short_sends, "sends that took more than one turn")                                           \
    X(overflows, "times the completion queue was too short")

struct counters {
#define COUNTER_FIELD(name, sentence) _Atomic uint64_t name;
    COUNTERS(COUNTER_FIELD)
#undef COUNTER_FIELD
    _Atomic uint64_t close_reasons[CLOSE_REASON_COUNT];
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

static inline void counter_set(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Adds every counter of `from` to `into`. */
void counters_merge(struct counters *into, const struct counters *from);

const char *close_reason_sentence(enum close_reason reason);
bool close_reason_is_error(enum close_reason reason);

/* Writes the totals as a block of lines for eyes, only what is not zero, into `out`; returns it. */
#define COUNTERS_TEXT_MAX 4096
const char *counters_format(char *out, const struct counters *counters);
