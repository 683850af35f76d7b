/*
 * sim_directory -- spool/spool_directory.h on a disk that forgets.
 *
 * Each step of the real one is a step here, with a crash possible before it, and a failure of it.
 */
#include "sim_disk.h"
#include "sim_truth.h"
#include "sim_world.h"

#include "base/clock.h"
#include "spool/spool_directory.h"
#include "spool/spool_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FILES_MAX   64
#define NAMES_MAX   64
#define CHANGES_MAX 512
#define FREED_MAX   1024
#define SYNCS_MAX   4
#define PAGE        SPOOL_PAGE_SIZE
#define PAGES_MAX   256
#define SECTOR      512u
#define SPARE_MAX   64

struct image {
    uint8_t *octets;
    uint64_t used; /* zeroes from here on */
};

struct file {
    bool is_used;
    bool is_open; /* mapped for writing; `segment` is valid */
    const struct spool_segment *segment;
    struct image cache;
    struct image disk;
    uint64_t size; /* what the inode says, in memory and on the disk */
    uint64_t disk_size;
    uint32_t born;              /* life */
    uint64_t failed[PAGES_MAX]; /* hash of a page that could not be written, else 0 */
};

struct name {
    uint32_t worker;
    uint64_t number;
    uint32_t file;
};

struct memory {
    uint64_t newest;
    uint64_t freed_ns;
};

struct folders {
    struct name names[NAMES_MAX];
    uint32_t name_count;
    bool is_made[SPOOL_WORKERS_MAX];
    struct memory memories[SPOOL_WORKERS_MAX];
};

enum change_kind {
    CHANGE_MAKE,
    CHANGE_LINK,
    CHANGE_RENAME,
    CHANGE_UNLINK,
    CHANGE_FREED,
    CHANGE_SIZE
};

/* Something that the journal has yet to write. */
struct change {
    enum change_kind kind;
    uint32_t worker;
    uint64_t number;
    uint32_t to_worker;
    uint64_t to_number;
    uint32_t file;
    uint64_t size;
    struct memory memory;
};

struct disk {
    struct file files[FILES_MAX];
    struct folders now;
    struct folders durable;
    struct change changes[CHANGES_MAX];
    uint32_t change_count;
};

struct sync {
    bool is_out;
    uint32_t file;
    uint32_t first; /* page */
    uint32_t count;
    uint8_t *octets;
    bool is_taken[PAGES_MAX];
};

static struct disk disk;
static struct disk survivor;
static bool has_survivor;
static struct sync syncs[SYNCS_MAX];
static struct sim_disk_freed freed[FREED_MAX];
static uint32_t freed_count;
static struct image spare[SPARE_MAX];
static uint32_t spare_count;
static uint64_t last_no_space_ns;
static uint32_t sectors_to_spoil; /* by the power cut that happens */

/* ---- images ---- */

static struct image image_new(void)
{
    if (spare_count == 0) {
        struct image image = {.octets = calloc(1, (size_t)PAGES_MAX * PAGE)};
        CHECK(image.octets != NULL);
        return image;
    }
    struct image image = spare[--spare_count];
    memset(image.octets, 0, image.used);
    image.used = 0;
    return image;
}

static void image_free(struct image *image)
{
    if (image->octets == NULL) return;
    if (spare_count < SPARE_MAX)
        spare[spare_count++] = *image;
    else
        free(image->octets);
    *image = (struct image){0};
}

static void image_copy(struct image *to, const struct image *from)
{
    *to = image_new();
    memcpy(to->octets, from->octets, from->used);
    to->used = from->used;
}

static void image_use(struct image *image, uint64_t end)
{
    uint64_t pages_end = (end + PAGE - 1) / PAGE * PAGE;
    if (pages_end > image->used) image->used = pages_end;
}

/* ---- files ---- */

static uint32_t file_new(void)
{
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        if (disk.files[i].is_used) continue;
        disk.files[i] = (struct file){
            .is_used = true, .born = sim.life, .cache = image_new(), .disk = image_new()};
        return i;
    }
    CHECK(false); /* the spool's bound is far below */
    return 0;
}

static void file_free(struct file *file)
{
    image_free(&file->cache);
    image_free(&file->disk);
    *file = (struct file){0};
}

/* How far the file was ever written. */
static uint64_t file_used(struct file *file)
{
    if (file->is_open) image_use(&file->cache, file->segment->appended_end);
    return file->cache.used;
}

static uint8_t *page_at(const struct image *image, uint32_t page)
{
    return image->octets + (uint64_t)page * PAGE;
}

static uint64_t page_hash(const struct image *image, uint32_t page)
{
    return XXH3_64bits(page_at(image, page), PAGE) | 1;
}

/* A page that could not be written counts as clean, as long as it stays as it was. */
static bool page_is_dirty(struct file *file, uint32_t page)
{
    if (memcmp(page_at(&file->cache, page), page_at(&file->disk, page), PAGE) == 0) return false;
    return file->failed[page] == 0 || file->failed[page] != page_hash(&file->cache, page);
}

