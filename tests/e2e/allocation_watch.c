/*
 * A library to preload: counts what each thread with a ring allocates from its first wait to its
 * last, by jemalloc's own counter. At the process's end a line of JSON goes to the file named by
 * ALLOCATION_FILE. With ALLOCATION_EVERY=N such a thread allocates at every Nth wait, and keeps
 * count of that itself: to the octet it must be in what jemalloc counted.
 */
#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 256
/* One of jemalloc's size classes, so not rounded up. */
#define CONTROL_SIZE 128

struct watched {
    const uint64_t *allocated; /* jemalloc's, of this thread: octets, freed or not */
    uint64_t before;           /* the first wait */
    _Atomic uint64_t grown;    /* since then */
    _Atomic uint64_t on_purpose;
    _Atomic uint64_t waits;
};

static struct watched threads[THREADS_MAX];
static _Atomic uint32_t thread_count;
static _Thread_local struct watched *mine;
static uint64_t control_every;

/* jemalloc's, which the server is linked with; absent with another allocator. */
__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_size, void *new_value,
                                  size_t new_size);

__attribute__((constructor)) static void begin(void)
{
    const char *every = getenv("ALLOCATION_EVERY");
    control_every = every == NULL ? 0 : strtoull(every, NULL, 10);
}

static struct watched *watch(void)
{
    size_t size = sizeof(mine->allocated);
    uint32_t index = atomic_fetch_add(&thread_count, 1);
    if (index >= THREADS_MAX || mallctl == NULL) abort();
    struct watched *watched = &threads[index];
    if (mallctl("thread.allocatedp", (void *)&watched->allocated, &size, NULL, 0) != 0) abort();
    watched->before = *watched->allocated;
    return watched;
}

static void allocate_on_purpose(void)
{
    void *volatile block = malloc(CONTROL_SIZE);
    free(block);
    atomic_fetch_add(&mine->on_purpose, CONTROL_SIZE);
}

static void look(void)
{
    if (mine == NULL) mine = watch();
    uint64_t waits = atomic_fetch_add(&mine->waits, 1) + 1;
    if (control_every > 0 && waits % control_every == 0) allocate_on_purpose();
    atomic_store(&mine->grown, *mine->allocated - mine->before);
}

/* Instead of liburing's. */
int io_uring_enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags,
                    sigset_t *sig, size_t sz)
{
    look();
    long result = syscall(SYS_io_uring_enter, fd, to_submit, min_complete, flags, sig, sz);
    return result < 0 ? -errno : (int)result;
}

__attribute__((destructor)) static void tell(void)
{
    const char *name = getenv("ALLOCATION_FILE");
    uint32_t count = atomic_load(&thread_count);
    uint64_t before = 0;
    uint64_t grown = 0;
    uint64_t on_purpose = 0;
    uint64_t waits = 0;
    FILE *file = name == NULL ? NULL : fopen(name, "w");
    if (file == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        before += threads[i].before;
        grown += atomic_load(&threads[i].grown);
        on_purpose += atomic_load(&threads[i].on_purpose);
        waits += atomic_load(&threads[i].waits);
    }
    (void)fprintf(file,
                  "{\"threads\": %u, \"waits\": %llu, \"allocated_before\": %llu, "
                  "\"allocated\": %llu, \"on_purpose\": %llu}\n",
                  count, (unsigned long long)waits, (unsigned long long)before,
                  (unsigned long long)grown, (unsigned long long)on_purpose);
    (void)fclose(file);
}
