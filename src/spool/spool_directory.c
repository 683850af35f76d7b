#include "spool/spool_directory.h"

#include "base/clock.h"
#include "spool/spool_folder.h"
#include "spool/spool_format.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; glibc knows it from 2.35 */
#endif

#define POPULATE_PIECE (4u << 20)

static int result_of(int system_result)
{
    return system_result < 0 ? -errno : system_result;
}

static int worker_folder_open(const struct spool_directory *directory, uint32_t worker)
{
    char name[SPOOL_FOLDER_NAME_SIZE];
    spool_folder_name(name, worker);
    return openat(directory->folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The same, made if it is missing. Its name is synced in any case: who made it may have died before
 * that. */
static int worker_folder_make(const struct spool_directory *directory, uint32_t worker)
{
    char name[SPOOL_FOLDER_NAME_SIZE];
    spool_folder_name(name, worker);
    if (mkdirat(directory->folder, name, 0700) < 0 && errno != EEXIST) return -errno;
    if (directory->is_synced && fsync(directory->folder) < 0) return -errno;
    return spool_folder_open(directory->folder, name);
}

/* --- opening ---------------------------------------------------------------------------------- */

int spool_directory_open(struct spool_directory *directory, const char *path)
{
    *directory = (struct spool_directory){.folder = -1, .lock = -1};
    directory->folder = spool_place_make(directory->path, path);
    if (directory->folder < 0) return directory->folder;
    directory->lock = spool_place_lock(directory->folder);
    if (directory->lock >= 0) return 0;
    int error = directory->lock;
    spool_directory_close(directory);
    return error;
}

/* Whether this run made it or one that synced nothing: its parent's entry is synced in any case. */
int spool_directory_begin_syncing(struct spool_directory *directory)
{
    directory->is_synced = true;
    int parent = openat(directory->folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 && errno == EACCES) return result_of(syncfs(directory->folder));
    if (parent < 0) return -errno;
    int error = result_of(fsync(parent));
    close(parent);
    return error;
}

int spool_directory_open_to_read(struct spool_directory *directory, const char *path)
{
    *directory = (struct spool_directory){.folder = -1, .lock = -1};
    directory->folder = spool_place_find(directory->path, path);
    return directory->folder < 0 ? directory->folder : 0;
}

void spool_directory_close(struct spool_directory *directory)
{
    while (directory->kept.count > 0)
        spool_mappings_drop(&directory->kept, 0);
    if (directory->folder >= 0) close(directory->folder);
    if (directory->lock >= 0) close(directory->lock);
    directory->folder = -1;
    directory->lock = -1;
}

bool spool_directory_is_locked(const struct spool_directory *directory)
{
    return directory->lock >= 0 || spool_place_is_locked(directory->folder);
}

bool spool_directory_is_volatile(const struct spool_directory *directory)
{
    struct statfs status;
    if (fstatfs(directory->folder, &status) < 0) return false;
    return status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC;
}

uint64_t spool_directory_free_bytes(const struct spool_directory *directory)
{
    struct statvfs status;
    if (fstatvfs(directory->folder, &status) < 0) return 0;
    return (uint64_t)status.f_bavail * status.f_frsize;
}

int64_t spool_directory_list(const struct spool_directory *directory, struct spool_file **files)
{
    struct spool_listing list = {0};
    int64_t result = 0;

    for (uint32_t worker = 0; worker < SPOOL_WORKERS_MAX && result == 0; worker++) {
        int folder = worker_folder_open(directory, worker);
        if (folder < 0) {
            result = errno == ENOENT || errno == ELOOP || errno == ENOTDIR ? 0 : -errno;
            continue;
        }
        result = spool_listing_add_folder(&list, folder, worker);
        close(folder);
    }
    if (result == 0) result = spool_listing_finish(&list, files);
    if (result < 0) spool_listing_give_up(&list);
    return result;
}

/* --- making segments -------------------------------------------------------------------------- */

/* Where the file system can't, populating the pages does it, or says that it can't be done. */
static int file_allocate(int file, uint64_t size)
{
    int result;
    do
        result = fallocate(file, 0, 0, (off_t)size);
    while (result < 0 && errno == EINTR);
    return result < 0 && errno != EOPNOTSUPP ? -errno : 0;
}

/* Every page can be written without a fault from here on; what a fault would have been is an errno.
 */
static int pages_populate(const struct spool_directory *directory, uint8_t *base, uint64_t size)
{
    /* Small folios where it syncs, which write-protects whole ones; larger ones are cheaper to
     * make. */
    if (directory->is_synced) (void)madvise(base, size, MADV_RANDOM);
    for (uint64_t done = 0; done < size;) {
        uint64_t piece = size - done < POPULATE_PIECE ? size - done : POPULATE_PIECE;
        if (madvise(base + done, piece, MADV_POPULATE_WRITE) == 0)
            done += piece;
        else if (errno == EFAULT) /* would be SIGBUS: no room for the page, or a dying disk */
            return spool_directory_free_bytes(directory) < size ? -ENOSPC : -EIO;
        else if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
    return 0;
}

static int header_write(int file, struct spool_format_segment *header)
{
    uint8_t page[SPOOL_SEGMENT_HEADER_SIZE];

    if (getrandom(&header->salt, sizeof(header->salt), 0) != (ssize_t)sizeof(header->salt))
        return -EIO;
    spool_format_put_segment(page, header);
    ssize_t written = pwrite(file, page, sizeof(page), 0);
    if (written < 0) return -errno;
    return written == (ssize_t)sizeof(page) ? 0 : -ENOSPC;
}

static int file_sync(const struct spool_directory *directory, int file, int folder)
{
    if (!directory->is_synced) return 0;
    if (fdatasync(file) < 0) return -errno;
    return result_of(fsync(folder));
}

/* Its old mapping, or a new one; NULL and errno. */
static uint8_t *file_map(struct spool_directory *directory, int file, uint64_t size)
{
    uint8_t *base = spool_mappings_take(&directory->kept, file, size);
    if (base != NULL) return base;
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return base == MAP_FAILED ? NULL : base;
}

/*
 * Turns the open, named `file` into a segment. Its header is written before anything else in it
 * changes, so that whoever reads its earlier life can tell.
 */
static int segment_make(struct spool_directory *directory, int file, int folder,
                        struct spool_format_segment *header, struct spool_segment *segment)
{
    uint64_t size = header->capacity;
    int error = header_write(file, header);
    if (error == 0) error = result_of(ftruncate(file, (off_t)size));
    if (error == 0) error = file_allocate(file, size);
    if (error == 0) error = file_sync(directory, file, folder);
    if (error < 0) return error;
    uint8_t *base = file_map(directory, file, size);
    if (base == NULL) return -errno;
    error = pages_populate(directory, base, size);
    if (error < 0) {
        munmap(base, size);
        return error;
    }
    spool_segment_init(segment, base, file, header);
    return 0;
}

static struct spool_format_segment header_of(uint32_t worker, uint64_t number, uint64_t size,
                                             uint64_t now_ns)
{
    CHECK(number > 0);
    CHECK(size >= SPOOL_SEGMENT_SIZE_MIN);
    CHECK(size <= SPOOL_SEGMENT_SIZE_MAX);
    CHECK(size % SPOOL_SEGMENT_HEADER_SIZE == 0);
    return (struct spool_format_segment){
        .worker = worker, .number = number, .capacity = size, .created_ns = now_ns};
}

/* A new file; nothing is left behind where it fails. */
static int segment_create(struct spool_directory *directory, int folder,
                          struct spool_format_segment *header, struct spool_segment *segment)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];

    int error = spool_folder_reserve(folder, directory->is_synced);
    if (error < 0) return error;
    spool_folder_segment_name(name, header->number);
    int file = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return -errno;
    error = segment_make(directory, file, folder, header, segment);
    if (error == 0) return 0;
    (void)unlinkat(folder, name, 0);
    close(file);
    return error;
}

int spool_directory_create(struct spool_directory *directory, struct spool_segment *segment,
                           uint32_t worker, uint64_t number, uint64_t size, uint64_t now_ns)
{
    struct spool_format_segment header = header_of(worker, number, size, now_ns);

    int folder = worker_folder_make(directory, worker);
    if (folder < 0) return folder;
    int error = segment_create(directory, folder, &header, segment);
    close(folder);
    return error;
}

/* When the folder's log went on behind `number`, or now: a bound for what a crash left unsealed. */
static uint64_t successor_opened_ns(int folder, uint32_t worker, uint64_t number)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    uint64_t earliest_ns = clock_realtime_ns();
    uint64_t other = 0;

    DIR *stream = spool_folder_stream(folder);
    while (stream != NULL && spool_folder_next(stream, &other)) {
        struct spool_file file = {.worker = worker, .number = other};
        spool_folder_segment_name(name, other);
        if (other > number) spool_listing_read_header(folder, name, &file);
        if (file.opened_ns != 0 && file.opened_ns < earliest_ns) earliest_ns = file.opened_ns;
    }
    if (stream != NULL) closedir(stream);
    return earliest_ns;
}