static void sector_copy(struct file *file, uint32_t page, uint32_t sector, const uint8_t *from)
{
    image_use(&file->disk, (uint64_t)(page + 1) * PAGE);
    memcpy(page_at(&file->disk, page) + (uint64_t)sector * SECTOR, from, SECTOR);
}

/* ---- syncing ---- */

static struct sync *sync_find(uint32_t file)
{
    for (uint32_t i = 0; i < SYNCS_MAX; i++)
        if (syncs[i].is_out && syncs[i].file == file) return &syncs[i];
    return NULL;
}

static struct file *file_of(int descriptor)
{
    CHECK(descriptor >= SIM_DISK_FILE_BASE);
    CHECK(descriptor < SIM_DISK_FILE_BASE + FILES_MAX);
    return &disk.files[descriptor - SIM_DISK_FILE_BASE];
}

void sim_disk_sync_begin(int descriptor, uint64_t offset, uint64_t size)
{
    struct file *file = file_of(descriptor);
    if (!file->is_open) sim_violation("a sync of a file that is not open");
    struct sync *sync = NULL;
    for (uint32_t i = 0; i < SYNCS_MAX && sync == NULL; i++)
        if (!syncs[i].is_out) sync = &syncs[i];
    CHECK(sync != NULL);
    uint64_t used = file_used(file);
    uint64_t end = size == 0 || offset + size > used ? used : offset + size;
    uint8_t *octets = sync->octets;
    if (octets == NULL) octets = malloc((size_t)PAGES_MAX * PAGE);
    CHECK(octets != NULL);
    *sync = (struct sync){.is_out = true,
                          .file = (uint32_t)(descriptor - SIM_DISK_FILE_BASE),
                          .first = (uint32_t)(offset / PAGE),
                          .octets = octets};
    for (uint32_t page = sync->first; (uint64_t)page * PAGE < end; page++, sync->count++) {
        if (!page_is_dirty(file, page)) continue;
        sync->is_taken[page] = true;
        memcpy(octets + (uint64_t)page * PAGE, page_at(&file->cache, page), PAGE);
    }
}

/* One page of a sync reaches the disk: as it was at the sync's begin, or partly as it is now. */
static void sync_page(struct sync *sync, struct file *file, uint32_t page)
{
    const uint8_t *then = sync->octets + (uint64_t)page * PAGE;
    const uint8_t *now = page_at(&file->cache, page);
    bool is_mixed = memcmp(then, now, PAGE) != 0 && sim_chance(500);
    for (uint32_t sector = 0; sector < PAGE / SECTOR; sector++)
        sector_copy(file, page, sector,
                    (is_mixed && sim_chance(500) ? now : then) + (uint64_t)sector * SECTOR);
    SIM_COUNT(pages_written_back);
}

void sim_disk_sync_end(int descriptor, int result)
{
    struct file *file = file_of(descriptor);
    struct sync *sync = sync_find((uint32_t)(descriptor - SIM_DISK_FILE_BASE));
    CHECK(sync != NULL);
    for (uint32_t page = sync->first; page < sync->first + sync->count; page++) {
        if (!sync->is_taken[page]) continue;
        if (result == 0 || sim_chance(500))
            sync_page(sync, file, page);
        else
            file->failed[page] = page_hash(&file->cache, page);
    }
    if (result == 0 && file->size != file->disk_size) file->disk_size = file->size;
    sync->is_out = false;
}

void sim_disk_write_back(void)
{
    struct file *file = &disk.files[sim_below(FILES_MAX)];
    if (!file->is_used) return;
    uint32_t pages = (uint32_t)(file_used(file) / PAGE);
    if (pages == 0) return;
    struct sync *sync = sync_find((uint32_t)(file - disk.files));
    uint32_t first = sim_chance(200) ? 0 : (uint32_t)sim_below(pages);
    uint32_t count = (uint32_t)sim_delay(16) + 1;
    for (uint32_t page = first; page < pages && page < first + count; page++) {
        if (!page_is_dirty(file, page)) continue;
        if (sim.is_disk_dead) { /* what could not be written counts as clean */
            file->failed[page] = page_hash(&file->cache, page);
            continue;
        }
        bool is_whole = sim_chance(500);
        for (uint32_t sector = 0; sector < PAGE / SECTOR; sector++) {
            const uint8_t *from = page_at(&file->cache, page) + (uint64_t)sector * SECTOR;
            if (!is_whole && sim_chance(500)) continue;
            sector_copy(file, page, sector, from);
            if (sync != NULL && sync->is_taken[page]) /* what is older must not follow it */
                memcpy(sync->octets + (uint64_t)page * PAGE + (uint64_t)sector * SECTOR, from,
                       SECTOR);
        }
        SIM_COUNT(pages_written_back);
    }
}

