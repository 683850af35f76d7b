#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

uint8_t *file_read(const char *path, uint64_t size_max, uint64_t *size)
{
    struct stat found;
    FILE *file = fopen(path, "re");
    if (file == NULL) return NULL;
    uint8_t *octets = NULL;
    if (fstat(fileno(file), &found) != 0) goto close_file;
    errno = S_ISREG(found.st_mode) ? EFBIG : EINVAL;
    if (!S_ISREG(found.st_mode) || (uint64_t)found.st_size > size_max) goto close_file;
    octets = malloc((size_t)found.st_size + 1);
    if (octets != NULL) *size = fread(octets, 1, (size_t)found.st_size, file);
close_file:
    (void)fclose(file);
    return octets;
}