/* It says that it was begun, or has records all the same: a power cut can take the sector with the
 * marks. */
static bool is_begun(int folder, const char *name, const struct spool_file *file)
{
    uint8_t page[SPOOL_SEGMENT_HEADER_SIZE];
    struct spool_format_segment header;
    struct spool_format_record record;

    if (file->opened_ns != 0) return true;
    int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return false;
    bool is_read =
        pread(descriptor, page, sizeof(page), 0) == (ssize_t)sizeof(page) &&
        pread(descriptor, &record, sizeof(record), sizeof(page)) == (ssize_t)sizeof(record);
    close(descriptor);
    return is_read && spool_format_get_segment(page, &header) && header.number == file->number &&
           record.magic == spool_format_record_magic(header.salt);
}

/* Which messages leave with it? All that were committed until it was sealed, or the log went on
 * elsewhere. */
static uint64_t segment_freed_ns(int folder, uint32_t worker, uint64_t number)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    struct spool_file file = {.worker = worker, .number = number};

    spool_folder_segment_name(name, number);
    spool_listing_read_header(folder, name, &file);
    if (file.is_sealed) return file.sealed_ns;
    return is_begun(folder, name, &file) ? successor_opened_ns(folder, worker, number) : 0;
}

static bool is_out_of_space(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

/* Removes a segment file, its part on record before that. */
static int segment_remove(const struct spool_directory *directory, int folder, uint32_t worker,
                          uint64_t number)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    uint64_t freed_ns = segment_freed_ns(folder, worker, number);

    spool_folder_segment_name(name, number);
    int error = spool_folder_remember(folder, number, freed_ns, directory->is_synced);
    if (error < 0 && !is_out_of_space(error)) return error;
    if (unlinkat(folder, name, 0) < 0) return -errno;
    if (error == 0) return 0;
    /* A full file system that writes nothing in place: it has room behind the removal only, and
     * that may have to be on the disk before. */
    error = spool_folder_remember(folder, number, freed_ns, directory->is_synced);
    if (!is_out_of_space(error)) return error;
    (void)syncfs(folder);
    return spool_folder_remember(folder, number, freed_ns, directory->is_synced);
}

