/*
 * load_samples -- every single message in a file: when it was due, started and ended, and how.
 *
 * A file named *.csv gets lines with a header, any other 32 octets a message, in this machine's
 * byte order: int64 due, start, end; uint32 octets of the body; uint16 worker; uint16 outcome (the
 * place of its name in LOAD_OUTCOMES). Times are ns since the measured time began, so the warm-up's
 * are negative. A message that never started has its end for its start.
 *
 * Owns:       file and lock (load_samples); one worker's buffer (load_samples_buffer), allocated
 *             at open.
 * Errors:     the first write that fails is kept for close; later messages are left out.
 * Thread:     any number of buffers, each of one thread, may put into the same file.
 */
#pragma once

#include "base/check.h"
#include "loadgen/load_tally.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_SAMPLES_BUFFER_SIZE (256u << 10)

struct load_sample {
    int64_t due_ns;
    int64_t start_ns;
    int64_t end_ns;
    uint32_t size;
    uint16_t worker;
    uint16_t outcome;
};

static_assert(sizeof(struct load_sample) == 32, "as the file's readers know it");

struct load_samples {
    pthread_mutex_t lock;
    int file;
    int error; /* errno of the first failed write, or 0 */
    bool is_csv;
};

struct load_samples_buffer {
    struct load_samples *samples; /* NULL: none are kept */
    uint8_t *octets;
    uint32_t size;
};

/* Creates or empties `path`: 0 or -errno. */
MUST_USE int load_samples_open(struct load_samples *samples, const char *path);

/* 0, or the -errno of the first thing that failed: then the file is not whole. */
MUST_USE int load_samples_close(struct load_samples *samples);

/* `samples` may be NULL: nothing is kept then. 0 or -ENOMEM. */
MUST_USE int load_samples_buffer_open(struct load_samples_buffer *buffer,
                                      struct load_samples *samples);
void load_samples_buffer_close(struct load_samples_buffer *buffer);

void load_samples_put(struct load_samples_buffer *buffer, const struct load_sample *sample);
