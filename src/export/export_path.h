/*
 * export_path -- the one encoder of recipients into file names.
 *
 * a-z, 0-9 and "@_+=" stay as they are, "-" and "." too unless they come first; every other octet
 * becomes %XX. The domain is made lower-case first, since its case means nothing (RFC 5321 2.4);
 * the local part's case counts. No octets at all become "%". A longer name than
 * EXPORT_PATH_SIZE_MAX is cut between octets and ended with "%~" and the XXH3-128 of the recipient.
 *
 * Invariants: (1) A name is one component: no "/", no NUL, no dot first, never empty.
 *             (2) Different recipients have different names, the long ones but for a collision of
 *             the hash.
 *             (3) No two names differ in case alone.
 */
#pragma once

#include "base/bytes.h"

#define EXPORT_PATH_SIZE_MAX 200
#define EXPORT_PATH_MAX      (EXPORT_PATH_SIZE_MAX + 1)

/* Writes the name and its NUL at `out` (EXPORT_PATH_MAX) and returns its size. */
uint32_t export_path_encode(char *out, struct bytes recipient);