/* fdatasync() by the steward: all at once. */
static void file_sync_whole(uint32_t index, bool is_failing)
{
    struct file *file = &disk.files[index];
    uint32_t pages = (uint32_t)(file_used(file) / PAGE);
    sim.has_ever_failed |= is_failing;
    for (uint32_t page = 0; page < pages; page++) {
        if (!page_is_dirty(file, page)) continue;
        if (is_failing && sim_chance(500)) {
            file->failed[page] = page_hash(&file->cache, page);
            continue;
        }
        for (uint32_t sector = 0; sector < PAGE / SECTOR; sector++)
            sector_copy(file, page, sector,
                        page_at(&file->cache, page) + (uint64_t)sector * SECTOR);
    }
}

/* ---- folders ---- */

static struct name *name_find(struct folders *folders, uint32_t worker, uint64_t number)
{
    for (uint32_t i = 0; i < folders->name_count; i++)
        if (folders->names[i].worker == worker && folders->names[i].number == number)
            return &folders->names[i];
    return NULL;
}

static void name_remove(struct folders *folders, uint32_t worker, uint64_t number)
{
    struct name *name = name_find(folders, worker, number);
    if (name != NULL) *name = folders->names[--folders->name_count];
}

static void name_add(struct folders *folders, uint32_t worker, uint64_t number, uint32_t file)
{
    name_remove(folders, worker, number);
    CHECK(folders->name_count < NAMES_MAX);
    folders->names[folders->name_count++] = (struct name){worker, number, file};
}

/* A change reaches the disk, or happens in memory. */
static void change_apply(struct folders *folders, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_MAKE:
        folders->is_made[change->worker] = true;
        break;
    case CHANGE_LINK:
        name_add(folders, change->worker, change->number, change->file);
        break;
    case CHANGE_RENAME:
        name_remove(folders, change->worker, change->number);
        name_add(folders, change->to_worker, change->to_number, change->file);
        break;
    case CHANGE_UNLINK:
        name_remove(folders, change->worker, change->number);
        break;
    case CHANGE_FREED:
        folders->memories[change->worker] = change->memory;
        break;
    case CHANGE_SIZE:
        break;
    }
}

static void change_make_durable(struct disk *of, const struct change *change)
{
    if (change->kind == CHANGE_SIZE)
        of->files[change->file].disk_size = change->size;
    else
        change_apply(&of->durable, change);
}

static void change_add(struct change change)
{
    change_apply(&disk.now, &change);
    CHECK(disk.change_count < CHANGES_MAX);
    disk.changes[disk.change_count++] = change;
}

static bool change_concerns(const struct change *change, uint32_t worker)
{
    return change->worker == worker ||
           (change->kind == CHANGE_RENAME && change->to_worker == worker);
}

/* fsync of a folder (SPOOL_WORKERS_MAX: the spool's own): all of the journal, or its own changes.
 */
static void folder_sync(uint32_t worker)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < disk.change_count; i++) {
        struct change *change = &disk.changes[i];
        bool is_its = worker == SPOOL_WORKERS_MAX
                          ? change->kind == CHANGE_MAKE
                          : change->kind != CHANGE_MAKE && change->kind != CHANGE_SIZE &&
                                change_concerns(change, worker);
        if (!sim.settings.is_unordered || is_its)
            change_make_durable(&disk, change);
        else
            disk.changes[kept++] = *change;
    }
    disk.change_count = kept;
}

/* What fdatasync() of a file does for its inode. */
static void size_sync(uint32_t file)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < disk.change_count; i++) {
        struct change *change = &disk.changes[i];
        if (!sim.settings.is_unordered || (change->kind == CHANGE_SIZE && change->file == file))
            change_make_durable(&disk, change);
        else
            disk.changes[kept++] = *change;
    }
    disk.change_count = kept;
}

/* ---- the crash ---- */

/* The journal was written up to some change; or, on another file system, any of them were. */
static void changes_survive(struct disk *of)
{
    uint32_t end = (uint32_t)sim_below(of->change_count + 1);
    for (uint32_t i = 0; i < of->change_count; i++) {
        struct change *change = &of->changes[i];
        bool is_written = sim.settings.is_unordered ? sim_chance(500) : i < end;
        if (!is_written) {
            SIM_COUNT(steps_lost);
            continue;
        }
        change_make_durable(of, change);
    }
    of->change_count = 0;
    of->now = of->durable;
}

/* The one that was being written when the power went: neither what it was nor what it was to be. */
static void sector_spoil(uint8_t *octets)
{
    for (uint32_t i = 0; i < SECTOR; i += 8) {
        uint64_t number = random_next(&sim.random);
        memcpy(octets + i, &number, sizeof number);
    }
    sectors_to_spoil--;
    sim.has_spoiled = true;
    SIM_COUNT(sectors_spoiled);
}

