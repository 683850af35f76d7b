#include "spool/spool_place.h"

#include "spool/spool_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS_WRITE (S_IWGRP | S_IWOTH)

/* `path` without slashes at its end, so that O_NOFOLLOW sees its last component. */
static int path_set(char *used, const char *path)
{
    uint64_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    if (size == 0) return -ENOENT;
    if (size >= SPOOL_PATH_MAX) return -ENAMETOOLONG;
    memcpy(used, path, size);
    used[size] = '\0';
    return 0;
}

static int path_append(char *used, const char *name)
{
    uint64_t size = strlen(used);
    if (size + 1 + strlen(name) >= SPOOL_PATH_MAX) return -ENAMETOOLONG;
    (void)snprintf(used + size, SPOOL_PATH_MAX - size, "/%s", name);
    return 0;
}

static void own_name(char *out, uint64_t size)
{
    (void)snprintf(out, size, "ringsink-%u", (unsigned)geteuid());
}

/* Others can write in `parent`: our own directory in it. Its descriptor or -errno. */
static int own_open(char *used, int parent)
{
    char name[32];
    struct stat status;

    own_name(name, sizeof(name));
    if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST) return -errno;
    int folder = spool_folder_open(parent, name);
    if (folder < 0) return folder;
    int error = fstat(folder, &status) < 0 ? -errno : 0;
    if (error == 0 && (status.st_mode & OTHERS_WRITE) != 0) error = -EPERM;
    if (error == 0) error = path_append(used, name);
    if (error == 0) return folder;
    close(folder);
    return error;
}

/* The directory that is used for that path. Its descriptor or -errno. */
static int top_open(char *used)
{
    struct stat status;

    if (mkdir(used, 0700) < 0 && errno != EEXIST) return -errno;
    int folder = open(used, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) return -errno;
    int own = -EPERM;
    if (fstat(folder, &status) < 0)
        own = -errno;
    else if ((status.st_mode & OTHERS_WRITE) != 0)
        own = own_open(used, folder);
    else if (status.st_uid == geteuid())
        return folder;
    close(folder);
    return own;
}

int spool_place_make(char *used, const char *path)
{
    int error = path_set(used, path);
    return error < 0 ? error : top_open(used);
}

/* An OFD lock, like flock's bound to the descriptor, but others can ask for it without taking it.
 */
int spool_place_lock(int folder)
{
    struct stat status;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    int file = openat(folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (file < 0) return -errno;
    int error = fstat(file, &status) < 0 ? -errno : 0;
    if (error == 0 && (status.st_uid != geteuid() || !S_ISREG(status.st_mode))) error = -EPERM;
    if (error == 0 && fcntl(file, F_OFD_SETLK, &lock) < 0)
        error = errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
    if (error == 0) return file;
    close(file);
    return error;
}

/* It has a server's lock file, or at least one worker's folder. */
static bool is_spool(int folder)
{
    struct stat status;
    char name[SPOOL_FOLDER_NAME_SIZE];

    if (fstatat(folder, "lock", &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
        return true;
    for (uint32_t worker = 0; worker < SPOOL_WORKERS_MAX; worker++) {
        spool_folder_name(name, worker);
        if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
            return true;
    }
    return false;
}

int spool_place_find(char *used, const char *path)
{
    char name[32];

    int error = path_set(used, path);
    if (error < 0) return error;
    int top = open(used, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0) return -errno;
    if (is_spool(top)) return top;
    own_name(name, sizeof(name));
    int own = spool_folder_open(top, name);
    close(top);
    if (own < 0) return own == -EPERM ? own : -ENOENT;
    error = is_spool(own) ? path_append(used, name) : -ENOENT;
    if (error == 0) return own;
    close(own);
    return error;
}

bool spool_place_is_locked(int folder)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    int file = openat(folder, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return false;
    bool is_locked = fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(file);
    return is_locked;
}
