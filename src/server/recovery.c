#include "server/recovery.h"

#include "base/log.h"
#include "server/fault.h"
#include "spool/spool_reader.h"
#include "spool/spool_recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

bool recovery_is_due(const struct spool_file *file)
{
    return !file->is_empty && !file->is_sealed && file->opened_ns != 0;
}

/* 0, -EIO where the disk does not give all of it, or -errno. */
static int walk(const struct spool_directory *directory, const struct spool_file *file,
                struct spool_recovery *recovery)
{
    const uint8_t *base = NULL;
    uint64_t size = 0;

    int error = spool_directory_map(directory, file, &base, &size);
    if (error < 0) return error;
    fault_watch_reading(base, size);
    bool is_sound =
        spool_recovery_walk(recovery, bytes_make(base, size), file->worker, file->number);
    uint32_t faults = fault_watch_reading(NULL, 0);
    spool_directory_unmap(base, size);
    if (faults > 0) return -EIO;
    return is_sound ? 0 : -EBADMSG;
}

static void tell(const struct spool_directory *directory, const struct spool_file *file,
                 const struct spool_recovery *recovery)
{
    char text[SPOOL_RECOVERY_TEXT_MAX];

    (void)spool_recovery_format(text, recovery);
    if (recovery->damage_count > 0)
        log_warning("recovered w%02u/%010" PRIu64 ".seg: %s; see: ringspool verify %s",
                    file->worker, file->number, text, directory->path);
    else
        log_info("recovered w%02u/%010" PRIu64 ".seg: %s", file->worker, file->number, text);
}

void recovery_seal(struct spool_directory *directory, struct spool_file *file)
{
    struct spool_recovery recovery;

    CHECK(recovery_is_due(file));
    int error = walk(directory, file, &recovery);
    if (error == 0) tell(directory, file, &recovery);
    if (error == 0) error = spool_directory_seal(directory, file, recovery.salt, recovery.seal);
    if (error == 0) {
        file->is_sealed = true;
        file->sealed_ns = recovery.seal.time_ns;
    } else if (error != -ENOENT) { /* somebody has trimmed it */
        log_warning("w%02u/%010" PRIu64 ".seg, which a crash left, can't be sealed (%s): it is "
                    "left as it is; see: ringspool verify %s",
                    file->worker, file->number, strerror(-error), directory->path);
    }
}

bool recovery_has_record(const struct spool_directory *directory, const struct spool_file *file)
{
    struct spool_reader_segment segment;
    const uint8_t *base = NULL;
    uint64_t size = 0;

    if (spool_directory_map(directory, file, &base, &size) < 0) return false;
    fault_watch_reading(base, size);
    bool has_record =
        spool_reader_segment_open(&segment, bytes_make(base, size), file->worker, file->number) &&
        spool_reader_has_record(&segment);
    if (fault_watch_reading(NULL, 0) > 0) has_record = true; /* who knows: it is not to be freed */
    spool_directory_unmap(base, size);
    return has_record;
}
