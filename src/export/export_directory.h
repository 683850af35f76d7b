/*
 * export_directory -- folders and files below the one that was named for the export.
 *
 * Every name is one component that is resolved below an open descriptor, without links: what
 * another user planted there is refused (-ELOOP), not followed.
 *
 * Errors:     -errno.
 */
#pragma once

#include "base/bytes.h"

/* The descriptor of the folder that the operator named, which is made (0700) if it is not there. */
MUST_USE int export_directory_open(const char *path);

/* The descriptor of the folder `name` in `parent`, which is made (0700) if it is not there. */
MUST_USE int export_directory_enter(int parent, const char *name);

/* The descriptor of the file `name`, opened with `flags`; a new one is 0600. */
MUST_USE int export_directory_open_file(int directory, const char *name, int flags);

/* A new file with these octets, whole; what it could not finish is removed again. 0 or -errno. */
MUST_USE int export_directory_put_file(int directory, const char *name, struct bytes octets);

/* Gives a file its final name. 0; -EEXIST: that name is taken; or -errno. */
MUST_USE int export_directory_move(int from, const char *name, int to, const char *final);

/* Writes all of it. 0 or -errno. */
MUST_USE int export_directory_write(int file, struct bytes octets);
