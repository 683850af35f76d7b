/* file -- all of a small file at once. */
#pragma once

#include "base/check.h"

#include <stdint.h>

/* The octets of a regular file, to be freed; NULL with errno set: EFBIG beyond `size_max`. */
uint8_t *file_read(const char *path, uint64_t size_max, uint64_t *size);