/* Any part of what is in memory alone may have reached the disk. */
static void pages_survive(uint32_t index)
{
    struct file *file = &disk.files[index];
    struct file *to = &survivor.files[index];
    const struct sync *sync = sync_find(index);
    uint32_t pages = (uint32_t)(file_used(file) / PAGE);
    uint32_t chance = (uint32_t)sim_below(4) * 333;
    uint32_t spoil_chance = 1 + (uint32_t)sim_below(400);
    for (uint32_t page = 0; page < pages; page++) {
        if (!page_is_dirty(file, page)) continue;
        image_use(&to->disk, (uint64_t)(page + 1) * PAGE);
        bool is_torn = sim_chance(300);
        bool is_written = sim_chance(chance);
        for (uint32_t sector = 0; sector < PAGE / SECTOR; sector++) {
            uint64_t at = (uint64_t)page * PAGE + (uint64_t)sector * SECTOR;
            if (!(is_torn ? sim_chance(500) : is_written)) continue;
            bool is_old = sync != NULL && sync->is_taken[page] && sim_chance(500);
            const uint8_t *from = (is_old ? sync->octets : file->cache.octets) + at;
            bool is_new = memcmp(to->disk.octets + at, from, SECTOR) != 0;
            if (is_new && sectors_to_spoil > 0 && sim_chance(spoil_chance))
                sector_spoil(to->disk.octets + at);
            else
                memcpy(to->disk.octets + at, from, SECTOR);
        }
    }
    image_free(&to->cache);
    image_copy(&to->cache, &to->disk);
    to->size = to->disk_size;
    memset(to->failed, 0, sizeof to->failed);
}

/* A page that counts as clean may be dropped, and read again as the disk has it. */
static void failed_pages_revert(struct file *file)
{
    uint32_t pages = (uint32_t)(file->cache.used / PAGE);
    image_use(&file->disk, file->cache.used);
    for (uint32_t page = 0; page < pages; page++) {
        if (file->failed[page] == 0 || page_is_dirty(file, page)) continue;
        memcpy(page_at(&file->cache, page), page_at(&file->disk, page), PAGE);
        file->failed[page] = 0;
        sim.has_reverted = true;
        SIM_COUNT(pages_reverted);
    }
}

void sim_disk_crash(bool is_power_cut)
{
    CHECK(!has_survivor);
    has_survivor = true;
    survivor = disk;
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct file *file = &disk.files[i];
        struct file *to = &survivor.files[i];
        if (!file->is_used) continue;
        (void)file_used(file);
        image_copy(&to->cache, &file->cache);
        image_copy(&to->disk, &file->disk);
        to->is_open = false;
        to->segment = NULL;
    }
    if (!is_power_cut) return;
    sectors_to_spoil = sim_chance(500) ? 1 : 0;
    changes_survive(&survivor);
    for (uint32_t i = 0; i < FILES_MAX; i++)
        if (disk.files[i].is_used) pages_survive(i);
}

/* Nobody names it any more. */
static bool file_is_lost(uint32_t index)
{
    for (uint32_t i = 0; i < disk.now.name_count; i++)
        if (disk.now.names[i].file == index) return false;
    for (uint32_t i = 0; i < disk.durable.name_count; i++)
        if (disk.durable.names[i].file == index) return false;
    for (uint32_t i = 0; i < disk.change_count; i++)
        if (disk.changes[i].kind != CHANGE_MAKE && disk.changes[i].file == index) return false;
    return !disk.files[index].is_open;
}

static void lost_files_free(void)
{
    for (uint32_t i = 0; i < FILES_MAX; i++)
        if (disk.files[i].is_used && file_is_lost(i)) file_free(&disk.files[i]);
}

static void syncs_end(void)
{
    for (uint32_t i = 0; i < SYNCS_MAX; i++)
        syncs[i].is_out = false;
}

void sim_disk_restart(void)
{
    if (!has_survivor) sim_disk_crash(false);
    syncs_end();
    for (uint32_t i = 0; i < FILES_MAX; i++)
        if (disk.files[i].is_used) file_free(&disk.files[i]);
    disk = survivor;
    memset(&survivor, 0, sizeof survivor);
    has_survivor = false;
    bool is_reverting = sim_chance(300);
    for (uint32_t i = 0; i < FILES_MAX && is_reverting; i++)
        if (disk.files[i].is_used) failed_pages_revert(&disk.files[i]);
    lost_files_free();
}

void sim_disk_open(void)
{
    memset(&disk, 0, sizeof disk);
    has_survivor = false;
    freed_count = 0;
    last_no_space_ns = 0;
    syncs_end();
}

void sim_disk_close(void)
{
    for (uint32_t i = 0; i < FILES_MAX; i++)
        if (disk.files[i].is_used) file_free(&disk.files[i]);
    CHECK(!has_survivor);
}

/* ---- what the checks ask ---- */

const struct sim_disk_freed *sim_disk_find_freed(uint32_t worker, uint64_t number)
{
    for (uint32_t i = 0; i < freed_count; i++)
        if (freed[i].worker == worker && freed[i].number == number) return &freed[i];
    return NULL;
}

bool sim_disk_is_young(uint32_t worker, uint64_t number)
{
    const struct name *name = name_find(&disk.now, worker, number);
    return name != NULL && disk.files[name->file].born == sim.life;
}

