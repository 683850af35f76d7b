#include "spool/spool_folder.h"

#include "base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define MEMORY_NAME   "freed"
#define MEMORY_SIZE   1024
#define SLOTS         2u
#define SLOT_SIZE     (MEMORY_SIZE / SLOTS) /* a sector: writing one can't hurt the other */
#define CHECKSUM_SEED 0x4445455246ull       /* "FREED"; zeros are no slot */

struct memory_slot {
    uint64_t newest;
    uint64_t freed_ns;
    uint64_t checksum; /* XXH3-64 of the 16 octets before it, seed CHECKSUM_SEED */
};
static_assert(sizeof(struct memory_slot) == 24, "stands on disk");

void spool_folder_name(char *out, uint32_t worker)
{
    CHECK(worker < 100);
    (void)snprintf(out, SPOOL_FOLDER_NAME_SIZE, "w%02u", worker);
}

void spool_folder_segment_name(char *out, uint64_t number)
{
    (void)snprintf(out, SPOOL_SEGMENT_NAME_SIZE, "%010llu.seg", (unsigned long long)number);
}

int spool_folder_open(int parent, const char *name)
{
    struct stat status;
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return -errno;
    int error = fstat(folder, &status) < 0 ? -errno : 0;
    if (error == 0 && status.st_uid != geteuid()) error = -EPERM;
    if (error == 0) return folder;
    close(folder);
    return error;
}

DIR *spool_folder_stream(int folder)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (stream == NULL && copy >= 0) close(copy);
    return stream;
}

/* Exactly what spool_folder_segment_name() writes; anything else is none of ours. */
static bool name_parse(const char *name, uint64_t *number)
{
    char again[SPOOL_SEGMENT_NAME_SIZE];
    struct bytes text = bytes_from_text(name);

    if (!bytes_to_number(bytes_take(&text, bytes_find(text, '.')), number)) return false;
    if (*number == 0) return false;
    spool_folder_segment_name(again, *number);
    return strcmp(again, name) == 0;
}

bool spool_folder_next(DIR *stream, uint64_t *number)
{
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL)
        if (name_parse(entry->d_name, number)) return true;
    return false;
}

static uint64_t slot_checksum(const struct memory_slot *slot)
{
    return XXH3_64bits_withSeed(slot, offsetof(struct memory_slot, checksum), CHECKSUM_SEED);
}

static bool slot_read(int file, uint32_t index, struct memory_slot *slot)
{
    ssize_t size = pread(file, slot, sizeof(*slot), (off_t)index * SLOT_SIZE);
    return size == (ssize_t)sizeof(*slot) && slot->checksum == slot_checksum(slot);
}

/* What the slots say together; `index` becomes that of the slot to be written next. */
static struct spool_folder_memory memory_read(int file, uint32_t *index)
{
    struct spool_folder_memory memory = {0};
    struct memory_slot slot;

    *index = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (!slot_read(file, i, &slot)) continue;
        /* Both only grow, so the slot that was written last has the more of each. */
        if (slot.newest >= memory.newest && slot.freed_ns >= memory.freed_ns) {
            memory = (struct spool_folder_memory){slot.newest, slot.freed_ns};
            *index = (i + 1) % SLOTS;
        }
    }
    return memory;
}

struct spool_folder_memory spool_folder_recall(int folder)
{
    struct spool_folder_memory memory = {0};
    uint32_t index = 0;

    int file = openat(folder, MEMORY_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return memory;
    memory = memory_read(file, &index);
    close(file);
    return memory;
}

/* Trimmed by root, the file must still be the server's to read. */
static int file_give_to_owner(int folder, int file)
{
    struct stat status;
    if (fstat(folder, &status) < 0) return -errno;
    if (status.st_uid == geteuid()) return 0;
    return fchown(file, status.st_uid, status.st_gid) < 0 ? -errno : 0;
}

/* Zeros up to its full size: from then on its blocks are there. */
static int memory_fill(int folder, int file, bool is_synced)
{
    static const uint8_t zeros[MEMORY_SIZE];
    struct stat status;

    if (fstat(file, &status) < 0) return -errno;
    if (status.st_size >= MEMORY_SIZE) return 0;
    uint64_t missing = MEMORY_SIZE - (uint64_t)status.st_size;
    ssize_t written = pwrite(file, zeros, missing, status.st_size);
    if (written != (ssize_t)missing) return written < 0 ? -errno : -ENOSPC;
    int error = file_give_to_owner(folder, file);
    if (error == 0 && is_synced && (fsync(file) < 0 || fsync(folder) < 0)) error = -errno;
    return error;
}

/* Its descriptor or -errno. */
static int memory_open(int folder, bool is_synced)
{
    int file =
        openat(folder, MEMORY_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file < 0) return -errno;
    int error = memory_fill(folder, file, is_synced);
    if (error == 0) return file;
    close(file);
    return error;
}

int spool_folder_reserve(int folder, bool is_synced)
{
    int file = memory_open(folder, is_synced);
    if (file >= 0) close(file);
    return file < 0 ? file : 0;
}

static int memory_write(int file, uint32_t index, struct spool_folder_memory memory, bool is_synced)
{
    struct memory_slot slot = {.newest = memory.newest, .freed_ns = memory.freed_ns};
    slot.checksum = slot_checksum(&slot);
    ssize_t written = pwrite(file, &slot, sizeof(slot), (off_t)index * SLOT_SIZE);
    if (written != (ssize_t)sizeof(slot)) return written < 0 ? -errno : -EIO;
    return is_synced && fdatasync(file) < 0 ? -errno : 0;
}

static int memory_update(int folder, uint64_t number, uint64_t freed_ns, bool is_synced)
{
    uint32_t index = 0;
    int file = memory_open(folder, is_synced);
    if (file < 0) return file;
    struct spool_folder_memory memory = memory_read(file, &index);
    bool is_news = number > memory.newest || freed_ns > memory.freed_ns;
    if (number > memory.newest) memory.newest = number;
    if (freed_ns > memory.freed_ns) memory.freed_ns = freed_ns;
    /* No news may be in memory only: who wrote it failed to sync it, or died before that. */
    int error = is_news || is_synced ? memory_write(file, index, memory, is_synced) : 0;
    close(file);
    return error;
}

int spool_folder_remember(int folder, uint64_t number, uint64_t freed_ns, bool is_synced)
{
    if (flock(folder, LOCK_EX) < 0) return -errno;
    int error = memory_update(folder, number, freed_ns, is_synced);
    (void)flock(folder, LOCK_UN);
    return error;
}
