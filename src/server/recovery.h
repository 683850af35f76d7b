/*
 * recovery -- seals what an earlier run left unsealed, and tells what it found in it.
 *
 * Borrows:    the directory, locked; files of earlier runs as listed.
 * Errors:     none: what can't be read or sealed is told and left as it was, for the next start.
 * Bounds:     one segment a call is read, from its beginning to its end.
 * Thread:     the steward's.
 */
#pragma once

#include "base/check.h"
#include "spool/spool_directory.h"

#include <stdbool.h>

/* It was begun, can be read, and nobody has sealed it. */
bool recovery_is_due(const struct spool_file *file);

/* Walks and seals it: `file` says so then. Tells what was found in one line. */
void recovery_seal(struct spool_directory *directory, struct spool_file *file);

/*
 * Looks whether a file that says it was never begun holds a record all the same (its mark was
 * lost): then it is due.
 */
bool recovery_has_record(const struct spool_directory *directory, const struct spool_file *file);
