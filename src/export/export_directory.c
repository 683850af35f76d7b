#include "export/export_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIRECTORY_MODE 0700
#define FILE_MODE      0600
/* With RESOLVE_BENEATH the kernel may ask to try again while others rename. */
#define TRIES_MAX 100

static int open_below(int directory, const char *name, int flags)
{
    struct open_how how = {
        .flags = (uint32_t)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) != 0 ? FILE_MODE : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    for (uint32_t i = 0; i < TRIES_MAX; i++) {
        long file = syscall(SYS_openat2, directory, name, &how, sizeof(how));
        if (file >= 0) return (int)file;
        if (errno != EAGAIN && errno != EINTR) return -errno;
    }
    return -EAGAIN;
}

int export_directory_open(const char *path)
{
    if (mkdir(path, DIRECTORY_MODE) < 0 && errno != EEXIST) return -errno;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 ? -errno : directory;
}

int export_directory_enter(int parent, const char *name)
{
    int directory = open_below(parent, name, O_RDONLY | O_DIRECTORY);

    if (directory != -ENOENT) return directory;
    if (mkdirat(parent, name, DIRECTORY_MODE) < 0 && errno != EEXIST) return -errno;
    return open_below(parent, name, O_RDONLY | O_DIRECTORY);
}

int export_directory_open_file(int directory, const char *name, int flags)
{
    return open_below(directory, name, flags | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
}

int export_directory_write(int file, struct bytes octets)
{
    while (octets.size > 0) {
        ssize_t written = write(file, octets.data, octets.size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return -errno;
        (void)bytes_take(&octets, (uint64_t)written);
    }
    return 0;
}

int export_directory_put_file(int directory, const char *name, struct bytes octets)
{
    int file = export_directory_open_file(directory, name, O_WRONLY | O_CREAT | O_EXCL);

    if (file < 0) return file;
    int error = export_directory_write(file, octets);
    if (close(file) < 0 && error == 0) error = -errno;
    if (error < 0) (void)unlinkat(directory, name, 0);
    return error;
}

int export_directory_move(int from, const char *name, int to, const char *final)
{
    if (renameat2(from, name, to, final, RENAME_NOREPLACE) == 0) return 0;
    return -errno;
}