uint64_t sim_disk_freed_ns(void)
{
    uint64_t freed_ns = 0;
    for (uint32_t worker = 0; worker < SPOOL_WORKERS_MAX; worker++)
        if (disk.now.memories[worker].freed_ns > freed_ns)
            freed_ns = disk.now.memories[worker].freed_ns;
    return freed_ns;
}

uint32_t sim_disk_open_count(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < FILES_MAX; i++)
        count += disk.files[i].is_used && disk.files[i].is_open;
    return count;
}

/* ---- spool_directory.h ---- */

/* The next step of several: the crash, or an error of it. 0 or -errno. */
static int step(uint32_t fault_chance)
{
    static const int errors[] = {-ENOSPC, -ENOSPC, -EDQUOT, -EIO};
    sim_point(SIM_POINT_DIRECTORY);
    if (!sim_fault(fault_chance)) return 0;
    int error = errors[sim_below(sizeof errors / sizeof errors[0])];
    last_no_space_ns = sim.now_ns;
    return error;
}

int spool_directory_open(struct spool_directory *directory, const char *path)
{
    *directory = (struct spool_directory){.folder = -1, .lock = 1};
    (void)strncpy(directory->path, path, sizeof directory->path - 1);
    return 0;
}

/* The spool's own name is there from the beginning. */
int spool_directory_begin_syncing(struct spool_directory *directory)
{
    directory->is_synced = true;
    return 0;
}

int spool_directory_open_to_read(struct spool_directory *directory, const char *path)
{
    int result = spool_directory_open(directory, path);
    directory->lock = -1;
    return result;
}

void spool_directory_close(struct spool_directory *directory)
{
    directory->lock = -1;
}

bool spool_directory_is_locked(const struct spool_directory *directory)
{
    return directory->lock >= 0;
}

bool spool_directory_is_volatile(const struct spool_directory *directory)
{
    (void)directory;
    return false;
}

uint64_t spool_directory_free_bytes(const struct spool_directory *directory)
{
    (void)directory;
    return UINT64_MAX / 2;
}

static void header_read(const struct file *file, struct spool_file *out)
{
    if (file->size >= SPOOL_SEGMENT_HEADER_SIZE) spool_listing_note_header(out, file->cache.octets);
}

int64_t spool_directory_list(const struct spool_directory *directory, struct spool_file **files)
{
    (void)directory;
    uint64_t count = 0;
    *files = calloc(NAMES_MAX + SPOOL_WORKERS_MAX, sizeof **files);
    CHECK(*files != NULL);
    for (uint32_t i = 0; i < disk.now.name_count; i++) {
        const struct name *name = &disk.now.names[i];
        const struct file *file = &disk.files[name->file];
        if (!disk.now.is_made[name->worker]) continue;
        struct spool_file *out = &(*files)[count++];
        out->number = name->number;
        out->worker = name->worker;
        out->size = file->size;
        header_read(file, out);
    }
    for (uint32_t worker = 0; worker < SPOOL_WORKERS_MAX; worker++) {
        struct memory memory = disk.now.memories[worker];
        if (memory.newest == 0 || !disk.now.is_made[worker]) continue;
        (*files)[count++] = (struct spool_file){.number = memory.newest,
                                                .worker = worker,
                                                .freed_ns = memory.freed_ns,
                                                .is_empty = true};
    }
    spool_listing_sort(*files, count);
    return (int64_t)count;
}

/* Synced whether it is new or not: who made it may have died before that. */
static int folder_make(const struct spool_directory *directory, uint32_t worker, uint32_t chance)
{
    int error = step(chance);
    if (error < 0) return error;
    if (!disk.now.is_made[worker])
        change_add((struct change){.kind = CHANGE_MAKE, .worker = worker});
    if (!directory->is_synced) return 0;
    error = step(chance);
    if (error == 0) folder_sync(SPOOL_WORKERS_MAX);
    return error;
}

static void size_set(uint32_t index, uint64_t size)
{
    disk.files[index].size = size;
    change_add((struct change){
        .kind = CHANGE_SIZE, .worker = SPOOL_WORKERS_MAX, .file = index, .size = size});
}

/* As segment_make() of the real one: header, size, room, sync, pages. */
static int segment_make(const struct spool_directory *directory, uint32_t index,
                        struct spool_format_segment *header, struct spool_segment *segment,
                        uint32_t chance)
{
    struct file *file = &disk.files[index];
    uint8_t page[SPOOL_SEGMENT_HEADER_SIZE];
    int error = step(chance);
    if (error < 0) return error;
    header->salt = random_next(&sim.random);
    spool_format_put_segment(page, header);
    memcpy(file->cache.octets, page, sizeof page);
    image_use(&file->cache, sizeof page);
    if (file->size < sizeof page) size_set(index, sizeof page);
    error = step(chance);
    if (error < 0) return error;
    if (file->size != header->capacity) size_set(index, header->capacity);
    error = step(chance); /* fallocate() */
    if (error < 0) return error;
    if (directory->is_synced) {
        error = step(chance);
        file_sync_whole(index, error < 0);
        if (error < 0) return error;
        size_sync(index);
        error = step(chance);
        if (error < 0) return error;
        folder_sync(header->worker);
    }
    error = step(chance); /* populate */
    if (error < 0) return error;
    spool_segment_init(segment, file->cache.octets, SIM_DISK_FILE_BASE + (int)index, header);
    file->is_open = true;
    file->segment = segment;
    file->born = sim.life;
    return 0;
}