/* Opens an old segment file that is ours, to be written to. */
static int old_open(int folder, const char *name)
{
    struct stat status;
    int file = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return -errno;
    int error = fstat(file, &status) < 0 ? -errno : 0;
    if (error == 0 && (status.st_uid != geteuid() || !S_ISREG(status.st_mode))) error = -EPERM;
    if (error == 0) return file;
    close(file);
    return error;
}

static int rename_new(int old_folder, const char *old_name, int new_folder, const char *new_name)
{
    if (renameat2(old_folder, old_name, new_folder, new_name, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL) return -errno;
    if (faccessat(new_folder, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return -EEXIST;
    return result_of(renameat(old_folder, old_name, new_folder, new_name));
}

/* Made out of the open, old `file`, which has got its new name. */
static int segment_remake(struct spool_directory *directory, int file, int folder,
                          struct spool_format_segment *header, struct spool_segment *segment)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];

    int error = segment_make(directory, file, folder, header, segment);
    if (error == 0) return 0;
    /* Its number was never handed out, so it need not be remembered. */
    spool_folder_segment_name(name, header->number);
    (void)unlinkat(folder, name, 0);
    close(file);
    return error;
}

static bool is_longer(int file, uint64_t size)
{
    struct stat status;
    return fstat(file, &status) == 0 && (uint64_t)status.st_size > size;
}

/* From the rename, or the removal, on the messages are gone: any failure then frees the file. */
static int recycle_file(struct spool_directory *directory, const struct spool_file *old,
                        int old_folder, int new_folder, struct spool_format_segment *header,
                        struct spool_segment *segment)
{
    char old_name[SPOOL_SEGMENT_NAME_SIZE];
    char new_name[SPOOL_SEGMENT_NAME_SIZE];

    spool_folder_segment_name(old_name, old->number);
    spool_folder_segment_name(new_name, header->number);
    int file = old_open(old_folder, old_name);
    if (file < 0) return file;
    uint64_t freed_ns = segment_freed_ns(old_folder, old->worker, old->number);
    int error = spool_folder_remember(old_folder, old->number, freed_ns, directory->is_synced);
    /* Cutting a file would be SIGBUS for who reads it: they keep it, and a new one is made. */
    bool must_replace = is_out_of_space(error) || is_longer(file, header->capacity);
    if (error == 0 && !must_replace) {
        error = rename_new(old_folder, old_name, new_folder, new_name);
        if (error == 0) return segment_remake(directory, file, new_folder, header, segment);
        must_replace = is_out_of_space(error); /* the folder has no room for one name more */
    }
    close(file);
    if (!must_replace) return error;
    error = segment_remove(directory, old_folder, old->worker, old->number);
    spool_directory_forget_gone(directory);
    return error == 0 ? segment_create(directory, new_folder, header, segment) : error;
}

int spool_directory_recycle(struct spool_directory *directory, const struct spool_file *old,
                            struct spool_segment *segment, uint32_t worker, uint64_t number,
                            uint64_t size, uint64_t now_ns)
{
    struct spool_format_segment header = header_of(worker, number, size, now_ns);

    if (old->is_empty) return -ENOENT;
    int old_folder = worker_folder_open(directory, old->worker);
    if (old_folder < 0) return -errno;
    int new_folder = worker_folder_make(directory, worker);
    int error = new_folder;
    if (new_folder >= 0) {
        error = spool_folder_reserve(new_folder, directory->is_synced);
        /* Without room for it, segments will leave before it is remembered. */
        if (error == 0 || is_out_of_space(error))
            error = recycle_file(directory, old, old_folder, new_folder, &header, segment);
        close(new_folder);
    }
    close(old_folder);
    return error;
}

void spool_directory_release(struct spool_segment *segment)
{
    if (segment->base != NULL) munmap(segment->base, segment->capacity);
    if (segment->file >= 0) close(segment->file);
    segment->base = NULL;
    segment->file = -1;
}

void spool_directory_retire(struct spool_directory *directory, struct spool_segment *segment)
{
    if (segment->base != NULL) spool_mappings_put(&directory->kept, segment);
    spool_directory_release(segment);
}

void spool_directory_forget_gone(struct spool_directory *directory)
{
    for (uint32_t i = directory->kept.count; i-- > 0;) {
        const struct spool_mapping *kept = &directory->kept.items[i];
        struct spool_file file = {.worker = kept->worker, .number = kept->number};
        if (!spool_directory_has(directory, &file)) spool_mappings_drop(&directory->kept, i);
    }
}

/* The same by the folder's number. */
static int number_remove(const struct spool_directory *directory, uint32_t worker, uint64_t number)
{
    int folder = worker_folder_open(directory, worker);
    if (folder < 0) return -errno;
    int error = segment_remove(directory, folder, worker, number);
    close(folder);
    return error;
}

static int file_seal(const struct spool_directory *directory, int descriptor,
                     const struct spool_file *file, uint64_t salt, struct spool_format_mark mark)
{
    uint8_t page[SPOOL_SEGMENT_HEADER_SIZE];
    struct spool_format_segment header;

    ssize_t size = pread(descriptor, page, sizeof(page), 0);
    if (size < 0) return -errno;
    if (size != (ssize_t)sizeof(page) || !spool_format_get_segment(page, &header)) return -ENOENT;
    if (header.number != file->number || header.worker != file->worker || header.salt != salt)
        return -ENOENT;
    spool_format_put_mark(page, SPOOL_MARK_SEALED, salt, mark);
    size = pwrite(descriptor, page + SPOOL_MARK_SEALED, sizeof(mark), SPOOL_MARK_SEALED);
    if (size != (ssize_t)sizeof(mark)) return size < 0 ? -errno : -EIO;
    return directory->is_synced ? result_of(fdatasync(descriptor)) : 0;
}

int spool_directory_seal(const struct spool_directory *directory, const struct spool_file *file,
                         uint64_t salt, struct spool_format_mark mark)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];

    CHECK(!file->is_empty);
    int folder = worker_folder_open(directory, file->worker);
    if (folder < 0) return -errno;
    spool_folder_segment_name(name, file->number);
    int descriptor = old_open(folder, name);
    close(folder);
    if (descriptor < 0) return descriptor;
    int error = file_seal(directory, descriptor, file, salt, mark);
    close(descriptor);
    return error;
}

