/* A library to preload: the program believes that a million descriptors are allowed. */
#include <stddef.h>
#include <sys/resource.h>

#define MILLION 1000000

/* libc has reserved names for them. */
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    if (prlimit(0, resource, NULL, limit) != 0) return -1;
    if (resource == RLIMIT_NOFILE) *limit = (struct rlimit){MILLION, MILLION};
    return 0;
}
