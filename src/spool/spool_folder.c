#include "spool/spool_folder.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_NAME     "freed"
#define MEMORY_NAME_NEW "freed.new"
#define MEMORY_SIZE_MAX 64

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

struct spool_folder_memory spool_folder_recall(int folder)
{
    struct spool_folder_memory memory = {0};
    uint8_t text[MEMORY_SIZE_MAX];

    int file = openat(folder, MEMORY_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return memory;
    ssize_t size = read(file, text, sizeof(text));
    close(file);
    if (size <= 0 || text[size - 1] != '\n') return memory;
    struct bytes rest = bytes_make(text, (uint64_t)size - 1);
    struct bytes newest = bytes_take(&rest, bytes_find(rest, ' '));
    if (rest.size == 0) return memory;
    (void)bytes_take(&rest, 1);
    if (!bytes_to_number(newest, &memory.newest) || !bytes_to_number(rest, &memory.freed_ns))
        memory = (struct spool_folder_memory){0};
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

/* Written anew under another name, then renamed: a crash leaves the old or the new. */
static int memory_write(int folder, struct spool_folder_memory memory, bool is_synced)
{
    char text[MEMORY_SIZE_MAX];
    int size = snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long)memory.newest,
                        (unsigned long long)memory.freed_ns);

    if (unlinkat(folder, MEMORY_NAME_NEW, 0) < 0 && errno != ENOENT) return -errno;
    int file =
        openat(folder, MEMORY_NAME_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return -errno;
    ssize_t written = write(file, text, (size_t)size);
    int error = written < 0 ? -errno : written == size ? 0 : -ENOSPC;
    if (error == 0) error = file_give_to_owner(folder, file);
    if (error == 0 && is_synced && fdatasync(file) < 0) error = -errno;
    close(file);
    if (error == 0 && renameat(folder, MEMORY_NAME_NEW, folder, MEMORY_NAME) < 0) error = -errno;
    if (error == 0 && is_synced && fsync(folder) < 0) error = -errno;
    return error;
}

int spool_folder_remember(int folder, uint64_t number, uint64_t freed_ns, bool is_synced)
{
    if (flock(folder, LOCK_EX) < 0) return -errno;
    struct spool_folder_memory memory = spool_folder_recall(folder);
    bool is_news = number > memory.newest || freed_ns > memory.freed_ns;
    if (number > memory.newest) memory.newest = number;
    if (freed_ns > memory.freed_ns) memory.freed_ns = freed_ns;
    int error = is_news ? memory_write(folder, memory, is_synced) : 0;
    (void)flock(folder, LOCK_UN);
    return error;
}
