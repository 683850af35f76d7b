#include "loadgen/load_ledger.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The caller holds the lock, or is alone. */
static void write_whole(struct load_ledger *ledger, struct bytes data)
{
    while (data.size > 0 && ledger->error == 0) {
        ssize_t written = write(ledger->file, data.data, data.size);
        if (written >= 0)
            (void)bytes_take(&data, (uint64_t)written);
        else if (errno != EINTR)
            ledger->error = errno;
    }
}

int load_ledger_open(struct load_ledger *ledger, const char *path, uint64_t run)
{
    uint8_t line[LEDGER_LINE_MAX];
    struct ledger_start start = {.run = run, .boot = boot_id_read(), .clock_ns = clock_offset_ns()};

    *ledger = (struct load_ledger){.run = run};
    ledger->file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (ledger->file < 0) return -errno;
    write_whole(ledger, bytes_make(line, ledger_put_start(line, &start)));
    if (ledger->error != 0) {
        (void)close(ledger->file);
        return -ledger->error;
    }
    CHECK(pthread_mutex_init(&ledger->lock, NULL) == 0);
    return 0;
}

int load_ledger_close(struct load_ledger *ledger)
{
    uint8_t line[LEDGER_LINE_MAX];

    write_whole(ledger, bytes_make(line, ledger_put_end(line, clock_offset_ns())));
    if (close(ledger->file) < 0 && ledger->error == 0) ledger->error = errno;
    CHECK(pthread_mutex_destroy(&ledger->lock) == 0);
    return -ledger->error;
}

int load_ledger_buffer_open(struct load_ledger_buffer *buffer, struct load_ledger *ledger)
{
    *buffer = (struct load_ledger_buffer){.ledger = ledger};
    if (ledger == NULL) return 0;
    buffer->octets = malloc(LOAD_LEDGER_BUFFER_SIZE);
    return buffer->octets == NULL ? -ENOMEM : 0;
}

static void flush(struct load_ledger_buffer *buffer)
{
    CHECK(pthread_mutex_lock(&buffer->ledger->lock) == 0);
    write_whole(buffer->ledger, bytes_make(buffer->octets, buffer->size));
    CHECK(pthread_mutex_unlock(&buffer->ledger->lock) == 0);
    buffer->size = 0;
}

void load_ledger_buffer_close(struct load_ledger_buffer *buffer)
{
    if (buffer->ledger != NULL && buffer->size > 0) flush(buffer);
    free(buffer->octets);
    *buffer = (struct load_ledger_buffer){0};
}

void load_ledger_put(struct load_ledger_buffer *buffer, const struct ledger_entry *entry)
{
    if (buffer->ledger == NULL) return;
    if (buffer->size + LEDGER_LINE_MAX > LOAD_LEDGER_BUFFER_SIZE) flush(buffer);
    buffer->size += ledger_put_entry(buffer->octets + buffer->size, entry);
    CHECK(buffer->size <= LOAD_LEDGER_BUFFER_SIZE);
}