/* No number may be used twice: it is in the name of every message. */
static void number_hand_out(uint32_t worker, uint64_t number)
{
    if (sim.is_dead || sim.has_lost_pages) return;
    if (sim_truth_has_number(worker, number))
        sim_violation("segment %u.%llu was given out before", worker, (unsigned long long)number);
    /* One that was never used may come again: what was freed then was another. */
    for (uint32_t i = 0; i < freed_count; i++)
        if (freed[i].worker == worker && freed[i].number == number)
            freed[i--] = freed[--freed_count];
}

static void freed_add(uint32_t worker, uint64_t number, bool was_recycled)
{
    if (sim.is_dead) return;
    CHECK(freed_count < FREED_MAX);
    freed[freed_count++] = (struct sim_disk_freed){number, worker, was_recycled};
}

/* When the folder's log went on behind `number`, or now. */
static uint64_t successor_opened_ns(uint32_t worker, uint64_t number)
{
    uint64_t earliest_ns = clock_realtime_ns();
    for (uint32_t i = 0; i < disk.now.name_count; i++) {
        const struct name *name = &disk.now.names[i];
        struct spool_file file = {.worker = worker, .number = name->number};
        if (name->worker != worker || name->number <= number) continue;
        header_read(&disk.files[name->file], &file);
        if (file.opened_ns != 0 && file.opened_ns < earliest_ns) earliest_ns = file.opened_ns;
    }
    return earliest_ns;
}

/* As is_begun() of the real one. */
static bool is_begun(const struct file *file, const struct spool_file *says)
{
    struct spool_format_segment header;
    struct spool_format_record record;
    const uint8_t *octets = file->cache.octets;
    if (says->opened_ns != 0) return true;
    memcpy(&record, octets + SPOOL_SEGMENT_HEADER_SIZE, sizeof record);
    return file->size > SPOOL_SEGMENT_HEADER_SIZE && spool_format_get_segment(octets, &header) &&
           header.number == says->number && record.magic == spool_format_record_magic(header.salt);
}

/* Which messages leave with it, as segment_freed_ns() of the real one. */
static uint64_t segment_freed_ns(uint32_t worker, uint64_t number)
{
    struct spool_file file = {.worker = worker, .number = number};
    const struct name *name = name_find(&disk.now, worker, number);
    if (name == NULL) return 0;
    header_read(&disk.files[name->file], &file);
    if (file.is_sealed) return file.sealed_ns;
    return is_begun(&disk.files[name->file], &file) ? successor_opened_ns(worker, number) : 0;
}

/* The folder's memory exists: as spool_folder_reserve(). */
static int memory_reserve(const struct spool_directory *directory, uint32_t worker, uint32_t chance)
{
    int error = step(chance);
    if (error == 0 && directory->is_synced) error = step(chance);
    if (error == 0 && directory->is_synced) folder_sync(worker);
    return error;
}

/* One of the folder's two sectors is written in place. */
static void memory_write(uint32_t worker, struct memory memory)
{
    change_add((struct change){
        .kind = CHANGE_FREED, .worker = worker, .file = FILES_MAX, .memory = memory});
}

/* As spool_folder_remember(). */
static int remember(const struct spool_directory *directory, uint32_t worker, uint64_t number,
                    uint64_t freed_ns)
{
    struct memory memory = disk.now.memories[worker];
    uint32_t chance = sim.settings.create_fault_chance;
    bool is_news = number > memory.newest || freed_ns > memory.freed_ns;
    if (number > memory.newest) memory.newest = number;
    if (freed_ns > memory.freed_ns) memory.freed_ns = freed_ns;
    int error = step(chance);
    sim_trace("folder %u is to remember %llu, %llu: %d", worker, (unsigned long long)memory.newest,
              (unsigned long long)memory.freed_ns, error);
    if (error < 0 || (!is_news && !directory->is_synced)) return error;
    memory_write(worker, memory);
    if (!directory->is_synced) return 0;
    error = step(chance);
    if (error == 0) folder_sync(worker);
    return error;
}