void spool_directory_populate(const struct spool_segment *segment)
{
    /* Where it fails, the writer finds out by itself (SIGBUS). */
    (void)madvise(segment->base, segment->capacity, MADV_POPULATE_WRITE);
}

bool spool_directory_has(const struct spool_directory *directory, const struct spool_file *file)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];
    int folder = worker_folder_open(directory, file->worker);
    if (folder < 0) return errno != ENOENT;
    spool_folder_segment_name(name, file->number);
    bool is_there = faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
    close(folder);
    return is_there;
}

void spool_directory_withdraw(struct spool_directory *directory, struct spool_segment *segment)
{
    (void)number_remove(directory, segment->worker, segment->number);
    spool_directory_release(segment);
}

int spool_directory_trim(struct spool_directory *directory, const struct spool_file *file)
{
    if (file->is_empty) return 0;
    return number_remove(directory, file->worker, file->number);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int descriptor_map(int descriptor, const struct spool_file *file, const uint8_t **base,
                          uint64_t *size)
{
    struct stat status;
    struct spool_format_segment header;

    if (fstat(descriptor, &status) < 0) return -errno;
    if (status.st_size == 0) return -ENOENT; /* a crash while it was being made */
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size < SPOOL_SEGMENT_HEADER_SIZE)
        return -EBADMSG;
    *size = (uint64_t)status.st_size;
    void *mapping = mmap(NULL, *size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapping == MAP_FAILED) return -errno;
    (void)madvise(mapping, *size, MADV_SEQUENTIAL);
    *base = mapping;
    int error = spool_format_get_segment(*base, &header) ? 0 : -EBADMSG;
    if (error == 0 && (header.number != file->number || header.worker != file->worker))
        error = -ENOENT;
    if (error < 0) munmap(mapping, *size);
    return error;
}

int spool_directory_map(const struct spool_directory *directory, const struct spool_file *file,
                        const uint8_t **base, uint64_t *size)
{
    char name[SPOOL_SEGMENT_NAME_SIZE];

    if (file->is_empty) return -ENOENT;
    int folder = worker_folder_open(directory, file->worker);
    if (folder < 0) return -errno;
    spool_folder_segment_name(name, file->number);
    int descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int error = descriptor < 0 ? -errno : 0;
    close(folder);
    if (error < 0) return error;
    error = descriptor_map(descriptor, file, base, size);
    close(descriptor);
    return error;
}

void spool_directory_unmap(const uint8_t *base, uint64_t size)
{
    munmap((void *)(uintptr_t)base, size);
}
