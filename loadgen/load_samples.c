#include "loadgen/load_samples.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_SIZE 128u

static const char head[] = "due_ns,start_ns,end_ns,bytes,worker,outcome\n";

/* The caller holds the lock, or is alone. */
static void write_whole(struct load_samples *samples, struct bytes data)
{
    while (data.size > 0 && samples->error == 0) {
        ssize_t written = write(samples->file, data.data, data.size);
        if (written >= 0)
            (void)bytes_take(&data, (uint64_t)written);
        else if (errno != EINTR)
            samples->error = errno;
    }
}

static bool is_csv_name(const char *path)
{
    size_t size = strlen(path);
    return size >= 4 && strcmp(path + size - 4, ".csv") == 0;
}

int load_samples_open(struct load_samples *samples, const char *path)
{
    *samples = (struct load_samples){.is_csv = is_csv_name(path)};
    samples->file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (samples->file < 0) return -errno;
    if (samples->is_csv) write_whole(samples, bytes_from_text(head));
    if (samples->error != 0) {
        (void)close(samples->file);
        return -samples->error;
    }
    CHECK(pthread_mutex_init(&samples->lock, NULL) == 0);
    return 0;
}

int load_samples_close(struct load_samples *samples)
{
    if (close(samples->file) < 0 && samples->error == 0) samples->error = errno;
    CHECK(pthread_mutex_destroy(&samples->lock) == 0);
    return -samples->error;
}

int load_samples_buffer_open(struct load_samples_buffer *buffer, struct load_samples *samples)
{
    *buffer = (struct load_samples_buffer){.samples = samples};
    if (samples == NULL) return 0;
    buffer->octets = malloc(LOAD_SAMPLES_BUFFER_SIZE);
    return buffer->octets == NULL ? -ENOMEM : 0;
}

static void flush(struct load_samples_buffer *buffer)
{
    CHECK(pthread_mutex_lock(&buffer->samples->lock) == 0);
    write_whole(buffer->samples, bytes_make(buffer->octets, buffer->size));
    CHECK(pthread_mutex_unlock(&buffer->samples->lock) == 0);
    buffer->size = 0;
}

void load_samples_buffer_close(struct load_samples_buffer *buffer)
{
    if (buffer->samples != NULL && buffer->size > 0) flush(buffer);
    free(buffer->octets);
    *buffer = (struct load_samples_buffer){0};
}

static uint32_t put_number(uint8_t *out, int64_t number)
{
    uint32_t size = 0;
    if (number < 0) out[size++] = '-';
    size += bytes_put_number(out + size, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
    out[size++] = ',';
    return size;
}

static uint32_t put_line(uint8_t *out, const struct load_sample *sample)
{
    const char *name = load_outcome_name((enum load_outcome)sample->outcome);
    size_t name_size = strlen(name);
    uint32_t size = put_number(out, sample->due_ns);
    size += put_number(out + size, sample->start_ns);
    size += put_number(out + size, sample->end_ns);
    size += put_number(out + size, sample->size);
    size += put_number(out + size, sample->worker);
    memcpy(out + size, name, name_size);
    size += (uint32_t)name_size;
    out[size++] = '\n';
    return size;
}

void load_samples_put(struct load_samples_buffer *buffer, const struct load_sample *sample)
{
    if (buffer->samples == NULL) return;
    if (buffer->size + LINE_MAX_SIZE > LOAD_SAMPLES_BUFFER_SIZE) flush(buffer);
    uint8_t *out = buffer->octets + buffer->size;
    if (buffer->samples->is_csv) {
        buffer->size += put_line(out, sample);
    } else {
        memcpy(out, sample, sizeof *sample);
        buffer->size += sizeof *sample;
    }
    CHECK(buffer->size <= LOAD_SAMPLES_BUFFER_SIZE);
}