static bool is_out_of_space(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static void unlink_name(uint32_t worker, uint64_t number, uint32_t file)
{
    change_add(
        (struct change){.kind = CHANGE_UNLINK, .worker = worker, .number = number, .file = file});
}

/* As segment_remove() of the real one. */
static int segment_remove(const struct spool_directory *directory, uint32_t worker, uint64_t number,
                          bool was_recycled)
{
    const struct name *name = name_find(&disk.now, worker, number);
    if (name == NULL) return -ENOENT;
    uint32_t index = name->file;
    uint64_t freed_ns = segment_freed_ns(worker, number);
    int error = remember(directory, worker, number, freed_ns);
    if (error < 0 && !is_out_of_space(error)) return error;
    int unlink_error = step(sim.settings.create_fault_chance);
    if (unlink_error < 0) return unlink_error;
    freed_add(worker, number, was_recycled);
    unlink_name(worker, number, index);
    sim_trace("remove %u.%llu", worker, (unsigned long long)number);
    if (error == 0) return 0;
    /* Room has come by the removal. No crash is tried between the two: see README.md. */
    struct memory memory = disk.now.memories[worker];
    if (number > memory.newest) memory.newest = number;
    if (freed_ns > memory.freed_ns) memory.freed_ns = freed_ns;
    memory_write(worker, memory);
    folder_sync(worker);
    return 0;
}

/* As segment_create() of the real one. */
static int segment_create(const struct spool_directory *directory,
                          struct spool_format_segment *header, struct spool_segment *segment)
{
    uint32_t chance = sim.settings.create_fault_chance;
    int error = memory_reserve(directory, header->worker, chance);
    if (error == 0) error = step(chance);
    if (error == 0 && name_find(&disk.now, header->worker, header->number) != NULL) error = -EEXIST;
    if (error < 0) return error;
    uint32_t index = file_new();
    change_add((struct change){
        .kind = CHANGE_LINK, .worker = header->worker, .number = header->number, .file = index});
    error = segment_make(directory, index, header, segment, chance);
    if (error == 0) return 0;
    sim_point(SIM_POINT_DIRECTORY);
    unlink_name(header->worker, header->number, index);
    return error;
}

int spool_directory_create(struct spool_directory *directory, struct spool_segment *segment,
                           uint32_t worker, uint64_t number, uint64_t size, uint64_t now_ns)
{
    struct spool_format_segment header = {
        .worker = worker, .number = number, .capacity = size, .created_ns = now_ns};
    CHECK(size <= (uint64_t)PAGES_MAX * PAGE);
    int error = folder_make(directory, worker, sim.settings.create_fault_chance);
    if (error == 0) error = segment_create(directory, &header, segment);
    sim_trace("create %u.%llu: %d", worker, (unsigned long long)number, error);
    if (error < 0) {
        SIM_COUNT(create_faults);
        return error;
    }
    number_hand_out(worker, number);
    SIM_COUNT(segments_created);
    return 0;
}

/* The oldest goes first, and only where there is no room. */
static void recycle_judge(const struct spool_directory *directory, const struct spool_file *old,
                          uint64_t size)
{
    struct spool_file *files = NULL;
    uint64_t used = 0;
    struct spool_file itself = *old;
    const struct name *name = name_find(&disk.now, old->worker, old->number);
    if (sim.is_dead || name == NULL) return;
    itself.created_ns = 0;
    header_read(&disk.files[name->file], &itself);
    int64_t count = spool_directory_list(directory, &files);
    for (int64_t i = 0; i < count; i++) {
        used += files[i].size;
        if (files[i].opened_ns != 0 && files[i].created_ns < itself.created_ns)
            sim_violation("segment %u.%llu is recycled, though %u.%llu is older", old->worker,
                          (unsigned long long)old->number, files[i].worker,
                          (unsigned long long)files[i].number);
    }
    free(files);
    bool has_room = used + size <= (uint64_t)sim.settings.bound_segments << 20;
    if (sim.settings.is_refusing || (has_room && last_no_space_ns == 0))
        sim_violation("segment %u.%llu is recycled, though there is room", old->worker,
                      (unsigned long long)old->number);
}

/* As recycle_file() of the real one. */
static int recycle_file(const struct spool_directory *directory, const struct spool_file *old,
                        uint32_t index, struct spool_format_segment *header,
                        struct spool_segment *segment)
{
    uint32_t chance = sim.settings.create_fault_chance;
    int error = step(chance);
    if (error < 0) return error;
    error =
        remember(directory, old->worker, old->number, segment_freed_ns(old->worker, old->number));
    if (error < 0 && !is_out_of_space(error)) return error;
    int rename_error = error < 0 ? error : step(chance);
    if (rename_error < 0 && !is_out_of_space(rename_error)) return rename_error;
    if (rename_error < 0) {
        error = segment_remove(directory, old->worker, old->number, true);
        return error == 0 ? segment_create(directory, header, segment) : error;
    }
    freed_add(old->worker, old->number, true);
    change_add((struct change){.kind = CHANGE_RENAME,
                               .worker = old->worker,
                               .number = old->number,
                               .to_worker = header->worker,
                               .to_number = header->number,
                               .file = index});
    error = segment_make(directory, index, header, segment, chance);
    if (error == 0) return 0;
    sim_point(SIM_POINT_DIRECTORY);
    unlink_name(header->worker, header->number, index);
    return error;
}

int spool_directory_recycle(struct spool_directory *directory, const struct spool_file *old,
                            struct spool_segment *segment, uint32_t worker, uint64_t number,
                            uint64_t size, uint64_t now_ns)
{
    struct spool_format_segment header = {
        .worker = worker, .number = number, .capacity = size, .created_ns = now_ns};
    const struct name *name = name_find(&disk.now, old->worker, old->number);
    if (old->is_empty || name == NULL) return -ENOENT;
    if (disk.files[name->file].is_open) {
        sim_violation("segment %u.%llu is recycled, and still written", old->worker,
                      (unsigned long long)old->number);
        return -EBUSY;
    }
    uint32_t index = name->file;
    recycle_judge(directory, old, size);
    int error = folder_make(directory, worker, sim.settings.create_fault_chance);
    if (error == 0) {
        error = memory_reserve(directory, worker, sim.settings.create_fault_chance);
        if (error == 0 || is_out_of_space(error))
            error = recycle_file(directory, old, index, &header, segment);
    }
    sim_trace("recycle %u.%llu as %u.%llu: %d", old->worker, (unsigned long long)old->number,
              worker, (unsigned long long)number, error);
    if (error < 0) {
        SIM_COUNT(recycle_faults);
        return error;
    }
    number_hand_out(worker, number);
    SIM_COUNT(segments_recycled);
    return 0;
}

bool spool_directory_has(const struct spool_directory *directory, const struct spool_file *file)
{
    (void)directory;
    return name_find(&disk.now, file->worker, file->number) != NULL;
}

void spool_directory_release(struct spool_segment *segment)
{
    if (segment->base != NULL) {
        struct file *file = file_of(segment->file);
        CHECK(file->is_open);
        CHECK(file->segment == segment);
        (void)file_used(file);
        file->is_open = false;
        file->segment = NULL;
    }
    segment->base = NULL;
    segment->file = -1;
}

void spool_directory_retire(struct spool_directory *directory, struct spool_segment *segment)
{
    (void)directory;
    spool_directory_release(segment);
}

void spool_directory_forget_gone(struct spool_directory *directory)
{
    (void)directory;
}

void spool_directory_withdraw(struct spool_directory *directory, struct spool_segment *segment)
{
    SIM_COUNT(segments_withdrawn);
    (void)segment_remove(directory, segment->worker, segment->number, false);
    spool_directory_release(segment);
}

int spool_directory_trim(struct spool_directory *directory, const struct spool_file *file)
{
    const struct name *name = name_find(&disk.now, file->worker, file->number);
    struct spool_file itself = *file;
    if (file->is_empty) return 0;
    if (name == NULL) return -ENOENT;
    itself.opened_ns = 0;
    header_read(&disk.files[name->file], &itself);
    /* The bound is smaller than it was: what is too much goes as what is recycled does. */
    if (itself.opened_ns != 0) recycle_judge(directory, file, 1u << 20);
    SIM_COUNT(segments_trimmed);
    /* A spool that is to be smaller lets go of what was used; a mark may have been spoiled. */
    bool was_used = itself.opened_ns != 0 || itself.is_sealed;
    return segment_remove(directory, file->worker, file->number, was_used);
}

int spool_directory_seal(const struct spool_directory *directory, const struct spool_file *of,
                         uint64_t salt, struct spool_format_mark mark)
{
    struct spool_format_segment header;
    const struct name *name = name_find(&disk.now, of->worker, of->number);
    uint32_t chance = sim.settings.create_fault_chance;
    if (name == NULL) return -ENOENT;
    uint32_t index = name->file;
    struct file *file = &disk.files[index];
    if (!spool_format_get_segment(file->cache.octets, &header) || header.number != of->number ||
        header.worker != of->worker || header.salt != salt)
        return -ENOENT;
    int error = step(chance);
    if (error < 0) return error;
    spool_format_put_mark(file->cache.octets, SPOOL_MARK_SEALED, salt, mark);
    SIM_COUNT(segments_recovered);
    if (!directory->is_synced) return 0;
    error = step(chance);
    file_sync_whole(index, error < 0);
    return error;
}

void spool_directory_populate(const struct spool_segment *segment)
{
    CHECK(segment->base != NULL);
    sim_point(SIM_POINT_DIRECTORY);
}

int spool_directory_map(const struct spool_directory *directory, const struct spool_file *file,
                        const uint8_t **base, uint64_t *size)
{
    struct spool_format_segment header;
    const struct name *name = name_find(&disk.now, file->worker, file->number);
    (void)directory;
    if (file->is_empty || name == NULL) return -ENOENT;
    const struct file *of = &disk.files[name->file];
    if (of->size == 0) return -ENOENT;
    if (of->size < SPOOL_SEGMENT_HEADER_SIZE) return -EBADMSG;
    if (!spool_format_get_segment(of->cache.octets, &header)) return -EBADMSG;
    if (header.number != file->number || header.worker != file->worker) return -ENOENT;
    *base = of->cache.octets;
    *size = of->size;
    return 0;
}

void spool_directory_unmap(const uint8_t *base, uint64_t size)
{
    (void)base;
    (void)size;
}
