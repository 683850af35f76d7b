/*
 * sim_disk -- the disk under the simulated spool_directory: what the page cache has of each file,
 * what has reached the disk, and which changes of folders are on it.
 *
 * Owns:       two images of every segment file.
 * Invariants: (1) what was not synced may be on the disk or not, sector by sector.
 *             (2) a page that could not be written counts as clean until it is changed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIM_DISK_FILE_BASE 5000

/* A segment file left its folder with all that was in it. */
struct sim_disk_freed {
    uint64_t number;
    uint32_t worker;
    bool was_recycled; /* else it was trimmed or withdrawn, and nothing was in it */
};

/* An empty disk. */
void sim_disk_open(void);
void sim_disk_close(void);

/* The crash: what survives is set aside, for sim_disk_restart(). The life may go on with the rest.
 */
void sim_disk_crash(bool is_power_cut);
/* What survived becomes the disk. */
void sim_disk_restart(void);

/* fdatasync of a range begins, and ends: 0 or -errno. */
void sim_disk_sync_begin(int file, uint64_t offset, uint64_t size);
void sim_disk_sync_end(int file, int result);

/* The kernel writes some pages back, whenever it likes. */
void sim_disk_write_back(void);

/* Was segment `number` freed in any life? */
const struct sim_disk_freed *sim_disk_find_freed(uint32_t worker, uint64_t number);
/* Was the file born in the present life? */
bool sim_disk_is_young(uint32_t worker, uint64_t number);
/* What the folders say of what has left: the latest freed_ns. */
uint64_t sim_disk_freed_ns(void);
/* Segments that are mapped for writing. */
uint32_t sim_disk_open_count(void);
