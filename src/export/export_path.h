/*
 * export_path -- the one encoder of recipients into file names.
 *
 * a-z, 0-9 and "@_+=" stay as they are, "-" and "." too unless they come first; every other octet
 * becomes %XX. Before that, what means the same is made the same: the domain lower-case (RFC 5321
 * 2.4), a quoted local part without the quotes and backslashes that it could do without (4.1.2).
 * The local part's case counts. No octets at all become "%". A longer name than
 * EXPORT_PATH_SIZE_MAX is cut between octets and ended with "%~" and an XXH3-128 of the whole.
 *
 * Invariants: (1) A name is one component: no "/", no NUL, no dot first, never empty.
 *             (2) Different mailboxes have different names, the long ones but for a collision of
 *             the hash.
 *             (3) No two names differ in case alone.
 */
#pragma once

#include "base/bytes.h"

#define EXPORT_PATH_SIZE_MAX 200
#define EXPORT_PATH_MAX      (EXPORT_PATH_SIZE_MAX + 1)

/* Writes the name and its NUL at `out` (EXPORT_PATH_MAX) and returns its size. */
uint32_t export_path_encode(char *out, struct bytes recipient);
